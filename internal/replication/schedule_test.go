package replication_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// nightly creates a rule that is due at 02:30 in UTC.
func (w *world) nightly(change func(*replication.Policy)) int64 {
	w.t.Helper()
	id := w.policy("nightly", rule.Scheduled)
	w.change(id, func(p *replication.Policy) {
		p.Deletion = false
		if change != nil {
			change(p)
		}
	})
	return id
}

func (w *world) nextRun(policy int64) time.Time {
	w.t.Helper()
	p, err := w.GetPolicy(w.t.Context(), policy)
	if err != nil {
		w.t.Fatal(err)
	}
	return p.NextRun
}

// until moves the clock to a moment.
func (w *world) until(at time.Time) { w.advance(at.Sub(w.now())) }

func (w *world) startDue() {
	w.t.Helper()
	if err := w.StartDue(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestARuleRunsOnItsSchedule(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.nightly(nil)
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.run()
		due := w.nextRun(policy)
		if clock := due.Format("15:04:05"); clock != "02:30:00" || !due.After(w.now()) || due.After(w.now().Add(24*time.Hour)) {
			w.t.Fatalf("at %s the next run is %s", w.now(), due)
		}
		w.startDue()
		if n := len(w.executions(policy)); n != 0 {
			w.t.Fatalf("%d executions before it is due", n)
		}
		w.until(due)
		w.arrives("library/app", "v1", image)
		w.settled()
		list := w.executions(policy)
		if len(list) != 1 || list[0].Trigger != replication.Scheduled || list[0].Status != replication.Succeed || list[0].StatusText != everything {
			w.t.Errorf("executions: %+v", list)
		}
		if next := w.nextRun(policy); !next.Equal(due.Add(24 * time.Hour)) {
			w.t.Errorf("after %s comes %s", due, next)
		}
	})
}

// servers are services of other processes on the same database.
func (w *world) servers(n int) []*replication.Service {
	w.t.Helper()
	all := make([]*replication.Service, n)
	for i := range all {
		q := queue.New(w.db, queue.Options{Lease: 3 * time.Second, Poll: 30 * time.Millisecond, Log: w.log, Clock: w.now})
		all[i] = replication.New(replication.Options{
			DB: w.db, Queue: q, Box: w.box, Home: w.home, Log: w.log, Clock: w.now,
			Remote:       registry.Options{Attempts: 2, Backoff: time.Millisecond},
			HomeEndpoint: func() replication.Endpoint { return replication.Endpoint{Name: "Local", Type: "harbor"} },
		})
		w.t.Cleanup(all[i].Close)
	}
	return all
}

func TestOfManyServersOneStartsARuleThatIsDue(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.nightly(nil)
		servers := w.servers(4)
		for day := 1; day <= 3; day++ {
			w.until(w.nextRun(policy))
			var all sync.WaitGroup
			for _, s := range servers {
				for range 3 {
					all.Go(func() {
						if err := s.StartDue(w.t.Context()); err != nil {
							w.t.Error(err)
						}
					})
				}
			}
			all.Wait()
			if n := len(w.executions(policy)); n != day {
				w.t.Fatalf("%d executions on day %d", n, day)
			}
		}
	})
}

func TestMissedRunsAreMadeUpForOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.nightly(nil)
		due := w.nextRun(policy)
		w.until(due.Add(49 * time.Hour))
		w.run()
		ts.Eventually(w.t, "it is started", func() bool { return len(w.executions(policy)) > 0 })
		w.settled()
		w.startDue()
		list := w.executions(policy)
		if len(list) != 1 || list[0].Status != replication.Succeed {
			w.t.Fatalf("executions: %+v", list)
		}
		want := "started late: it was due at " + due.Format(time.RFC3339) + " and 2 times more since, which this run makes up for"
		if !strings.Contains(list[0].StatusText, want) {
			w.t.Errorf("it says %q, want %q", list[0].StatusText, want)
		}
		if next := w.nextRun(policy); !next.Equal(due.Add(72 * time.Hour)) {
			w.t.Errorf("the next run is %s", next)
		}
	})
}

func TestAScheduleFollowsItsRule(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.nightly(nil)
		due := w.nextRun(policy)
		// What does not concern it leaves it alone, even if it is overdue.
		w.until(due.Add(time.Hour))
		w.change(policy, func(p *replication.Policy) { p.Description = "another one" })
		if next := w.nextRun(policy); !next.Equal(due) {
			w.t.Errorf("a new description moved the next run from %s to %s", due, next)
		}
		w.change(policy, func(p *replication.Policy) { p.TimeZone = "Asia/Shanghai" })
		if next := w.nextRun(policy); next.Format("15:04") != "18:30" || !next.After(w.now()) {
			w.t.Errorf("in another zone it comes at %s", next)
		}
		w.change(policy, func(p *replication.Policy) { p.Enabled = false })
		if next := w.nextRun(policy); !next.IsZero() {
			w.t.Errorf("a disabled rule comes at %s", next)
		}
		w.change(policy, func(p *replication.Policy) { p.Enabled, p.TimeZone = true, "" })
		if next := w.nextRun(policy); !next.Equal(due.Add(24 * time.Hour)) {
			w.t.Errorf("enabled again it comes at %s", next)
		}
		w.change(policy, func(p *replication.Policy) { p.Trigger, p.Cron = rule.Manual, "" })
		if next := w.nextRun(policy); !next.IsZero() {
			w.t.Errorf("a manual rule comes at %s", next)
		}
		w.change(policy, func(p *replication.Policy) { p.Trigger, p.Cron = rule.Scheduled, "0 0 * * * *" })
		if err := w.DeletePolicy(w.t.Context(), policy); err != nil {
			w.t.Fatal(err)
		}
		if n := w.number(`SELECT count(*) FROM replication_schedules`); n != 0 {
			w.t.Errorf("%d schedules of a deleted rule", n)
		}
		w.advance(2 * time.Hour)
		w.startDue()
	})
}

func TestARuleThatCannotBeStartedDoesNotKeepOthersBack(t *testing.T) {
	onBoth(t, func(w *world) {
		broken := w.nightly(func(p *replication.Policy) { p.Name = "broken" })
		// No version of this program wrote this.
		w.write(`UPDATE replication_policies SET trigger_cron = 'x' WHERE id = $1`, broken)
		good := w.nightly(nil)
		w.until(w.nextRun(good))
		err := w.StartDue(w.t.Context())
		if err == nil || !strings.Contains(err.Error(), "invalid cron string") {
			w.t.Errorf("the broken one: %v", err)
		}
		if n := len(w.executions(good)); n != 1 {
			w.t.Errorf("%d executions of the good one", n)
		}
	})
}
