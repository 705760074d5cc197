package kube

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lighterage/lighterage/internal/chart"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/testprogram"
	"github.com/lighterage/lighterage/internal/testserver"
)

var update = flag.Bool("update", false, "write the golden files anew")

func target() Target {
	return Target{
		S3:    chart.S3{Bucket: "harbor", Endpoint: "http://minio.storage:9000", RootDirectory: "images", Secret: "s3-secret", CASecret: "company-ca"},
		Image: "registry.example.com/tools/lighterage:1.0",
	}
}

// onVolume is the Harbor of the fixture.
func onVolume() *Release {
	return &Release{
		Name: "harbor", Namespace: "tools", Packaging: AlaudaResource, FullName: "harbor", ChartVersion: "1.16.4",
		Registry: Registry{
			Deployment: "harbor-registry", Replicas: 1, Nodes: []string{"node-a"}, selector: map[string]any{"component": "registry", "release": "harbor"},
			tolerations: []any{map[string]any{"key": "storage", "operator": "Exists"}}, pullSecrets: []any{map[string]any{"name": "pull"}},
		},
		Storage: Storage{Driver: "filesystem", RootDirectory: "/storage"},
		Volume:  Volume{Kind: ClaimVolume, Claim: "harbor-registry", SubPath: "harbor/registry", AccessModes: []string{"ReadWriteOnce"}},
		values:  map[string]any{"persistence": map[string]any{"enabled": true, "imageChartStorage": map[string]any{"s3": map[string]any{"secretkey": "hidden"}}}},
	}
}

// Everything that is written for people is looked at in a review: -update writes it anew.
func TestTheBundleIsAsKept(t *testing.T) {
	t.Parallel()
	for name, packaging := range map[string]Packaging{"alauda": AlaudaResource, "helm": HelmRelease} {
		r := onVolume()
		r.Packaging = packaging
		files, err := r.Bundle(target())
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if name == "helm" && !strings.HasPrefix(file.Name, "switch") && file.Name != readmeFile {
				continue // the same as the other's
			}
			if strings.Contains(string(file.Content), "hidden") {
				t.Errorf("%s has a secret in it", file.Name)
			}
			golden := filepath.Join("testdata", "bundle", name, file.Name)
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, file.Content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(file.Content)); diff != "" {
				t.Errorf("%s: %s", golden, diff)
			}
		}
	}
}

// podOf is what a step's pods are.
func podOf(r *Release, step Step, t Target) map[string]any {
	return mapAt(r.Job(step, t), "spec", "template", "spec")
}

func TestAPodIsWhereTheVolumeIs(t *testing.T) {
	t.Parallel()
	const registry, node = "podAffinity", "nodeAffinity"
	host := func(r *Release) { r.Volume = Volume{Kind: HostVolume, HostPath: "/srv/harbor"} }
	for name, c := range map[string]struct {
		change func(*Release)
		step   Step
		want   string
	}{
		"a volume of one node":           {nil, CopyStep, registry},
		"at the end too":                 {nil, FinalStep, registry},
		"the bucket is tried anywhere":   {nil, PreflightStep, ""},
		"back, when nobody has it":       {nil, BackStep, ""},
		"a shared volume":                {func(r *Release) { r.Volume.AccessModes = []string{"ReadWriteMany"} }, CopyStep, ""},
		"the registry is scaled down":    {func(r *Release) { r.Registry.Replicas = 0 }, CopyStep, ""},
		"a folder of a node":             {host, CopyStep, registry},
		"a folder of a node, going back": {host, BackStep, node},
	} {
		r := onVolume()
		if c.change != nil {
			c.change(r)
		}
		affinity := mapAt(podOf(r, c.step, target()), "affinity")
		if got := affinity[c.want] != nil; got != (c.want != "") || len(affinity) > 1 {
			t.Errorf("%s: affinity %v, want %q", name, affinity, c.want)
		}
	}
}

func TestOnlyTheWayBackMayWriteToTheVolume(t *testing.T) {
	t.Parallel()
	for _, step := range Steps {
		pod := podOf(onVolume(), step, target())
		containers, _ := pod["containers"].([]any)
		first, _ := pod["initContainers"].([]any)
		for _, c := range append(first, containers...) {
			for _, m := range at(c.(map[string]any), "volumeMounts").([]any) {
				m := m.(map[string]any)
				if m["mountPath"] != dataFolder {
					continue
				}
				if readOnly := m["readOnly"] == true; readOnly == (step == BackStep) || m["subPath"] != "harbor/registry" {
					t.Errorf("%s mounts %v", step, m)
				}
			}
		}
		if pod["automountServiceAccountToken"] != false || at(pod, "securityContext", "fsGroup") != nil {
			t.Errorf("%s: %v", step, pod)
		}
	}
}

