package replication

import (
	"context"
	"iter"
)

// DispatchEvents is the part of Run that turns events into tasks.
func (s *Service) DispatchEvents(ctx context.Context) error {
	s.dispatchEvents(ctx)
	return ctx.Err()
}

// RepositoryPlans are what a plan is made of.
func (s *Service) RepositoryPlans(ctx context.Context, p Policy) (iter.Seq2[RepositoryPlan, error], error) {
	route, err := s.planRoute(ctx, &p)
	return route.Plan(ctx), err
}
