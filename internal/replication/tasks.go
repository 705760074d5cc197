package replication

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

var taskColumns = store.Columns{
	"id":            {SQL: "id", Kind: store.Integer},
	"status":        {SQL: "status", Kind: store.Text},
	"operation":     {SQL: "operation", Kind: store.Text},
	"resource_type": {SQL: "resource_type", Kind: store.Text},
	"start_time":    {SQL: "start_time", Kind: store.Instant},
	"end_time":      {SQL: "end_time", Kind: store.Instant},
}

const selectTask = `SELECT id, execution_id, job_id, status, operation, resource_type, src_repository, dest_repository, dest_registry_id, items,
	bytes_total, bytes_sent, attempts, reason, next_attempt_time, start_time, end_time FROM tasks`

// TaskFilter narrows a list of tasks; zero fields do not.
type TaskFilter struct {
	Status       Status
	ResourceType string
}

// ListTasks returns the tasks of an execution, newest first, and how many there are in all.
func (s *Service) ListTasks(ctx context.Context, execution int64, f TaskFilter, q store.ListQuery) ([]Task, int64, error) {
	if _, err := s.GetExecution(ctx, execution); err != nil {
		return nil, 0, err
	}
	where, args := q.Where(taskColumns, "execution_id = $1 AND ($2 = '' OR status = $2) AND ($3 = '' OR resource_type = $3)",
		[]any{execution, string(f.Status), f.ResourceType})
	var total int64
	if err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM tasks`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count tasks of execution %d: %w", execution, err)
	}
	rows, err := s.o.DB.QueryContext(ctx, selectTask+where+q.OrderLimit(taskColumns, "start_time DESC, id DESC"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list tasks of execution %d: %w", execution, err)
	}
	list, err := collect(rows, scanTask)
	return list, total, err
}

// GetTask returns a task of an execution.
func (s *Service) GetTask(ctx context.Context, execution, id int64) (Task, error) {
	if _, err := s.GetExecution(ctx, execution); err != nil {
		return Task{}, err
	}
	t, err := getTask(ctx, s.o.DB, id)
	if err != nil {
		return Task{}, err
	}
	if t.ExecutionID != execution {
		return Task{}, problem.New(problem.NotFound, "execution %d contains no task with ID %d", execution, id)
	}
	return t, nil
}

func getTask(ctx context.Context, q store.Querier, id int64) (Task, error) {
	t, err := scanTask(q.QueryRowContext(ctx, selectTask+` WHERE id = $1`, id))
	if store.IsNotFound(err) {
		return Task{}, problem.New(problem.NotFound, "replication task %d not found", id)
	}
	return t, err
}

func scanTask(row scanner) (Task, error) {
	var t Task
	var items string
	var next, start, end int64
	err := row.Scan(&t.ID, &t.ExecutionID, &t.JobID, &t.Status, &t.Operation, &t.ResourceType, &t.SourceRepository,
		&t.DestinationRepository, &t.DestinationID, &items, &t.BytesTotal, &t.BytesSent, &t.Attempts, &t.Reason, &next, &start, &end)
	if err != nil {
		return Task{}, err
	}
	t.NextAttemptTime, t.StartTime, t.EndTime = store.Time(next), store.Time(start), store.Time(end)
	return t, store.FromJSON(items, &t.Items)
}

// insertTask adds a task in the state it has, without counting it.
func insertTask(ctx context.Context, tx *store.Tx, t Task) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO tasks (execution_id, status, operation, resource_type, src_repository, dest_repository,
		dest_registry_id, items, reason, start_time, end_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		t.ExecutionID, string(t.Status), string(t.Operation), t.ResourceType, t.SourceRepository, t.DestinationRepository, t.DestinationID,
		store.JSON(t.Items), t.Reason, store.Millis(t.StartTime), store.Millis(t.EndTime)).Scan(&id)
	return id, err
}

// enqueue puts a task's work into the queue and notes its job. It returns
// errOvertaken when a job of another task waits under the key.
func (s *Service) enqueue(ctx context.Context, tx *store.Tx, task int64, job queue.NewJob) error {
	job.Payload = fmt.Sprint(task)
	if job.Key == "" {
		job.Key = fmt.Sprintf("task %d", task)
	}
	id, merged, err := s.o.Queue.Insert(ctx, tx, job)
	if err == nil && merged {
		err = errOvertaken
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE tasks SET job_id = $2 WHERE id = $1`, task, id)
	return err
}

