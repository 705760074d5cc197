package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// Two servers with one PostgreSQL and one storage are one harbor: what one of them was
// doing when it was killed the other one does, and each can stop what the other does.
func TestTwoServersShareTheWork(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	dir, database := t.TempDir(), storetest.PostgreSQLURL(t)
	first := startProcess(t, dir, ts.Address(t), database)
	t.Cleanup(func() { first.kill() })
	second := startProcess(t, dir, ts.Address(t), database)
	t.Cleanup(func() { second.kill() })
	db := storetest.OpenURL(t, database)
	cluster := ts.Distribution(t)
	endpoint := first.endpoint("cluster", cluster)
	policy := first.eventRule("all", endpoint, nil)

	image := ts.Push(t, second.registry(), "library/app", "v1", ts.Image(t, 1, 2, 1000))
	arrives(t, cluster, "library/app", "v1", image)
	if got := ts.Pull(t, first.registry(), "library/app", "v1"); got.Digest != image {
		t.Errorf("the other server has %s, want %s", got.Digest, image)
	}

	// held pushes an image whose copy does not end, and returns its execution with the
	// server that works on it and the other one.
	held := func(tag string, seed uint64) (at *ts.Hold, busy, idle *process, e execution) {
		at = ts.NewHold()
		t.Cleanup(at.Release)
		cluster.Faults.Add(ts.Fault{Path: "/blobs/uploads/", Do: at.Before()})
		ts.Push(t, first.registry(), "library/app", tag, ts.Image(t, seed, 2, 1000))
		ts.Eventually(t, tag+" is being copied", func() bool { return at.Waiting() > 0 })
		cluster.Faults.Clear()
		busy, idle = first, second
		if worksOn(t, db) == second.cmd.Process.Pid {
			busy, idle = second, first
		}
		return at, busy, idle, idle.executions(policy)[0]
	}

	at, busy, idle, e := held("killed", 2)
	busy.kill()
	at.Release()
	ts.Eventually(t, "the other server brings it to its end", func() bool { return idle.execution(e.ID).Status == "Succeed" })
	if tasks := idle.tasks(e.ID); len(tasks) != 1 || tasks[0].Attempts != 2 {
		t.Errorf("%+v", tasks)
	}
	ts.Pull(t, cluster, "library/app", "killed")

	restarted := startProcess(t, dir, ts.Address(t), database)
	if first, second = idle, restarted; worksOn(t, db) != 0 {
		t.Fatal("something is still at work")
	}
	at, _, idle, e = held("stopped", 3)
	idle.do(http.MethodPut, fmt.Sprintf("/replication/executions/%d", e.ID), nil, nil)
	ts.Eventually(t, "the one that worked on it lets go", func() bool { return worksOn(t, db) == 0 && at.Waiting() == 0 })
	at.Release()
	if e = idle.execution(e.ID); e.Status != "Stopped" || e.Stopped != 1 {
		t.Errorf("%+v", e)
	}
	if _, ok := ts.Digest(t, cluster, "library/app", "stopped"); ok {
		t.Error("the image arrived although the execution was stopped")
	}
}

// worksOn returns the id of the process that has a job under way, 0 for none.
func worksOn(t *testing.T, db *store.DB) (pid int) {
	t.Helper()
	var owner string
	err := db.QueryRowContext(t.Context(), `SELECT owner FROM jobs WHERE state = 'running'`).Scan(&owner)
	if store.IsNotFound(err) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(owner[strings.LastIndex(owner, ":")+1:], "%d/", &pid); err != nil {
		t.Fatalf("owner %q: %v", owner, err)
	}
	return pid
}

// However many servers there are, each push is carried once, and each schedule starts
// its rule once.
func TestThreeServersDoEachThingOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	dir, database := t.TempDir(), storetest.PostgreSQLURL(t)
	var servers []*process
	for range 3 {
		p := startProcess(t, dir, ts.Address(t), database)
		t.Cleanup(p.kill)
		servers = append(servers, p)
	}
	cluster := ts.Distribution(t)
	policy := servers[0].eventRule("all", servers[0].endpoint("cluster", cluster), nil)
	const images = 30
	var pushes sync.WaitGroup
	var blobs int
	for i := range images {
		image := ts.Image(t, uint64(i+1), 2, 500)
		blobs += 3 // two layers and the config, all of them different
		pushes.Go(func() { ts.Push(t, servers[i%3].registry(), "library/app", fmt.Sprintf("v%d", i), image) })
	}
	pushes.Wait()
	ts.Eventually(t, "all of them are at the destination", func() bool { return len(ts.Tags(t, cluster, "library/app")) == images })
	ts.Eventually(t, "all of it is done", func() bool {
		done := 0
		for _, e := range servers[1].executions(policy) {
			if e.Status == "Succeed" {
				done++
			}
		}
		return done == images
	})
	if puts := cluster.Requests().Count("PUT manifest"); puts != images {
		t.Errorf("%d manifests were put for %d pushes", puts, images)
	}
	if ends := cluster.Requests().Count("PUT upload"); ends != blobs {
		t.Errorf("%d uploads were finished for %d blobs", ends, blobs)
	}
}
