package api_test

import (
	"encoding/json"
	"testing"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/testserver"
)

func TestTheActivityTellsWhatWasDoneAndWhatWaits(t *testing.T) {
	t.Parallel()
	l, cluster := planned(t)
	l.must(201, "POST", "/api/v2.0/registries", `{"name":"away","type":"docker-registry","url":"http://127.0.0.1:9"}`)
	l.must(201, "POST", "/api/v2.0/replication/policies", `{"name":"pushes","dest_registry":{"id":2},"enabled":true,"trigger":{"type":"event_based"}}`)
	l.must(201, "POST", "/api/v2.0/replication/executions", `{"policy_id":1}`)
	testserver.Push(t, l.home, "library/app", "v2", testserver.DockerImage(t, 5))
	var a gen.ReplicationActivity
	testserver.Eventually(t, "one rule has done its work and the other one waits", func() bool {
		a = gen.ReplicationActivity{}
		if err := json.Unmarshal([]byte(l.must(200, "GET", "/api/v2.0/replication/activity", "").body), &a); err != nil {
			t.Fatal(err)
		}
		return len(a.Destinations) == 2 && a.Destinations[0].SuccessTime != nil && a.Destinations[1].OldestWaitingTime != nil && a.Destinations[1].Failing
	})
	if len(testserver.Tags(t, cluster, "library/app")) == 0 {
		t.Error("nothing is there")
	}
	done, waits := a.Destinations[0], a.Destinations[1]
	if done.PolicyID != 1 || done.RegistryID != 1 || done.Waiting != 0 || done.Failing || done.OldestWaitingTime != nil {
		t.Errorf("%+v", done)
	}
	if waits.PolicyID != 2 || waits.RegistryID != 2 || waits.Waiting != 1 || waits.FailingReason == "" || waits.FailingTime == nil || waits.SuccessTime != nil {
		t.Errorf("%+v", waits)
	}
	var bytes, succeed, failed int64
	for i, h := range a.Hours {
		bytes, succeed, failed = bytes+h.BytesSent, succeed+h.Succeed, failed+h.Failed
		if i > 0 && h.StartTime.Sub(a.Hours[i-1].StartTime.Time).Hours() != 1 {
			t.Errorf("hour %d begins at %s", i, h.StartTime)
		}
	}
	if len(a.Hours) != 24 || bytes == 0 || succeed != 1 || failed != 1 {
		t.Errorf("%d hours, %d bytes, %d succeeded, %d failed", len(a.Hours), bytes, succeed, failed)
	}
}
