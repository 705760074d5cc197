package replication

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

var executionColumns = store.Columns{
	"id":         {SQL: "id", Kind: store.Integer},
	"policy_id":  {SQL: "policy_id", Kind: store.Integer},
	"vendor_id":  {SQL: "policy_id", Kind: store.Integer},
	"status":     {SQL: "status", Kind: store.Text},
	"trigger":    {SQL: "trigger_type", Kind: store.Text},
	"start_time": {SQL: "start_time", Kind: store.Instant},
	"end_time":   {SQL: "end_time", Kind: store.Instant},
}

const selectExecution = `SELECT id, policy_id, trigger_type, status, status_text, note, hold, waits, planned, total, succeed, failed, in_progress, stopped,
	(SELECT coalesce(sum(bytes_total), 0) FROM tasks WHERE execution_id = executions.id),
	(SELECT coalesce(sum(bytes_sent), 0) FROM tasks WHERE execution_id = executions.id),
	start_time, end_time, src_registry_id, dest_registry_id, plan_id FROM executions`

// ExecutionFilter narrows a list of executions; zero fields do not.
type ExecutionFilter struct {
	PolicyID int64
	Status   Status
	Trigger  Trigger
}

// ListExecutions returns executions, newest first, and how many there are in all.
func (s *Service) ListExecutions(ctx context.Context, f ExecutionFilter, q store.ListQuery) ([]Execution, int64, error) {
	where, args := q.Where(executionColumns, "($1 = 0 OR policy_id = $1) AND ($2 = '' OR status = $2) AND ($3 = '' OR trigger_type = $3)",
		[]any{f.PolicyID, string(f.Status), string(f.Trigger)})
	var total int64
	if err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM executions`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count executions: %w", err)
	}
	rows, err := s.o.DB.QueryContext(ctx, selectExecution+where+q.OrderLimit(executionColumns, "start_time DESC, id DESC"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list executions: %w", err)
	}
	list, err := collect(rows, scanExecution)
	return list, total, err
}

// GetExecution returns an execution.
func (s *Service) GetExecution(ctx context.Context, id int64) (Execution, error) {
	return getExecution(ctx, s.o.DB, id)
}

func getExecution(ctx context.Context, q store.Querier, id int64) (Execution, error) {
	e, err := scanExecution(q.QueryRowContext(ctx, selectExecution+` WHERE id = $1`, id))
	if store.IsNotFound(err) {
		return Execution{}, problem.New(problem.NotFound, "replication execution %d not found", id)
	}
	return e, err
}

func scanExecution(row scanner) (Execution, error) {
	var e Execution
	var start, end int64
	var note string
	err := row.Scan(&e.ID, &e.PolicyID, &e.Trigger, &e.Status, &e.StatusText, &note, &e.Hold, &e.waits, &e.Planned, &e.Total, &e.Succeed, &e.Failed,
		&e.InProgress, &e.Stopped, &e.BytesTotal, &e.BytesSent, &start, &end, &e.source, &e.destination, &e.PlanID)
	e.StartTime, e.EndTime = store.Time(start), store.Time(end)
	said := []string{e.StatusText, note}
	if e.waits && e.Status == InProgress {
		said = append(said, waitsForOthers)
	}
	if e.Held() {
		said = append(said, "waits to be released: "+e.Hold)
	}
	e.StatusText = strings.Join(slices.DeleteFunc(said, func(text string) bool { return text == "" }), "; ")
	return e, err
}

const waitsForOthers = "waits until the executions before it have ended: the rule runs one at a time"

// Start runs a rule: the execution exists when Start returns, its tasks follow. Of a
// rule that runs one execution at a time it may be one that waits already.
func (s *Service) Start(ctx context.Context, policyID int64, trigger Trigger) (id int64, err error) {
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		p, err := lockPolicy(ctx, tx, policyID)
		if err != nil {
			return err
		}
		if !p.Enabled {
			return problem.New(problem.Precondition, "the policy %d is disabled", policyID)
		}
		id, err = s.startIn(ctx, tx, p, trigger, "")
		return err
	})
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.Precondition) {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("start replication policy %d: %w", policyID, err)
	}
	return id, nil
}

func (s *Service) insertExecution(ctx context.Context, tx *store.Tx, p Policy, trigger Trigger, planned bool) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO executions (policy_id, trigger_type, status, planned, src_registry_id, dest_registry_id, start_time)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		p.ID, string(trigger), string(InProgress), planned, p.Source.ID, p.Destination.ID, store.Millis(s.now())).Scan(&id)
	return id, err
}

// checkRegistries returns an error when the rule goes between other registries by now
// than the execution was started for: what was meant for one registry must not happen
// to another one, let alone the other way round. The work of events always follows
// the rule, since it is about what home has.
func (e Execution) checkRegistries(p Policy) error {
	known := e.source != HomeID || e.destination != HomeID
	if e.Trigger == EventBased || !known || e.source == p.Source.ID && p.goesTo(e.destination) {
		return nil
	}
	return problem.New(problem.Precondition, "the rule goes between other registries now than when this execution was started; start it anew")
}

// Stop ends an execution at once: what runs is cancelled, what waits does not
// start, and no later attempt follows. One that waits to be released is discarded: what it
// lists stays. Stopping a finished execution is no error.
func (s *Service) Stop(ctx context.Context, id int64) error {
	if _, err := s.GetExecution(ctx, id); err != nil {
		return err
	}
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if err := lockExecution(ctx, tx, id); err != nil {
			return err
		}
		e, err := getExecution(ctx, tx, id)
		if err != nil {
			return err
		}
		if e.Held() {
			if err := s.discard(ctx, tx, e); err != nil {
				return err
			}
		}
		return s.stopIn(ctx, tx, id, stoppedUnplanned)
	})
	if err != nil {
		return fmt.Errorf("stop execution %d: %w", id, err)
	}
	return nil
}

// stopIn is Stop in a transaction. unplanned is what to say of an execution that was not
// planned as a whole.
func (s *Service) stopIn(ctx context.Context, tx *store.Tx, id int64, unplanned string) error {
	if err := lockExecution(ctx, tx, id); err != nil {
		return err
	}
	if err := s.cancelJobs(ctx, tx, `SELECT job_id FROM tasks WHERE execution_id = $1 AND job_id <> 0`, id); err != nil {
		return err
	}
	if err := s.cancelJobs(ctx, tx, `SELECT id FROM jobs WHERE kind = $1 AND key = $2`, planJob, fmt.Sprint(id)); err != nil {
		return err
	}
	now := store.Millis(s.now())
	rows, err := tx.QueryContext(ctx, `SELECT status FROM tasks WHERE execution_id = $1
		AND (status IN ('Pending', 'InProgress') OR status = 'Failed' AND job_id <> 0)`, id)
	if err != nil {
		return err
	}
	statuses, err := collect(rows, func(row scanner) (status Status, err error) { return status, row.Scan(&status) })
	if err != nil {
		return err
	}
	var t tally
	for _, status := range statuses {
		t.add(status, -1)
		t.add(Stopped, 1)
	}
	_, err = tx.ExecContext(ctx, `UPDATE tasks SET status = 'Stopped', job_id = 0, next_attempt_time = 0, end_time = $2
		WHERE execution_id = $1 AND (status IN ('Pending', 'InProgress') OR status = 'Failed' AND job_id <> 0)`, id, now)
	if err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `UPDATE executions SET planned = TRUE, status_text = $2 WHERE id = $1 AND NOT planned`, id, unplanned)
	if err != nil {
		return err
	}
	cut, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if len(statuses) == 0 && cut == 0 {
		return nil // it was finished
	}
	if err := t.apply(ctx, tx, id, now); err != nil {
		return err
	}
	if cut > 0 {
		// Tasks that were never made are not counted, so the counts alone would say something else.
		_, err = tx.ExecContext(ctx, `UPDATE executions SET status = 'Stopped' WHERE id = $1 AND failed = 0`, id)
	}
	return err
}

const stoppedUnplanned = "stopped before all of it was planned"

// cancelJobs has the queue drop the jobs that a query names.
func (s *Service) cancelJobs(ctx context.Context, tx *store.Tx, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	ids, err := collect(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := s.o.Queue.StopIn(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}
