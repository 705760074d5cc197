package replication_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// ends notes what is announced once it is committed.
type ends struct {
	mu    sync.Mutex
	all   []replication.Ended
	held  []replication.Execution
	fails error
}

func (e *ends) AnnounceHold(_ context.Context, tx *store.Tx, held replication.Execution, _ replication.Policy) error {
	tx.OnCommit(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.held = append(e.held, held)
	})
	return nil
}

func (e *ends) Announce(_ context.Context, tx *store.Tx, ended replication.Ended) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fails != nil {
		return e.fails
	}
	tx.OnCommit(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, ended)
	})
	return nil
}

func (e *ends) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fails = err
}

// told writes what was announced, one word an execution, with changes behind it.
func (e *ends) told() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var words []string
	for _, ended := range e.all {
		word := fmt.Sprintf("%d:%s", ended.Execution.ID, ended.Execution.Status)
		for _, c := range ended.Changes {
			if c.Failing {
				word += "(" + c.Destination.Name + " fails)"
			} else {
				word += "(" + c.Destination.Name + " recovered)"
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (w *world) told(want string) {
	w.t.Helper()
	ts.Eventually(w.t, fmt.Sprintf("%q is told", want), func() bool { return w.ends.told() == want })
}

func TestEachEndOfAnExecutionIsAnnouncedOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		policy := w.policy("manual", rule.Manual)
		w.run()
		w.start(policy)
		w.told("1:Succeed")
		w.cluster.Faults.Add(ts.Fault{Class: "HEAD manifest", Do: ts.Status(http.StatusForbidden)})
		w.start(policy)
		w.told("1:Succeed 2:Failed(cluster fails)")
		w.start(policy)
		w.told("1:Succeed 2:Failed(cluster fails) 3:Failed")
		w.restart()
		w.cluster.Faults.Clear()
		w.start(policy)
		const all = "1:Succeed 2:Failed(cluster fails) 3:Failed 4:Succeed(cluster recovered)"
		w.told(all)
		w.restart()
		w.start(policy)
		w.told(all + " 5:Succeed")

		first, second := w.ends.all[0], w.ends.all[1]
		if len(first.Artifacts) != 1 || first.Artifacts[0].Outcome != replication.Copied || first.Artifacts[0].Repository != "library/app" || first.Artifacts[0].Reference != "v1" {
			w.t.Errorf("what the first one did: %+v", first.Artifacts)
		}
		if len(second.Artifacts) != 1 || second.Artifacts[0].Outcome != replication.Lost || second.Artifacts[0].Reason == "" || second.Changes[0].Reason == "" {
			w.t.Errorf("what the second one did: %+v", second)
		}
	})
}

// What cannot be announced now is announced later, and it is not lost.
func TestAnAnnouncementThatFailsIsMadeLater(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		policy := w.policy("manual", rule.Manual)
		w.ends.fail(fmt.Errorf("no room"))
		w.run()
		w.start(policy)
		ts.Eventually(w.t, "the execution ends", func() bool {
			e, err := w.GetExecution(w.t.Context(), 1)
			return err == nil && e.Status == replication.Succeed
		})
		w.ends.fail(nil)
		w.told("1:Succeed")
	})
}

// An event rule fails for as long as something of it waits to be tried again,
// whatever else succeeds meanwhile.
func TestAnEventRuleRecoversWhenNothingOfItFailsAnyMore(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("all", rule.EventBased)
		w.run()
		w.cluster.Faults.Add(ts.Fault{Path: "/library/bad/", Do: ts.Status(http.StatusForbidden)})
		w.push("library/bad", "v1", ts.Image(w.t, 1, 1, 100))
		w.told("1:Failed(cluster fails)")
		w.push("library/good", "v1", ts.Image(w.t, 2, 1, 100))
		w.told("1:Failed(cluster fails) 2:Succeed")
		w.advance(time.Minute) // it is tried again, in vain, which is nothing new
		ts.Eventually(w.t, "it is tried again", func() bool { return w.number(`SELECT attempts FROM tasks WHERE execution_id = 1`) > 1 })
		w.push("library/good", "v2", ts.Image(w.t, 3, 1, 100))
		w.told("1:Failed(cluster fails) 2:Succeed 3:Succeed")
		w.cluster.Faults.Clear()
		w.advance(10 * time.Minute)
		w.told("1:Failed(cluster fails) 2:Succeed 3:Succeed 1:Succeed(cluster recovered)")
		numbers, err := w.Numbers(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		d := numbers.Rules[0].Destinations[0]
		if d.Failing || d.Lag != 0 || d.Success.IsZero() || len(d.Unfinished) != 0 || d.Name != "cluster" {
			w.t.Errorf("numbers %+v", d)
		}
	})
}

// Who has something tried again wants to know how that went.
func TestAFailureAfterARetryIsAnnouncedAgain(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		policy := w.policy("manual", rule.Manual)
		w.run()
		w.cluster.Faults.Add(ts.Fault{Class: "PUT manifest", Do: ts.Status(http.StatusForbidden)})
		w.start(policy)
		w.told("1:Failed(cluster fails)")
		if _, err := w.RetryExecution(w.t.Context(), 1); err != nil {
			w.t.Fatal(err)
		}
		w.told("1:Failed(cluster fails) 1:Failed")
	})
}

// Of several servers on one database one announces an end, whichever sees it first.
func TestTwoServersAnnounceAnEndOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		policy := w.policy("manual", rule.Manual)
		w.run()
		first := w.stop
		w.open() // another server, on the same database
		w.run()
		w.t.Cleanup(first)
		want := ""
		for i := range 5 {
			w.start(policy)
			want = strings.TrimSpace(fmt.Sprintf("%s %d:Succeed", want, i+1))
		}
		w.told(want)
		w.start(policy) // by when both have looked again
		w.told(want + " 6:Succeed")
	})
}

// holds are the executions that were announced to wait.
func (e *ends) holds() []replication.Execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.held)
}
