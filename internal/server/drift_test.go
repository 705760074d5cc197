package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/server"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

type drift struct {
	InSync bool  `json:"in_sync"`
	Drift  int64 `json:"drift"`
	Check  struct {
		Done int64 `json:"done"`
	} `json:"check"`
	Items []struct {
		Reference string `json:"reference"`
		State     string `json:"state"`
		Source    string `json:"src_digest"`
	} `json:"items"`
}

// verified has a rule verified through the API.
func (a *api) verified(policy int64) (d drift) {
	a.t.Helper()
	path := fmt.Sprintf("/replication/policies/%d/drift", policy)
	var asked struct {
		Number int64 `json:"number"`
	}
	a.do("POST", path, nil, &asked)
	ts.Eventually(a.t, "the verification ends", func() bool {
		d = drift{}
		a.do("GET", path, nil, &d)
		return d.Check.Done >= asked.Number
	})
	return d
}

func TestAServerThatStartsDoesWhatNoEventTold(t *testing.T) {
	t.Parallel()
	c := server.Config{DataDir: t.TempDir(), Reconcile: time.Hour}
	home := start(t, c)
	cluster := ts.Distribution(t)
	destination := home.endpoint("cluster", cluster)
	home.eventRule("marker", destination, object{"filters": []object{{"type": "name", "value": "library/marker"}}})
	// Its event is taken when no rule wants it: that of a later push is done.
	pushed := ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 2, 300))
	arrives(t, cluster, "library/marker", "v1", ts.Push(t, home.registry(), "library/marker", "v1", ts.Image(t, 2, 2, 300)))
	policy := home.eventRule("apps", destination, object{"filters": []object{{"type": "name", "value": "library/app"}}})
	home.Stop()
	if _, there := ts.Digest(t, cluster, "library/app", "v1"); there {
		t.Fatal("the push is at the destination already")
	}
	again := start(t, c)
	arrives(t, cluster, "library/app", "v1", pushed)
	if d := again.verified(policy); !d.InSync || len(d.Items) != 1 || d.Items[0].State != "in_sync" || d.Items[0].Source != pushed.String() {
		t.Errorf("after the start: %+v", d)
	}
	ts.Delete(t, cluster, "library/app", pushed.String())
	if d := again.verified(policy); d.InSync || d.Drift != 1 || d.Items[0].State != "missing" {
		t.Errorf("after a deletion at the destination: %+v", d)
	}
	var repair struct {
		Execution int64 `json:"execution_id"`
		Items     int64 `json:"items"`
	}
	again.do("POST", fmt.Sprintf("/replication/policies/%d/drift/repair", policy), nil, &repair)
	if repair.Items != 1 {
		t.Errorf("repair: %+v", repair)
	}
	arrives(t, cluster, "library/app", "v1", pushed)
}

