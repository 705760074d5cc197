package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Job is a running job. Its methods may be called from several goroutines.
type Job struct {
	ID       int64
	Kind     string
	Key      string
	Payload  string
	Priority int64
	Attempt  int       // 1 for the first one; attempts that a shutdown cut short do not count
	Created  time.Time // when it was first inserted
	// Checkpoint is what the last SaveCheckpoint saved, in this attempt or an earlier one.
	Checkpoint string
	// MergedInto is set by Reschedule before it calls its function: the id of the
	// job with the same kind and key that waited already and goes on for this one,
	// 0 if there was none.
	MergedInto int64

	queue    *Queue
	lease    lease
	ctx      context.Context // the handler's
	cancel   context.CancelCauseFunc
	renewed  time.Time // start of the last renewal that succeeded; guarded by queue.mu
	settling bool      // its row is about to go; guarded by queue.mu

	mu      sync.Mutex // held while the job is being settled
	settled bool       // finished or rescheduled
}

// Finish ends the job: f and the deletion of the job are one transaction, so the
// job is gone exactly when the effects of f are there. f may be nil, and may
// insert a job with the same key. It returns ErrLost without calling f when the
// job is not this process's any more. A job that was stopped may still finish; f
// sees in its own tables whether it should.
func (j *Job) Finish(ctx context.Context, f func(tx *store.Tx) error) error {
	return j.settle(ctx, "finish", func(tx *store.Tx) error {
		if err := remove(ctx, tx, j.lease); err != nil {
			return err
		}
		if f == nil {
			return nil
		}
		return f(tx)
	})
}

// Reschedule has the job wait until at and then run again as the next attempt;
// f (may be nil) runs in the same transaction. It returns ErrLost or ErrStopped
// without calling f when the job is lost or was stopped.
//
// A job that repeats for ever calls Finish instead and inserts its next run
// there, so that attempts count from 1 again.
func (j *Job) Reschedule(ctx context.Context, at time.Time, f func(tx *store.Tx) error) error {
	return j.settle(ctx, "reschedule", func(tx *store.Tx) error {
		var err error
		if j.MergedInto, err = j.queue.release(ctx, tx, j.lease, putBack{at: store.Millis(at)}); err != nil {
			return err
		}
		if f == nil {
			return nil
		}
		return f(tx)
	})
}

// SaveCheckpoint stores text for the next attempt. It returns ErrLost when the
// job is not this process's any more.
func (j *Job) SaveCheckpoint(ctx context.Context, text string) error {
	err := j.queue.db.InTx(ctx, func(tx *store.Tx) error {
		result, err := tx.ExecContext(ctx,
			`UPDATE jobs SET checkpoint = $4 WHERE id = $1 AND owner = $2 AND attempt = $3 AND state = 'running'`,
			j.lease.id, j.lease.owner, j.lease.attempt, text)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			return ErrLost
		}
		return err
	})
	if err != nil {
		return j.wrap("save checkpoint of", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.Checkpoint = text
	return nil
}

// settle runs f in a transaction, after which the job is not running any more.
func (j *Job) settle(ctx context.Context, verb string, f func(tx *store.Tx) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.settled {
		return j.wrap(verb, errors.New("it has finished or been rescheduled already"))
	}
	// A renewal must not wait for this transaction, nor miss the row after it.
	j.queue.setSettling(j, true)
	if err := j.queue.db.InTx(ctx, f); err != nil {
		j.MergedInto = 0
		j.queue.setSettling(j, false)
		return j.wrap(verb, err)
	}
	j.settled = true
	return nil
}

func (j *Job) isSettled() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.settled
}

func (j *Job) attr() slog.Attr {
	return slog.Group("job", "id", j.ID, "kind", j.Kind, "key", j.Key)
}

func (j *Job) wrap(verb string, err error) error {
	return fmt.Errorf("%s job %d (%s %s): %w", verb, j.ID, j.Kind, j.Key, err)
}

// RetryAt makes a handler's failure a wait until t. err says why; it may be nil.
func RetryAt(t time.Time, err error) error {
	if err == nil {
		err = errors.New("to be run again")
	}
	return &retryError{at: t, err: err}
}

type retryError struct {
	at  time.Time
	err error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }
