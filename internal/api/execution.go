package api

import (
	"context"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/replication"
)

func (a *api) ListReplicationExecutions(ctx context.Context, r gen.ListReplicationExecutionsRequestObject) (gen.ListReplicationExecutionsResponseObject, error) {
	if _, err := a.require(ctx, "replication", "list"); err != nil {
		return nil, err
	}
	query, err := listQuery("", r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	executions, total, err := a.o.Replication.ListExecutions(ctx, replication.ExecutionFilter{
		PolicyID: r.Params.PolicyID, Status: statusNamed(r.Params.Status), Trigger: triggerNamed(r.Params.Trigger),
	}, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.ReplicationExecution, 0, len(executions))
	for _, e := range executions {
		body = append(body, wireExecution(e))
	}
	return gen.ListReplicationExecutions200JSONResponse{
		Body: body, Headers: gen.ListReplicationExecutions200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

func (a *api) StartReplication(ctx context.Context, r gen.StartReplicationRequestObject) (gen.StartReplicationResponseObject, error) {
	if _, err := a.require(ctx, "replication", "create"); err != nil {
		return nil, err
	}
	trigger := replication.Manual
	if triggerNamed(r.Params.Trigger) == replication.Scheduled {
		trigger = replication.Scheduled
	}
	var id int64
	var err error
	if r.Body.PlanID != 0 {
		id, err = a.o.Replication.StartPlan(ctx, r.Body.PolicyID, r.Body.PlanID, trigger)
	} else {
		id, err = a.o.Replication.Start(ctx, r.Body.PolicyID, trigger)
	}
	if err != nil {
		return nil, err
	}
	return created("replication/executions", id), nil
}

func (a *api) GetReplicationExecution(ctx context.Context, r gen.GetReplicationExecutionRequestObject) (gen.GetReplicationExecutionResponseObject, error) {
	if _, err := a.require(ctx, "replication", "read"); err != nil {
		return nil, err
	}
	e, err := a.o.Replication.GetExecution(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.GetReplicationExecution200JSONResponse(wireExecution(e)), nil
}

// StopReplication answers null, as Harbor does.
func (a *api) StopReplication(ctx context.Context, r gen.StopReplicationRequestObject) (gen.StopReplicationResponseObject, error) {
	if _, err := a.require(ctx, "replication", "create"); err != nil {
		return nil, err
	}
	if err := a.o.Replication.Stop(ctx, r.ID); err != nil {
		return nil, err
	}
	return gen.StopReplication200JSONResponse(nil), nil
}

func (a *api) RetryReplication(ctx context.Context, r gen.RetryReplicationRequestObject) (gen.RetryReplicationResponseObject, error) {
	if _, err := a.require(ctx, "replication", "create"); err != nil {
		return nil, err
	}
	tasks, err := a.o.Replication.RetryExecution(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.RetryReplication200JSONResponse{Tasks: tasks}, nil
}

func (a *api) ReleaseReplication(ctx context.Context, r gen.ReleaseReplicationRequestObject) (gen.ReleaseReplicationResponseObject, error) {
	if _, err := a.require(ctx, "replication", "create"); err != nil {
		return nil, err
	}
	tasks, err := a.o.Replication.Release(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.ReleaseReplication200JSONResponse{Tasks: tasks}, nil
}

func (a *api) ListReplicationTasks(ctx context.Context, r gen.ListReplicationTasksRequestObject) (gen.ListReplicationTasksResponseObject, error) {
	if _, err := a.require(ctx, "replication", "list"); err != nil {
		return nil, err
	}
	query, err := listQuery("", r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	tasks, total, err := a.o.Replication.ListTasks(ctx, r.ID, replication.TaskFilter{
		Status: statusNamed(r.Params.Status), ResourceType: r.Params.ResourceType,
	}, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.ReplicationTask, 0, len(tasks))
	for _, t := range tasks {
		body = append(body, wireTask(t))
	}
	return gen.ListReplicationTasks200JSONResponse{
		Body: body, Headers: gen.ListReplicationTasks200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

func (a *api) RetryReplicationTask(ctx context.Context, r gen.RetryReplicationTaskRequestObject) (gen.RetryReplicationTaskResponseObject, error) {
	if _, err := a.require(ctx, "replication", "create"); err != nil {
		return nil, err
	}
	if err := a.o.Replication.RetryTask(ctx, r.ID, r.TaskID); err != nil {
		return nil, err
	}
	return gen.RetryReplicationTask200Response{}, nil
}

func (a *api) GetReplicationLog(ctx context.Context, r gen.GetReplicationLogRequestObject) (gen.GetReplicationLogResponseObject, error) {
	if _, err := a.require(ctx, "replication", "read"); err != nil {
		return nil, err
	}
	lines, err := a.o.Replication.TaskLog(ctx, r.ID, r.TaskID)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line.String())
		text.WriteByte('\n')
	}
	return gen.GetReplicationLog200TextResponse(text.String()), nil
}

// statusNamed takes the words of Harbor's API and those its tasks have inside.
func statusNamed(name string) replication.Status {
	switch name {
	case "Running":
		return replication.InProgress
	case "Success":
		return replication.Succeed
	case "Error":
		return replication.Failed
	default:
		return replication.Status(name)
	}
}

// triggerNamed takes the words of Harbor's API and those of its older versions.
func triggerNamed(name string) replication.Trigger {
	switch strings.ToLower(name) {
	case "manual":
		return replication.Manual
	case "scheduled", "schedule":
		return replication.Scheduled
	case "event_based", "event":
		return replication.EventBased
	default:
		return replication.Trigger(name)
	}
}

func wireExecution(e replication.Execution) gen.ReplicationExecution {
	hold := ""
	if e.Held() {
		hold = e.Hold
	}
	return gen.ReplicationExecution{
		Hold: hold, ID: e.ID, PolicyID: e.PolicyID, Trigger: string(e.Trigger), Status: string(e.Status), StatusText: e.StatusText,
		PlanID: e.PlanID, Planned: e.Planned, Total: e.Total, Succeed: e.Succeed, Failed: e.Failed, InProgress: e.InProgress, Stopped: e.Stopped,
		BytesTotal: e.BytesTotal, BytesSent: e.BytesSent, StartTime: gen.Time{Time: e.StartTime}, EndTime: gen.Time{Time: e.EndTime},
	}
}

func wireTask(t replication.Task) gen.ReplicationTask {
	w := gen.ReplicationTask{
		ID: t.ID, ExecutionID: t.ExecutionID, JobID: strconv.FormatInt(t.ID, 10), Status: string(t.Status), Operation: string(t.Operation),
		ResourceType: t.ResourceType, SrcResource: t.SourceResource(), DstResource: t.DestinationResource(), DestRegistryID: t.DestinationID,
		Items: wireItems(t.Items), BytesTotal: t.BytesTotal, BytesSent: t.BytesSent, Attempts: t.Attempts, Reason: t.Reason,
		StartTime: gen.Time{Time: t.StartTime}, EndTime: gen.Time{Time: t.EndTime},
	}
	if !t.NextAttemptTime.IsZero() {
		w.NextAttemptTime = &gen.Time{Time: t.NextAttemptTime}
	}
	return w
}
