package server_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/server"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// nightly creates a rule that is due at 02:30.
func (a *api) nightly(destination int64) int64 {
	a.t.Helper()
	return a.create("/replication/policies", object{
		"name": "nightly", "dest_registry": object{"id": destination}, "enabled": true, "override": true, "single_active_replication": true,
		"trigger": object{"type": "scheduled", "trigger_settings": object{"cron": "0 30 2 * * *", "time_zone": "Asia/Shanghai"}},
	})
}

// due makes all rules due since some time ago.
func due(t *testing.T, db *store.DB, since time.Duration) {
	t.Helper()
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE replication_schedules SET next_run = $1`, time.Now().Add(-since).UnixMilli())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestARunThatWasMissedIsMadeUpForAtTheNextStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := start(t, server.Config{DataDir: dir})
	cluster := ts.Distribution(t)
	policy := home.nightly(home.endpoint("cluster", cluster))
	image := ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	var p struct {
		Next time.Time `json:"next_run_time"`
	}
	home.do(http.MethodGet, fmt.Sprint("/replication/policies/", policy), nil, &p)
	if clock := p.Next.UTC().Format("15:04:05"); clock != "18:30:00" || !p.Next.After(time.Now()) {
		t.Errorf("the next run is %s", p.Next)
	}
	home.Stop()
	db := storetest.OpenURL(t, "sqlite:"+filepath.Join(dir, "lighterage.db"))
	due(t, db, 50*time.Hour)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	home = start(t, server.Config{DataDir: dir})
	arrives(t, cluster, "library/app", "v1", image)
	ts.Eventually(t, "the execution has ended", func() bool {
		list := home.executions(policy)
		return len(list) == 1 && list[0].Status == "Succeed"
	})
	if e := home.executions(policy)[0]; e.Trigger != "scheduled" || !strings.HasPrefix(e.StatusText, "started late: it was due at ") ||
		!strings.Contains(e.StatusText, "2 times more since, which this run makes up for") {
		t.Errorf("%+v", e)
	}
	home.do(http.MethodGet, fmt.Sprint("/replication/policies/", policy), nil, &p)
	if !p.Next.After(time.Now()) {
		t.Errorf("the next run is %s", p.Next)
	}
}

// Harbor's older scheduler asks for its runs like this.
func TestAStartCanBeMarkedAsScheduled(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	policy := home.nightly(home.endpoint("cluster", ts.Distribution(t)))
	for query, want := range map[string]string{"?trigger=scheduled": "scheduled", "": "manual", "?trigger=manual": "manual"} {
		id := home.create("/replication/executions"+query, object{"policy_id": policy})
		ts.Eventually(t, "it ends", func() bool { return home.execution(id).Status == "Succeed" })
		if got := home.execution(id).Trigger; got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

// Whatever becomes of servers, a rule that is due is started once and comes to its end.
func TestTwoServersStartARuleOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	dir, database := t.TempDir(), storetest.PostgreSQLURL(t)
	first := startProcess(t, dir, ts.Address(t), database)
	t.Cleanup(func() { first.kill() })
	second := startProcess(t, dir, ts.Address(t), database)
	t.Cleanup(func() { second.kill() })
	db := storetest.OpenURL(t, database)
	cluster := ts.Distribution(t)
	policy := first.nightly(first.endpoint("cluster", cluster))
	ts.Push(t, first.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	for n := 1; n <= 5; n++ {
		due(t, db, time.Second)
		ts.Eventually(t, "it is started", func() bool { return len(first.executions(policy)) >= n })
		ts.Eventually(t, "it ends", func() bool { return first.executions(policy)[0].Status == "Succeed" })
		if list := second.executions(policy); len(list) != n {
			t.Fatalf("%d executions after it was due %d times: %+v", len(list), n, list)
		}
	}
	// One is killed while it works on a run that the other one starts again meanwhile.
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	cluster.Faults.Add(ts.Fault{Path: "/blobs/uploads/", Do: hold.Before()})
	ts.Push(t, first.registry(), "library/app", "v2", ts.Image(t, 2, 1, 100))
	due(t, db, time.Second)
	ts.Eventually(t, "the copy has begun", func() bool { return hold.Waiting() > 0 })
	cluster.Faults.Clear()
	busy, idle := first, second
	if worksOn(t, db) == second.cmd.Process.Pid {
		busy, idle = second, first
	}
	due(t, db, time.Second)
	ts.Eventually(t, "the next run waits", func() bool { return len(idle.executions(policy)) == 7 })
	busy.kill()
	hold.Release()
	ts.Eventually(t, "both runs end", func() bool {
		list := idle.executions(policy)
		return list[0].Status == "Succeed" && list[1].Status == "Succeed"
	})
	ts.Pull(t, cluster, "library/app", "v2")
}
