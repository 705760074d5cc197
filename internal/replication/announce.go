package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Announcer is told of ends of executions in the transaction that notes that it was,
// so that it learns of each of them once. It must do nothing but statements in tx.
type Announcer interface {
	Announce(ctx context.Context, tx *store.Tx, e Ended) error
	// AnnounceHold is told of an execution that waits for somebody to release it, in the
	// transaction that makes it.
	AnnounceHold(ctx context.Context, tx *store.Tx, e Execution, p Policy) error
}

// Ended is an execution that came to an end.
type Ended struct {
	Execution Execution
	Policy    Policy
	// Artifacts are what it did, in the order of its tasks; of many the first ones.
	Artifacts []EndedArtifact
	// Changes are the destinations at which the rule fails since now, or works again.
	Changes []StateChange
}

// EndedArtifact is one item of a task.
type EndedArtifact struct {
	Repository   string // at the destination
	Reference    string
	ResourceType string
	Destination  int64 // registry
	Outcome      Outcome
	Reason       string
}

// StateChange says that a rule began to fail at a destination, or that it works there again.
//
// A rule fails at a destination while work for it has failed there and waits to be
// tried again, or when the last execution that had to do with it failed. It works
// again when nothing of that is left. Stopped executions change nothing.
type StateChange struct {
	Destination Endpoint
	Failing     bool
	Reason      string    // why it fails
	Since       time.Time // now
	Before      time.Time // since when it was as it was before; zero: since ever
}

const (
	announceInterval = time.Second
	announcedAtOnce  = 100
	// artifactsTold bounds what an announcement says of single artifacts: who wants all
	// asks for the execution's tasks.
	artifactsTold = 100
)

// announceEnds tells the Announcer and the Meter what has ended until ctx ends.
func (s *Service) announceEnds(ctx context.Context) {
	trouble := ""
	every(ctx, announceInterval, func(ctx context.Context) {
		text := ""
		if err := s.announce(ctx); err != nil && ctx.Err() == nil {
			text = err.Error()
		}
		if text != "" && text != trouble { // the same trouble is told once, not every second
			s.log.Error("ends of executions are not announced", "error", text)
		}
		trouble = text
	})
}

// announce announces all that has ended and was not announced. What several servers
// see is announced by the first one.
func (s *Service) announce(ctx context.Context) error {
	for {
		rows, err := s.o.DB.QueryContext(ctx, `SELECT id, policy_id FROM executions WHERE status <> told_status
			AND status IN ('Succeed', 'Failed', 'Stopped') ORDER BY id LIMIT $1`, announcedAtOnce)
		if err != nil {
			return fmt.Errorf("look for executions that ended: %w", err)
		}
		type found struct{ id, policy int64 }
		ended, err := collect(rows, func(row scanner) (f found, err error) { return f, row.Scan(&f.id, &f.policy) })
		if err != nil {
			return err
		}
		for _, f := range ended {
			p, err := s.GetPolicy(ctx, f.policy)
			if problem.Is(err, problem.NotFound) {
				continue // deleted, and its executions with it
			}
			if err != nil {
				return err
			}
			err = s.o.DB.InTx(ctx, func(tx *store.Tx) error { return s.announceOne(ctx, tx, f.id, p) })
			if err != nil {
				return fmt.Errorf("announce the end of execution %d: %w", f.id, err)
			}
		}
		if len(ended) < announcedAtOnce {
			return nil
		}
	}
}

func (s *Service) announceOne(ctx context.Context, tx *store.Tx, id int64, p Policy) error {
	if err := lockExecution(ctx, tx, id); err != nil {
		return err
	}
	e, err := getExecution(ctx, tx, id)
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	if err != nil || !e.Status.Final() {
		return err
	}
	var told string
	if err := tx.QueryRowContext(ctx, `SELECT told_status FROM executions WHERE id = $1`, id).Scan(&told); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `UPDATE executions SET told_status = status WHERE id = $1 AND told_status <> status`, id)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	ended := Ended{Execution: e, Policy: p}
	for _, d := range p.Destinations() {
		change, changed, err := s.updateState(ctx, tx, e, p, d)
		if err != nil {
			return fmt.Errorf("state of %s at %s: %w", p.Name, d.Label(), err)
		}
		if changed {
			ended.Changes = append(ended.Changes, change)
		}
	}
	tx.OnCommit(func() {
		s.o.Meter.ExecutionEnded(p.Name, e.Trigger, e.Status)
		if told == "" { // a trace has one execution, though what failed may be tried again
			s.traceEnd(p, e)
		}
	})
	if s.o.Announcer == nil {
		return nil
	}
	if ended.Artifacts, err = artifactsOf(ctx, tx, id); err != nil {
		return err
	}
	return s.o.Announcer.Announce(ctx, tx, ended)
}

