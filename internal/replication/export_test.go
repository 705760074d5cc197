package replication

import (
	"context"
	"iter"
	"time"
)

// BePatient has destinations wait for each other as long as a test may take.
func (s *Service) BePatient() { s.sharings.patience = time.Minute }

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

// RuleBandwidth is this server's part of a rule's bandwidth that is in use, -1 if it is not.
func (s *Service) RuleBandwidth(id int64) int64 { return s.bandwidths.rate(limitOf{id: id}) }

// RegistryBandwidth is this server's part of a registry's.
func (s *Service) RegistryBandwidth(id int64) int64 {
	return s.bandwidths.rate(limitOf{registry: true, id: id})
}

func (b *bandwidths) rate(name limitOf) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if shared, ok := b.limits[name]; ok {
		return shared.limit.Rate()
	}
	return -1
}

// StandingDrift and StandingTasks are what Standings asks the database.
func StandingDrift(destinations, references string) string {
	return standingDrift(destinations, references)
}

const StandingTasks = standingTasks
