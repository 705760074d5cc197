package replication_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// A destination that hangs must not take all workers away from the others.
func TestADestinationInTroubleDoesNotHoldUpOthers(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("sick", rule.EventBased)
		sick, healthy := w.cluster, ts.Distribution(w.t, ts.WithMemory())
		sick.Stop()
		if err := w.CheckHealth(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		sick.Restart()
		hold := ts.NewHold()
		hanging := sick.Faults.Add(ts.Fault{Do: hold.Before()})
		w.t.Cleanup(hold.Release)
		for i := range 30 {
			w.push("library/app", fmt.Sprintf("v%d", i), ts.Image(w.t, uint64(i), 1, 100))
		}
		w.runQueue()
		ts.Eventually(w.t, "all places are taken", func() bool {
			return hold.Waiting() > 0 && w.number(`SELECT count(*) FROM tasks WHERE status = 'Failed'`) == 28
		})
		for _, task := range w.tasks(1) {
			if task.Status == replication.Failed && (!strings.Contains(task.Reason, "registry cluster is unhealthy: ") || task.NextAttemptTime.IsZero() || task.Attempts != 0) {
				w.t.Errorf("%+v", task)
			}
		}
		w.balanced()
		// Each that was put off says so in its log, once, however often it happens.
		first := w.number(`SELECT max(next_attempt_time) FROM tasks WHERE status = 'Failed'`)
		w.advance(backoffLimit)
		ts.Eventually(w.t, "they are put off again", func() bool {
			return w.number(`SELECT count(*) FROM tasks WHERE status = 'Failed' AND next_attempt_time > $1`, first) == 28
		})
		for _, task := range w.tasks(1) {
			if task.Status != replication.Failed {
				continue
			}
			lines, err := w.TaskLog(w.t.Context(), task.ExecutionID, task.ID)
			if err != nil || len(lines) != 1 || lines[0].Text != "not tried for now: "+task.Reason {
				w.t.Errorf("log of task %d: %v, %v", task.ID, lines, err)
			}
		}

		w.endpoint = w.create("healthy", healthy.URL)
		w.policy("healthy", rule.EventBased)
		image := ts.Image(w.t, 99, 1, 100)
		w.cluster = healthy
		w.push("library/app", "now", image)
		w.arrives("library/app", "now", image)

		// When it is well again nothing waits any longer.
		hanging.Remove()
		hold.Release()
		if err := w.CheckHealth(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.cluster = sick
		w.settled()
		for i := range 30 {
			if w.at("library/app", fmt.Sprintf("v%d", i)) == "" {
				w.t.Errorf("v%d is not there", i)
			}
		}
	})
}

// The health check saw the destination come back while an attempt that was bound
// to fail still ran.
func TestATaskThatFailsAfterItsDestinationRecoveredIsTriedAtOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.cluster.Stop()
		if err := w.CheckHealth(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.runQueue()
		w.fails(policy)
		w.write(`UPDATE tasks SET attempts = 20`)
		w.cluster.Restart()
		hold := ts.NewHold()
		w.cluster.Faults.Add(ts.Fault{Path: "/manifests/", Times: 1, Do: func(next http.Handler) http.Handler {
			return hold.Before()(ts.Status(http.StatusBadRequest)(next))
		}})
		w.advance(backoffLimit)
		ts.Eventually(w.t, "an attempt hangs", func() bool { return hold.Waiting() == 1 })
		if err := w.CheckHealth(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		hold.Release()
		w.arrives("library/app", "v1", image) // without waiting for the back-off
		w.settled()
	})
}

// Another server may find a destination down while this one is about to find it up: what
// was put off in between must not wait for its next attempt.
func TestWhatAnotherServerPutOffMeanwhileIsTriedWhenTheDestinationIsFoundWell(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		refused := w.cluster.Faults.Add(ts.Fault{Path: "/manifests/", Do: ts.Status(http.StatusBadRequest)})
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.runQueue()
		w.fails(policy)
		w.write(`UPDATE jobs SET run_at = $1`, store.Millis(w.now().Add(time.Hour)))
		refused.Remove()

		hold := ts.NewHold()
		ping := w.cluster.Faults.Add(ts.Fault{Path: "^/v2/$", Do: hold.Before()})
		checked := make(chan error, 1)
		go func() { checked <- w.CheckHealth(w.t.Context()) }()
		ts.Eventually(w.t, "the destination is asked", func() bool { return hold.Waiting() == 1 })
		ping.Remove()
		w.write(`UPDATE registries SET status = $1`, replication.Unhealthy)
		hold.Release()
		if err := <-checked; err != nil {
			w.t.Fatal(err)
		}
		w.arrives("library/app", "v1", image)
		w.settled()
	})
}

// A push must not wait until a bulk copy of hours has ended.
func TestAPushDoesNotWaitForABulkCopy(t *testing.T) {
	onSQLite(t, func(w *world) {
		bulk := w.policy("bulk", rule.Manual, rule.Filter{Type: rule.FilterName, Value: "bulk/**"})
		w.policy("events", rule.EventBased, rule.Filter{Type: rule.FilterName, Value: "library/**"})
		for i := range 10 {
			ts.Push(w.t, w.home.Registry, fmt.Sprintf("bulk/app%d", i), "v1", ts.Image(w.t, uint64(i), 1, 100))
		}
		hold := ts.NewHold()
		w.t.Cleanup(hold.Release)
		w.cluster.Faults.Add(ts.Fault{Path: "^/v2/bulk/.*/blobs/uploads/", Do: hold.Before()})
		w.run()
		id, err := w.Start(w.t.Context(), bulk, replication.Manual)
		if err != nil {
			w.t.Fatal(err)
		}
		ts.Eventually(w.t, "all places for bulk work are taken", func() bool {
			return w.number(`SELECT count(*) FROM tasks WHERE status = 'InProgress'`) == 8 && hold.Waiting() >= 8
		})
		image := ts.Image(w.t, 99, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		hold.Release()
		if e := w.ended(id); e.Status != replication.Succeed || e.Succeed != 10 {
			w.t.Errorf("%+v", e)
		}
	})
}

func TestHealthIsToldWithItsReason(t *testing.T) {
	onBoth(t, func(w *world) {
		w.cluster.Stop()
		if err := w.CheckHealth(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		e, err := w.GetEndpoint(w.t.Context(), w.endpoint)
		if err != nil || e.Status != replication.Unhealthy || !strings.Contains(e.StatusReason, "refuses connections") || e.CheckedTime.IsZero() {
			w.t.Errorf("%+v, %v", e, err)
		}
		w.cluster.Restart()
		if err := w.CheckHealth(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if e, err = w.GetEndpoint(w.t.Context(), w.endpoint); err != nil || e.Status != replication.Healthy || e.StatusReason != "" {
			w.t.Errorf("%+v, %v", e, err)
		}
	})
}
