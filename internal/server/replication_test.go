package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// The whole first job: an event rule, a push, the record of it, a pull by digest.
func TestAPushIsInTheClusterRegistry(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("cluster1-registry-replication", home.endpoint("cluster1-registry", cluster), nil)

	index := ts.Index(t, 1, "linux/amd64", "linux/arm64")
	pushed := ts.Push(t, home.registry(), "library/alpine", "latest", index)
	arrives(t, cluster, "library/alpine", "latest", pushed)
	ts.Pull(t, cluster, "library/alpine", pushed.String())

	ts.Eventually(t, "the execution says so", func() bool {
		list := home.executions(policy)
		return len(list) == 1 && list[0].Status == "Succeed"
	})
	e := home.executions(policy)[0]
	if e.Trigger != "event_based" || e.Total != 1 || e.Succeed != 1 || e.InProgress != 0 {
		t.Errorf("execution: %+v", e)
	}
	tasks := home.tasks(e.ID)
	if len(tasks) != 1 || tasks[0].Operation != "copy" || tasks[0].Source != "library/alpine [1 item(s) in total]" {
		t.Fatalf("tasks: %+v", tasks)
	}
	if text := home.log(e.ID, tasks[0].ID); !strings.Contains(text, "library/alpine:latest") || !strings.Contains(text, pushed.String()) {
		t.Errorf("the log tells neither tag nor digest:\n%s", text)
	}
}

func TestChildrenOfAnIndexMakeNoExecutionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("all", home.endpoint("cluster", cluster), nil)
	pushed := ts.Push(t, home.registry(), "library/multi", "v1", ts.Index(t, 7, "linux/amd64", "linux/arm64", "linux/s390x"))
	arrives(t, cluster, "library/multi", "v1", pushed)
	// An artifact without any index to claim it follows by its digest, after the
	// children of the index had their chance.
	alone := ts.Push(t, home.registry(), "library/multi", "", ts.Image(t, 8, 1, 100))
	ts.Eventually(t, "the untagged image is at the destination", func() bool {
		_, ok := ts.Digest(t, cluster, "library/multi", alone.String())
		return ok
	})
	if list := home.executions(policy); len(list) != 2 {
		t.Errorf("%d executions, want one for the index and one for the untagged image: %+v", len(list), list)
	}
}

func TestDeletionTakesOnlyWhatTheRulePutThere(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		cluster func(t testing.TB, o ...ts.Option) *ts.Registry
	}{{"distribution v3", ts.Distribution}, {"distribution v2.8", ts.DistributionV2}, {"olareg", ts.Olareg}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			home := start(t, server.Config{DataDir: t.TempDir()})
			cluster := tc.cluster(t)
			home.eventRule("all", home.endpoint("cluster", cluster), nil)
			image := ts.Image(t, 1, 2, 1000)
			d := ts.Push(t, home.registry(), "library/app", "v1", image)
			ts.Push(t, home.registry(), "library/app", "v1.0", image)
			ts.Push(t, home.registry(), "library/app", "foreign", ts.Image(t, 2, 1, 1000))
			for _, tag := range []string{"v1", "v1.0"} {
				arrives(t, cluster, "library/app", tag, d)
			}
			ts.Eventually(t, "foreign is there", func() bool { _, ok := ts.Digest(t, cluster, "library/app", "foreign"); return ok })
			other := ts.Push(t, cluster, "library/app", "foreign", ts.Image(t, 3, 1, 1000))

			// A tag goes, its sibling on the same image stays.
			home.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/"+d.String()+"/tags/v1.0", nil, nil)
			vanishes(t, cluster, "library/app", "v1.0")
			ts.Pull(t, cluster, "library/app", "v1")

			// An artifact goes with its tags; a tag that somebody moved stays.
			home.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/foreign", nil, nil)
			home.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/v1", nil, nil)
			vanishes(t, cluster, "library/app", "v1")
			if got, ok := ts.Digest(t, cluster, "library/app", "foreign"); !ok || got != other {
				t.Errorf("the tag that somebody else moved is %q (there: %v), want %s", got, ok, other)
			}
		})
	}
}

func TestPushesWaitForADestinationThatIsDown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := start(t, server.Config{DataDir: dir})
	cluster := ts.Distribution(t)
	endpoint := home.endpoint("cluster", cluster)
	policy := home.eventRule("all", endpoint, nil)
	cluster.Stop()

	var last fmt.Stringer
	for i := range 20 {
		last = ts.Push(t, home.registry(), "library/app", "latest", ts.Image(t, uint64(i), 1, 500))
	}
	ts.Eventually(t, "the task says why it failed and when it is tried again", func() bool {
		for _, e := range home.executions(policy) {
			for _, task := range home.tasks(e.ID) {
				if task.Status == "Failed" && strings.Contains(task.Reason, "refused") && task.NextAttempt != "" {
					return true
				}
			}
		}
		return false
	})
	if n := len(home.executions(policy)); n > 5 {
		t.Errorf("20 pushes of one tag made %d executions", n)
	}
	home.Stop()
	cluster.Restart()
	again := start(t, server.Config{DataDir: dir})
	arrives(t, cluster, "library/app", "latest", last)
	ts.Eventually(t, "everything is settled", func() bool {
		return !slices.ContainsFunc(again.executions(policy), func(e execution) bool { return e.Status == "InProgress" })
	})
}

func TestStopIsAtOnceAndForGood(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	hold := ts.NewHold()
	cluster.Faults.Add(ts.Fault{Path: `/blobs/uploads/`, Do: hold.Before()})
	t.Cleanup(hold.Release)
	ts.Push(t, home.registry(), "library/big", "v1", ts.Image(t, 1, 2, 1<<20))
	policy := home.create("/replication/policies", object{
		"name": "manual", "dest_registry": object{"id": home.endpoint("cluster", cluster)}, "enabled": true,
		"trigger": object{"type": "manual"},
	})
	id := home.create("/replication/executions", object{"policy_id": policy})
	ts.Eventually(t, "an upload has begun", func() bool { return hold.Waiting() > 0 })
	home.do(http.MethodPut, fmt.Sprintf("/replication/executions/%d", id), nil, nil)
	if e := home.execution(id); e.Status != "Stopped" || e.Stopped != 1 || e.InProgress != 0 {
		t.Errorf("right after stop: %+v", e)
	}
	hold.Release()
	if _, ok := ts.Digest(t, cluster, "library/big", "v1"); ok {
		t.Error("the image arrived although the execution was stopped")
	}
	// A retry of what was stopped is somebody's will, and works.
	home.do(http.MethodPost, fmt.Sprintf("/replication/executions/%d/retry", id), nil, nil)
	ts.Eventually(t, "the retry succeeds", func() bool { return home.execution(id).Status == "Succeed" })
	ts.Pull(t, cluster, "library/big", "v1")
}

