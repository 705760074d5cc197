package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// History that is kept: Harbor keeps 50 executions a rule, which for an event
// rule is the last 50 pushes.
const (
	sweepInterval    = time.Hour
	keptExecutions   = 1000 // a rule
	checkpointMaxAge = 7 * 24 * time.Hour
)

// sweepExecutions removes old history until ctx ends.
func (s *Service) sweepExecutions(ctx context.Context) {
	every(ctx, sweepInterval, func(ctx context.Context) {
		// What waits for ever would be kept for ever; here all tasks are looked at.
		err := s.settleOrphansIn(ctx, "WHERE "+orphan)
		if err = errors.Join(err, s.Sweep(ctx, keptExecutions)); err != nil && ctx.Err() == nil {
			s.log.Error("old executions are not removed", "error", err)
		}
	})
}

// Sweep removes all but the newest executions of each rule, never one that is
// running or waits for its next attempt, and forgets uploads that registries
// have dropped by now, and plans that are too old.
func (s *Service) Sweep(ctx context.Context, keep int) error {
	policies, err := s.selectPolicies(ctx, s.o.DB, selectPolicy)
	if err != nil {
		return err
	}
	for _, p := range policies {
		err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM executions WHERE policy_id = $1 AND status <> 'InProgress'
				AND id <= (SELECT id FROM executions WHERE policy_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)
				AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.execution_id = executions.id AND tasks.job_id <> 0)`, p.ID, keep)
			return err
		})
		if err != nil {
			return fmt.Errorf("sweep executions of %s: %w", p.Name, err)
		}
	}
	return s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM upload_checkpoints WHERE time < $1`, store.Millis(s.now().Add(-checkpointMaxAge)))
		if err != nil {
			return err
		}
		return s.sweepPlans(ctx, tx)
	})
}
