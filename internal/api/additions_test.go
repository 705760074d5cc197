package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/testserver"
)

// What Harbor does not have, through the client that is generated from the specification.
func TestPlanAndRetry(t *testing.T) {
	t.Parallel()
	l := start(t)
	plain := testserver.Distribution(t)
	ctx := t.Context()
	c, err := gen.NewClientWithResponses(l.url+"/api/v2.0", gen.WithHTTPClient(l.http), gen.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.SetBasicAuth("admin", adminPassword)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	image := testserver.Image(t, 1, 2, 1000)
	testserver.Push(t, l.home, "library/app", "v1", image)
	made := ok[*gen.CreateRegistryResponse](t)(c.CreateRegistryWithResponse(ctx, gen.Registry{Name: "cluster", Type: "docker-registry", URL: "http://127.0.0.1:9"}))
	registry := lastID(t, made.HTTPResponse.Header.Get("Location"))
	shown := ok[*gen.GetRegistryResponse](t)(c.GetRegistryWithResponse(ctx, registry)).JSON200
	if shown.Status != "unhealthy" || shown.StatusReason == "" || shown.CheckedTime == nil {
		t.Errorf("a registry that is down is shown as %+v", shown)
	}
	rule := lastID(t, ok[*gen.CreateReplicationPolicyResponse](t)(c.CreateReplicationPolicyWithResponse(ctx, gen.ReplicationPolicy{
		Name: "rule", DestRegistry: &gen.Registry{ID: registry}, Enabled: true, Filters: []gen.ReplicationFilter{{Type: "name", Value: "library/app"}},
	})).HTTPResponse.Header.Get("Location"))
	execution := lastID(t, ok[*gen.StartReplicationResponse](t)(c.StartReplicationWithResponse(ctx, nil, gen.StartReplicationExecution{PolicyID: rule})).HTTPResponse.Header.Get("Location"))
	reach := func(status string) gen.ReplicationExecution {
		t.Helper()
		var e gen.ReplicationExecution
		testserver.Eventually(t, "the execution is "+status, func() bool {
			e = *ok[*gen.GetReplicationExecutionResponse](t)(c.GetReplicationExecutionWithResponse(ctx, execution)).JSON200
			return e.Status == status && e.Total > 0
		})
		return e
	}
	tasks := func() []gen.ReplicationTask {
		t.Helper()
		return *ok[*gen.ListReplicationTasksResponse](t)(c.ListReplicationTasksWithResponse(ctx, execution, &gen.ListReplicationTasksParams{})).JSON200
	}
	reach("Failed")
	failed := tasks()
	if len(failed) != 1 || failed[0].Reason == "" || len(failed[0].Items) != 1 || failed[0].Items[0].Reference != "v1" {
		t.Fatalf("tasks of a failed execution: %+v", failed)
	}

	address := plain.URL
	ok[*gen.UpdateRegistryResponse](t)(c.UpdateRegistryWithResponse(ctx, registry, gen.RegistryUpdate{URL: &address}))
	plan := planLines(t, bodyOf(t, ok[*http.Response](t)(c.PlanReplicationPolicy(ctx, rule, nil))))
	if len(plan) != 2 || plan[0].DstRepository != "library/app" || plan[0].Action != "copy" || plan[0].Tag != "v1" {
		t.Fatalf("plan %+v", plan)
	}
	if again := ok[*gen.RetryReplicationResponse](t)(c.RetryReplicationWithResponse(ctx, execution)); again.JSON200 == nil || again.JSON200.Tasks != 1 {
		t.Fatalf("retry: %s %s", again.Status(), again.Body)
	}
	done := reach("Succeed")
	if done.Failed != 0 || done.Succeed != 1 || done.BytesSent == 0 || done.BytesSent != done.BytesTotal {
		t.Errorf("execution %+v", done)
	}
	if task := tasks()[0]; task.Reason != "" || task.Items[0].Outcome != "copied" || task.BytesSent != done.BytesSent {
		t.Errorf("task %+v", task)
	}
	if pulled := testserver.Pull(t, plain, "library/app", "v1"); pulled.Digest != image.Digest {
		t.Errorf("pulled %s, want %s", pulled.Digest, image.Digest)
	}
	if retried := ok[*gen.RetryReplicationTaskResponse](t)(c.RetryReplicationTaskWithResponse(ctx, execution, failed[0].ID)); retried.StatusCode() != http.StatusPreconditionFailed {
		t.Errorf("retry of a task that succeeded: %s %s", retried.Status(), retried.Body)
	}
	plan = planLines(t, bodyOf(t, ok[*http.Response](t)(c.PlanReplicationPolicy(ctx, rule, nil))))
	if plan[0].Action != "skip" {
		t.Errorf("plan when nothing is to be done: %+v", plan)
	}
	if missing := ok[*gen.PlanReplicationPolicyResponse](t)(c.PlanReplicationPolicyWithResponse(ctx, 99, nil)); missing.JSONDefault == nil || missing.JSONDefault.Errors[0].Code != "NOT_FOUND" {
		t.Errorf("plan of no policy: %s %s", missing.Status(), missing.Body)
	}
}
