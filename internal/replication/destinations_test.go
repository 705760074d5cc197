package replication_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// second adds another cluster, and makes it a further destination of a rule.
func (w *world) second(policy int64) (*ts.Registry, int64) {
	w.t.Helper()
	other := ts.Distribution(w.t)
	id := w.create("other", other.URL)
	if policy != 0 {
		w.change(policy, func(p *replication.Policy) {
			p.MoreDestinations = append(p.MoreDestinations, replication.Endpoint{ID: id})
		})
	}
	return other, id
}

func (w *world) arrivesAt(r *ts.Registry, repository, reference string, a *ts.Artifact) {
	w.t.Helper()
	ts.Eventually(w.t, fmt.Sprintf("%s:%s is in %s", repository, reference, r.Host), func() bool {
		d, there := ts.Digest(w.t, r, repository, reference)
		return there && d == a.Digest
	})
}

func TestARuleGoesToAllItsDestinations(t *testing.T) {
	onBoth(t, func(w *world) {
		p := w.policy("all", rule.Manual)
		other, id := w.second(p)
		image := ts.Image(w.t, 1, 2, 100)
		w.push("library/app", "v1", image)
		w.run()
		e := w.ended(w.start(p).ID)
		if e.Status != replication.Succeed || e.Total != 2 {
			w.t.Errorf("the execution: %+v", e)
		}
		w.arrives("library/app", "v1", image)
		w.arrivesAt(other, "library/app", "v1", image)
		var goals []int64
		for _, task := range w.tasks(p) {
			goals = append(goals, task.DestinationID)
		}
		slices.Sort(goals)
		if want := []int64{w.endpoint, id}; !slices.Equal(goals, want) {
			w.t.Errorf("tasks go to %v, want %v", goals, want)
		}
		// Nothing is left to do at either.
		if again := w.ended(w.start(p).ID); again.Status != replication.Succeed || again.BytesSent != 0 {
			w.t.Errorf("the next execution: %+v", again)
		}
	})
}

func TestAPushGoesToEachDestinationWhateverTheOthersDo(t *testing.T) {
	onBoth(t, func(w *world) {
		p := w.policy("all", rule.EventBased)
		other, id := w.second(p)
		other.Stop()
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		executions := w.executions(p)
		if len(executions) != 1 || executions[0].Total != 2 {
			w.t.Fatalf("executions: %+v", executions)
		}
		failed := w.fails(p)
		if failed.DestinationID != id {
			w.t.Errorf("what failed: %+v", failed)
		}
		// A change that comes meanwhile joins the work that waits for the one that is down.
		second := ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", second)
		w.arrives("library/app", "v1", second)
		if n := w.number(`SELECT count(*) FROM tasks WHERE dest_registry_id = $1`, id); n != 1 {
			w.t.Errorf("%d tasks wait for the destination that is down", n)
		}
	})
}

func TestDeletionsGoToEachDestination(t *testing.T) {
	onSQLite(t, func(w *world) {
		p := w.policy("all", rule.EventBased)
		other, _ := w.second(p)
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		w.arrivesAt(other, "library/app", "v1", image)
		w.settled()
		w.deleteTag("library/app", "v1")
		w.vanishes("library/app", "v1")
		ts.Eventually(w.t, "it is gone from the other", func() bool {
			_, there := ts.Digest(w.t, other, "library/app", "v1")
			return !there
		})
	})
}

func TestWorkForADestinationThatTheRuleGivesUpIsGivenUp(t *testing.T) {
	onBoth(t, func(w *world) {
		p := w.policy("all", rule.EventBased)
		other, id := w.second(p)
		third := ts.Distribution(w.t)
		thirdID := w.create("third", third.URL)
		other.Stop()
		w.run()
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		if failed := w.fails(p); failed.DestinationID != id {
			w.t.Fatalf("what failed: %+v", failed)
		}
		w.change(p, func(p *replication.Policy) { p.MoreDestinations = []replication.Endpoint{{ID: thirdID}} })
		w.settled()
		for _, task := range w.tasks(p) {
			if task.DestinationID == id && (task.Status != replication.Stopped || task.Reason != "the rule does not go to this registry any more") {
				w.t.Errorf("the task: %+v", task)
			}
		}
	})
}

func TestAnyRegistryGoesToAnyRegistry(t *testing.T) {
	onSQLite(t, func(w *world) {
		other, id := w.second(0)
		image := ts.Image(w.t, 1, 1, 100)
		ts.Push(w.t, w.cluster, "team/app", "v1", image)
		p, err := w.CreatePolicy(w.t.Context(), replication.Policy{
			Rule:   rule.Rule{Name: "between", Trigger: rule.Manual, Enabled: true, ReplaceCount: rule.FlattenAll, DestNamespace: "mirror"},
			Source: replication.Endpoint{ID: w.endpoint}, Destination: replication.Endpoint{ID: id},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.run()
		if e := w.ended(w.start(p).ID); e.Status != replication.Succeed || e.Total != 1 {
			w.t.Errorf("the execution: %+v", e)
		}
		w.arrivesAt(other, "mirror/app", "v1", image)
	})
}

func TestDestinationsThatCannotBeAreRefused(t *testing.T) {
	onBoth(t, func(w *world) {
		_, id := w.second(0)
		for name, tc := range map[string]struct {
			source, first int64
			more          []int64
			want          string
		}{
			"twice":                 {0, w.endpoint, []int64{id, id}, "is a destination twice"},
			"the first again":       {0, w.endpoint, []int64{w.endpoint}, "is a destination twice"},
			"the source":            {0, w.endpoint, []int64{0}, "either src_registry or dest_registry"},
			"one that is not there": {0, w.endpoint, []int64{99}, "registry 99 not found"},
		} {
			p := replication.Policy{
				Rule: rule.Rule{Name: "x", Trigger: rule.Manual}, Source: replication.Endpoint{ID: tc.source}, Destination: replication.Endpoint{ID: tc.first},
			}
			for _, id := range tc.more {
				p.MoreDestinations = append(p.MoreDestinations, replication.Endpoint{ID: id})
			}
			if _, err := w.CreatePolicy(w.t.Context(), p); err == nil || !strings.Contains(err.Error(), tc.want) {
				w.t.Errorf("%s: %v, want %s", name, err, tc.want)
			}
		}
		p := w.policy("all", rule.Manual)
		w.change(p, func(p *replication.Policy) { p.MoreDestinations = []replication.Endpoint{{ID: id}} })
		if err := w.DeleteEndpoint(w.t.Context(), id); !problem.Is(err, problem.Precondition) {
			w.t.Errorf("a destination of a rule was deleted: %v", err)
		}
		list, _, err := w.ListPolicies(w.t.Context(), store.ListQuery{})
		if err != nil || len(list) != 1 || len(list[0].MoreDestinations) != 1 || list[0].MoreDestinations[0].Name != "other" {
			w.t.Errorf("the rule as it is listed: %+v, %v", list, err)
		}
	})
}
