package replication

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/store"
)

// tally keeps an execution's counts in step with its tasks, in the transaction
// that changes a task, so that nobody ever reads a stale count. It says by how
// much each count changes.
type tally struct{ total, succeed, failed, inProgress, stopped int64 }

// add notes n tasks that come into a status (n > 0) or leave it (n < 0).
func (t *tally) add(status Status, n int64) {
	switch status {
	case Succeed:
		t.succeed += n
	case Failed:
		t.failed += n
	case Stopped:
		t.stopped += n
	default:
		t.inProgress += n
	}
}

// moved is the change of the counts when a task goes from one status to another.
func moved(from, to Status) tally {
	var t tally
	t.add(from, -1)
	t.add(to, 1)
	return t
}

// apply changes the counts and derives the status from them: anything pending
// or running means InProgress, else anything failed means Failed, else anything
// stopped means Stopped (Harbor: pkg/task/dao/execution.go). Beside tasks the status
// text says that the plan failed: then the tasks are not all that there is to do.
func (t tally) apply(ctx context.Context, tx *store.Tx, execution, now int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE executions SET total = total + $2, succeed = succeed + $3, failed = failed + $4,
		in_progress = in_progress + $5, stopped = stopped + $6 WHERE id = $1`,
		execution, t.total, t.succeed, t.failed, t.inProgress, t.stopped)
	if err != nil {
		return fmt.Errorf("count tasks of execution %d: %w", execution, err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE executions SET
		status = CASE WHEN NOT planned OR in_progress > 0 THEN 'InProgress' WHEN failed > 0 OR total > 0 AND status_text <> '' THEN 'Failed'
			WHEN stopped > 0 THEN 'Stopped' ELSE 'Succeed' END,
		end_time = CASE WHEN NOT planned OR in_progress > 0 THEN 0 ELSE CAST($2 AS BIGINT) END
		WHERE id = $1`, execution, now)
	if err != nil {
		return fmt.Errorf("derive status of execution %d: %w", execution, err)
	}
	return nil
}

// lockExecution keeps the tasks and counts of an execution as they are until tx
// ends, but for what tx does. SQLite has one writer at a time anyway.
func lockExecution(ctx context.Context, tx *store.Tx, id int64) error {
	if tx.Dialect() == store.SQLite {
		return nil
	}
	var locked int64
	err := tx.QueryRowContext(ctx, `SELECT id FROM executions WHERE id = $1 FOR UPDATE`, id).Scan(&locked)
	if store.IsNotFound(err) {
		return nil // it was deleted, and its tasks with it
	}
	return err
}

// lockTask returns a task as it is until tx ends.
func lockTask(ctx context.Context, tx *store.Tx, id int64) (Task, error) {
	task, err := getTask(ctx, tx, id)
	if err != nil || tx.Dialect() == store.SQLite {
		return task, err
	}
	if err := lockExecution(ctx, tx, task.ExecutionID); err != nil {
		return Task{}, err
	}
	return getTask(ctx, tx, id)
}
