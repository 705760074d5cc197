package replication_test

import (
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// crawling starts a rule at 128 bytes a second, and returns when it copies.
func (w *world) crawling() (policy, execution int64, a *ts.Artifact) {
	w.t.Helper()
	a = ts.Image(w.t, 1, 1, 800<<10) // two hours
	w.push("library/app", "v1", a)
	policy = w.policy("slow", rule.Manual)
	w.change(policy, func(p *replication.Policy) { p.Speed = 1 })
	w.run()
	execution = w.begin(policy)
	ts.Eventually(w.t, "bytes are moving", func() bool { return w.cluster.Requests().Count("POST upload") > 0 })
	if e := w.execution(execution); e.Status != replication.InProgress {
		w.t.Fatalf("nothing held it back: %+v", e)
	}
	return policy, execution, a
}

func TestAChangedBandwidthHoldsForRunningTasks(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, execution, a := w.crawling()
		w.change(policy, func(p *replication.Policy) { p.Speed = 0 })
		if e := w.ended(execution); e.Status != replication.Succeed {
			t.Fatalf("%+v", e)
		}
		w.arrives("library/app", "v1", a)
	})
}

func TestABandwidthThatAnotherServerChangedIsFollowed(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy, execution, a := w.crawling()
		w.write(`UPDATE replication_policies SET speed = 0 WHERE id = $1`, policy)
		if err := w.FollowBandwidths(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e := w.ended(execution); e.Status != replication.Succeed {
			t.Fatalf("%+v", e)
		}
		w.arrives("library/app", "v1", a)
	})
}
