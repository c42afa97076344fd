// Command kubelet_keyring answers, with the kubelet's own code, which images it would use a registry key for.
//
// It reads lines of JSON, {"key": "...", "image": "..."}, and prints for each `true` or `false`: whether a pull secret
// with this one key offers its login for the image, read and looked up as the kubelet's image manager does.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
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
	Key   string `json:"key"`
	Image string `json:"image"`
}

func secretOf(key string) (v1.Secret, error) {
	login := map[string]string{"username": "AWS", "password": "x", "auth": "QVdTOng="}
	config, err := json.Marshal(map[string]any{"auths": map[string]any{key: login}})
	return v1.Secret{
		Type: v1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{v1.DockerConfigJsonKey: config},
	}, err
}

func uses(asked question) (bool, error) {
	repository, _, _, err := parsers.ParseImageName(asked.Image)
	if err != nil {
		return false, nil
	}
	secret, err := secretOf(asked.Key)
	if err != nil {
		return false, err
	}
	keyring, err := secrets.MakeDockerKeyring([]v1.Secret{secret}, credentialprovider.UnionDockerKeyring{})
	if err != nil {
		return false, err
	}
	_, found := keyring.Lookup(repository)
	return found, nil
}

func main() {
	// The keyring logs each key that it can't parse.
	flags := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(flags)
	_ = flags.Set("logtostderr", "false")
	_ = flags.Set("stderrthreshold", "FATAL")
	klog.SetOutput(io.Discard)
	lines := json.NewDecoder(os.Stdin)
	for {
		var asked question
		if err := lines.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		found, err := uses(asked)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(found)
	}
}