// RetryTask has a failed or stopped task of an execution tried again now.
func (s *Service) RetryTask(ctx context.Context, execution, id int64) error {
	e, err := s.GetExecution(ctx, execution)
	if err != nil {
		return err
	}
	if _, err := s.GetTask(ctx, execution, id); err != nil {
		return err
	}
	if err := e.mayBeRetried(); err != nil {
		return err
	}
	return s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if err := s.mayRunAgain(ctx, tx, e); err != nil {
			return err
		}
		t, err := lockTask(ctx, tx, id)
		if err != nil {
			return err
		}
		if t.Status != Failed && t.Status != Stopped {
			return problem.New(problem.Precondition, "task %d is %s: only a failed or stopped task can be retried", id, t.Status)
		}
		return s.retryIn(ctx, tx, e, t)
	})
}

// RetryExecution has all failed and stopped tasks of an execution tried again now
// and returns how many these are. What could not be planned is planned again.
func (s *Service) RetryExecution(ctx context.Context, execution int64) (int64, error) {
	e, err := s.GetExecution(ctx, execution)
	if err != nil {
		return 0, err
	}
	if err := e.mayBeRetried(); err != nil {
		return 0, err
	}
	var unfinished []Task
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if err := s.mayRunAgain(ctx, tx, e); err != nil {
			return err
		}
		if err := lockExecution(ctx, tx, execution); err != nil {
			return err
		}
		if err := s.planAgain(ctx, tx, execution); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, selectTask+` WHERE execution_id = $1 AND status IN ('Failed', 'Stopped') ORDER BY id`, execution)
		if err != nil {
			return err
		}
		if unfinished, err = collect(rows, scanTask); err != nil {
			return err
		}
		for _, t := range unfinished {
			if err := s.retryIn(ctx, tx, e, t); err != nil {
				return fmt.Errorf("retry task %d: %w", t.ID, err)
			}
		}
		return nil
	})
	return int64(len(unfinished)), err
}

// planAgain has an execution planned once more whose plan has failed or was stopped.
func (s *Service) planAgain(ctx context.Context, tx *store.Tx, execution int64) error {
	result, err := tx.ExecContext(ctx, `UPDATE executions SET planned = FALSE, status = 'InProgress', status_text = '', end_time = 0, told_status = 'retried'
		WHERE id = $1 AND planned AND status <> 'Succeed' AND status_text <> ''`, execution)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, _, err = s.o.Queue.Insert(ctx, tx, queue.NewJob{Kind: planJob, Key: fmt.Sprint(execution), Payload: fmt.Sprint(execution)})
	return err
}

// retryIn makes a failed or stopped task wait for an attempt that is due now.
func (s *Service) retryIn(ctx context.Context, tx *store.Tx, e Execution, t Task) error {
	now := s.now()
	_, err := tx.ExecContext(ctx, `UPDATE tasks SET status = 'Pending', next_attempt_time = 0, end_time = 0, reason = '' WHERE id = $1`, t.ID)
	if err != nil {
		return err
	}
	if err := moved(t.Status, Pending).apply(ctx, tx, t.ExecutionID, store.Millis(now)); err != nil {
		return err
	}
	// Whatever comes of it is news to who asked for it.
	if _, err := tx.ExecContext(ctx, `UPDATE executions SET told_status = 'retried' WHERE id = $1`, t.ExecutionID); err != nil {
		return err
	}
	if t.JobID != 0 {
		if waits, err := s.o.Queue.Hasten(ctx, tx, t.JobID); err != nil || waits {
			return err
		}
		var runs bool // and is about to begin the attempt
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND NOT stop)`, t.JobID).Scan(&runs)
		if err != nil || runs {
			return err
		}
	}
	return s.enqueue(ctx, tx, t.ID, queue.NewJob{Kind: e.Trigger.jobKind(), RunAt: now})
}

// TaskLog returns the log of a task, oldest line first.
func (s *Service) TaskLog(ctx context.Context, execution, id int64) ([]LogLine, error) {
	return s.TaskLogAfter(ctx, execution, id, 0)
}

// TaskLogAfter returns what a task has logged after a line; 0 stands before the first.
func (s *Service) TaskLogAfter(ctx context.Context, execution, id, line int64) ([]LogLine, error) {
	if _, err := s.GetTask(ctx, execution, id); err != nil {
		return nil, err
	}
	rows, err := s.o.DB.QueryContext(ctx, `SELECT id, time, level, text FROM task_logs WHERE task_id = $1 AND id > $2 ORDER BY id`, id, line)
	if err != nil {
		return nil, fmt.Errorf("read log of task %d: %w", id, err)
	}
	return collect(rows, func(row scanner) (LogLine, error) {
		var l LogLine
		var at int64
		err := row.Scan(&l.ID, &at, &l.Level, &l.Text)
		l.Time = store.Time(at)
		return l, err
	})
}
