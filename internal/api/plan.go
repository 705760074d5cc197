package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
)

func (a *api) PlanReplicationPolicy(ctx context.Context, r gen.PlanReplicationPolicyRequestObject) (gen.PlanReplicationPolicyResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "read"); err != nil {
		return nil, err
	}
	p, err := a.o.Replication.GetPolicy(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	lines, err := a.o.Replication.Plan(ctx, p, r.Params.Bytes)
	return planStream{a, ctx, p, lines}, err
}

func (a *api) KeepReplicationPlan(ctx context.Context, r gen.KeepReplicationPlanRequestObject) (gen.KeepReplicationPlanResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "read"); err != nil {
		return nil, err
	}
	if _, err := a.require(ctx, "replication", "create"); err != nil {
		return nil, err
	}
	p, err := a.o.Replication.GetPolicy(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	lines, err := a.o.Replication.KeepPlan(ctx, r.ID, r.Params.Bytes)
	return planStream{a, ctx, p, lines}, err
}

func (a *api) PlanReplication(ctx context.Context, r gen.PlanReplicationRequestObject) (gen.PlanReplicationResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "create"); err != nil {
		return nil, err
	}
	p, err := policy(*r.Body)
	if err != nil {
		return nil, err
	}
	lines, err := a.o.Replication.Plan(ctx, p, r.Params.Bytes)
	return planStream{a, ctx, p, lines}, err
}

// planStream is a plan on its way to a client: it is made while it is read.
type planStream struct {
	a      *api
	ctx    context.Context // of the request: it ends when the client goes away, and the plan with it
	policy replication.Policy
	lines  iter.Seq2[replication.PlanLine, error]
}

// VisitPlanReplicationPolicyResponse writes the answer.
func (s planStream) VisitPlanReplicationPolicyResponse(w http.ResponseWriter) error {
	return s.write(w)
}

// VisitKeepReplicationPlanResponse writes the answer.
func (s planStream) VisitKeepReplicationPlanResponse(w http.ResponseWriter) error { return s.write(w) }

// VisitPlanReplicationResponse writes the answer.
func (s planStream) VisitPlanReplicationResponse(w http.ResponseWriter) error { return s.write(w) }

// planPatience is how long a client may leave a line unread.
const planPatience = time.Minute

// write sends each line as soon as it is there. A plan that ends before its first line
// is an error like any other.
func (s planStream) write(w http.ResponseWriter) error {
	out := http.NewResponseController(w)
	defer func() { _ = out.SetWriteDeadline(time.Time{}) }() // the connection may be used again
	begun := false
	for line, err := range s.lines {
		if err != nil {
			err = s.explain(err)
			if !begun {
				return err
			}
			line.Error = s.text(err)
		}
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.WriteHeader(http.StatusOK)
			begun = true
		}
		text, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("write a plan: %w", err)
		}
		_ = out.SetWriteDeadline(time.Now().Add(planPatience))
		if _, err := w.Write(append(text, '\n')); err != nil {
			return nil // the client has gone
		}
		if err := out.Flush(); err != nil {
			return nil
		}
	}
	return nil
}

// explain says whose mistake it is that a plan has ended.
func (s planStream) explain(err error) error {
	_, known := errors.AsType[*problem.Error](err)
	if known || s.policy.Push() {
		return fmt.Errorf("plan replication policy %s: %w", s.policy.Name, err)
	}
	// a registry of the user's could not be listed
	return problem.Wrap(problem.BadRequest, err, "plan replication policy %s", s.policy.Name)
}

// text is what a client is told in the middle of a plan.
func (s planStream) text(err error) string {
	if p, known := errors.AsType[*problem.Error](err); known && status(p.Kind) != http.StatusInternalServerError {
		return err.Error()
	}
	if s.ctx.Err() == nil {
		s.a.o.Log.ErrorContext(s.ctx, "a plan ended early", "request_id", requestID(s.ctx), "policy", s.policy.Name, "error", err)
	}
	return "internal server error"
}
