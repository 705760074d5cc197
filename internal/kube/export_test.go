package kube

import "testing"

// HarborInCluster makes a namespace with the Harbor of the fixture that runs, for tests
// of what stands above this package. It returns the kubeconfig and the namespace.
func HarborInCluster(t *testing.T) (kubeconfig, namespace string) {
	t.Helper()
	w := newWorld(t, "alauda")
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	return w.kubeconfig, w.Namespace
}

// AllowTheRole gives the user of the context "limited" what the shipped Role has.
func AllowTheRole(t *testing.T, kubeconfig, namespace string) {
	t.Helper()
	c, err := Connect(Access{Kubeconfig: kubeconfig, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	(&world{c, t, kubeconfig}).allowTheRole()
}
