package kube_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/kube"
	"github.com/lighterage/lighterage/internal/testprogram"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// A release of Helm is upgraded by Helm itself, and what comes of it is what it was,
// but for where the images are.
func TestAReleaseOfHelmIsMovedAndMovedBack(t *testing.T) {
	t.Parallel()
	ts.KubernetesAvailable(t)
	program, err := testprogram.BuildOther("helm", "helm.sh/helm/v3/cmd/helm", t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	s := siteIn(t, func(t testing.TB) (string, string) { return kube.HelmInCluster(t, program) })
	f := fleetIn(t, s, &kube.Operator{Helm: true})
	helm := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(program, append(args, "--kubeconfig", f.kubeconfig, "--namespace", f.namespace)...).CombinedOutput()
		if err != nil {
			t.Fatalf("helm %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	// Helm needs rights of its own.
	migrate := func(args ...string) ended {
		t.Helper()
		return f.migrate(t.Context(), append(args, "--context", "admin", "--harbor-url", f.server.URL, "--drain", "0s", "--helm", program)...)
	}
	manifest, values := helm("get", "manifest", "harbor"), helm("get", "values", "harbor", "--output", "json")

	got := migrate("run", f.place(), "--image", "lighterage:test")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	after := helm("get", "values", "harbor", "--output", "json")
	for _, part := range []string{`"maxUpload":10737418240`, `"existingSecret":"s3-secret"`, `"harborAdminPassword":"a secret"`, `"replicas":2`} {
		if !strings.Contains(after, part) {
			t.Errorf("%s is not in the values: %s", part, after)
		}
	}
	if moved := helm("get", "manifest", "harbor"); strings.Contains(moved, "claimName") || !strings.Contains(moved, "maxupload: 10737418240") {
		t.Errorf("the manifest:\n%s", moved)
	}
	f.pushed("after", 5)
	if got := migrate("rollback"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if now := helm("get", "manifest", "harbor"); now != manifest {
		t.Errorf("the manifest is not what it was:\n%s\n%s", manifest, now)
	}
	now := strings.Replace(helm("get", "values", "harbor", "--output", "json"), `"persistence":{"imageChartStorage":{}},`, "", 1)
	if now != values {
		t.Errorf("the values are not what they were:\n%s\n%s", values, now)
	}
	if history := helm("history", "harbor", "--output", "json"); strings.Count(history, `"revision"`) != 3 {
		t.Errorf("history: %s", history)
	}
	f.set(func() { ts.Pull(t, f.registry, "library/app", "after") })

	// Without Helm it is for somebody else, who is told what to do.
	done := make(chan ended, 1)
	go func() {
		done <- f.migrate(t.Context(), "run", f.place(), "--image", "lighterage:test", "--context", "limited", "--harbor-url", f.server.URL, "--drain", "0s", "--helm", "")
	}()
	ts.Eventually(t, "the change is waited for", func() bool { return strings.Contains(f.migrate(t.Context(), "status").out, "rollout") })
	helm("upgrade", "harbor", "testdata/chart", "--reuse-values", "--set", "persistence.imageChartStorage.type=s3,persistence.imageChartStorage.s3.bucket="+f.store.Bucket+
		",persistence.imageChartStorage.s3.existingSecret=s3-secret,persistence.imageChartStorage.s3.regionendpoint="+f.store.Endpoint+",persistence.imageChartStorage.s3.rootdirectory=/images")
	if got := <-done; got.code != 0 || !strings.Contains(got.errors, "merge this into the values of the chart") || !strings.Contains(got.errors, "existingSecret: s3-secret") {
		t.Errorf("adopted: %+v", got)
	}
}
