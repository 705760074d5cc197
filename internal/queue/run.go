package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Run claims and runs jobs until ctx ends. Then it cancels the running ones, puts
// each back to waiting as soon as its handler returns, and returns nil; an error
// if a handler did not return within Options.Grace. It may be called once.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	if q.started {
		q.mu.Unlock()
		return errors.New("queue: Run was called twice")
	}
	q.started = true
	q.mu.Unlock()

	base := context.WithoutCancel(ctx) // jobs and leases outlive ctx until the jobs are put back
	keeping, stopKeeping := context.WithCancel(base)
	var keepers, jobs sync.WaitGroup
	q.mu.Lock()
	q.base, q.jobs = base, &jobs
	q.mu.Unlock()
	keepers.Go(func() { q.renewLeases(keeping) })
	keepers.Go(func() { q.expireLeases(keeping) })
	keepers.Go(func() { q.watch(keeping) })
	defer func() {
		stopKeeping()
		keepers.Wait()
	}()

	q.claimUntil(ctx, base, &jobs)

	q.cancelAll(ErrShutdown)
	done := make(chan struct{})
	go func() {
		jobs.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(q.o.Grace):
		return fmt.Errorf("jobs did not end within %s of being cancelled: %s", q.o.Grace, q.runningNames())
	}
}

// claimUntil starts jobs in the context base until ctx ends.
func (q *Queue) claimUntil(ctx, base context.Context, jobs *sync.WaitGroup) {
	poll := time.NewTicker(q.o.Poll)
	defer poll.Stop()
	for healthy := true; ; {
		err := q.look(ctx, func(ctx context.Context) error { return q.claimAll(ctx, base, jobs) })
		if ctx.Err() != nil {
			return
		}
		if failed := err != nil; failed == healthy { // one line when it begins and one when it ends
			healthy = !failed
			if failed {
				q.log.Error("cannot look for jobs", "error", err)
			} else {
				q.log.Info("can look for jobs again")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-poll.C:
		}
	}
}

// claimAll fills the free places of every kind.
func (q *Queue) claimAll(ctx, base context.Context, jobs *sync.WaitGroup) error {
	for name, free := range q.freePlaces() {
		claimed, err := q.claim(ctx, base, name, free, "")
		if err != nil {
			return fmt.Errorf("claim jobs of kind %s: %w", name, err)
		}
		for _, job := range claimed {
			jobs.Go(func() { q.execute(job) })
		}
	}
	return nil
}

func (q *Queue) freePlaces() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	free := map[string]int{}
	for name, k := range q.kinds {
		free[name] = k.concurrency
	}
	for _, job := range q.running {
		free[job.Kind]--
	}
	for name, n := range free {
		if n <= 0 {
			delete(free, name)
		}
	}
	return free
}

// due selects waiting jobs that may run. What was to run at once when it was
// inserted is due whatever has become of the clock since.
const due = `kind = $1 AND state = 'waiting' AND (run_at <= $2 OR run_at <= creation_time)
	AND NOT EXISTS (SELECT 1 FROM jobs r WHERE r.kind = j.kind AND r.key = j.key AND r.state = 'running')`

