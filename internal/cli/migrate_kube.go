package cli

import (
	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/kube"
)

// kubeFlags say which Harbor of which cluster is meant.
type kubeFlags struct {
	access kube.Access
	harbor string
}

func (f *kubeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.access.Namespace, "namespace", "n", "", "namespace that Harbor is in (default that of the context)")
	flags.StringVar(&f.harbor, "harbor", "", "name of the Harbor, where the namespace has several")
	flags.StringVar(&f.access.Kubeconfig, "kubeconfig", "", "kubeconfig `file` (default KUBECONFIG, ~/.kube/config, or in a pod its own account)")
	flags.StringVar(&f.access.Context, "context", "", "context of the kubeconfig (default its current one)")
}

func (a *app) connectKube(f kubeFlags) (*kube.Cluster, error) {
	f.access.UserAgent = "lighterage/" + a.Version.String()
	return kube.Connect(f.access)
}
