package replication_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

const (
	everything = "everything at the source was selected: no filter is set"
	waiting    = "waits until the executions before it have ended: the rule runs one at a time"
)

// oneAtATime creates a rule that runs one execution at a time, and an image for it.
func (w *world) oneAtATime() int64 {
	w.t.Helper()
	policy := w.policy("one", rule.Manual)
	w.change(policy, func(p *replication.Policy) { p.SingleActive, p.Deletion = true, false })
	ts.Push(w.t, w.home.Registry, "library/app", "v1", ts.Image(w.t, 1, 1, 100))
	return policy
}

// held starts a rule and returns its execution, which does not end before the hold is released.
func (w *world) held(policy int64) (*ts.Hold, int64) {
	w.t.Helper()
	hold := ts.NewHold()
	w.t.Cleanup(hold.Release)
	w.cluster.Faults.Add(ts.Fault{Path: "/blobs/uploads/", Do: hold.Before()})
	first := w.begin(policy)
	ts.Eventually(w.t, "the first one copies", func() bool { return hold.Waiting() > 0 })
	w.cluster.Faults.Clear()
	return hold, first
}

func (w *world) begin(policy int64) int64 {
	w.t.Helper()
	id, err := w.Start(w.t.Context(), policy, replication.Manual)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func TestWhatIsStartedMeanwhileIsOneExecutionMore(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.oneAtATime()
		w.run()
		hold, first := w.held(policy)
		second := w.begin(policy)
		if second == first {
			w.t.Fatal("it was given the one that runs, which may have passed what is new")
		}
		for range 3 {
			if again := w.begin(policy); again != second {
				w.t.Errorf("execution %d waits, and %d too", second, again)
			}
		}
		if e := w.execution(second); e.Status != replication.InProgress || e.Total != 0 || e.Planned || e.StatusText != waiting {
			w.t.Errorf("the one that waits: %+v", e)
		}
		fresh := ts.Image(w.t, 2, 1, 100)
		ts.Push(w.t, w.home.Registry, "library/app", "v2", fresh)
		hold.Release()
		if e := w.ended(first); e.Status != replication.Succeed {
			w.t.Errorf("the first one: %+v", e)
		}
		if e := w.ended(second); e.Status != replication.Succeed || e.StatusText != everything || e.StartTime.Before(w.execution(first).EndTime) {
			w.t.Errorf("the second one: %+v", e)
		}
		w.arrives("library/app", "v2", fresh)
		if third := w.begin(policy); third == second {
			w.t.Error("it was given one that has ended")
		}
		w.settled()
		if n := len(w.executions(policy)); n != 3 {
			w.t.Errorf("%d executions", n)
		}
	})
}

func TestManyWhoStartARuleGetOneThatRunsAndOneThatWaits(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.oneAtATime()
		var all sync.WaitGroup
		for _, s := range w.servers(4) {
			for range 5 {
				all.Go(func() {
					if _, err := s.Start(w.t.Context(), policy, replication.Manual); err != nil {
						w.t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if n := len(w.executions(policy)); n != 2 {
			w.t.Errorf("20 starts made %d executions", n)
		}
	})
}

func TestWhatWaitsBeginsAfterARestart(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.oneAtATime()
		w.run()
		hold, first := w.held(policy)
		second := w.begin(policy)
		w.stop()
		hold.Release()
		w.restart()
		if e := w.ended(first); e.Status != replication.Succeed {
			w.t.Errorf("the first one: %+v", e)
		}
		if e := w.ended(second); e.Status != replication.Succeed {
			w.t.Errorf("the second one: %+v", e)
		}
		w.settled()
	})
}

func TestAnExecutionThatWaitsCanBeStopped(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.oneAtATime()
		w.run()
		hold, first := w.held(policy)
		second := w.begin(policy)
		if err := w.Stop(w.t.Context(), second); err != nil {
			w.t.Fatal(err)
		}
		if e := w.execution(second); e.Status != replication.Stopped || e.EndTime.IsZero() {
			w.t.Errorf("the one that was stopped: %+v", e)
		}
		third := w.begin(policy)
		if third == second {
			w.t.Error("it was given one that was stopped")
		}
		hold.Release()
		w.ended(first)
		w.ended(third)
		w.settled()
	})
}

func TestAnExecutionThatWaitsEndsWithItsRule(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.oneAtATime()
		w.run()
		hold, first := w.held(policy)
		second := w.begin(policy)
		w.change(policy, func(p *replication.Policy) { p.Enabled = false })
		hold.Release()
		w.ended(first)
		if e := w.ended(second); e.Status != replication.Stopped || e.StatusText != "the rule was disabled before it began" || e.Total != 0 {
			w.t.Errorf("the one that waited: %+v", e)
		}
		w.settled()
	})
}

func TestARetryDoesNotRunBesideAnotherExecution(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.oneAtATime()
		w.run()
		w.cluster.Stop()
		failed := w.start(policy)
		if failed.Status != replication.Failed {
			w.t.Fatalf("without a destination: %+v", failed)
		}
		w.cluster.Restart()
		hold, running := w.held(policy)
		if _, err := w.RetryExecution(w.t.Context(), failed.ID); !problem.Is(err, problem.Precondition) {
			w.t.Errorf("a retry beside execution %d: %v", running, err)
		}
		hold.Release()
		w.ended(running)
		if n, err := w.RetryExecution(w.t.Context(), failed.ID); err != nil || n != 1 {
			w.t.Errorf("after it: %d, %v", n, err)
		}
		if e := w.ended(failed.ID); e.Status != replication.Succeed {
			w.t.Errorf("the retry: %+v", e)
		}
	})
}

// A schedule that is faster than its rule makes no heap of executions.
func TestASlowRuleOnAFastScheduleHasOneThatWaits(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.oneAtATime()
		w.change(policy, func(p *replication.Policy) { p.Trigger, p.Cron = rule.Scheduled, "0 */5 * * * *" })
		w.work(func(ctx context.Context) error { <-ctx.Done(); return nil })
		hold, first := w.held(policy)
		for range 4 {
			w.until(w.nextRun(policy))
			w.startDue()
		}
		list := w.executions(policy)
		if len(list) != 2 || list[0].Trigger != replication.Scheduled || list[0].StatusText != waiting {
			w.t.Errorf("executions: %+v", list)
		}
		hold.Release()
		w.ended(first)
		w.advance(time.Second)
		if e := w.ended(list[0].ID); e.Status != replication.Succeed {
			w.t.Errorf("the one that waited: %+v", e)
		}
	})
}
