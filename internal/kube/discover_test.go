package kube

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lighterage/lighterage/internal/problem"
)

func TestAHarborOfTheAlaudaOperatorIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alauda")
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	got := w.discover("")
	want := &Release{
		Name: "harbor", Namespace: w.Namespace, Packaging: AlaudaResource, FullName: "harbor", HarborVersion: "2.12.4", ExternalURL: "https://harbor.example.com",
		Registry: Registry{Deployment: "harbor-registry", Image: "registry.example.com/goharbor/registry-photon:v2.12.4", Replicas: 1, Strategy: "RollingUpdate", Nodes: []string{"node-a"}},
		Storage:  Storage{Driver: "filesystem", RootDirectory: "/storage"},
		Volume: Volume{
			Kind: ClaimVolume, Claim: "harbor-registry", SubPath: "harbor/registry", AccessModes: []string{"ReadWriteOnce"}, StorageClass: "ceph-block",
			Capacity: "200Gi", Phase: "Bound", PV: "pv-" + w.Namespace, Reclaim: "Delete", Kept: true, Managed: true,
		},
		Redis: Redis{Address: "harbor-redis:6379", Database: 2}, CASecret: "company-ca",
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Release{}, Registry{}), cmpopts.IgnoreFields(Release{}, "Obstacles", "Steps")); diff != "" {
		t.Error(diff)
	}
	if codes := codesOf(got); !slices.Equal(codes, []string{"warns reclaim"}) {
		t.Errorf("obstacles: %q", codes)
	}
	if steps := strings.Join(got.Steps, "\n"); !strings.Contains(steps, "on the registry's node node-a") || !strings.Contains(steps, "Patch spec.helmValues.persistence.imageChartStorage of the Harbor harbor") {
		t.Errorf("steps:\n%s", steps)
	}
	if len(got.Registry.tolerations) != 1 || len(got.Registry.pullSecrets) != 1 {
		t.Errorf("what the registry's pods tolerate, and with what they pull: %v, %v", got.Registry.tolerations, got.Registry.pullSecrets)
	}
}

func TestAReleaseOfHarborsChartIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(withoutResource(fixture(t, "alauda")))
	w.helmRelease("harbor", 3, "superseded", "1.10.0")
	w.helmRelease("harbor", 4, "deployed", "1.16.4")
	w.run("harbor-registry", "node-a")
	w.bound("harbor-registry")
	got := w.discover("harbor")
	if got.Packaging != HelmRelease || got.Revision != 4 || got.ChartVersion != "1.16.4" || got.HarborVersion != "2.12.4" || textAt(got.Values(), "externalURL") == "" {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(strings.Join(got.Steps, "\n"), "revision 5") {
		t.Errorf("steps: %q", got.Steps)
	}
}

func TestAHarborThatNobodySaysWhoInstalledIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(withoutResource(fixture(t, "alauda")))
	got := w.discover("")
	if got.Packaging != Manifests || got.Name != "harbor" || got.Volume.Claim != "harbor-registry" || got.ExternalURL != "https://harbor.example.com" || got.HarborVersion != "v2.12.4"[1:] {
		t.Errorf("got %+v", got)
	}
}