// artifactsOf reads what became of the first items of an execution.
func artifactsOf(ctx context.Context, tx *store.Tx, execution int64) ([]EndedArtifact, error) {
	rows, err := tx.QueryContext(ctx, selectTask+` WHERE execution_id = $1 ORDER BY id LIMIT $2`, execution, artifactsTold)
	if err != nil {
		return nil, err
	}
	tasks, err := collect(rows, scanTask)
	if err != nil {
		return nil, err
	}
	var all []EndedArtifact
	for _, t := range tasks {
		for _, item := range t.Items {
			if len(all) == artifactsTold {
				return all, nil
			}
			a := EndedArtifact{
				Repository: t.DestinationRepository, Reference: item.Reference, ResourceType: t.ResourceType,
				Destination: t.DestinationID, Outcome: item.Outcome, Reason: item.Reason,
			}
			if a.Outcome == "" && t.Status == Failed { // the task failed before it came to its items
				a.Outcome, a.Reason = Lost, t.Reason
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// updateState finds out whether the rule fails at a destination, and stores it.
func (s *Service) updateState(ctx context.Context, tx *store.Tx, e Execution, p Policy, d Endpoint) (StateChange, bool, error) {
	now := s.now()
	_, err := tx.ExecContext(ctx, `INSERT INTO replication_states (policy_id, registry_id) VALUES ($1, $2) ON CONFLICT (policy_id, registry_id) DO NOTHING`, p.ID, d.ID)
	if err != nil {
		return StateChange{}, false, err
	}
	var failing bool
	var since int64
	// An update without effect, because it takes the row's lock on both databases.
	err = tx.QueryRowContext(ctx, `UPDATE replication_states SET failing = failing WHERE policy_id = $1 AND registry_id = $2 RETURNING failing, since`,
		p.ID, d.ID).Scan(&failing, &since)
	if err != nil {
		return StateChange{}, false, err
	}
	fails, reason, known, err := failsNow(ctx, tx, p.ID, d.ID)
	if err != nil {
		return StateChange{}, false, err
	}
	if known && !fails && e.Status == Succeed {
		_, err = tx.ExecContext(ctx, `UPDATE replication_states SET success_time = $3 WHERE policy_id = $1 AND registry_id = $2 AND success_time < $3`,
			p.ID, d.ID, store.Millis(e.EndTime))
		if err != nil {
			return StateChange{}, false, err
		}
	}
	if !known || fails == failing {
		return StateChange{}, false, nil
	}
	_, err = tx.ExecContext(ctx, `UPDATE replication_states SET failing = $3, reason = $4, since = $5 WHERE policy_id = $1 AND registry_id = $2`,
		p.ID, d.ID, fails, reason, store.Millis(now))
	return StateChange{Destination: d, Failing: fails, Reason: reason, Since: now, Before: store.Time(since)}, true, err
}

// failsNow reports whether a rule fails at a registry, and why. It is not known while
// what has failed is being tried again, or when nothing has ended there yet.
func failsNow(ctx context.Context, tx *store.Tx, policy, registry int64) (fails bool, reason string, known bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT t.reason FROM tasks t JOIN executions e ON e.id = t.execution_id
		WHERE t.job_id <> 0 AND t.status = 'Failed' AND e.policy_id = $1 AND t.dest_registry_id = $2 ORDER BY t.id LIMIT 1`, policy, registry).Scan(&reason)
	if err == nil || !store.IsNotFound(err) {
		return true, reason, err == nil, err
	}
	var tried bool
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM tasks t JOIN executions e ON e.id = t.execution_id
		WHERE t.job_id <> 0 AND t.attempts > 1 AND e.policy_id = $1 AND t.dest_registry_id = $2)`, policy, registry).Scan(&tried)
	if err != nil || tried {
		return false, "", false, err
	}
	var last int64
	var status Status
	err = tx.QueryRowContext(ctx, `SELECT id, status, status_text FROM executions e WHERE policy_id = $1 AND status IN ('Succeed', 'Failed')
		AND (total = 0 OR EXISTS (SELECT 1 FROM tasks t WHERE t.execution_id = e.id AND t.dest_registry_id = $2)) ORDER BY id DESC LIMIT 1`,
		policy, registry).Scan(&last, &status, &reason)
	if store.IsNotFound(err) {
		return false, "", false, nil
	}
	if err != nil || status == Succeed {
		return false, "", err == nil, err
	}
	var text string
	err = tx.QueryRowContext(ctx, `SELECT reason FROM tasks WHERE execution_id = $1 AND dest_registry_id = $2 AND status = 'Failed' ORDER BY id LIMIT 1`,
		last, registry).Scan(&text)
	switch {
	case err == nil:
		return true, text, true, nil
	case !store.IsNotFound(err):
		return false, "", false, err
	case reason != "":
		return true, reason, true, nil // it could not be planned
	}
	return false, "", true, nil // it failed at another destination
}
