package cli

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/kube"
)

func TestWhatIsFoundOfAHarborIsShown(t *testing.T) {
	t.Parallel()
	r := &kube.Release{
		Name: "harbor", Namespace: "tools", Packaging: kube.HelmRelease, Revision: 4, ChartVersion: "1.16.4", HarborVersion: "2.12.4",
		Registry: kube.Registry{Deployment: "harbor-registry", Replicas: 1, Nodes: []string{"node-a"}},
		Storage:  kube.Storage{Driver: "filesystem", RootDirectory: "/storage"},
		Volume:   kube.Volume{Kind: kube.ClaimVolume, Claim: "images", SubPath: "registry", AccessModes: []string{"ReadWriteOnce"}, Kept: true},
		Obstacles: []kube.Obstacle{
			{Code: "reclaim", Severity: kube.Warns, Found: "The volume is deleted with its claim.", WayOut: "kubectl patch pv"},
		},
		Steps: []string{"Copy it.", "Switch."},
	}
	show := func() string {
		var out strings.Builder
		a := &app{Options: Options{Stdout: &out, Getenv: func(string) string { return "" }}}
		a.screen = term.New(&out, &out, a.Getenv)
		if err := a.showReleases([]*kube.Release{r}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := show()
	for _, want := range []string{
		"Helm release, revision 4, chart 1.16.4", "harbor-registry, 1 replica on node-a", "filesystem at /storage",
		"PVC images, subPath registry, ReadWriteOnce, kept by Helm", "warns  The volume is deleted with its claim.\n       kubectl patch pv\n",
		"Ready, with warnings.", "  2. Switch.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	r.Obstacles[0].Severity, r.Obstacles[0].Found = kube.Stops, "bad \x1b[2Jnews"
	if text := show(); !strings.Contains(text, "Not ready") || !strings.Contains(text, "bad ?[2Jnews") {
		t.Errorf("got\n%s", text)
	}
}

func TestAClusterThatIsNotReachedIsSaid(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	config := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: c, cluster: {server: 'http://" + address + "'}}]\n" +
		"contexts: [{name: a, context: {cluster: c, namespace: tools}}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--kubeconfig", config}, exitUnreachable, "in namespace tools"},
		{[]string{"--kubeconfig", config, "--context", "none"}, exitUsage, "none"},
		{[]string{"--kubeconfig", config + "-gone"}, exitUsage, "read the kubeconfig"},
		{[]string{"more"}, exitUsage, "takes no arguments"},
	} {
		got := run(t, nil, append([]string{"migrate", "discover"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.errors, c.says) {
			t.Errorf("%q: exit code %d, want %d; %s", c.args, got.code, c.code, got.errors)
		}
	}
}
