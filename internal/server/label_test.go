package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// Promotion: an image goes to the cluster when somebody gives it a label, and what
// belongs to it comes along, whenever it was pushed.
func TestALabelBringsAnImageAndItsSignatures(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("releases", home.endpoint("cluster", cluster), object{
		"filters": []object{{"type": "label", "value": []string{"release"}}, {"type": "tag", "value": "v*"}},
	})
	label := home.create("/labels", object{"name": "release", "scope": "g"})
	index := ts.Index(t, 1, "linux/amd64", "linux/arm64")
	d := ts.Push(t, home.registry(), "library/app", "v1", index)
	ts.Push(t, home.registry(), "library/app", ts.CosignTag(d), ts.CosignSignature(t, index))
	sbom := ts.Push(t, home.registry(), "library/app", "", ts.Referrer(t, index, "application/spdx+json", 2))
	other := ts.Image(t, 3, 1, 100)
	unsigned := ts.Push(t, home.registry(), "library/app", "v2", other)
	ts.Push(t, home.registry(), "library/app", ts.CosignTag(unsigned), ts.CosignSignature(t, other))

	labels := "/projects/library/repositories/app/artifacts/v1/labels"
	home.do(http.MethodPost, labels, object{"id": label}, nil)
	arrives(t, cluster, "library/app", "v1", d)
	has := func(what, reference string) {
		t.Helper()
		ts.Eventually(t, what+" is there", func() bool { _, ok := ts.Digest(t, cluster, "library/app", reference); return ok })
	}
	has("the signature", ts.CosignTag(d))
	has("the SBOM", sbom.String())

	// What is signed later follows.
	late := ts.Push(t, home.registry(), "library/app", "", ts.Referrer(t, index, "application/vnd.example.report", 4))
	has("the later referrer", late.String())

	// A referrer that came while the label was away comes with the label.
	home.do(http.MethodDelete, fmt.Sprintf("%s/%d", labels, label), nil, nil)
	missed := ts.Push(t, home.registry(), "library/app", "", ts.Referrer(t, index, "application/vnd.example.missed", 5))
	// Events are taken in the order in which they came: this one later.
	marker := ts.Image(t, 6, 1, 100)
	ts.Push(t, home.registry(), "library/app", "v3", marker)
	home.do(http.MethodPost, "/projects/library/repositories/app/artifacts/v3/labels", object{"id": label}, nil)
	after := ts.Push(t, home.registry(), "library/app", "", ts.Referrer(t, marker, "application/vnd.example.after", 7))
	has("a later referrer of another image", after.String())
	if _, ok := ts.Digest(t, cluster, "library/app", missed.String()); ok {
		t.Error("a referrer of an image without the label was copied")
	}
	home.do(http.MethodPost, labels, object{"id": label}, nil)
	has("the referrer that was missed", missed.String())
	ts.Eventually(t, "all executions have ended", func() bool {
		return !slices.ContainsFunc(home.executions(policy), func(e execution) bool { return e.Status != "Succeed" })
	})

	// Removing a label deletes nothing, and what has none is not there.
	home.do(http.MethodDelete, fmt.Sprintf("%s/%d", labels, label), nil, nil)
	last := ts.Push(t, home.registry(), "library/app", "", ts.Referrer(t, marker, "application/vnd.example.last", 8))
	has("a later referrer of another image", last.String())
	ts.Pull(t, cluster, "library/app", "v1")
	for _, reference := range []string{"v2", unsigned.String(), ts.CosignTag(unsigned)} {
		if got, ok := ts.Digest(t, cluster, "library/app", reference); ok {
			t.Errorf("%s is at the destination: %s", reference, got)
		}
	}
}

// A Harbor tells the labels of what it has, so rules that pull from one can go by them.
func TestAPullRuleGoesByTheLabelsOfAHarbor(t *testing.T) {
	t.Parallel()
	source, home := start(t, server.Config{DataDir: t.TempDir()}), start(t, server.Config{DataDir: t.TempDir()})
	wanted := ts.Push(t, source.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	ts.Push(t, source.registry(), "library/app", "v2", ts.Image(t, 2, 1, 100))
	ts.Push(t, source.registry(), "library/app", "v3", ts.Image(t, 3, 1, 100))
	for name, tags := range map[string][]string{"release": {"v1", "v2"}, "hold": {"v2"}} {
		label := source.create("/labels", object{"name": name, "scope": "g"})
		for _, tag := range tags {
			source.do(http.MethodPost, "/projects/library/repositories/app/artifacts/"+tag+"/labels", object{"id": label}, nil)
		}
	}
	for _, tc := range []struct {
		kind, says string
	}{
		{"harbor", ""},
		{"docker-registry", "the source tells of no labels at all"},
	} {
		endpoint := home.create("/registries", object{
			"name": tc.kind, "type": tc.kind, "url": source.url,
			"credential": object{"type": "basic", "access_key": "admin", "access_secret": adminPassword},
		})
		policy := home.create("/replication/policies", object{
			"name": tc.kind, "src_registry": object{"id": endpoint}, "enabled": true, "trigger": object{"type": "manual"}, "dest_namespace": tc.kind,
			"filters": []object{{"type": "label", "value": []string{"release"}}, {"type": "label", "value": []string{"hold"}, "decoration": "excludes"}},
		})
		if e := home.run(policy); e.Status != "Succeed" || !strings.Contains(e.StatusText, tc.says) {
			t.Errorf("%s: %+v", tc.kind, e)
		}
	}
	if tags := ts.Tags(t, home.registry(), "harbor/app"); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("pulled %v", tags)
	}
	if got, _ := ts.Digest(t, home.registry(), "harbor/app", "v1"); got != wanted {
		t.Errorf("v1 is %s, want %s", got, wanted)
	}
}

// A label counts by its name, whether it is everybody's or the project's.
func TestALabelOfTheProjectCountsAsOneOfAll(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("releases", home.endpoint("cluster", cluster), object{
		"filters": []object{{"type": "label", "value": []string{"release"}}},
	})
	label := home.create("/labels", object{"name": "release", "scope": "p", "project_id": 1})
	d := ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	ts.Push(t, home.registry(), "library/app", "v2", ts.Image(t, 2, 1, 100))
	home.do(http.MethodPost, "/projects/library/repositories/app/artifacts/v1/labels", object{"id": label}, nil)
	arrives(t, cluster, "library/app", "v1", d)
	if e := home.run(policy); e.Status != "Succeed" || e.Total != 1 {
		t.Errorf("a run: %+v", e)
	}
	if tags := ts.Tags(t, cluster, "library/app"); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("there are %v", tags)
	}
}
