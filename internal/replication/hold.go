package replication

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

// An execution that is held waits for somebody: its tasks are there to be looked at, and
// have no jobs. It is released, and does what it lists, or it is stopped, which discards
// it. A list that may have been looked at never grows: another one takes its place.

// Held reports whether an execution waits to be released.
func (e Execution) Held() bool { return e.Hold != "" && e.Status == InProgress }

// hold adds a held execution that deletes what is gone from the source, and says why it waits.
func (s *Service) hold(ctx context.Context, tx *store.Tx, p Policy, gone []DriftEntry, why string) (id int64, err error) {
	if id, err = s.insertExecution(ctx, tx, p, Manual, true); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE executions SET hold = $2 WHERE id = $1`, id, why); err != nil {
		return 0, err
	}
	tasks := mendingTasks(p, gone)
	for _, t := range tasks {
		t.ExecutionID, t.StartTime = id, s.now()
		for i := range t.Items {
			t.Items[i].Only = true // and not what comes to stand there while nobody releases it
		}
		if _, err := insertTask(ctx, tx, t); err != nil {
			return 0, err
		}
	}
	n := int64(len(tasks))
	if err := (tally{total: n, inProgress: n}).apply(ctx, tx, id, store.Millis(s.now())); err != nil {
		return 0, err
	}
	if s.o.Announcer == nil {
		return id, nil
	}
	e, err := getExecution(ctx, tx, id)
	if err != nil {
		return 0, err
	}
	return id, s.o.Announcer.AnnounceHold(ctx, tx, e, p)
}

// heldExecution returns the execution of a rule that waits to be released, 0 if there is
// none, and what it deletes.
func heldExecution(ctx context.Context, q store.Querier, policy int64) (id int64, deletions map[deletion]bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM executions WHERE policy_id = $1 AND hold <> '' AND status = 'InProgress'`, policy).Scan(&id)
	if err != nil || id == 0 {
		return 0, nil, err
	}
	tasks, err := tasksOf(ctx, q, id)
	if err != nil {
		return 0, nil, err
	}
	deletions = map[deletion]bool{}
	for _, t := range tasks {
		for _, item := range t.Items {
			deletions[deletion{t.DestinationID, t.DestinationRepository, item.Reference, item.Digest}] = true
		}
	}
	return id, deletions, nil
}

// deletion is something that may be deleted at a destination.
type deletion struct {
	registry                      int64
	repository, reference, digest string
}

func deletionOf(e DriftEntry) deletion {
	return deletion{e.DestinationID, e.DestinationRepository, e.Reference, e.DestinationDigest}
}

func tasksOf(ctx context.Context, q store.Querier, execution int64) ([]Task, error) {
	rows, err := q.QueryContext(ctx, selectTask+` WHERE execution_id = $1 ORDER BY id`, execution)
	if err != nil {
		return nil, fmt.Errorf("list tasks of execution %d: %w", execution, err)
	}
	return collect(rows, scanTask)
}

