package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/server"
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