func TestAJobSaysHowTheBucketIsReached(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]chart.S3{
		"s3://harbor": {Bucket: "harbor"},
		"s3://harbor/a/b?endpoint=https%3A%2F%2Fceph&insecure=true&region=cn": {Bucket: "harbor", RootDirectory: "/a/b/", Endpoint: "https://ceph", Region: "cn", SkipVerify: true},
		"s3://harbor?acl=none&ca=%2Fetc%2Flighterage%2Fca%2Fca.crt&encrypt=true&encrypt_key=k&path_style=true&storage_class=STANDARD": {
			Bucket: "harbor", ACL: "none", CASecret: "ca", Encrypt: true, EncryptKey: "k", StorageClass: "STANDARD"},
	} {
		tt := Target{S3: s}
		if s.CASecret != "" {
			tt.PathStyle = "true"
		}
		if got := tt.Location(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Namespaces of newWorld enforce the Pod Security level "restricted".
func TestTheClusterTakesTheJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alauda")
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	r := w.discover("")
	for _, step := range Steps {
		if trial, err := w.TryJob(t.Context(), r.Job(step, target())); err != nil || trial.Refused != nil || trial.Untried != nil {
			t.Errorf("%s: %+v, %v", step, trial, err)
		}
	}
	if left, err := w.list(t.Context(), jobs, metav1.ListOptions{}); err != nil || len(left) > 0 {
		t.Errorf("a trial has left %d Jobs, %v", len(left), err)
	}
}

func TestWhatTheClusterWouldRefuseIsToldBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alauda")
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	r := w.discover("")
	for says, change := range map[string]func(*Release, *Target){
		"host namespaces":     func(_ *Release, t *Target) { t.HostNetwork = true },
		"hostPath":            func(r *Release, _ *Target) { r.Volume = Volume{Kind: HostVolume, HostPath: "/srv"} },
		"no PriorityClass":    func(_ *Release, t *Target) { t.PriorityClass = "none" },
		"metadata.name":       func(r *Release, _ *Target) { r.FullName = "Not_A_Name" },
		"spec.template.spec.": func(_ *Release, t *Target) { t.S3.Secret = "Not A Name" },
	} {
		r, tt := *r, target()
		change(&r, &tt)
		trial, err := w.TryJob(t.Context(), r.Job(CopyStep, tt))
		if err != nil || trial.Refused == nil || !strings.Contains(trial.Refused.Error(), says) {
			t.Errorf("%s: %+v, %v", says, trial, err)
		}
	}
	trial, err := w.limited().TryJob(t.Context(), r.Job(CopyStep, target()))
	if err != nil || trial.Untried == nil || trial.Refused != nil || !strings.Contains(trial.Untried.Error(), `lacks the permission "create" on jobs.batch`) {
		t.Errorf("without permissions: %+v, %v", trial, err)
	}
}

// What others have put into the resource stays, byte for byte, there and back.
func TestTheResourceIsSwitchedAndSwitchedBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alauda")
	r := w.discover("")
	spec := func() string {
		found, err := w.get(t.Context(), alaudaHarbor, "harbor")
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"spec": found.Object["spec"], "annotations": found.GetAnnotations()})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := spec()
	there, back := r.Switch(target().S3)
	trial, err := w.TrySwitch(t.Context(), r, there)
	if err != nil || trial.Refused != nil || textAt(trial.After, "helmValues", "persistence", "imageChartStorage", "type") != "s3" || textAt(trial.Before, "helmValues", "persistence", "imageChartStorage", "type") != "" {
		t.Fatalf("%+v, %v", trial, err)
	}
	if spec() != before {
		t.Error("a trial has changed the resource")
	}
	for _, patch := range []map[string]any{there, back} {
		text, err := json.Marshal(patch)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.of(alaudaHarbor).Patch(t.Context(), "harbor", types.MergePatchType, text, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if during := w.discover(""); textAt(during.values, "caBundleSecretName") != "company-ca" || textAt(during.values, "persistence", "persistentVolumeClaim", "trivy", "size") != "5Gi" {
			t.Errorf("foreign values have changed: %v", during.values)
		}
	}
	// An object that was not there before is empty after: nothing is in it.
	if got := strings.Replace(spec(), `"imageChartStorage":{},`, "", 1); got != before {
		t.Errorf("there and back:\n%s\nbefore:\n%s", got, before)
	}
}

func TestASwitchThatTheClusterRefusesIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alauda")
	r := w.discover("")
	trial, err := w.TrySwitch(t.Context(), r, map[string]any{"spec": map[string]any{"externalURL": 7}})
	if err != nil || trial.Refused == nil || !strings.Contains(trial.Refused.Error(), "spec.externalURL") {
		t.Errorf("a value of the wrong type: %+v, %v", trial, err)
	}
	w.apply(readers("harbors.operator.alaudadevops.io"))
	w.granted(alaudaHarbor)
	trial, err = w.limited().TrySwitch(t.Context(), r, map[string]any{"spec": map[string]any{"version": "1"}})
	if err != nil || trial.Untried == nil {
		t.Errorf("who may only look: %+v, %v", trial, err)
	}
	gone := *r
	gone.Name = "gone"
	if _, err := w.TrySwitch(t.Context(), &gone, nil); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("a resource that is gone: %v", err)
	}
}

// The Role that is shipped is enough for each command, and volumes of the cluster can be
// done without.
func TestTheRoleThatIsShippedIsEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alauda")
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	w.allowTheRole()
	limited := w.limited()

	found, err := limited.Discover(t.Context(), "harbor")
	if err != nil || len(found) != 1 || !slices.Equal(codesOf(found[0]), []string{"warns reclaim-unknown"}) {
		t.Fatalf("got %+v, %v", found, err)
	}
	there, _ := found[0].Switch(target().S3)
	if trial, err := limited.TrySwitch(t.Context(), found[0], there); err != nil || trial.Refused != nil || trial.Untried != nil {
		t.Errorf("the switch: %+v, %v", trial, err)
	}
	if made, err := limited.EnsureSecret(t.Context(), target(), "access", "secret"); err != nil || !made {
		t.Errorf("the Secret: %t, %v", made, err)
	}
	for range 2 {
		go func() { w.end(w.newPod(found[0].JobName(CopyStep)), 0, "") }()
		if out, err := limited.RunJob(t.Context(), found[0].Job(CopyStep, target()), Following{}); err != nil || out.Failed {
			t.Errorf("a Job: %+v, %v", out, err)
		}
	}
	if err := w.of(kinds["Role"]).Delete(t.Context(), "lighterage-migration", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testserver.Eventually(t, "without the Role nothing goes", func() bool {
		_, err := limited.Discover(t.Context(), "harbor")
		return problem.Is(err, problem.Forbidden)
	})
}

// allowTheRole gives the limited user what the shipped Role has.
func (w *world) allowTheRole() {
	w.t.Helper()
	path, err := testprogram.Source("deploy", "kubernetes", "migration-role.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	role, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.apply(string(role))
	w.apply(binding("lighterage-migration"))
	w.granted(configMaps)
}

// granted waits until the limited user may list a kind of thing: it takes the API server
// a moment to know of a new Role.
func (w *world) granted(kind schema.GroupVersionResource) {
	w.t.Helper()
	limited := w.limited()
	testserver.Eventually(w.t, "the Role is known", func() bool {
		_, err := limited.list(w.t.Context(), kind, metav1.ListOptions{})
		return err == nil
	})
}

func TestASecretIsMadeOrMustBeRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tt := target()
	if made, err := w.EnsureSecret(t.Context(), tt, "access", "secret"); err != nil || !made {
		t.Fatalf("made: %t, %v", made, err)
	}
	for name, keys := range map[string][2]string{"the same keys": {"access", "secret"}, "no keys": {}} {
		if made, err := w.EnsureSecret(t.Context(), tt, keys[0], keys[1]); err != nil || made {
			t.Errorf("%s: made %t, %v", name, made, err)
		}
	}
	if _, err := w.EnsureSecret(t.Context(), tt, "access", "tell-nobody"); !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), chart.SecretKey) || strings.Contains(err.Error(), "tell-nobody") {
		t.Errorf("another key: %v", err)
	}
	if _, err := w.EnsureSecret(t.Context(), tt, "", "secret"); !problem.Is(err, problem.BadRequest) {
		t.Errorf("half of the keys: %v", err)
	}
	w.apply(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "half"}, "stringData": {"` + chart.AccessKey + `": "access"}}`)
	tt.S3.Secret = "half"
	if _, err := w.EnsureSecret(t.Context(), tt, "", ""); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "has no "+chart.SecretKey) {
		t.Errorf("a Secret with half of the keys: %v", err)
	}
}

// readers lets the limited user look at kinds of things in a namespace.
func readers(kinds ...string) string {
	var rules []string
	for _, kind := range kinds {
		name, group, _ := strings.Cut(kind, ".")
		rules = append(rules, `{"apiGroups": ["`+group+`"], "resources": ["`+name+`"], "verbs": ["get", "list"]}`)
	}
	return `{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": [` + strings.Join(rules, ",") + `]}
---
` + binding("reader")
}

// binding gives the limited user a Role.
func binding(role string) string {
	return `{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "` + role + `"},
 "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "` + role + `"},
 "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}]}`
}
