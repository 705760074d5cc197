package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// renewLeases keeps this process's jobs its own until ctx ends.
func (q *Queue) renewLeases(ctx context.Context) {
	beat := time.NewTicker(q.o.Lease / 3)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		if err := q.renew(ctx); err != nil && ctx.Err() == nil {
			q.log.Error("cannot renew the leases of jobs", "error", err)
		}
	}
}

// renew changes the rows of this process's jobs, which is what other processes
// watch, and cancels the jobs whose rows are gone.
func (q *Queue) renew(ctx context.Context) error {
	jobs := q.renewable()
	if len(jobs) == 0 {
		return nil
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, q.o.Lease/3)
	defer cancel()

	// The value only has to be another one each time; that it is a time in the
	// future is for people who read the table.
	until := store.Millis(q.o.Clock().Add(q.o.Lease))
	args := []any{until, q.owner}
	var ids strings.Builder
	for id := range jobs {
		if len(args) > 2 {
			ids.WriteString(", ")
		}
		args = append(args, id)
		ids.WriteString("$" + strconv.Itoa(len(args)))
	}
	ours := map[int64]int64{}
	err := q.db.InTx(ctx, func(tx *store.Tx) error {
		clear(ours)
		rows, err := tx.QueryContext(ctx, `
			UPDATE jobs SET lease_until = CASE WHEN lease_until < $1 THEN $1 ELSE lease_until + 1 END
			WHERE owner = $2 AND state = 'running' AND id IN (`+ids.String()+`)
			RETURNING id, attempt`, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id, attempt int64
			if err := rows.Scan(&id, &attempt); err != nil {
				return err
			}
			ours[id] = attempt
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, job := range jobs {
		if ours[id] == job.lease.attempt {
			job.renewed = started
		} else if q.running[id] == job && !job.settling {
			job.cancel(ErrLost)
		}
	}
	return nil
}

// renewable returns the running jobs whose rows are not being settled just now.
func (q *Queue) renewable() map[int64]*Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs := map[int64]*Job{}
	for id, job := range q.running {
		if !job.settling {
			jobs[id] = job
		}
	}
	return jobs
}

func (q *Queue) setSettling(job *Job, settling bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	job.settling = settling
}

// expireLeases cancels the jobs that were not renewed for so long that other
// processes may soon take them over. It never waits for the database.
func (q *Queue) expireLeases(ctx context.Context) {
	tick := time.NewTicker(q.o.Lease / 20)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			q.cancelExpired()
		}
	}
}

func (q *Queue) cancelExpired() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, job := range q.running {
		if !job.settling && time.Since(job.renewed) > q.o.Lease-q.o.Lease/6 {
			job.cancel(ErrLost)
		}
	}
}

// watch learns of stops that other processes made, and takes over the jobs of
// processes that are gone.
func (q *Queue) watch(ctx context.Context) {
	tick := time.NewTicker(q.o.Poll / 2)
	defer tick.Stop()
	seen := sightings{}
	for n := 0; ; n++ {
		err := q.look(ctx, func(ctx context.Context) error {
			if n%2 == 0 { // once a poll, beginning now
				return errors.Join(q.cancelStopped(ctx), q.takeOver(ctx, seen))
			}
			return q.cancelStopped(ctx)
		})
		if err != nil && ctx.Err() == nil {
			q.log.Error("cannot watch running jobs", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look runs f, but no longer than a lease: a database that has gone silent must
// be asked again.
func (q *Queue) look(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, q.o.Lease)
	defer cancel()
	return f(ctx)
}

func (q *Queue) cancelStopped(ctx context.Context) error {
	q.mu.Lock()
	idle := len(q.running) == 0
	q.mu.Unlock()
	if idle {
		return nil
	}
	rows, err := q.db.QueryContext(ctx, `SELECT id FROM jobs WHERE state = 'running' AND owner = $1 AND stop`, q.owner)
	if err != nil {
		return fmt.Errorf("look for stopped jobs: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		q.cancel(id, ErrStopped)
	}
	return rows.Err()
}

// sighting is a running job as it was when this process saw it last, and since
// when (by the monotonic clock) it looks like that.
type sighting struct {
	lease
	until int64
	since time.Time
}

type sightings map[int64]sighting

// takeOver makes those jobs wait again whose lease nobody has renewed for as long
// as it lasts. Rows of this Queue that it knows nothing of (a claim whose answer
// was lost on the way) are among them.
func (q *Queue) takeOver(ctx context.Context, seen sightings) error {
	rows, err := q.foreign(ctx)
	if err != nil {
		return fmt.Errorf("look for abandoned jobs: %w", err)
	}
	now := time.Now()
	present := map[int64]bool{}
	for _, row := range rows {
		present[row.id] = true
		before, known := seen[row.id]
		if !known || before.lease != row.lease || before.until != row.until {
			row.since = now
			seen[row.id] = row
			continue
		}
		if now.Sub(before.since) < q.o.Lease {
			continue
		}
		if err := q.reclaim(ctx, row); err != nil {
			return fmt.Errorf("take over job %d of %s: %w", row.id, row.owner, err)
		}
	}
	for id := range seen {
		if !present[id] {
			delete(seen, id)
		}
	}
	return nil
}

// foreign returns the running jobs that do not run in this process.
func (q *Queue) foreign(ctx context.Context) ([]sighting, error) {
	rows, err := q.db.QueryContext(ctx, `SELECT id, owner, attempt, lease_until FROM jobs WHERE state = 'running'`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []sighting
	for rows.Next() {
		var s sighting
		if err := rows.Scan(&s.id, &s.owner, &s.attempt, &s.until); err != nil {
			return nil, err
		}
		if !q.runsHere(s.lease) {
			found = append(found, s)
		}
	}
	return found, rows.Err()
}

func (q *Queue) runsHere(l lease) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	job := q.running[l.id]
	return job != nil && job.lease == l
}

// reclaim makes one abandoned job wait, if it still is as it was seen.
func (q *Queue) reclaim(ctx context.Context, s sighting) error {
	err := q.db.InTx(ctx, func(tx *store.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE jobs SET lease_until = 0 WHERE id = $1 AND state = 'running' AND lease_until = $2`, s.id, s.until)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		_, err = q.release(ctx, tx, s.lease, putBack{})
		if errors.Is(err, ErrStopped) {
			return remove(ctx, tx, s.lease)
		}
		return err
	})
	if errors.Is(err, ErrLost) { // somebody else was faster
		return nil
	}
	if err == nil {
		q.log.Warn("took over a job of a process that is gone", "job", s.id, "owner", s.owner, "attempt", s.attempt)
		q.Wake()
	}
	return err
}
