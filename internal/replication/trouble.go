package replication

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// A destination that is down must not hold up the others: an attempt may hang for a
// minute, and thousands of tasks may wait for it. So only a few tasks of event
// rules try an unhealthy destination at a time (its health check may be wrong); the
// others are put off until it is healthy again, or for a while.

const (
	triesAtOnce = 2
	putOffTime  = 10 * time.Minute
)

// noRelease is what admit returns to a task that may run and took no place.
func noRelease() {}

// admit says whether the task may be tried now. It returns nil when the task was
// put off, else what to call when the attempt has ended.
func (r *run) admit(ctx context.Context, id int64) (release func(), err error) {
	if !r.event {
		return noRelease, nil
	}
	var registry int64
	var name, status, reason string
	err = r.o.DB.QueryRowContext(ctx, `SELECT r.id, r.name, r.status, r.status_reason FROM tasks t JOIN executions e ON e.id = t.execution_id
		JOIN replication_policies p ON p.id = e.policy_id JOIN registries r ON r.id = t.dest_registry_id
		WHERE t.id = $1 AND p.enabled`, id).Scan(&registry, &name, &status, &reason)
	if store.IsNotFound(err) {
		return noRelease, nil // begin or attempt finds out why
	}
	if err != nil {
		return nil, fmt.Errorf("look at the destination of task %d: %w", id, err)
	}
	if status != Unhealthy {
		return noRelease, nil
	}
	if release, ok := r.tryTrouble(registry); ok {
		return release, nil
	}
	return nil, r.putOff(ctx, id, registry, fmt.Sprintf("registry %s is unhealthy: %s", name, reason))
}

// tryTrouble takes a place among those that try an unhealthy destination.
func (s *Service) tryTrouble(registry int64) (release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := 0
	for _, n := range s.trying {
		all += n
	}
	if s.trying[registry] >= triesAtOnce || all >= max(1, s.o.Tasks/2) {
		return nil, false
	}
	s.trying[registry]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.trying[registry]--; s.trying[registry] == 0 {
			delete(s.trying, registry)
		}
	}, true
}

// putOff lets the task wait without an attempt.
func (r *run) putOff(ctx context.Context, id, registry int64, reason string) error {
	// Spread, so that those that were put off together do not come back together.
	next := r.now().Add(putOffTime/2 + rand.N(putOffTime/2))
	return r.job.Reschedule(ctx, next, func(tx *store.Tx) error {
		task, err := lockTask(ctx, tx, id)
		if err != nil {
			return err
		}
		if task.JobID != r.job.ID {
			return nil
		}
		waits, job, at := r.job.ID, r.job.ID, next
		if r.job.MergedInto != 0 {
			if err := handOver(ctx, tx, task, r.job.MergedInto); err != nil {
				return err
			}
			waits, job, at = r.job.MergedInto, 0, time.Time{}
		}
		now := store.Millis(r.now())
		_, err = tx.ExecContext(ctx, `UPDATE tasks SET status = 'Failed', reason = $2, next_attempt_time = $3, end_time = $4, job_id = $5 WHERE id = $1`,
			id, reason, store.Millis(at), now, job)
		if err != nil {
			return err
		}
		if err := moved(task.Status, Failed).apply(ctx, tx, task.ExecutionID, now); err != nil {
			return err
		}
		if task.Status != Failed || task.Reason != reason { // said once, however long it lasts
			if err := writeLog(ctx, tx, id, []LogLine{{Time: r.now(), Level: "WARNING", Text: "not tried for now: " + reason}}); err != nil {
				return err
			}
		}
		return r.hastenIfHealthy(ctx, tx, registry, waits)
	})
}

// hastenIfHealthy has a job tried now if its registry has become healthy since it
// was looked at: then whoever noticed did not see the job wait.
func (s *Service) hastenIfHealthy(ctx context.Context, tx *store.Tx, registry, job int64) error {
	var status string
	err := tx.QueryRowContext(ctx, `SELECT status FROM registries WHERE id = $1`, registry).Scan(&status)
	if err != nil || status != Healthy {
		return err
	}
	_, err = s.o.Queue.Hasten(ctx, tx, job)
	return err
}

// hasten has the tasks that wait for a registry tried now.
func (s *Service) hasten(ctx context.Context, tx *store.Tx, registryID int64) error {
	rows, err := tx.QueryContext(ctx, `SELECT t.job_id FROM tasks t JOIN executions e ON e.id = t.execution_id
		JOIN replication_policies p ON p.id = e.policy_id
		WHERE t.job_id <> 0 AND t.status = 'Failed' AND (p.src_registry_id = $1 OR t.dest_registry_id = $1)`, registryID)
	if err != nil {
		return err
	}
	jobs, err := collect(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return err
	}
	for _, id := range jobs {
		if _, err := s.o.Queue.Hasten(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}
