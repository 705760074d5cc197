package testserver

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/testprogram"
)

// Kubernetes is a control plane that runs for the tests of a package: etcd and
// kube-apiserver and, where wanted, kube-controller-manager and kube-scheduler. It has
// no nodes: what a pod would do is for the test to do.
type Kubernetes struct {
	// Kubeconfig is a file with the contexts "admin", who may do everything, and
	// "limited", a user of that name who may do what the test gives it.
	Kubeconfig string

	folder  string
	process *testprogram.Process
}

// KubernetesParts are what a control plane has beside its API server.
type KubernetesParts struct{ Controllers, Scheduler bool }

// requireKubernetes is the environment variable that has Kubernetes built.
const requireKubernetes = "LIGHTERAGE_REQUIRE_KUBE"

// KubernetesAvailable skips a test where Kubernetes has not been built: that takes a
// quarter of an hour, and is done by "make test-kube", which fails instead.
func KubernetesAvailable(t testing.TB) {
	t.Helper()
	if os.Getenv(requireKubernetes) == "1" {
		if _, err := testprogram.Build("kube", t.Logf); err != nil {
			t.Fatalf("Kubernetes cannot be built: %v", err)
		}
	}
	if _, built, err := testprogram.Built("kube"); err != nil || !built {
		t.Skip("NOT TESTED HERE: Kubernetes has not been built; make test-kube builds it")
	}
}

// StartKubernetes starts a control plane. Stop ends it, and so does the end of the
// test's process.
func StartKubernetes(parts KubernetesParts) (*Kubernetes, error) {
	program, built, err := testprogram.Built("kube")
	if err != nil || !built {
		return nil, fmt.Errorf("Kubernetes has not been built: %w", err)
	}
	folder, err := os.MkdirTemp("", "lighterage-kube-")
	if err != nil {
		return nil, err
	}
	process, err := testprogram.Start(program, "-folder", folder, fmt.Sprintf("-controllers=%t", parts.Controllers), fmt.Sprintf("-scheduler=%t", parts.Scheduler))
	if err != nil {
		_ = os.RemoveAll(folder)
		return nil, fmt.Errorf("start Kubernetes: %w", err)
	}
	return &Kubernetes{Kubeconfig: strings.TrimSpace(process.Address), folder: folder, process: process}, nil
}

// Stop ends the control plane and removes its files.
func (k *Kubernetes) Stop() {
	k.process.Stop()
	_ = os.RemoveAll(k.folder)
}