// Release has a held execution do what it lists, and returns the number of its tasks.
// Each of them looks at the source first, and at what is at the destination.
func (s *Service) Release(ctx context.Context, id int64) (tasks int64, err error) {
	e, err := s.GetExecution(ctx, id)
	if err != nil {
		return 0, err
	}
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		p, err := lockPolicy(ctx, tx, e.PolicyID)
		if err != nil {
			return err
		}
		if err := lockExecution(ctx, tx, id); err != nil {
			return err
		}
		now, err := getExecution(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case !now.Held():
			return problem.New(problem.Precondition, "execution %d does not wait to be released", id)
		case !p.Enabled:
			return problem.New(problem.Precondition, "the policy %d is disabled", p.ID)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE executions SET hold = '' WHERE id = $1`, id); err != nil {
			return err
		}
		if err := addNote(ctx, tx, id, "released: "+now.Hold); err != nil {
			return err
		}
		list, err := tasksOf(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, t := range list {
			if err := s.enqueue(ctx, tx, t.ID, queue.NewJob{Kind: bulkJob, RunAt: s.now()}); err != nil {
				return err
			}
		}
		tasks = int64(len(list))
		return nil
	})
	if err != nil && problem.KindOf(err) == problem.Unknown {
		err = fmt.Errorf("release execution %d: %w", id, err)
	}
	return tasks, err
}

// discard remembers that what a held execution lists is to stay at its destinations,
// until the rule puts something there again.
func (s *Service) discard(ctx context.Context, tx *store.Tx, e Execution) error {
	tasks, err := tasksOf(ctx, tx, e.ID)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		for _, item := range t.Items {
			_, err := tx.ExecContext(ctx, `UPDATE placements SET kept = TRUE WHERE registry_id = $1 AND repository = $2 AND reference = $3 AND digest = $4`,
				t.DestinationID, t.DestinationRepository, item.Reference, item.Digest)
			if err != nil {
				return fmt.Errorf("keep %s of %s: %w", item.Reference, t.DestinationRepository, err)
			}
			_, err = tx.ExecContext(ctx, `UPDATE drift SET is_drift = FALSE, reason = $5 WHERE policy_id = $1 AND registry_id = $2
				AND src_repository = $3 AND reference = $4 AND state = 'extra'`, e.PolicyID, t.DestinationID, t.SourceRepository, item.Reference, keptReason)
			if err != nil {
				return fmt.Errorf("keep %s of %s: %w", item.Reference, t.DestinationRepository, err)
			}
		}
	}
	return addNote(ctx, tx, e.ID, "discarded: what it lists stays at the destination")
}

// wantAgain forgets that something was to stay in a repository at a destination that the
// source has again by now: what becomes of it then is another question.
func wantAgain(ctx context.Context, tx *store.Tx, policy, registry int64, source, repository string) error {
	_, err := tx.ExecContext(ctx, `UPDATE placements SET kept = FALSE WHERE kept AND registry_id = $1 AND repository = $2 AND policy_id = $3
		AND EXISTS (SELECT 1 FROM drift d WHERE d.policy_id = $3 AND d.registry_id = $1 AND d.src_repository = $4
			AND d.reference = placements.reference AND d.state IN ('in_sync', 'different', 'missing'))`, registry, repository, policy, source)
	if err != nil {
		return fmt.Errorf("look what is to stay in %s: %w", repository, err)
	}
	return nil
}

// withdraw ends the executions of a rule that wait to be released: their time is over.
// It reports whether there were any.
func (s *Service) withdraw(ctx context.Context, tx *store.Tx, policy int64, why string) (some bool, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id FROM executions WHERE policy_id = $1 AND hold <> '' AND status = 'InProgress' ORDER BY id`, policy)
	if err != nil {
		return false, fmt.Errorf("look for executions that wait to be released: %w", err)
	}
	ids, err := collect(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		if err := addNote(ctx, tx, id, "withdrawn: "+why); err != nil {
			return false, err
		}
		if err := s.stopIn(ctx, tx, id, ""); err != nil {
			return false, err
		}
	}
	return len(ids) > 0, nil
}

// askAgain withdraws what waits to be released for a rule that was changed, and finds out
// what is to be deleted now.
func (s *Service) askAgain(ctx context.Context, tx *store.Tx, p Policy) error {
	some, err := s.withdraw(ctx, tx, p.ID, "the rule was changed")
	if err != nil || !some || !p.followsEvents() {
		return err
	}
	_, err = s.askForCheck(ctx, tx, p.ID, checkWish{Reconcile: true})
	return err
}

// mayBeRetried says why an execution is not to be tried again: nobody has ever released it.
func (e Execution) mayBeRetried() error {
	if e.Hold == "" {
		return nil
	}
	return problem.New(problem.Precondition, "execution %d was never released: nothing of it is tried again", e.ID)
}
