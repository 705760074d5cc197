package replication_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// reconciled has a rule compared with the truth, and waits until all that follows from
// it is done.
func (w *world) reconciled(policy int64) replication.Drift {
	w.t.Helper()
	number, err := w.Reconcile(w.t.Context(), policy)
	if err != nil {
		w.t.Fatal(err)
	}
	d := w.answered(policy, number)
	w.settled()
	return d
}

// heldExecutions are the executions of a rule that wait to be released.
func (w *world) heldExecutions(policy int64) (held []replication.Execution) {
	w.t.Helper()
	for _, e := range w.executions(policy) {
		if e.Held() {
			held = append(held, e)
		}
	}
	return held
}

// listed are the tags that an execution lists.
func (w *world) listed(execution int64) string {
	w.t.Helper()
	tasks, _, err := w.ListTasks(w.t.Context(), execution, replication.TaskFilter{}, store.ListQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	var tags []string
	for _, task := range tasks {
		for _, item := range task.Items {
			if item.Action != replication.ActionDelete || item.Digest == "" {
				w.t.Errorf("%+v", item)
			}
			tags = append(tags, item.Reference)
		}
	}
	return strings.Join(tags, " ")
}

// vanished makes a rule that has put tags v1 ... v<n> at the cluster, which are then gone
// from home without an event, and returns the execution that waits for that.
func (w *world) vanished(n int) (policy int64, held replication.Execution, a *ts.Artifact) {
	w.t.Helper()
	w.cap = &replication.DeletionCap{Count: 1, Share: 100}
	w.open()
	w.run()
	policy = w.policy("all", rule.EventBased)
	a = ts.Image(w.t, 1, 1, 100)
	w.push("library/keep", "v1", ts.Image(w.t, 2, 1, 100))
	for i := range n {
		w.push("library/app", fmt.Sprintf("v%d", i+1), a)
	}
	for i := range n {
		w.arrives("library/app", fmt.Sprintf("v%d", i+1), a)
	}
	w.settled()
	for i := range n {
		w.home.forget("library/app", fmt.Sprintf("v%d", i+1))
	}
	d := w.reconciled(policy)
	all := w.heldExecutions(policy)
	if len(all) != 1 || d.InSync || !strings.Contains(d.Check.Error, fmt.Sprint("execution ", all[0].ID)) {
		w.t.Fatalf("%+v, %+v", all, d)
	}
	if w.at("library/app", "v1") == "" {
		w.t.Fatal("something was deleted without a release")
	}
	return policy, all[0], a
}

func TestManyDeletionsWaitUntilTheyAreReleased(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, held, _ := w.vanished(3)
		if held.Status != replication.InProgress || !strings.Contains(held.StatusText, "waits to be released: 3 of ") {
			w.t.Errorf("%+v", held)
		}
		if got := w.listed(held.ID); got != "v1 v2 v3" {
			w.t.Errorf("it lists %s", got)
		}
		if told := w.ends.holds(); len(told) != 1 || told[0].ID != held.ID || !told[0].Held() {
			w.t.Errorf("announced were %+v", told)
		}
		w.reconciled(policy)
		w.restart()
		w.reconciled(policy)
		if again := w.heldExecutions(policy); len(again) != 1 || again[0].ID != held.ID {
			w.t.Errorf("asked again: %+v", again)
		}
		if n, err := w.Release(w.t.Context(), held.ID); err != nil || n != 1 {
			w.t.Fatalf("%d tasks, %v", n, err)
		}
		if e := w.ended(held.ID); e.Status != replication.Succeed || e.Held() || !strings.Contains(e.StatusText, "released: 3 of ") {
			w.t.Errorf("%+v", e)
		}
		for _, tag := range []string{"v1", "v2", "v3"} {
			if w.at("library/app", tag) != "" {
				w.t.Errorf("%s is still there", tag)
			}
		}
		if d := w.reconciled(policy); !d.InSync || len(w.heldExecutions(policy)) != 0 || w.at("library/keep", "v1") == "" {
			w.t.Errorf("after the release: %+v", d)
		}
		if _, err := w.Release(w.t.Context(), held.ID); !problem.Is(err, problem.Precondition) {
			w.t.Errorf("a second release: %v", err)
		}
	})
}

func TestAReleaseDeletesJustWhatWasListed(t *testing.T) {
	onBoth(t, func(w *world) {
		_, held, a := w.vanished(4)
		w.push("library/app", "v1", a) // it is back
		other, again := ts.Image(w.t, 3, 1, 100), ts.Image(w.t, 4, 1, 100)
		ts.Push(w.t, w.cluster, "library/app", "v2", other) // somebody's own
		w.push("library/app", "v3", again)                  // something else, which vanishes too
		w.arrives("library/app", "v3", again)
		w.settled()
		w.home.forget("library/app", "v3")
		if _, err := w.Release(w.t.Context(), held.ID); err != nil {
			w.t.Fatal(err)
		}
		if e := w.ended(held.ID); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		if w.at("library/app", "v1") != a.Digest.String() || w.at("library/app", "v2") != other.Digest.String() || w.at("library/app", "v3") != again.Digest.String() {
			w.t.Errorf("v1 is %q, v2 %q, v3 %q", w.at("library/app", "v1"), w.at("library/app", "v2"), w.at("library/app", "v3"))
		}
		if w.at("library/app", "v4") != "" {
			w.t.Error("v4 is still there")
		}
	})
}

