package queue

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/store"
)

// The statements that make a job wait. There is one waiting row for a kind and
// key: whatever would make a second one changes the first.

// waitingJob is what shall wait.
type waitingJob struct {
	kind, key  string
	payload    string
	priority   int64
	runAt      int64
	atOnce     bool // due whatever the clocks say
	attempt    int64
	checkpoint string
}

// mergeNewer merges j into the job that waits, as the newer of the two, and
// returns its id; store.IsNotFound when none waits.
func (q *Queue) mergeNewer(ctx context.Context, tx *store.Tx, j waitingJob) (int64, error) {
	return q.merge(ctx, tx, j, func(f func(older, newer string) string, waiting string) string { return f(waiting, j.payload) })
}

// mergeOlder does the same for a j that is older than the job that waits.
func (q *Queue) mergeOlder(ctx context.Context, tx *store.Tx, j waitingJob) (int64, error) {
	return q.merge(ctx, tx, j, func(f func(older, newer string) string, waiting string) string { return f(j.payload, waiting) })
}

func (q *Queue) merge(ctx context.Context, tx *store.Tx, j waitingJob,
	payloads func(f func(older, newer string) string, waiting string) string) (int64, error) {
	var id int64
	var payload string
	// A time not later than the creation means "at once" (see due).
	err := tx.QueryRowContext(ctx, `
		UPDATE jobs SET
			run_at     = CASE WHEN $3 AND run_at > creation_time THEN creation_time WHEN run_at > $4 THEN $4 ELSE run_at END,
			priority   = CASE WHEN priority < $5 THEN $5 ELSE priority END,
			attempt    = CASE WHEN attempt < $6 THEN $6 ELSE attempt END,
			checkpoint = CASE WHEN checkpoint = '' THEN $7 ELSE checkpoint END
		WHERE kind = $1 AND key = $2 AND state = 'waiting'
		RETURNING id, payload`, j.kind, j.key, j.atOnce, j.runAt, j.priority, j.attempt, j.checkpoint).Scan(&id, &payload)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	f := q.merges[j.kind]
	q.mu.Unlock()
	if f == nil {
		f = func(_, newer string) string { return newer }
	}
	if merged := payloads(f, payload); merged != payload {
		if _, err := tx.ExecContext(ctx, `UPDATE jobs SET payload = $2 WHERE id = $1`, id, merged); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// lease identifies a running job as one process sees it.
type lease struct {
	id, attempt int64
	owner       string
}

// putBack is how a running job goes back to waiting.
type putBack struct {
	at        int64 // run time; 0 keeps the one it has
	uncounted bool  // the attempt does not count
}

// release makes the running job wait. It returns ErrLost when the lease does not
// hold any more, ErrStopped when the job was stopped and must be deleted instead,
// and the id of the job that it was merged into, if any.
func (q *Queue) release(ctx context.Context, tx *store.Tx, l lease, p putBack) (mergedInto int64, err error) {
	j := waitingJob{attempt: l.attempt}
	var created int64
	var stopped bool
	// An update without effect, because it takes the row's lock on both databases.
	err = tx.QueryRowContext(ctx, `
		UPDATE jobs SET stop = stop WHERE id = $1 AND owner = $2 AND attempt = $3 AND state = 'running'
		RETURNING kind, key, payload, priority, run_at, creation_time, checkpoint, stop`, l.id, l.owner, l.attempt).
		Scan(&j.kind, &j.key, &j.payload, &j.priority, &j.runAt, &created, &j.checkpoint, &stopped)
	switch {
	case store.IsNotFound(err):
		return 0, ErrLost
	case err != nil:
		return 0, err
	case stopped:
		return 0, ErrStopped
	}
	if p.at != 0 {
		j.runAt = p.at
	}
	if p.uncounted {
		j.attempt--
	}
	j.atOnce = j.runAt <= created
	for {
		mergedInto, err = q.mergeOlder(ctx, tx, j)
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM jobs WHERE id = $1`, l.id)
			return mergedInto, err
		}
		if !store.IsNotFound(err) {
			return 0, err
		}
		// On PostgreSQL another transaction may have inserted a waiting job since.
		err = inSavepoint(ctx, tx, func() error {
			_, err := tx.ExecContext(ctx, `
				UPDATE jobs SET state = 'waiting', owner = '', lease_until = 0, run_at = $2, attempt = $3 WHERE id = $1`, l.id, j.runAt, j.attempt)
			return err
		})
		if !store.IsConflict(err) {
			return 0, err
		}
	}
}

// inSavepoint keeps the transaction usable when f fails.
func inSavepoint(ctx context.Context, tx *store.Tx, f func() error) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT queue`); err != nil {
		return err
	}
	if err := f(); err != nil {
		if _, undo := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT queue`); undo != nil {
			return fmt.Errorf("%w (and roll back: %w)", err, undo)
		}
		return err
	}
	_, err := tx.ExecContext(ctx, `RELEASE SAVEPOINT queue`)
	return err
}

// remove deletes the running job; ErrLost when the lease does not hold any more.
func remove(ctx context.Context, tx *store.Tx, l lease) error {
	result, err := tx.ExecContext(ctx,
		`DELETE FROM jobs WHERE id = $1 AND owner = $2 AND attempt = $3 AND state = 'running'`, l.id, l.owner, l.attempt)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return ErrLost
	}
	return err
}
