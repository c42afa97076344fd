// Command go_durations writes Go's own answers to a list of durations, as JSON: for each input either its
// nanoseconds and its text (cut to microseconds, which is all that a Python timedelta holds), or Go's error.
//
// From the top folder, with the Go on PATH or the one in .venv/bin:
//
//	go run tools/go_durations/main.go > tests/model/go_durations.json
//
// The made-up inputs come from a fixed seed, so that the same Go writes the same file again.
package main

import (
	"encoding/json"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

type row struct {
	Input       string `json:"input"`
	Nanoseconds *int64 `json:"nanoseconds,omitempty"`
	Text        string `json:"text,omitempty"`
	Error       string `json:"error,omitempty"`
}

var written = []string{
	// Everyday ones.
	"0", "5s", "30s", "1478s", "10h", "10h0m0s", "90m", "1h30m", "1h2m3s", "24h", "12h", "0s", "1s", "-1h", "5m30.001s",
	"0h", "0m0s", "00h", "007s", "1h1h", "1s1h", "3h3h3h", "1ns1us1ms1s1m1h", "39h9m14.425s", "720h", "8760h",
	// Signs.
	"-5s", "+5s", "-0", "+0", "-0s", "+0s", "--5s", "++5s", "+-5s", "-+5s", "-", "+", "1h-2m", "1h+2m", "- 5s", "-.5s",
	"+.5s", "-.s", "+.s",
	// Fractions.
	".5s", "1.s", "5.s", "5.6s", "5.0s", "5.6s1.4s", "1.004s", "1.00400s", "100.00100s", ".", ".s", "1.2.3s", "1..5s",
	"..5s", "1.5", ".5", "5.", "0.", ".0", "0.0", "0.0s", ".0s", "0.s", "1.5h", "0.1h", "0.3333333333333333333h", "1.1ns", "0.9ns",
	"1.9ns", "0.5us", "0.000000001h", "0.0000000001s", "0.000001h", "2.7h", "0.7m", "0.1m", "0.9999999999s",
	"9007199254.740993s", "0.830103483285477580700h", "0.9223372036854775807h", "0.92233720368547758070h",
	"0.9223372036854775808h", "0.9223372036854775809s", "0.100000000000000000000h", "0.12345678901234567890123456789s",
	"1.99999999999999999999999999s", "0.99999999999999999999h", "0." + strings.Repeat("9", 400) + "h",
	"0." + strings.Repeat("0", 400) + "1s", "0." + strings.Repeat("0", 307) + "7h", "0." + strings.Repeat("1", 1000) + "m",
	"0.11111111111111111111111111111111111ns",
	// Units.
	"10ns", "11us", "12\u00b5s", "12\u03bcs", "13ms", "14s", "15m", "16h", "1\u00b5", "1\u03bc", "1u", "1n", "1d", "1w", "1y",
	"1M", "1H", "1S", "1MS", "1Ms", "1sec", "1min", "1hour", "1 h", "h", "s", "ms", "10", "100", "3000", "1h10", "1h2", "1hm",
	"1hs", "1mss", "1nss", "hm", "h1", "s5", "1h2x3s", "1e3s", "1E3s", "0x10s", "1_000s", "1,5s", "10%", "1ks",
	// Spaces, other scripts, odd characters.
	"", " ", "  ", " 5s", "5s ", "5 s", "1h 2m", "\t5s", "5s\n", "\n", "5\ns", "5s\x00", "\x005s", "\u00a05s", "5s\u00a0",
	"5\u200bs", "\ufeff5s", "\u0663h", "3\u0663h", "\uff15s", "\u00b2s", "2\u00b2s", "1.\u0663s", "\u221210h", "\u20135s", "10\uff48",
	"abc", "never", "None", "null", "true", "\"10h\"", "'10h'", "10h;", "10h # daily", "*/5 * * * *", "@daily", "P1D", "PT10H",
	"10:00", "10:00:00", "\U0001f550", "1\U0001f550", "inf", "-inf", "NaN", "Infs",
	// The ends of an int64.
	"9223372036854775807ns", "9223372036854775808ns", "-9223372036854775807ns", "-9223372036854775808ns",
	"-9223372036854775809ns", "+9223372036854775807ns", "+9223372036854775808ns", "9223372036854775.807us",
	"9223372036854775.808us", "-9223372036854775.808us", "-9223372036854775.809us", "9223372036854ms775us807ns",
	"9223372036854ms775us808ns", "-9223372036854ms775us808ns", "-9223372036854ms775us809ns", "9223372036.854775807s",
	"9223372036.854775808s", "-9223372036.854775808s", "9223372036s854775807ns", "9223372036s854775808ns", "2562047h47m16.854775807s",
	"2562047h47m16.854775808s", "-2562047h47m16.854775808s", "-2562047h47m16.854775809s", "2562047h", "2562048h", "-2562048h",
	"153722867m", "153722868m", "2562047.788015215h", "2562047.788015216h", "2562047.8h", "9999999999999999999s", "3000000h",
	"92233720368547758070ns", "18446744073709551615ns", "18446744073709551616ns", "18446744073709551617ns",
	"99999999999999999999999999999999h", strings.Repeat("9", 5000) + "s", strings.Repeat("0", 5000) + "7s", "00000000000000000000000001h",
	"9223372036854775807ns1ns", "-9223372036854775807ns1ns", "-9223372036854775807ns2ns", "9223372036854775807ns0.9ns",
	"9223372036854775807ns0", "9223372036854775807ns0h", "9223372036854775808ns0x", "0000x", "99999999999999999999x", "99999999999999999999",
	"0.9223372036854775808", "9223372036854775808.0ns", "-9223372036854775808.5ns", "9223372036854775807.999ns", "1.h1.m1.s", ".1h.1m.1s",
	strings.Repeat("1h", 500), strings.Repeat("9", 19) + "ns", "1" + strings.Repeat("0", 18) + "ns", "1" + strings.Repeat("0", 19) + "ns",
}

// almost makes durations that mostly are right: a sign, a few terms, now and then a slip.
func almost(random *rand.Rand) string {
	var text strings.Builder
	text.WriteString(pick(random, "", "", "", "-", "+"))
	for range 1 + random.IntN(4) {
		text.WriteString(digits(random, 1+random.IntN(random.IntN(18)+1)))
		if random.IntN(2) == 0 {
			text.WriteString(".")
			text.WriteString(digits(random, random.IntN(24)))
		}
		text.WriteString(pick(random, "ns", "us", "\u00b5s", "\u03bcs", "ms", "s", "s", "m", "m", "h", "h", "", "x", " h"))
	}
	return text.String()
}

// noise strings together the pieces that durations are made of, and some others.
func noise(random *rand.Rand) string {
	var text strings.Builder
	for range 1 + random.IntN(6) {
		text.WriteString(pick(random, "0", "1", "9", "10", ".", "-", "+", "h", "m", "s", "ms", "n", "\u00b5s", " ", "d", "\u0663"))
	}
	return text.String()
}

func digits(random *rand.Rand, count int) string {
	var text strings.Builder
	for range count {
		text.WriteByte(byte('0' + random.IntN(10)))
	}
	return text.String()
}

func pick(random *rand.Rand, from ...string) string {
	return from[random.IntN(len(from))]
}

func answer(input string) row {
	duration, err := time.ParseDuration(input)
	if err != nil {
		return row{Input: input, Error: err.Error()}
	}
	nanoseconds := duration.Nanoseconds()
	return row{Input: input, Nanoseconds: &nanoseconds, Text: duration.Truncate(time.Microsecond).String()}
}

func main() {
	random := rand.New(rand.NewPCG(10, 12))
	inputs := written
	for range 200 {
		inputs = append(inputs, almost(random))
	}
	for range 100 {
		inputs = append(inputs, noise(random))
	}
	seen := map[string]bool{}
	rows := []row{}
	for _, input := range inputs {
		if !seen[input] {
			seen[input] = true
			rows = append(rows, answer(input))
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(rows); err != nil {
		log.Fatal(err)
	}
}
