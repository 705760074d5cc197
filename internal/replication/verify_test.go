package replication_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// verifiesEvery opens the world anew, as a server that verifies rules at an interval and
// looks whether they are due when the test says so.
func (w *world) verifiesEvery(verify, reconcile time.Duration) {
	w.verify, w.reconcile = verify, reconcile
	w.open()
	w.runQueue()
}

// looksForDue is what several servers do at the same time.
func (w *world) looksForDue() {
	w.t.Helper()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := w.VerifyDue(w.t.Context()); err != nil {
				w.t.Error(err)
			}
		})
	}
	all.Wait()
}

func (w *world) asked(policy int64) int64 {
	w.t.Helper()
	return w.number(`SELECT coalesce(max(asked), 0) FROM drift_checks WHERE policy_id = $1`, policy)
}

const day = 24 * time.Hour

func TestARuleThatHasRunIsVerifiedOnceAnInterval(t *testing.T) {
	for _, trigger := range []rule.TriggerType{rule.Manual, rule.Scheduled} {
		t.Run(string(trigger), func(t *testing.T) {
			onBoth(t, func(w *world) {
				w.verifiesEvery(day, time.Hour)
				id := w.policy("all", trigger)
				a, b := ts.Image(w.t, 1, 2, 300), ts.Image(w.t, 2, 2, 300)
				w.push("library/app", "v1", a)
				w.push("library/app", "v2", b)
				w.advance(2 * day)
				if w.looksForDue(); w.asked(id) != 0 {
					w.t.Fatal("a rule is verified that has never run")
				}
				w.start(id)
				if w.looksForDue(); w.asked(id) != 1 {
					w.t.Fatalf("verified %d times, want once", w.asked(id))
				}
				if d := w.answered(id, 1); !d.InSync || d.Count(replication.InSync) != 2 || d.Check.Deep || d.Check.EndTime.IsZero() {
					w.t.Errorf("after the run: %+v", d)
				}
				ts.Delete(w.t, w.cluster, "library/app", a.Digest.String())
				if w.looksForDue(); w.asked(id) != 1 {
					w.t.Fatal("a rule is verified twice in one interval")
				}
				w.cluster.ResetRequests()
				w.advance(day)
				w.looksForDue()
				if d := w.answered(id, 2); d.Drift != 1 || d.Count(replication.Missing) != 1 || w.asked(id) != 2 {
					w.t.Errorf("after a deletion at the destination: %+v, asked %d times", d, w.asked(id))
				}
				for _, r := range w.cluster.Requests() {
					if r.Method != "HEAD" && r.Class != "GET tags" && r.Class != "GET base" {
						w.t.Errorf("the verification asks %s %s", r.Method, r.Path)
					}
				}
				if w.at("library/app", "v1") != "" || len(w.executions(id)) != 1 {
					w.t.Error("the verification has changed something")
				}
				w.change(id, func(p *replication.Policy) { p.Enabled = false })
				w.advance(day)
				if w.looksForDue(); w.asked(id) != 2 {
					w.t.Error("a rule is verified that is disabled")
				}
			})
		})
	}
}

func TestAnEventRuleIsVerifiedAtTheIntervalUnlessItIsReconciled(t *testing.T) {
	for name, tc := range map[string]struct {
		reconcile time.Duration
		asked     int64
	}{"reconciled": {time.Hour, 0}, "never reconciled": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			onSQLite(t, func(w *world) {
				w.verifiesEvery(day, tc.reconcile)
				id := w.policy("all", rule.EventBased)
				a := ts.Image(w.t, 1, 2, 300)
				w.push("library/app", "v1", a)
				w.arrives("library/app", "v1", a)
				w.settled()
				ts.Delete(w.t, w.cluster, "library/app", a.Digest.String())
				w.advance(day)
				if w.looksForDue(); w.asked(id) != tc.asked {
					w.t.Errorf("verified %d times, want %d", w.asked(id), tc.asked)
				}
				w.settled()
				if w.at("library/app", "v1") != "" {
					w.t.Error("what nobody asked for was repaired")
				}
			})
		})
	}
}