func TestWhatIsDiscardedStays(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, held, a := w.vanished(3)
		if err := w.Stop(w.t.Context(), held.ID); err != nil {
			w.t.Fatal(err)
		}
		if e := w.execution(held.ID); e.Status != replication.Stopped || e.Held() || !strings.Contains(e.StatusText, "discarded") {
			w.t.Errorf("%+v", e)
		}
		d := w.reconciled(policy)
		if !d.InSync || d.Count(replication.Extra) != 3 || len(w.heldExecutions(policy)) != 0 {
			w.t.Errorf("after it was discarded: %+v", d)
		}
		if _, items, err := w.RepairDrift(w.t.Context(), policy); err != nil || items != 0 {
			w.t.Errorf("a repair has %d items, %v", items, err)
		}
		if _, err := w.RetryExecution(w.t.Context(), held.ID); !problem.Is(err, problem.Precondition) {
			w.t.Errorf("a retry: %v", err)
		}
		task := w.number(`SELECT min(id) FROM tasks WHERE execution_id = $1`, held.ID)
		if err := w.RetryTask(w.t.Context(), held.ID, task); !problem.Is(err, problem.Precondition) {
			w.t.Errorf("a retry of a task: %v", err)
		}
		if _, err := w.Release(w.t.Context(), held.ID); !problem.Is(err, problem.Precondition) {
			w.t.Errorf("a release: %v", err)
		}
		if w.at("library/app", "v1") == "" {
			w.t.Error("v1 is gone")
		}
		// The rule puts it there once more: then it is the rule's again.
		w.push("library/app", "v1", a)
		w.settled()
		w.home.forget("library/app", "v1")
		w.reconciled(policy)
		if w.at("library/app", "v1") != "" || w.at("library/app", "v2") == "" {
			w.t.Errorf("v1 is %q, v2 %q", w.at("library/app", "v1"), w.at("library/app", "v2"))
		}
	})
}

// A verification that has read what is to be deleted before it was discarded does not ask
// for it again, nor delete it.
func TestWhatIsDiscardedDuringAVerificationStays(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, held, _ := w.vanished(3)
		w.cap = nil // nothing of it would wait
		w.restart()
		hold := ts.NewHold()
		w.t.Cleanup(hold.Release)
		w.cluster.Faults.Add(ts.Fault{Path: "/v2/library/app/manifests/v1", Do: hold.Before()})
		number, err := w.Reconcile(w.t.Context(), policy)
		if err != nil {
			w.t.Fatal(err)
		}
		ts.Eventually(w.t, "the destination is looked at", func() bool { return hold.Waiting() > 0 })
		if err := w.Stop(w.t.Context(), held.ID); err != nil {
			w.t.Fatal(err)
		}
		hold.Release()
		d := w.answered(policy, number)
		w.settled()
		if !d.InSync || d.Count(replication.Extra) != 3 || len(w.heldExecutions(policy)) != 0 {
			w.t.Errorf("after it was discarded: %+v", d)
		}
		if _, items, err := w.RepairDrift(w.t.Context(), policy); err != nil || items != 0 {
			w.t.Errorf("a repair has %d items, %v", items, err)
		}
		for _, tag := range []string{"v1", "v2", "v3"} {
			if w.at("library/app", tag) == "" {
				w.t.Errorf("%s is gone", tag)
			}
		}
	})
}

func TestAListThatWasLookedAtDoesNotGrow(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, held, _ := w.vanished(2)
		w.home.forget("library/keep", "v1")
		w.reconciled(policy)
		now := w.heldExecutions(policy)
		if len(now) != 1 || now[0].ID == held.ID || w.listed(now[0].ID) != "v1 v1 v2" && w.listed(now[0].ID) != "v1 v2 v1" {
			w.t.Fatalf("%+v lists %s", now, w.listed(now[0].ID))
		}
		if old := w.execution(held.ID); old.Status != replication.Stopped || !strings.Contains(old.StatusText, "withdrawn") {
			w.t.Errorf("%+v", old)
		}
		if _, err := w.Release(w.t.Context(), held.ID); !problem.Is(err, problem.Precondition) {
			w.t.Errorf("a release of the old list: %v", err)
		}
		w.balanced()
	})
}

func TestWhatIsBackIsNotAskedForAnyMore(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, held, a := w.vanished(2)
		w.push("library/app", "v1", a)
		w.push("library/app", "v2", a)
		w.settled()
		if d := w.reconciled(policy); !d.InSync || len(w.heldExecutions(policy)) != 0 {
			w.t.Errorf("%+v", d)
		}
		if e := w.execution(held.ID); e.Status != replication.Stopped {
			w.t.Errorf("%+v", e)
		}
	})
}

