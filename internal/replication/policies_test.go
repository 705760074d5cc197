package replication_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestPoliciesThatCannotBeAreRefused(t *testing.T) {
	onBoth(t, func(w *world) {
		push := replication.Policy{Rule: rule.Rule{Name: "x", Trigger: rule.Manual}, Destination: replication.Endpoint{ID: w.endpoint}}
		pull := replication.Policy{Rule: rule.Rule{Name: "x", Trigger: rule.EventBased}, Source: replication.Endpoint{ID: w.endpoint}}
		with := func(p replication.Policy, f func(*replication.Policy)) replication.Policy {
			f(&p)
			return p
		}
		const sides = "either src_registry or dest_registry should be empty and the other one shouldn't be empty"
		for name, tc := range map[string]struct {
			p    replication.Policy
			kind problem.Kind
			want string
		}{
			"home to home":      {with(push, func(p *replication.Policy) { p.Destination.ID = 0 }), problem.BadRequest, sides},
			"remote to remote":  {with(push, func(p *replication.Policy) { p.Source.ID = w.endpoint }), problem.BadRequest, sides},
			"no name":           {with(push, func(p *replication.Policy) { p.Name = "" }), problem.BadRequest, "empty name"},
			"no such registry":  {with(push, func(p *replication.Policy) { p.Destination.ID = 99 }), problem.NotFound, "registry 99 not found"},
			"negative registry": {with(push, func(p *replication.Policy) { p.Destination.ID = -1 }), problem.NotFound, "registry -1 not found"},
			"trigger":           {with(push, func(p *replication.Policy) { p.Trigger = "hourly" }), problem.BadRequest, "invalid trigger type"},
			"namespace":         {with(push, func(p *replication.Policy) { p.DestNamespace = "UPPER" }), problem.BadRequest, "invalid destination namespace: UPPER"},
			"events of a pull":  {pull, problem.BadRequest, "event_based needs the local registry as source"},
			"pattern": {with(push, func(p *replication.Policy) {
				p.Filters = []rule.Filter{{Type: rule.FilterName, Value: "["}}
			}), problem.BadRequest, "["},
		} {
			if _, err := w.CreatePolicy(w.t.Context(), tc.p); !problem.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				w.t.Errorf("%s: %v, want %s", name, err, tc.want)
			}
		}
		id, err := w.CreatePolicy(w.t.Context(), with(push, func(p *replication.Policy) { p.Trigger, p.Speed = "", -1 }))
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.CreatePolicy(w.t.Context(), push); !problem.Is(err, problem.Conflict) || err.Error() != "replication policy x already exists" {
			w.t.Error(err)
		}
		if _, err := w.Start(w.t.Context(), id, replication.Manual); !problem.Is(err, problem.Precondition) || !strings.Contains(err.Error(), "is disabled") {
			w.t.Errorf("a disabled rule: %v", err)
		}
		if _, err := w.Start(w.t.Context(), 99, replication.Manual); !problem.Is(err, problem.NotFound) {
			w.t.Error(err)
		}
		// Clients may turn a rule round.
		w.change(id, func(p *replication.Policy) { p.Source, p.Destination = p.Destination, p.Source })
		if p, err := w.GetPolicy(w.t.Context(), id); err != nil || p.Push() || p.Source.Name != "cluster" || p.Destination.Name != "Local" {
			w.t.Errorf("%+v, %v", p, err)
		}
	})
}

// What a run was to do between two registries must never happen between others,
// let alone the other way round.
func TestWorkOfARunIsNotDoneBetweenOtherRegistries(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		ours, theirs := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", ours)
		ts.Push(w.t, w.cluster, "library/app", "v1", theirs)
		w.cluster.Faults.Add(ts.Fault{Method: http.MethodPut, Path: "/manifests/", Do: ts.Status(400)})
		w.run()
		failed := w.start(policy)
		if failed.Status != replication.Failed {
			w.t.Fatalf("%+v", failed)
		}
		w.cluster.Faults.Clear()
		w.change(policy, func(p *replication.Policy) { p.Source, p.Destination = p.Destination, p.Source })
		if _, err := w.RetryExecution(w.t.Context(), failed.ID); err != nil {
			w.t.Fatal(err)
		}
		if e := w.ended(failed.ID); e.Status != replication.Stopped {
			w.t.Errorf("%+v", e)
		}
		if task := w.tasks(policy)[0]; !strings.Contains(task.Reason, "other registries") {
			w.t.Errorf("%+v", task)
		}
		if d, _ := ts.Digest(w.t, w.home.Registry, "library/app", "v1"); d != ours.Digest {
			w.t.Error("a push became a pull and took away what home had")
		}
		w.settled()
	})
}