func TestFewRulesAreVerifiedAtATime(t *testing.T) {
	onBoth(t, func(w *world) {
		w.verifiesEvery(day, time.Hour)
		w.push("library/app", "v1", ts.Image(w.t, 1, 2, 300))
		var ids []int64
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			id := w.policy(name, rule.Manual)
			w.start(id)
			ids = append(ids, id)
		}
		held, entered := make(chan struct{}), make(chan struct{}, len(ids))
		release := sync.OnceFunc(func() { close(held) })
		defer release()
		w.home.interfere(func(string) error {
			entered <- struct{}{}
			<-held
			return nil
		})
		w.advance(day)
		w.looksForDue()
		<-entered
		<-entered
		w.looksForDue()
		asked := int64(0)
		for _, id := range ids {
			asked += w.asked(id)
		}
		if asked != 2 {
			w.t.Errorf("%d rules are verified at a time", asked)
		}
		release()
		ts.Eventually(w.t, "all have been verified", func() bool {
			w.looksForDue()
			return w.number(`SELECT count(*) FROM drift_checks WHERE done = 1 AND asked = 1`) == int64(len(ids))
		})
	})
}

func TestAVerificationGivesWayToItsRule(t *testing.T) {
	onBoth(t, func(w *world) {
		w.verifiesEvery(day, time.Hour)
		id := w.policy("all", rule.Manual)
		w.push("library/app", "v1", ts.Image(w.t, 1, 2, 300))
		w.start(id)

		// The rule is started while it is verified, and does not come to its end.
		held, entered := make(chan struct{}), make(chan struct{})
		var listings atomic.Int64
		w.home.interfere(func(string) error {
			if listings.Add(1) == 1 {
				close(entered)
				<-held
			}
			return nil
		})
		w.advance(day)
		w.looksForDue()
		<-entered
		hold := ts.NewHold()
		defer hold.Release()
		w.cluster.Faults.Add(ts.Fault{Class: "POST upload", Do: hold.Before()})
		w.push("library/app", "v2", ts.Image(w.t, 2, 2, 300))
		execution, err := w.Start(w.t.Context(), id, replication.Manual)
		if err != nil {
			w.t.Fatal(err)
		}
		ts.Eventually(w.t, "the rule copies", func() bool { return hold.Waiting() > 0 })
		close(held)
		ts.Eventually(w.t, "the verification gives way", func() bool {
			return w.number(`SELECT count(*) FROM jobs WHERE kind = 'replication.drift' AND state = 'waiting'`) == 1
		})
		if n := w.number(`SELECT done + running FROM drift_checks WHERE policy_id = $1`, id); n != 0 {
			w.t.Errorf("the verification counts as one that ended, or goes on: %d", n)
		}
		if w.looksForDue(); w.asked(id) != 1 {
			w.t.Error("a rule that runs is asked about again")
		}

		// Who asks is answered at once.
		if d := w.verified(id, false); d.InSync || d.Count(replication.Missing) != 1 {
			w.t.Errorf("in the middle of the run: %+v", d)
		}
		hold.Release()
		w.ended(execution)
		w.advance(day)
		w.looksForDue()
		if d := w.answered(id, 3); !d.InSync {
			w.t.Errorf("after the run: %+v", d)
		}
	})
}

func TestARuleThatCannotBeUnderstoodDoesNotKeepOthersFromBeingCompared(t *testing.T) {
	onBoth(t, func(w *world) {
		broken := w.policy("broken", rule.EventBased)
		w.write(`UPDATE replication_policies SET filters = '[{"type":"name","value":"a{b"}]' WHERE id = $1`, broken)
		good := w.policy("good", rule.EventBased)
		w.reconcile = time.Hour
		w.open()
		w.run()
		ts.Eventually(w.t, "the other rule is compared", func() bool { return w.asked(good) == 1 })
	})
}
