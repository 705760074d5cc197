package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// The home registry takes an index of which something is missing from rules, though from
// nobody else, and gives it on to rules that want no more of it.
func TestAPullRuleBringsSomePlatformsToHomeAndAPushRuleTakesThemFurther(t *testing.T) {
	t.Parallel()
	source, cluster := ts.Distribution(t), ts.Distribution(t, ts.WithSparseIndexes())
	home := start(t, server.Config{DataDir: t.TempDir()})
	index, nested := ts.Index(t, 1), ts.NestedIndex(t, 2)
	ts.Push(t, source, "library/app", "v1", index)
	ts.Push(t, source, "library/app", "nested", nested)
	pull := home.create("/replication/policies", object{
		"name": "pull", "src_registry": object{"id": home.endpoint("source", source)}, "enabled": true, "override": true,
		"dest_namespace": "library", "platforms": []string{"linux/arm64"},
	})
	to := home.endpoint("cluster", cluster)
	if e := home.run(pull); e.Status != "Succeed" {
		t.Fatalf("%+v", e)
	}
	has := func(r *ts.Registry, reference string) bool {
		t.Helper()
		_, there := ts.Digest(t, r, "library/app", reference)
		return there
	}
	for _, c := range []struct {
		a    *ts.Artifact
		want bool
	}{{index, true}, {index.Children[1], true}, {index.Children[0], false}, {nested.Children[0].Children[1], true}, {nested.Children[1], false}} {
		if got := has(home.registry(), c.a.Digest.String()); got != c.want {
			t.Errorf("%s is at home: %v", c.a.Digest, got)
		}
	}
	var artifact struct{ References []object }
	if home.do(http.MethodGet, "/projects/library/repositories/app/artifacts/v1", nil, &artifact); len(artifact.References) != 3 {
		t.Errorf("%+v", artifact)
	}
	push := func(name string, more object) execution {
		t.Helper()
		body := object{"name": name, "dest_registry": object{"id": to}, "enabled": true, "override": true, "trigger": object{"type": "manual"}}
		for k, v := range more {
			body[k] = v
		}
		return home.run(home.create("/replication/policies", body))
	}
	if e := push("all", nil); e.Status != "Failed" {
		t.Errorf("what is not at home was copied: %+v", e)
	}
	if e := push("arm", object{"platforms": []string{"linux/arm64"}}); e.Status != "Succeed" || !has(cluster, "v1") || !has(cluster, "nested") || has(cluster, index.Children[0].Digest.String()) {
		for _, one := range home.tasks(e.ID) {
			t.Log(home.log(e.ID, one.ID))
		}
		t.Errorf("%+v", e)
	}
}

func TestEventsOfAServerSendASmallerIndex(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("edge", home.endpoint("cluster", cluster), object{
		"platforms": []string{"linux/arm64"}, "platform_mode": "rewrite", "filters": []object{{"type": "tag", "value": "v*"}},
	})
	index := ts.Index(t, 1)
	ts.Push(t, home.registry(), "library/app", "v1", index)
	ts.Push(t, home.registry(), "library/app", "v2", ts.Image(t, 7, 1, 100)) // for linux/amd64
	ts.Eventually(t, "the index is there", func() bool {
		p, err := ts.TryPull(t.Context(), cluster, "library/app", "v1")
		return err == nil && len(p.Manifests) == 2 && p.Manifests[index.Children[1].Digest]
	})
	// What refers to the index stays at home; what refers to the platform goes.
	ofIndex, ofChild := ts.Referrer(t, index, "application/spdx+json", 1), ts.Referrer(t, index.Children[1], "application/spdx+json", 2)
	ts.Push(t, home.registry(), "library/app", "", ofIndex)
	ts.Push(t, home.registry(), "library/app", "", ofChild)
	arrives(t, cluster, "library/app", ofChild.Digest.String(), ofChild.Digest)
	quiet(t, home)
	if _, there := ts.Digest(t, cluster, "library/app", ofIndex.Digest.String()); there {
		t.Error("what refers to the original index was copied")
	}
	if tags := strings.Join(ts.Tags(t, cluster, "library/app"), " "); strings.Contains(tags, "v2") {
		t.Errorf("an image for another platform was copied: %s", tags)
	}
	if d := home.verified(policy); d.Drift != 0 {
		t.Errorf("drift: %+v", d)
	}
	home.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/v1", nil, nil)
	vanishes(t, cluster, "library/app", "v1")
}

func TestAServerSendsAnImageWhenItIsSigned(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("signed", home.endpoint("cluster", cluster), object{"accessories": "signed_only"})
	image, index := ts.Image(t, 1, 1, 100), ts.Index(t, 2)
	ts.Push(t, home.registry(), "library/app", "v1", image)
	ts.Push(t, home.registry(), "library/app", "latest", image)
	ts.Push(t, home.registry(), "library/app", "v2", index)
	sbom := ts.Referrer(t, image, "application/spdx+json", 3)
	ts.Push(t, home.registry(), "library/app", "", sbom)
	quiet(t, home)
	if tags := ts.Tags(t, cluster, "library/app"); len(tags) > 0 {
		t.Fatalf("what is not signed was copied: %v", tags)
	}
	d := ts.Push(t, home.registry(), "library/app", ts.CosignTag(image.Digest), ts.CosignSignature(t, image))
	arrives(t, cluster, "library/app", "v1", image.Digest)
	arrives(t, cluster, "library/app", "latest", image.Digest)
	arrives(t, cluster, "library/app", ts.CosignTag(image.Digest), d)
	arrives(t, cluster, "library/app", sbom.Digest.String(), sbom.Digest)
	ts.Push(t, home.registry(), "library/app", "", ts.Referrer(t, index, "application/vnd.cncf.notary.signature", 4))
	arrives(t, cluster, "library/app", "v2", index.Digest)
	quiet(t, home)
	if d := home.verified(policy); d.Drift != 0 {
		t.Errorf("drift: %+v", d)
	}
	home.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/"+image.Digest.String(), nil, nil)
	vanishes(t, cluster, "library/app", "v1")
	vanishes(t, cluster, "library/app", ts.CosignTag(image.Digest))
}
