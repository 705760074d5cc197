package replication

import "context"

// DispatchEvents is the part of Run that turns events into tasks.
func (s *Service) DispatchEvents(ctx context.Context) error {
	s.dispatchEvents(ctx)
	return ctx.Err()
}