// A rule that is changed while a run is being planned: what is planned already is not
// carried elsewhere, and what is not is not planned.
func TestAPlanEndsWhenItsRuleGoesElsewhere(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		elsewhere := ts.Distribution(w.t, ts.WithMemory())
		other := w.create("elsewhere", elsewhere.URL)
		id, err := w.Start(w.t.Context(), policy, replication.Manual)
		if err != nil {
			w.t.Fatal(err)
		}
		w.change(policy, func(p *replication.Policy) { p.Destination.ID = other })
		w.run()
		if e := w.ended(id); e.Status != replication.Failed || !strings.Contains(e.StatusText, "other registries") {
			w.t.Errorf("%+v", e)
		}
		if tags := ts.Tags(w.t, elsewhere, "library/app"); len(tags) != 0 {
			w.t.Errorf("copied to another registry than the run was started for: %v", tags)
		}
		w.settled()
	})
}

func TestARegistryInUseCannotGoAndAPolicyCannotUseOneThatGoes(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		if err := w.DeleteEndpoint(w.t.Context(), w.endpoint); !problem.Is(err, problem.Precondition) || !strings.Contains(err.Error(), "is referenced by replication policies, cannot delete it") {
			w.t.Error(err)
		}
		if err := w.DeletePolicy(w.t.Context(), policy); err != nil {
			w.t.Fatal(err)
		}
		// Whoever comes first wins, and nobody sees a rule without its registry.
		for range 10 {
			id := w.create("short-lived", w.cluster.URL)
			w.endpoint = id
			var created, deleted error
			var both sync.WaitGroup
			both.Go(func() {
				_, created = w.CreatePolicy(w.t.Context(), replication.Policy{
					Rule: rule.Rule{Name: "short-lived", Trigger: rule.Manual}, Destination: replication.Endpoint{ID: id},
				})
			})
			both.Go(func() { deleted = w.DeleteEndpoint(w.t.Context(), id) })
			both.Wait()
			list, _, err := w.ListPolicies(w.t.Context(), store.ListQuery{})
			if err != nil {
				w.t.Fatalf("create: %v, delete: %v, list: %v", created, deleted, err)
			}
			if (created == nil) == (deleted == nil) {
				w.t.Errorf("create: %v, delete: %v", created, deleted)
			}
			for _, p := range list {
				if err := w.DeletePolicy(w.t.Context(), p.ID); err != nil {
					w.t.Fatal(err)
				}
			}
			if deleted != nil {
				if err := w.DeleteEndpoint(w.t.Context(), id); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	})
}

func TestAPolicyAtWorkCannotBeDeletedAndOneThatWaitsCan(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		hold := ts.NewHold()
		w.t.Cleanup(hold.Release)
		w.cluster.Faults.Add(ts.Fault{Path: "/manifests/", Do: hold.Before()})
		w.run()
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		ts.Eventually(w.t, "the task runs", func() bool { return hold.Waiting() > 0 })
		const busy = "contains executions that aren't in final status, stop the execution first"
		if err := w.DeletePolicy(w.t.Context(), policy); !problem.Is(err, problem.Precondition) || err.Error() != busy {
			w.t.Error(err)
		}
		w.cluster.Faults.Clear()
		w.cluster.Stop()
		hold.Release()
		w.fails(policy)
		if err := w.DeletePolicy(w.t.Context(), policy); err != nil {
			w.t.Fatal(err)
		}
		w.settled()
		if n := w.number(`SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM task_logs)`); n != 0 {
			w.t.Errorf("%d rows of the rule are left", n)
		}
	})
}
