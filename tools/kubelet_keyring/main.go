// Command kubelet_keyring answers, with the kubelet's own code, which logins it would try for an image.
//
// It reads lines of JSON, {"secrets": [{"type": "...", "config": "..."}], "image": "..."}, and prints for each a line:
// a list of the user names in the order in which the kubelet's image manager would try them, or null where it would not
// pull at all, since it can't parse the image or a Secret.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
	"k8s.io/kubernetes/pkg/util/parsers"
)

type question struct {
	Secrets []struct {
		Type   v1.SecretType `json:"type"`
		Config string        `json:"config"`
	} `json:"secrets"`
	Image string `json:"image"`
}

func names(asked question) []string {
	repository, _, _, err := parsers.ParseImageName(asked.Image)
	if err != nil {
		return nil
	}
	given := []v1.Secret{}
	for _, each := range asked.Secrets {
		data := map[string][]byte{v1.DockerConfigJsonKey: []byte(each.Config), v1.DockerConfigKey: []byte(each.Config)}
		given = append(given, v1.Secret{Type: each.Type, Data: data})
	}
	keyring, err := secrets.MakeDockerKeyring(given, credentialprovider.UnionDockerKeyring{})
	if err != nil {
		return nil
	}
	found := []string{}
	logins, _ := keyring.Lookup(repository)
	for _, login := range logins {
		found = append(found, login.Username)
	}
	return found
}

func main() {
	// The keyring logs each key that it can't parse.
	flags := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(flags)
	_ = flags.Set("logtostderr", "false")
	_ = flags.Set("stderrthreshold", "FATAL")
	klog.SetOutput(io.Discard)
	lines, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var asked question
		if err := lines.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(names(asked)); err != nil {
			log.Fatal(err)
		}
	}
}