// What stands in the way is told with a code that stays and a way out.
func TestWhatStandsInTheWayIsTold(t *testing.T) {
	t.Parallel()
	volume := "persistentVolumeClaim: {claimName: harbor-registry}"
	for name, c := range map[string]struct {
		replace []string // in the fixture: old, new, ...
		nodes   []string
		want    []string
	}{
		"an emptyDir":                    {[]string{volume, "emptyDir: {}"}, nil, []string{"stops empty-dir"}},
		"a folder of a node":             {[]string{volume, "hostPath: {path: /srv/harbor}"}, nil, []string{"stops host-path-nodes"}},
		"a volume of another kind":       {[]string{volume, "downwardAPI: {}"}, nil, []string{"stops no-volume"}},
		"a root that is on no volume":    {[]string{"rootdirectory: /storage", "rootdirectory: /elsewhere"}, nil, []string{"stops no-volume"}},
		"a claim that is not there":      {[]string{volume, "persistentVolumeClaim: {claimName: other}"}, nil, []string{"stops claim-not-bound"}},
		"a claim without its volume":     {[]string{"volumeName: pv-$NAMESPACE", "volumeName: pv-none-$NAMESPACE"}, nil, []string{"stops claim-not-bound"}},
		"a claim for one pod":            {[]string{"accessModes: [ReadWriteOnce]", "accessModes: [ReadWriteOncePod]"}, nil, []string{"stops one-pod", "warns reclaim"}},
		"pods on two nodes":              {[]string{"replicas: 1", "replicas: 2"}, []string{"node-a", "node-b"}, []string{"stops many-nodes", "warns reclaim"}},
		"a shared volume, two nodes":     {[]string{"replicas: 1", "replicas: 2", "accessModes: [ReadWriteOnce]", "accessModes: [ReadWriteMany]"}, []string{"node-a", "node-b"}, []string{"warns reclaim"}},
		"a claim that Helm would delete": {[]string{"helm.sh/resource-policy: keep, ", ""}, nil, []string{"stops not-kept", "warns reclaim"}},
		"a claim of the user's own":      {[]string{"helm.sh/resource-policy: keep, meta.helm.sh/release-name: harbor", "", "heritage: Helm, release: harbor}\n  annotations", "release: harbor}\n  annotations"}, nil, []string{"warns reclaim"}},
		"a volume that is retained":      {[]string{"ReclaimPolicy: Delete", "ReclaimPolicy: Retain"}, nil, nil},
		"images in S3 already":           {[]string{"filesystem:\n        rootdirectory: /storage", "s3: {bucket: images, region: us-east-1}"}, nil, []string{"stops already-s3"}},
		"images in another cloud":        {[]string{"filesystem:\n        rootdirectory: /storage", "azure: {container: images}"}, nil, []string{"stops other-driver"}},
		"no configuration":               {[]string{"configMap: {name: harbor-registry}", "configMap: {name: gone}"}, nil, []string{"stops no-configuration"}},
		"settings that are fixed":        {[]string{"EXT_ENDPOINT:", "CONFIG_OVERWRITE_JSON: '{\"auth_mode\":\"ldap_auth\"}', EXT_ENDPOINT:"}, nil, []string{"warns reclaim", "stops config-locked"}},
		"settings fixed by a value": {[]string{
			"EXT_ENDPOINT:", "CONFIG_OVERWRITE_JSON: '{\"auth_mode\":\"ldap_auth\"}', EXT_ENDPOINT:",
			"core: {replicas: 2,", "core: {replicas: 2, configureUserSettings: '{\"auth_mode\":\"ldap_auth\"}',",
		}, nil, []string{"warns reclaim", "warns config-locked"}},
		"a registry that is scaled down": {[]string{"replicas: 1", "replicas: 0"}, []string{}, []string{"warns reclaim", "warns scaled-down"}},
		"a registry that is recreated":   {[]string{"replicas: 1", "replicas: 1\n  strategy: {type: Recreate}"}, nil, []string{"warns reclaim", "warns recreate"}},
		"keys of S3 that were left":      {[]string{"resourcePolicy: keep", "imageChartStorage: {type: filesystem, s3: {existingSecret: old}}"}, nil, []string{"warns reclaim", "warns left-over-secret"}},
		"no registry":                    {[]string{"component: registry", "component: other"}, []string{}, []string{"stops no-registry"}},
		"no core":                        {[]string{"component: core", "component: other"}, nil, []string{"warns no-core", "warns reclaim"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.allow("privileged") // a folder of a node is nothing that "restricted" has
			w.apply(strings.NewReplacer(c.replace...).Replace(fixture(t, "alauda")))
			nodes := c.nodes
			if nodes == nil && name != "a folder of a node" {
				nodes = []string{"node-a"}
			}
			if len(nodes) > 0 {
				w.run("harbor-registry", nodes...)
			}
			if !slices.ContainsFunc(c.want, func(s string) bool { return s == "stops claim-not-bound" }) {
				w.bound("harbor-registry")
			}
			got := w.discover("")
			if codes := codesOf(got); !slices.Equal(codes, c.want) {
				t.Errorf("got %q, want %q\n%+v", codes, c.want, got)
			}
			for _, o := range got.Obstacles {
				if o.Found == "" || o.WayOut == "" {
					t.Errorf("%s has no words or no way out", o.Code)
				}
			}
			if ready := len(got.Steps) > 0; ready != got.Ready() {
				t.Errorf("ready: %t, and steps: %q", got.Ready(), got.Steps)
			}
		})
	}
}

