package replication_test

import (
	"context"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// watching collects what a watcher is told.
type watching struct {
	w       *world
	changes chan replication.Changes
	end     context.CancelFunc
	ended   chan struct{}
}

func (w *world) watch() *watching {
	w.t.Helper()
	ctx, end := context.WithCancel(context.Background())
	v := &watching{w: w, changes: make(chan replication.Changes, 1000), end: end, ended: make(chan struct{})}
	go func() {
		defer close(v.ended)
		for c, err := range w.Watch(ctx) {
			if err != nil {
				w.t.Errorf("watch: %v", err)
				return
			}
			v.changes <- c
		}
	}()
	w.t.Cleanup(func() {
		end()
		<-v.ended
	})
	return v
}

// until takes what comes until it is what was waited for.
func (v *watching) until(what string, is func(replication.Changes) bool) {
	v.w.t.Helper()
	for {
		select {
		case c := <-v.changes:
			if is(c) {
				return
			}
		case <-time.After(time.Minute):
			v.w.t.Fatalf("nothing was told of %s", what)
		}
	}
}

func first(replication.Changes) bool { return true }

func TestWatchersAreToldOfWhatChanges(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		w.push("library/app", "v1", ts.Image(t, 1, 1, 1000))
		one, other := w.watch(), w.watch()
		one.until("the beginning", first)
		other.until("the beginning", first)
		policy := w.policy("p", rule.Manual)
		for _, v := range []*watching{one, other} {
			v.until("the rule", func(c replication.Changes) bool { return c.Policies })
		}
		id, err := w.Start(t.Context(), policy, replication.Manual)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []*watching{one, other} {
			v.until("the end of the execution", func(c replication.Changes) bool {
				return len(c.Executions) == 1 && c.Executions[0].ID == id && c.Executions[0].Status == replication.Succeed
			})
		}
		if _, err := w.VerifyDrift(t.Context(), policy, false); err != nil {
			t.Fatal(err)
		}
		one.until("the verification", func(c replication.Changes) bool { return len(c.Drift) == 1 && c.Drift[0] == policy })
	})
}

func TestAnExecutionThatIsSettledLongAfterItWasMadeIsTold(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.run()
		w.push("library/app", "v1", ts.Image(t, 1, 1, 1000))
		policy := w.policy("p", rule.Manual)
		w.cluster.Stop()
		id, err := w.Start(t.Context(), policy, replication.Manual)
		if err != nil {
			t.Fatal(err)
		}
		w.ended(id)
		v := w.watch()
		v.until("the beginning", first)
		w.cluster.Restart()
		if _, err := w.RetryExecution(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		v.until("its success", func(c replication.Changes) bool {
			return len(c.Executions) == 1 && c.Executions[0].ID == id && c.Executions[0].Status == replication.Succeed
		})
	})
}
