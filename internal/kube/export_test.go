package kube

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// HarborInCluster makes a namespace with the Harbor of the fixture that runs, for tests
// of what stands above this package. It returns the kubeconfig and the namespace.
func HarborInCluster(t testing.TB) (kubeconfig, namespace string) {
	t.Helper()
	w := newWorld(t, "alauda")
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	return w.kubeconfig, w.Namespace
}

// LockedHarborInCluster is HarborInCluster with settings that are fixed by a value.
func LockedHarborInCluster(t testing.TB) (kubeconfig, namespace string) {
	t.Helper()
	w := newWorld(t)
	const settings = `'{"auth_mode":"ldap_auth","ldap_url":"ldap://ldap.example.com"}'`
	text := strings.Replace(fixture(t, "alauda"), "core: {replicas: 2,", "core: {replicas: 2, configureUserSettings: "+settings+",", 1)
	w.apply(strings.Replace(text, "data: {EXT_ENDPOINT:", "data: {CONFIG_OVERWRITE_JSON: "+settings+", EXT_ENDPOINT:", 1))
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	return w.kubeconfig, w.Namespace
}

// HarborOnSharedVolume is HarborInCluster with a large volume that many nodes can mount.
func HarborOnSharedVolume(t testing.TB) (kubeconfig, namespace string) {
	t.Helper()
	w := newWorld(t)
	w.apply(strings.ReplaceAll(fixture(t, "alauda"), "ReadWriteOnce", "ReadWriteMany"))
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	return w.kubeconfig, w.Namespace
}

// HelmInCluster makes a namespace into which Harbor was installed with Helm.
func HelmInCluster(t testing.TB, helm string) (kubeconfig, namespace string) {
	t.Helper()
	w := newWorld(t)
	w.apply(`{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-$NAMESPACE"}, "spec": {
		"capacity": {"storage": "200Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "ceph-block",
		"hostPath": {"path": "/nowhere"}, "claimRef": {"namespace": "$NAMESPACE", "name": "harbor-registry"}}}`)
	values := filepath.Join(t.TempDir(), "values.yaml")
	text := "volume: pv-" + w.Namespace + "\nexternalURL: https://harbor.example.com\nharborAdminPassword: a secret\nmaxUpload: 10737418240\ncore: {replicas: 2}\n"
	if err := os.WriteFile(values, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(helm, "install", "harbor", "testdata/chart", "--kubeconfig", w.kubeconfig, "--namespace", w.Namespace, "--values", values).CombinedOutput()
	if err != nil {
		t.Fatalf("helm install: %v\n%s", err, out)
	}
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	return w.kubeconfig, w.Namespace
}

// AllowTheRole gives the user of the context "limited" what the shipped Role has.
func AllowTheRole(t testing.TB, kubeconfig, namespace string) {
	t.Helper()
	c, err := Connect(Access{Kubeconfig: kubeconfig, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	(&world{c, t, kubeconfig}).allowTheRole()
}
