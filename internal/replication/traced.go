package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/lighterage/lighterage/internal/trace"
)

// traceKey names an execution in traces.
func (s *Service) traceKey(execution int64) string {
	return fmt.Sprintf("%s/%d", s.o.TraceName, execution)
}

// traced is one attempt at the task as a part of its execution's trace.
func (r *run) traced(ctx context.Context) error {
	ctx, span := trace.Start(r.o.Tracer.Execution(ctx, r.traceKey(r.task.ExecutionID)), "task", "execution.id", r.task.ExecutionID,
		"task.id", r.task.ID, "attempt", r.task.Attempts, "operation", r.task.Operation, "repository", r.task.SourceRepository)
	err := r.attempt(ctx)
	span.Set("rule", r.policy.Name, "endpoint", r.endpointName(), "bytes_sent", r.sent.Load())
	span.End(err)
	return err
}

// traceEnd tells of an execution as a whole.
func (s *Service) traceEnd(p Policy, e Execution) {
	var failure error
	if e.Status == Failed {
		failure = errors.New("it failed")
		if e.StatusText != "" {
			failure = errors.New(e.StatusText)
		}
	}
	end := e.EndTime
	if end.IsZero() {
		end = s.now()
	}
	s.o.Tracer.ExecutionEnded(s.traceKey(e.ID), e.StartTime, end, failure, "execution.id", e.ID, "rule", p.Name, "trigger", e.Trigger,
		"status", e.Status, "tasks", e.Total, "tasks_failed", e.Failed, "bytes_sent", e.BytesSent)
}
