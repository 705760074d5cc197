package replication_test

import (
	"fmt"
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// crawling starts a rule at 128 bytes a second, and returns when it copies.
func (w *world) crawling() (policy, execution int64, a *ts.Artifact) {
	w.t.Helper()
	return w.crawls(func(policy int64) {
		w.change(policy, func(p *replication.Policy) { p.Speed = 1 })
	})
}

// crawls starts a rule that something holds back, and returns when it copies.
func (w *world) crawls(limit func(policy int64)) (policy, execution int64, a *ts.Artifact) {
	w.t.Helper()
	a = ts.Image(w.t, 1, 1, 800<<10) // two hours at 128 bytes a second
	w.push("library/app", "v1", a)
	policy = w.policy("slow", rule.Manual)
	limit(policy)
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

// limitCluster bounds what all rules bring to the cluster.
func (w *world) limitCluster(kilobits int32) {
	w.t.Helper()
	if err := w.UpdateEndpoint(w.t.Context(), w.endpoint, replication.EndpointUpdate{Speed: &kilobits}); err != nil {
		w.t.Fatal(err)
	}
}

func TestARegistryHasABandwidthForAllRules(t *testing.T) {
	onBoth(t, func(w *world) {
		_, execution, a := w.crawls(func(int64) { w.limitCluster(1) })
		if e := w.get(w.endpoint); e.Speed != 1 || e.BytesPerSecond() != 128 {
			w.t.Errorf("%+v", e)
		}
		w.limitCluster(-1) // as of a rule, no limit
		if e := w.ended(execution); e.Status != replication.Succeed {
			w.t.Fatalf("%+v", e)
		}
		w.arrives("library/app", "v1", a)
		if e := w.get(w.endpoint); e.Speed != 0 {
			w.t.Errorf("%+v", e)
		}
	})
}

func TestARegistryKeepsItsBandwidthWhenOtherThingsChange(t *testing.T) {
	onBoth(t, func(w *world) {
		w.limitCluster(5)
		if err := w.UpdateEndpoint(w.t.Context(), w.endpoint, replication.EndpointUpdate{Description: new("fast")}); err != nil {
			w.t.Fatal(err)
		}
		id, err := w.CreateEndpoint(w.t.Context(), replication.Endpoint{Name: "other", Type: "docker-registry", URL: w.cluster.URL, Speed: 7})
		if err != nil {
			w.t.Fatal(err)
		}
		if first, other := w.get(w.endpoint), w.get(id); first.Speed != 5 || other.Speed != 7 {
			w.t.Errorf("%+v, %+v", first, other)
		}
	})
}

func TestABandwidthOfARegistryThatAnotherServerChangedIsFollowed(t *testing.T) {
	onSQLite(t, func(w *world) {
		_, execution, _ := w.crawls(func(int64) { w.limitCluster(1) })
		w.write(`UPDATE registries SET speed = 0`)
		if err := w.FollowBandwidths(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e := w.ended(execution); e.Status != replication.Succeed {
			t.Fatalf("%+v", e)
		}
	})
}

// The other server is a job that nobody keeps up: one that was killed.
func TestServersThatWorkWithinABandwidthDivideIt(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, execution, _ := w.crawls(func(policy int64) {
			w.change(policy, func(p *replication.Policy) { p.Speed = 4 })
			w.limitCluster(8)
		})
		part := func(rule, registry int64) {
			w.t.Helper()
			ts.Eventually(w.t, "the parts are right", func() bool {
				if err := w.FollowBandwidths(w.t.Context()); err != nil {
					w.t.Fatal(err)
				}
				return w.RuleBandwidth(policy) == rule && w.RegistryBandwidth(w.endpoint) == registry
			})
		}
		part(512, 1024)
		other := w.policy("other", rule.Manual) // for which another server brings something to the cluster
		task := w.number(`SELECT min(id) FROM tasks`)
		elsewhere := func(policy int64) {
			w.write(`INSERT INTO executions (id, policy_id, trigger_type, status, start_time) VALUES ($1, $2, 'manual', 'InProgress', 1)`, 1000+policy, policy)
			w.write(`INSERT INTO tasks (id, execution_id, status, operation, resource_type, src_repository, dest_repository, dest_registry_id, start_time)
				VALUES ($1, $1, 'InProgress', 'copy', 'image', 'a', 'a', $2, 1)`, 1000+policy, w.endpoint)
		}
		job := func(owner string, task int64) {
			w.write(`INSERT INTO jobs (kind, key, payload, state, run_at, owner, creation_time) VALUES ('replication.task', $1, $2, 'running', 0, $1, 0)`,
				owner, fmt.Sprint(task))
		}
		elsewhere(other)
		job("second", task)
		job("third", 1000+other)
		part(256, 1024/3)
		part(512, 1024) // when what they did was taken over, by this server
		if err := w.Stop(w.t.Context(), execution); err != nil {
			w.t.Fatal(err)
		}
	})
}