// What somebody does to a destination by hand shows in the metrics without anybody
// asking, and that it was made good too.
func TestDriftIsAMetricThatGoesUpAndDown(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		home := start(t, server.Config{DataDir: t.TempDir(), Database: database, MetricsListen: "127.0.0.1:0", Verify: time.Second})
		cluster := ts.Distribution(t)
		policy := home.create("/replication/policies", object{
			"name": "mirror", "dest_registry": object{"id": home.endpoint("cluster", cluster)}, "enabled": true, "override": true,
			"trigger": object{"type": "manual"},
		})
		kept := ts.Push(t, home.registry(), "library/app", "kept", ts.Image(t, 1, 1, 100))
		lost := ts.Push(t, home.registry(), "library/app", "lost", ts.Image(t, 2, 1, 100))
		moved := ts.Push(t, home.registry(), "library/app", "moved", ts.Image(t, 3, 1, 100))
		home.run(policy)

		tells := func(when string, want map[string]float64) {
			t.Helper()
			for series, value := range want {
				ts.Eventually(t, fmt.Sprintf("%s %s is %v", when, series, value), func() bool {
					_, text := scrape(t, home.info.MetricsURL, "")
					got, found := number(text, series)
					return found && got == value
				})
			}
		}
		state := func(state string) string {
			return fmt.Sprintf(`lighterage_replication_drift_artifacts{endpoint="cluster",rule="mirror",state=%q}`, state)
		}
		counted := func(result string) {
			t.Helper()
			ts.Eventually(t, "a verification has found "+result, func() bool {
				_, text := scrape(t, home.info.MetricsURL, "")
				n, _ := number(text, fmt.Sprintf(`lighterage_replication_verifications_total{result=%q,rule="mirror"}`, result))
				at, _ := number(text, `lighterage_replication_verified_timestamp_seconds{rule="mirror"}`)
				return n > 0 && at > 0
			})
		}
		tells("after the run", map[string]float64{state("in_sync"): 3, state("missing"): 0, state("different"): 0})
		counted("in_sync")

		ts.Delete(t, cluster, "library/app", lost.String())
		ts.Push(t, cluster, "library/app", "moved", ts.Image(t, 4, 1, 100))
		tells("after somebody was there", map[string]float64{state("in_sync"): 1, state("missing"): 1, state("different"): 1})
		counted("drift")

		home.do("POST", fmt.Sprintf("/replication/policies/%d/drift/repair", policy), nil, nil)
		tells("after the repair", map[string]float64{state("in_sync"): 3, state("missing"): 0, state("different"): 0})
		arrives(t, cluster, "library/app", "kept", kept)
		arrives(t, cluster, "library/app", "lost", lost)
		arrives(t, cluster, "library/app", "moved", moved)
	})
}

// A verification that a server was at when it was killed is brought to its end: by the
// other server, or by the same one when it comes back.
func TestAVerificationOutlivesTheServerThatWasAtIt(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	for name, alone := range map[string]bool{"the only server comes back": true, "another server takes over": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if alone {
				storetest.EachURL(t, func(t *testing.T, database string) { verificationDrill(t, database, alone) })
				return
			}
			verificationDrill(t, storetest.PostgreSQLURL(t), alone)
		})
	}
}

func verificationDrill(t *testing.T, database string, alone bool) {
	dir, port := t.TempDir(), ts.Address(t)
	first := startProcess(t, dir, port, database)
	t.Cleanup(func() { first.kill() })
	cluster := ts.Distribution(t)
	policy := first.create("/replication/policies", object{
		"name": "mirror", "dest_registry": object{"id": first.endpoint("cluster", cluster)}, "enabled": true, "override": true,
	})
	pushed := ts.Push(t, first.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	first.run(policy)
	ts.Delete(t, cluster, "library/app", pushed.String())

	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	held := cluster.Faults.Add(ts.Fault{Class: "HEAD manifest", Do: hold.Before()})
	path := fmt.Sprintf("/replication/policies/%d/drift", policy)
	var asked struct {
		Number int64 `json:"number"`
	}
	first.do("POST", path, nil, &asked)
	ts.Eventually(t, "the verification is under way", func() bool { return hold.Waiting() > 0 })
	var left *process
	if !alone {
		left = startProcess(t, dir, ts.Address(t), database)
		t.Cleanup(func() { left.kill() })
	}
	first.kill()
	held.Remove()
	hold.Release()
	if alone {
		first = startProcess(t, dir, port, database)
		left = first
	}
	var d drift
	ts.Eventually(t, "the verification ends", func() bool {
		d = drift{}
		left.do("GET", path, nil, &d)
		return d.Check.Done >= asked.Number
	})
	if d.InSync || d.Drift != 1 || len(d.Items) != 1 || d.Items[0].State != "missing" {
		t.Errorf("it has found %+v", d)
	}
	left.do("POST", path+"/repair", nil, nil)
	arrives(t, cluster, "library/app", "v1", pushed)
	if d := left.verified(policy); !d.InSync {
		t.Errorf("after the repair: %+v", d)
	}
}
