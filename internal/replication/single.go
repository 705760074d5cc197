package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

// A rule that runs one execution at a time has at most one that waits. Whoever starts
// the rule while one runs is given the one that waits: it begins when the others have
// ended, and so does what all of them wanted.

// turnInterval is how often a waiting execution looks whether it may begin.
const turnInterval = time.Second

// startIn adds an execution of an enabled rule that is locked, or finds the one that
// waits and will do as well. note is what is to be said of it, "" for nothing.
func (s *Service) startIn(ctx context.Context, tx *store.Tx, p Policy, trigger Trigger, note string) (id int64, err error) {
	waits := false
	if p.SingleActive {
		rows, err := tx.QueryContext(ctx, `SELECT id, waits FROM executions WHERE policy_id = $1 AND status = 'InProgress'`, p.ID)
		if err != nil {
			return 0, err
		}
		active, err := collect(rows, func(row scanner) (e Execution, err error) { return e, row.Scan(&e.ID, &e.waits) })
		if err != nil {
			return 0, err
		}
		for _, e := range active {
			if e.waits {
				return e.ID, addNote(ctx, tx, e.ID, note)
			}
		}
		waits = len(active) > 0
	}
	if id, err = s.insertExecution(ctx, tx, p, trigger, false); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE executions SET waits = $2, note = $3 WHERE id = $1`, id, waits, note); err != nil {
		return 0, err
	}
	_, _, err = s.o.Queue.Insert(ctx, tx, queue.NewJob{Kind: planJob, Key: fmt.Sprint(id), Payload: fmt.Sprint(id)})
	return id, err
}

// addNote says something more of an execution, once.
func addNote(ctx context.Context, tx *store.Tx, execution int64, note string) error {
	if note == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE executions SET note = CASE note WHEN '' THEN $2 ELSE note || '; ' || $2 END
		WHERE id = $1 AND note NOT LIKE '%' || $2`, execution, note)
	return err
}

// turn says whether an execution may begin to be planned.
type turn int

const (
	turnCome  turn = iota
	turnLater      // others of its rule have to end before
	turnOver       // it was stopped, or deleted with its rule
)

// takeTurn lets an execution begin if it need not wait any more.
func (s *Service) takeTurn(ctx context.Context, id int64) (turn, error) {
	e, err := s.GetExecution(ctx, id)
	switch {
	case problem.Is(err, problem.NotFound):
		return turnOver, nil
	case err != nil || !e.waits:
		return turnCome, err
	}
	// Look before locking: on SQLite a writer keeps all others waiting.
	if others, err := othersFirst(ctx, s.o.DB, e); err != nil || others {
		return turnLater, err
	}
	result := turnCome
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		result = turnCome
		p, err := lockPolicy(ctx, tx, e.PolicyID)
		if problem.Is(err, problem.NotFound) {
			result = turnOver
			return nil
		}
		if err != nil {
			return err
		}
		if others, err := othersFirst(ctx, tx, e); err != nil || others {
			result = turnLater
			return err
		}
		if !p.Enabled {
			result = turnOver
			return s.stopIn(ctx, tx, id, "the rule was disabled before it began")
		}
		_, err = tx.ExecContext(ctx, `UPDATE executions SET waits = FALSE, start_time = $2 WHERE id = $1 AND NOT planned`, id, store.Millis(s.now()))
		return err
	})
	return result, err
}

// othersFirst reports whether an execution has to wait for others of its rule.
func othersFirst(ctx context.Context, q store.Querier, e Execution) (wait bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM executions e JOIN replication_policies p ON p.id = e.policy_id
		WHERE e.policy_id = $1 AND e.id < $2 AND e.status = 'InProgress' AND p.single_active)`, e.PolicyID, e.ID).Scan(&wait)
	return wait, err
}

// mayRunAgain says why an execution cannot be made to run again just now: its rule runs
// one at a time. The rule stays locked.
func (s *Service) mayRunAgain(ctx context.Context, tx *store.Tx, e Execution) error {
	p, err := lockPolicy(ctx, tx, e.PolicyID)
	if err != nil || !p.SingleActive {
		return err
	}
	var other int64
	err = tx.QueryRowContext(ctx, `SELECT coalesce(min(id), 0) FROM executions WHERE policy_id = $1 AND id <> $2 AND status = 'InProgress'`,
		e.PolicyID, e.ID).Scan(&other)
	if err == nil && other != 0 {
		err = problem.New(problem.Precondition,
			"the rule runs one execution at a time, and execution %d is in progress: retry when it has ended", other)
	}
	return err
}
