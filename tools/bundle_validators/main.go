// Command bundle_validators runs every validator of the operator framework on a bundle's folder, the optional ones
// included, and prints a line of JSON for each thing that one of them found.
//
// The validator of architectures asks `docker` on PATH which platforms an image has.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	"github.com/operator-framework/api/pkg/validation/errors"
	validator "github.com/operator-framework/api/pkg/validation/interfaces"
	"github.com/sirupsen/logrus"
)

type named struct {
	name string
	runs validator.Validator
}

type finding struct {
	Validator string `json:"validator"`
	Level     string `json:"level"`
	Message   string `json:"message"`
}

// In place of the deprecated "operatorhub": its three successors, which check the same. Those for package manifests
// and OperatorGroups are left out: a bundle has neither.
var all = []named{
	{"clusterserviceversion", validation.ClusterServiceVersionValidator},
	{"customresourcedefinition", validation.CustomResourceDefinitionValidator},
	{"bundle", validation.BundleValidator},
	{"operatorhub", validation.OperatorHubV2Validator},
	{"standardcapabilities", validation.StandardCapabilitiesValidator},
	{"standardcategories", validation.StandardCategoriesValidator},
	{"community", validation.CommunityOperatorValidator},
	{"good-practices", validation.GoodPracticesValidator},
	{"object", validation.ObjectValidator},
	{"alpha-deprecated-apis", validation.AlphaDeprecatedAPIsValidator},
	{"multiarch", validation.MultipleArchitecturesValidator},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bundle_validators FOLDER")
		os.Exit(2)
	}
	logrus.SetOutput(io.Discard)
	bundle, err := manifests.GetBundleFromDir(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	lines := json.NewEncoder(os.Stdout)
	for _, each := range all {
		for _, result := range each.runs.Validate(bundle.ObjectsToValidate()...) {
			tell(lines, each.name, "error", result.Errors)
			tell(lines, each.name, "warning", result.Warnings)
		}
	}
}

func tell(lines *json.Encoder, name, level string, found []errors.Error) {
	for _, each := range found {
		if err := lines.Encode(finding{name, level, each.Error()}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
}