func TestChartsWhoseGarbageCollectionHasNoKeysAreKnown(t *testing.T) {
	t.Parallel()
	for version, warned := range map[string]bool{
		"1.10.2": true, "1.11.2": true, "1.11.3": false, "1.11.9": false, "1.12.0": true, "1.12.4": true, "1.12.5": false,
		"1.13.0-beta": true, "1.13.0": false, "1.16.4": false, "1.18.0-alauda.1": false, "": false, "odd": false,
	} {
		r := Release{ChartVersion: version}
		r.judgeChart()
		if got := len(r.Obstacles) > 0; got != warned {
			t.Errorf("chart %q: warned %t, want %t", version, got, warned)
		}
	}
}

func TestAHarborClusterIsNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply("apiVersion: goharbor.io/v1beta1\nkind: HarborCluster\nmetadata: {name: old}\nspec: {version: 2.5.1, externalURL: 'https://old.example.com'}")
	if got := w.discover("old"); got.Packaging != HarborCluster || !slices.Equal(codesOf(got), []string{"stops harborcluster"}) || got.HarborVersion != "2.5.1" {
		t.Errorf("got %+v", got)
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Discover(t.Context(), "")
	if !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "there is no Harbor in namespace "+w.Namespace) {
		t.Errorf("an empty namespace: %v", err)
	}
	w.apply(fixture(t, "alauda"))
	_, err = w.Discover(t.Context(), "other")
	if !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "there is harbor") {
		t.Errorf("another name: %v", err)
	}
}

func TestTwoHarborsInANamespaceAreToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alauda")
	w.apply(strings.NewReplacer(
		"name: harbor\n", "name: second\n", "harbor-registry", "second-registry", "harbor-core", "second-core", "release: harbor", "release: second",
		"pv-$NAMESPACE", "pv-second-$NAMESPACE").Replace(fixture(t, "alauda")))
	all, err := w.Discover(t.Context(), "")
	if err != nil || len(all) != 2 || all[0].Volume.Claim != "harbor-registry" || all[1].Volume.Claim != "second-registry" {
		t.Errorf("got %+v, %v", all, err)
	}
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alauda")
	_, err := w.limited().Discover(t.Context(), "")
	if !problem.Is(err, problem.Forbidden) || !strings.Contains(err.Error(), `lacks the permission "list" on secrets`) {
		t.Errorf("got %v", err)
	}
}

func TestAHelmReleaseThatCannotBeReadIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.helmSecret("harbor", 1, "deployed", base64.StdEncoding.EncodeToString([]byte("{not JSON")))
	_, err := w.Discover(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "sh.helm.release.v1.harbor.v1") {
		t.Errorf("got %v", err)
	}
}

// discover finds one Harbor.
func (w *world) discover(name string) *Release {
	w.t.Helper()
	found, err := w.Discover(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(found) != 1 {
		w.t.Fatalf("found %d Harbors, want one", len(found))
	}
	return found[0]
}

func codesOf(r *Release) []string {
	var codes []string
	for _, o := range r.Obstacles {
		codes = append(codes, string(o.Severity)+" "+o.Code)
	}
	return codes
}

// withoutResource leaves the Harbor resource out of the fixture.
func withoutResource(text string) string {
	_, rest, _ := strings.Cut(text, "\n---\n")
	return rest
}

func (w *world) helmRelease(name string, revision int, status, chart string) {
	w.t.Helper()
	text, err := json.Marshal(map[string]any{
		"name": name, "version": revision, "info": map[string]any{"status": status},
		"chart":  map[string]any{"metadata": map[string]any{"name": "harbor", "version": chart, "appVersion": "2.12.4"}},
		"config": map[string]any{"externalURL": "https://harbor.example.com"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		w.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.helmSecret(name, revision, status, base64.StdEncoding.EncodeToString(packed.Bytes()))
}