// claim makes up to limit jobs of a kind this process's own, the most urgent
// first, with contexts derived from base. only is a further condition for them.
func (q *Queue) claim(ctx, base context.Context, kind string, limit int, only string) ([]*Job, error) {
	due := due + only
	now := q.o.Clock()
	// Look before locking: on SQLite a writer keeps all others waiting.
	var any bool
	err := q.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs j WHERE `+due+`)`, kind, store.Millis(now)).Scan(&any)
	if err != nil || !any {
		return nil, err
	}
	skipLocked := ""
	if q.db.Dialect() == store.PostgreSQL {
		skipLocked = "FOR UPDATE SKIP LOCKED"
	}
	renewed := time.Now()
	var claimed []*Job
	err = q.db.InTx(ctx, func(tx *store.Tx) error {
		claimed = nil
		rows, err := tx.QueryContext(ctx, `
			WITH picked AS MATERIALIZED (
				SELECT id FROM jobs j WHERE `+due+` ORDER BY priority DESC, run_at, id LIMIT $3 `+skipLocked+`
			)
			UPDATE jobs SET state = 'running', owner = $4, lease_until = $5, attempt = attempt + 1, stop = FALSE
			WHERE id IN (SELECT id FROM picked)
			RETURNING id, kind, key, payload, priority, run_at, attempt, checkpoint, creation_time`,
			kind, store.Millis(now), limit, q.owner, store.Millis(now.Add(q.o.Lease)))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		runAt := map[*Job]int64{}
		for rows.Next() {
			job := &Job{queue: q, renewed: renewed}
			var at, created int64
			if err := rows.Scan(&job.ID, &job.Kind, &job.Key, &job.Payload, &job.Priority, &at, &job.Attempt, &job.Checkpoint, &created); err != nil {
				return err
			}
			runAt[job] = at
			job.Created = store.Time(created)
			job.lease = lease{id: job.ID, attempt: int64(job.Attempt), owner: q.owner}
			claimed = append(claimed, job)
		}
		slices.SortFunc(claimed, func(a, b *Job) int { // RETURNING has no order
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(runAt[a], runAt[b]), cmp.Compare(a.ID, b.ID))
		})
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, job := range claimed {
		job.ctx, job.cancel = context.WithCancelCause(base)
		if q.ending {
			job.cancel(ErrShutdown)
		}
		q.running[job.ID] = job
	}
	return claimed, nil
}

// execute runs a claimed job to its end in this process.
func (q *Queue) execute(job *Job) {
	err := q.call(job)
	q.conclude(job, err)
	job.cancel(nil)
	q.mu.Lock()
	delete(q.running, job.ID)
	q.mu.Unlock()
	q.Wake() // a place is free, and the key too
}

// call runs the handler. A panic fails the job and not the server.
func (q *Queue) call(job *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			q.log.Error("a job panicked", job.attr(), "panic", p, "stack", string(debug.Stack()))
		}
	}()
	q.mu.Lock()
	h := q.kinds[job.Kind].handler
	q.mu.Unlock()
	return h(job.ctx, job)
}

// conclude deletes the job or puts it back, by what its handler returned.
func (q *Queue) conclude(job *Job, failure error) {
	if job.isSettled() {
		return
	}
	cause := context.Cause(job.ctx)
	back := putBack{}
	retry, hasTime := errors.AsType[*retryError](failure)
	switch {
	case errors.Is(cause, ErrShutdown), errors.Is(cause, ErrLost):
		back.uncounted = true
	case hasTime:
		back.at = store.Millis(retry.at)
	default:
		back.at = store.Millis(q.o.Clock().Add(q.o.Backoff(job.Attempt)))
	}
	end := func(ctx context.Context, tx *store.Tx) error {
		if failure == nil || errors.Is(cause, ErrStopped) {
			return remove(ctx, tx, job.lease)
		}
		_, err := q.release(ctx, tx, job.lease, back)
		if errors.Is(err, ErrStopped) {
			return remove(ctx, tx, job.lease)
		}
		return err
	}
	if failure != nil && cause == nil {
		q.log.Warn("a job failed and waits for its next attempt", job.attr(), "attempt", job.Attempt, "error", failure)
	}

	// When the database does not answer for a lease, others take the job over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(job.ctx), q.o.Lease)
	defer cancel()
	for wait := q.o.Lease / 100; ; wait *= 2 {
		err := job.settle(ctx, "end", func(tx *store.Tx) error { return end(ctx, tx) })
		switch {
		case err == nil:
			return
		case errors.Is(err, ErrLost):
			q.log.Warn("a job ended here after another process had taken it over", job.attr())
			return
		}
		select {
		case <-ctx.Done():
			q.log.Error("a job's end could not be recorded, so it will run again", job.attr(), "error", err)
			return
		case <-time.After(wait):
		}
	}
}

// cancelAll cancels all running jobs, and those that are still to be started by them.
func (q *Queue) cancelAll(cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	for _, job := range q.running {
		job.cancel(cause)
	}
}

func (q *Queue) runningNames() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var names []string
	for _, job := range q.running {
		names = append(names, job.Kind+" "+job.Key)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
