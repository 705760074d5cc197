package server_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// Harbor applies no resource filter at all; here it holds for events, runs and labels.
func TestAResourceFilterFiltersEventsAndRuns(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	endpoint := home.endpoint("cluster", cluster)
	only := func(word string) object {
		return object{"filters": []object{{"type": "resource", "value": word}}, "dest_namespace": word, "dest_namespace_replace_count": 1}
	}
	images := home.eventRule("images", endpoint, only("image"))
	home.eventRule("artifacts", endpoint, only("artifact"))
	model := ts.Push(t, home.registry(), "library/app", "model", ts.UnknownArtifact(t, 1))
	index := ts.Push(t, home.registry(), "library/app", "v1", ts.Index(t, 2, "linux/amd64", "linux/arm64"))
	arrives(t, cluster, "image/app", "v1", index)
	arrives(t, cluster, "artifact/app", "v1", index)
	arrives(t, cluster, "artifact/app", "model", model)
	label := home.create("/labels", object{"name": "x", "scope": "g"})
	home.do(http.MethodPost, "/projects/library/repositories/app/artifacts/model/labels", object{"id": label}, nil)
	if e := home.run(images); e.Status != "Succeed" || e.Total != 1 {
		t.Errorf("a run: %+v", e)
	}
	if tags := ts.Tags(t, cluster, "image/app"); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("the rule for images has copied %v", tags)
	}
}

// Harbor asks its filters whether an event concerns a rule, and then goes on with all
// tags of the artifact.
func TestAnEventConcernsOnlyTheTagsThatMatch(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("versions", home.endpoint("cluster", cluster), object{"filters": []object{{"type": "tag", "value": "v*"}}})
	image := ts.Image(t, 1, 1, 100)
	d := ts.Push(t, home.registry(), "library/app", "latest", image)
	ts.Push(t, home.registry(), "library/app", "v1", image)
	arrives(t, cluster, "library/app", "v1", d)
	// The same tag at the destination is somebody else's: it stands for the same image.
	ts.Push(t, cluster, "library/app", "latest", image)

	home.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/"+d.String(), nil, nil)
	vanishes(t, cluster, "library/app", "v1")
	ts.Eventually(t, "the deletion has ended", func() bool {
		return !slices.ContainsFunc(home.executions(policy), func(e execution) bool { return e.Status == "InProgress" })
	})
	ts.Pull(t, cluster, "library/app", "latest")
}

// A destination that keeps up makes no more executions of a burst than it has time for.
func TestABurstOfPushesOfOneTagMakesFewExecutions(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("all", home.endpoint("cluster", cluster), nil)
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	cluster.Faults.Add(ts.Fault{Path: "/blobs/uploads/", Do: hold.Before()})
	ts.Push(t, home.registry(), "library/app", "latest", ts.Index(t, 1, "linux/amd64", "linux/arm64"))
	ts.Eventually(t, "the first one is being copied", func() bool { return hold.Waiting() > 0 })
	cluster.Faults.Clear()
	var last *ts.Artifact
	for i := range 20 {
		last = ts.Index(t, uint64(10+i), "linux/amd64", "linux/arm64")
		ts.Push(t, home.registry(), "library/app", "latest", last)
	}
	hold.Release()
	arrives(t, cluster, "library/app", "latest", last.Digest)
	ts.Eventually(t, "all executions have ended", func() bool {
		return !slices.ContainsFunc(home.executions(policy), func(e execution) bool { return e.Status == "InProgress" })
	})
	if list := home.executions(policy); len(list) > 3 {
		t.Errorf("21 pushes of an index, 20 of them during one copy, made %d executions", len(list))
	}
}