func TestManualRuns(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	for i, name := range []string{"library/app", "library/a/b/svc"} {
		for j, tag := range []string{"v1", "v2", "dev"} {
			ts.Push(t, home.registry(), name, tag, ts.Image(t, uint64(10*i+j), 1, 300))
		}
	}
	endpoint := home.endpoint("cluster", cluster)
	manual := func(name string, more object) int64 {
		body := object{"name": name, "dest_registry": object{"id": endpoint}, "enabled": true, "override": true, "trigger": object{"type": "manual"}}
		for k, v := range more {
			body[k] = v
		}
		return home.create("/replication/policies", body)
	}
	t.Run("filters and names", func(t *testing.T) {
		e := home.run(manual("filtered", object{
			"dest_namespace": "mirror", "dest_namespace_replace_count": 1,
			"filters": []object{{"type": "name", "value": "library/**"}, {"type": "tag", "value": "v*"}},
		}))
		if e.Status != "Succeed" || e.Total != 2 {
			t.Fatalf("%+v", e)
		}
		if got, want := ts.Tags(t, cluster, "mirror/a/b/svc"), []string{"v1", "v2"}; !slices.Equal(got, want) {
			t.Errorf("tags of mirror/a/b/svc: %v, want %v", got, want)
		}
	})
	t.Run("nothing to do is done without writing", func(t *testing.T) {
		policy := manual("twice", object{"dest_namespace": "twice"})
		home.run(policy)
		cluster.ResetRequests()
		if e := home.run(policy); e.Status != "Succeed" || e.Total != 2 {
			t.Fatalf("%+v", e)
		}
		for _, r := range cluster.Requests() {
			if r.Method != http.MethodHead && r.Method != http.MethodGet {
				t.Errorf("%s %s when nothing was to be done", r.Method, r.Path)
			}
		}
	})
	t.Run("matching nothing is said", func(t *testing.T) {
		e := home.run(manual("nothing", object{"filters": []object{{"type": "name", "value": "no/such"}}}))
		if e.Status != "Succeed" || e.Total != 0 || !strings.Contains(e.StatusText, "nothing") {
			t.Errorf("%+v", e)
		}
	})
	t.Run("one bad name does not keep the others back", func(t *testing.T) {
		e := home.run(manual("flat", object{"dest_namespace": "flat", "dest_namespace_replace_count": 3}))
		if e.Status != "Failed" || e.Succeed != 1 || e.Failed != 1 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("without override a changed tag is kept", func(t *testing.T) {
		policy := manual("keep", object{"dest_namespace": "keep", "override": false, "filters": []object{{"type": "name", "value": "library/app"}}})
		home.run(policy)
		before, _ := ts.Digest(t, cluster, "keep/app", "dev")
		ts.Push(t, home.registry(), "library/app", "dev", ts.Image(t, 99, 1, 300))
		if e := home.run(policy); e.Status != "Succeed" {
			t.Errorf("%+v", e)
		}
		if after, _ := ts.Digest(t, cluster, "keep/app", "dev"); after != before {
			t.Errorf("the tag was moved from %s to %s", before, after)
		}
	})
}

func TestPullRulesBringImagesHome(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		auth ts.Option
	}{
		{"basic", ts.WithBasicAuth("reader", "secret")},
		{"bearer", ts.WithTokenAuth("reader", "secret", ts.TokenOptions{})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			home := start(t, server.Config{DataDir: t.TempDir()})
			remote := ts.Distribution(t, tc.auth)
			index := ts.Index(t, 5, "linux/amd64", "linux/arm64")
			d := ts.Push(t, remote, "team/app", "v1", index)
			sbom := ts.Push(t, remote, "team/app", "", ts.Referrer(t, index, "application/spdx+json", 6))
			policy := home.create("/replication/policies", object{
				"name": "pull", "src_registry": object{"id": home.endpoint("remote", remote)}, "enabled": true, "override": true,
				"trigger": object{"type": "manual"}, "filters": []object{{"type": "tag", "value": "v*"}},
			})
			// Read-only mode begins while the rule is being planned.
			hold := ts.NewHold()
			remote.Faults.Add(ts.Fault{Path: "/tags/list", Do: hold.Before()})
			e := execution{ID: home.create("/replication/executions", object{"policy_id": policy})}
			ts.Eventually(t, "the source is listed", func() bool { return hold.Waiting() > 0 })
			home.do(http.MethodPut, "/configurations", object{"read_only": true}, nil)
			hold.Release()
			ts.Eventually(t, "the execution ends", func() bool { e = home.execution(e.ID); return e.Status != "InProgress" })
			if tasks := home.tasks(e.ID); e.Status != "Failed" || len(tasks) != 1 || !strings.Contains(tasks[0].Reason, "read-only mode") {
				t.Errorf("in read-only mode: %+v, %+v", e, tasks)
			}
			if status, _, _ := home.call(http.MethodHead, "/projects?project_name=team", nil); status != http.StatusNotFound {
				t.Errorf("a project was made in read-only mode (%d)", status)
			}
			home.do(http.MethodPut, "/configurations", object{"read_only": false}, nil)
			home.do(http.MethodPost, fmt.Sprintf("/replication/executions/%d/retry", e.ID), nil, nil)
			ts.Eventually(t, "the retry succeeds", func() bool { return home.execution(e.ID).Status == "Succeed" })
			if p := ts.Pull(t, home.registry(), "team/app", "v1"); p.Digest != d {
				t.Errorf("home has %s, want %s", p.Digest, d)
			}
			if referrers := ts.Referrers(t, home.registry(), "team/app", d); !slices.Equal(referrers, []digest.Digest{sbom}) {
				t.Errorf("referrers at home: %v", referrers)
			}
		})
	}
}