func TestARuleThatChangesAsksAnew(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, held, _ := w.vanished(2)
		w.change(policy, func(p *replication.Policy) { p.Description = "another" })
		if e := w.execution(held.ID); e.Status != replication.Stopped {
			w.t.Errorf("%+v", e)
		}
		ts.Eventually(w.t, "it asks again", func() bool { return len(w.heldExecutions(policy)) == 1 })
		w.settled()
		w.change(policy, func(p *replication.Policy) { p.Deletion = false })
		w.settled()
		if held := w.heldExecutions(policy); len(held) != 0 {
			w.t.Errorf("a rule without deletions waits for %+v", held)
		}
		w.change(policy, func(p *replication.Policy) { p.Deletion = true })
		w.reconciled(policy)
		if held := w.heldExecutions(policy); len(held) != 1 {
			w.t.Errorf("%+v", held)
		}
		if err := w.DeletePolicy(w.t.Context(), policy); err != nil {
			w.t.Errorf("what waits keeps the rule: %v", err)
		}
		if w.at("library/app", "v1") == "" {
			w.t.Error("something was deleted")
		}
	})
}

func TestARepairTakesThePlaceOfWhatWaits(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy, held, _ := w.vanished(2)
		execution, items, err := w.RepairDrift(w.t.Context(), policy)
		if err != nil || items != 2 {
			w.t.Fatalf("%d items, %v", items, err)
		}
		if e := w.ended(execution); e.Status != replication.Succeed || w.execution(held.ID).Status != replication.Stopped {
			w.t.Errorf("%+v", e)
		}
	})
}

func TestADisabledRuleReleasesNothing(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy, held, _ := w.vanished(2)
		w.write(`UPDATE replication_policies SET enabled = FALSE WHERE id = $1`, policy)
		if _, err := w.Release(w.t.Context(), held.ID); !problem.Is(err, problem.Precondition) {
			w.t.Errorf("%v", err)
		}
		if _, err := w.Release(w.t.Context(), 4711); !problem.Is(err, problem.NotFound) {
			w.t.Errorf("%v", err)
		}
	})
}

func TestWhatWasReleasedStaysOnceTheRuleRepeatsNoDeletions(t *testing.T) {
	for name, change := range map[string]func(*replication.Policy){
		"without deletions": func(p *replication.Policy) { p.Deletion = false },
		"run by hand":       func(p *replication.Policy) { p.Trigger = rule.Manual },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				policy, held, _ := w.vanished(2)
				w.stop() // and before anybody works on what is released the rule is changed
				w.open()
				if _, err := w.Release(w.t.Context(), held.ID); err != nil {
					w.t.Fatal(err)
				}
				w.change(policy, change)
				w.run()
				if e := w.ended(held.ID); e.Status != replication.Succeed {
					w.t.Errorf("%+v", e)
				}
				for _, item := range w.tasks(policy)[0].Items {
					if item.Outcome != replication.Kept || !strings.Contains(item.Reason, "no deletions any more") {
						w.t.Errorf("%+v", item)
					}
				}
				if w.at("library/app", "v1") == "" || w.at("library/app", "v2") == "" {
					w.t.Error("something was deleted")
				}
			})
		})
	}
}

func TestARepairDeletesNothingOnceTheRuleRepeatsNoDeletions(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, _, _ := w.vanished(2)
		w.stop() // so that what was found stays as it was found
		w.open()
		w.change(policy, func(p *replication.Policy) { p.Deletion = false })
		if _, items, err := w.RepairDrift(w.t.Context(), policy); err != nil || items != 0 {
			w.t.Errorf("a repair has %d items, %v", items, err)
		}
	})
}

func TestASecondAttemptAtAReleasedDeletionCopiesNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, held, a := w.vanished(2)
		fault := w.cluster.Faults.Add(ts.Fault{Method: "DELETE", Path: "/manifests/", Do: ts.Status(400)})
		if _, err := w.Release(w.t.Context(), held.ID); err != nil {
			w.t.Fatal(err)
		}
		if e := w.ended(held.ID); e.Status != replication.Failed {
			w.t.Fatalf("%+v", e)
		}
		ts.Push(w.t, w.home.Registry, "library/app", "v1", ts.Image(w.t, 3, 1, 100)) // and no event tells of it
		w.home.remember("library/app", "v1")
		fault.Remove()
		if _, err := w.RetryExecution(w.t.Context(), held.ID); err != nil {
			w.t.Fatal(err)
		}
		if e := w.ended(held.ID); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		if w.at("library/app", "v1") != a.Digest.String() || w.at("library/app", "v2") != "" {
			w.t.Errorf("v1 is %q, v2 %q", w.at("library/app", "v1"), w.at("library/app", "v2"))
		}
		for _, item := range w.tasks(policy)[0].Items {
			if item.Reference == "v1" && (item.Action != replication.ActionDelete || item.Outcome != replication.Kept) {
				w.t.Errorf("%+v", item)
			}
		}
	})
}
