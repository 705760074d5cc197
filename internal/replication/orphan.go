package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

// orphanInterval is how often tasks are looked for whose job is gone.
const orphanInterval = 15 * time.Second

// settleOrphans looks for tasks without a job until ctx ends.
func (s *Service) settleOrphans(ctx context.Context) {
	every(ctx, orphanInterval, func(ctx context.Context) {
		if err := s.SettleOrphans(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("unfinished tasks without a job are not settled", "error", err)
		}
	})
}

// SettleOrphans gives every unfinished task whose job is gone a new one. When a
// process is killed while a newer change of the same reference waits, the queue
// makes one job of both, and that is the newer task's.
func (s *Service) SettleOrphans(ctx context.Context) error {
	// By way of unfinished executions, which are few, whatever the history.
	return s.settleOrphansIn(ctx, `WHERE execution_id IN (SELECT id FROM executions WHERE status = 'InProgress') AND `+orphan)
}

const orphan = `job_id <> 0 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = tasks.job_id)`

func (s *Service) settleOrphansIn(ctx context.Context, where string) error {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT id FROM tasks `+where)
	if err != nil {
		return fmt.Errorf("look for tasks without a job: %w", err)
	}
	ids, err := collect(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.o.DB.InTx(ctx, func(tx *store.Tx) error { return s.settleOrphan(ctx, tx, id) }); err != nil {
			return fmt.Errorf("settle task %d, whose job is gone: %w", id, err)
		}
	}
	return nil
}

func (s *Service) settleOrphan(ctx context.Context, tx *store.Tx, id int64) error {
	task, err := lockTask(ctx, tx, id)
	if err != nil {
		return err
	}
	var still bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM tasks WHERE id = $1 AND `+orphan+`)`, id).Scan(&still); err != nil || !still {
		return err
	}
	execution, err := getExecution(ctx, tx, task.ExecutionID)
	if err != nil {
		return err
	}
	now := s.now()
	status, reason, end := Pending, "", time.Time{}
	if execution.Trigger == EventBased && len(task.Items) > 0 {
		key := eventKey(execution.PolicyID, task.DestinationID, task.SourceRepository, task.Items[0].Reference)
		waiting, found, err := s.o.Queue.Waiting(ctx, tx, eventJob, key)
		if err != nil {
			return err
		}
		if found {
			if err := handOver(ctx, tx, task, waiting); err != nil {
				return err
			}
			status, reason, end = Stopped, takenOver, now
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE tasks SET status = $2, reason = $3, end_time = $4, next_attempt_time = 0, job_id = 0 WHERE id = $1`,
		id, string(status), reason, store.Millis(end))
	if err != nil {
		return err
	}
	if status == Pending {
		if err := s.enqueue(ctx, tx, id, queue.NewJob{Kind: execution.Trigger.jobKind(), RunAt: now}); err != nil {
			return err
		}
	}
	return moved(task.Status, status).apply(ctx, tx, task.ExecutionID, store.Millis(now))
}
