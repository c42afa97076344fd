// Command argocd runs one of Argo CD's own programs for the lab, with their own flags: its application controller or
// its repo server; or `redis ADDRESS`, the cache that both need, which prints its address: miniredis, that of Argo CD's
// own tests.
//
// Left out: Argo CD's API server, CLI and user interface, which take more time to compile than they are of use.
package main

import (
	"fmt"
	"os"

	"github.com/alicebob/miniredis/v2"
	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	command := cobra.Command{Use: "argocd"}
	redis := cobra.Command{Use: "redis ADDRESS", Args: cobra.ExactArgs(1), RunE: serveRedis}
	command.AddCommand(controller.NewCommand(), reposerver.NewCommand(), &redis)
	if command.Execute() != nil {
		os.Exit(1)
	}
}

// serveRedis serves until the process is killed.
func serveRedis(_ *cobra.Command, arguments []string) error {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(arguments[0]); err != nil {
		return err
	}
	fmt.Println(server.Addr())
	select {}
}
