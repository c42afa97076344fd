// Command go_durations answers a table of durations anew: for each key what Go's time.ParseDuration makes of
// it, in microseconds (all that a Python timedelta holds), or null where it refuses.
//
//	go run tools/go_durations/main.go tests/api/go_durations.json
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"time"
)

func main() {
	path := os.Args[1]
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	table := map[string]*int64{}
	if err := json.Unmarshal(text, &table); err != nil {
		log.Fatal(err)
	}
	for input := range table {
		table[input] = nil
		if duration, err := time.ParseDuration(input); err == nil {
			microseconds := duration.Microseconds()
			table[input] = &microseconds
		}
	}
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(table); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, written.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
