package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

// bookTime is how long the books about an attempt may take. What was done must be
// written down although the server is shutting down.
const bookTime = 10 * time.Second

// end writes down how the attempt ended.
func (r *run) end(ctx context.Context, result error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookTime)
	defer cancel()
	now := r.now()
	var b booking
	switch {
	case result == nil:
		b.status = Succeed
		r.line("INFO", "done: %s", summary(r.task.Items))
	case errors.Is(result, errGivenUp):
		b.status, b.reason = Stopped, strings.TrimSuffix(result.Error(), ": "+errGivenUp.Error())
		r.line("WARNING", "%s", b.reason)
	default:
		b.status, b.reason = Failed, result.Error()
		r.line("ERROR", "%s", b.reason)
		if r.task.Attempts == 1 { // the task tells about the others
			r.Service.log.Warn("a replication task failed", "rule", r.policy.Name, "execution", r.task.ExecutionID, "task", r.task.ID, "reason", b.reason)
		}
		if r.event {
			b.next = now.Add(backoff(r.task.Attempts))
			r.line("INFO", "next attempt at %s", b.next.UTC().Format(time.RFC3339))
		}
	}
	b.lines = r.log.take()
	r.meterAttempt(b.status)
	if b.next.IsZero() {
		return r.job.Finish(ctx, func(tx *store.Tx) error { return r.book(ctx, tx, b) })
	}
	return r.job.Reschedule(ctx, b.next, func(tx *store.Tx) error { return r.book(ctx, tx, b) })
}

// interrupted keeps what is known when the attempt was cut short. A stopped task
// was settled by Stop; one that a shutdown cut short waits to be gone on with; one
// that was lost is somebody else's.
func (r *run) interrupted(ctx context.Context) error {
	cause := context.Cause(ctx)
	r.line("WARNING", "interrupted: %v", cause)
	if errors.Is(cause, queue.ErrStopped) {
		r.meterAttempt(Stopped)
	} else {
		r.meterAttempt(Pending)
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookTime)
	defer cancel()
	b := booking{status: Pending, lines: r.log.take()}
	switch {
	case errors.Is(cause, queue.ErrLost):
		return cause
	case errors.Is(cause, queue.ErrStopped):
		err := r.o.DB.InTx(after, func(tx *store.Tx) error {
			result, err := tx.ExecContext(after, `UPDATE tasks SET items = $2, bytes_total = $3, bytes_sent = $4 WHERE id = $1 AND status = 'Stopped'`,
				r.task.ID, store.JSON(r.task.Items), r.total.Load(), r.sent.Load())
			if err != nil {
				return err
			}
			if err := writeLog(after, tx, r.task.ID, b.lines); err != nil {
				return err
			}
			if kept, err := result.RowsAffected(); err != nil || kept == 0 {
				return err
			}
			return r.noteDrift(after, tx, booking{status: Stopped})
		})
		return errors.Join(cause, err)
	default:
		return r.job.Reschedule(after, r.job.Created, func(tx *store.Tx) error { return r.book(after, tx, b) })
	}
}

// booking is how an attempt ended.
type booking struct {
	status Status
	reason string
	next   time.Time // of the next attempt; zero: there is none by itself
	lines  []LogLine
}

// book stores the end of an attempt, unless the task was stopped meanwhile. It may
// be called again when the database has to repeat its transaction.
func (r *run) book(ctx context.Context, tx *store.Tx, b booking) error {
	job, lines := r.job.ID, b.lines
	switch {
	case r.job.MergedInto != 0:
		if err := handOver(ctx, tx, r.task, r.job.MergedInto); err != nil {
			return err
		}
		job, b.next = 0, time.Time{}
		if b.status == Pending {
			b.status, b.reason = Stopped, takenOver
		}
		lines = append(lines[:len(lines):len(lines)], LogLine{Time: r.now(), Level: "INFO", Text: takenOver})
	case b.status.Final() && b.next.IsZero():
		job = 0
	}
	if _, err := lockTask(ctx, tx, r.task.ID); err != nil {
		return err
	}
	now := store.Millis(r.now())
	end := now
	if !b.status.Final() {
		end = 0
	}
	result, err := tx.ExecContext(ctx, `UPDATE tasks SET status = $3, reason = $4, next_attempt_time = $5, end_time = $6, job_id = $7,
		items = $8, dest_repository = $9, bytes_total = $10, bytes_sent = $11, dest_registry_id = $12 WHERE id = $1 AND job_id = $2 AND status = 'InProgress'`,
		r.task.ID, r.job.ID, string(b.status), b.reason, store.Millis(b.next), end, job, store.JSON(r.task.Items),
		r.task.DestinationRepository, r.total.Load(), r.sent.Load(), r.task.DestinationID)
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if err := writeLog(ctx, tx, r.task.ID, lines); err != nil {
		return err
	}
	if r.task.Attempts > manyAttempts {
		if err := shortenLog(ctx, tx, r.task.ID); err != nil {
			return err
		}
	}
	if changed == 0 {
		return nil
	}
	if err := moved(InProgress, b.status).apply(ctx, tx, r.task.ExecutionID, now); err != nil {
		return err
	}
	if err := r.noteDrift(ctx, tx, b); err != nil {
		return err
	}
	if b.next.IsZero() {
		return nil
	}
	for _, e := range r.policy.Destinations() {
		if e.ID == r.task.DestinationID && e.Status == Unhealthy {
			return r.hastenIfHealthy(ctx, tx, e.ID, r.job.ID)
		}
	}
	return nil
}

// noteDrift notes what the attempt says about the destination. What earlier attempts
// have done they have noted, and a verification may know better by now. An attempt that
// was cut short says something about what it has done only.
func (r *run) noteDrift(ctx context.Context, tx *store.Tx, b booking) error {
	if r.policy.ID == 0 {
		return nil // it has not come as far as to look at anything
	}
	trouble := ""
	if b.status == Failed {
		trouble = b.reason
	}
	short := b.status == Pending || b.status == Stopped
	seen := r.task
	seen.Items = slices.DeleteFunc(slices.Clone(seen.Items), func(i Item) bool { return i.settled || short && !i.done() })
	return driftOfTask(ctx, tx, r.policy.ID, seen, trouble, r.now())
}

// backoff is how long an event rule's task waits after its nth failed attempt.
// A destination that comes back to health has its tasks tried at once.
func backoff(attempt int64) time.Duration {
	const first, most = 5 * time.Second, 10 * time.Minute
	if attempt > 8 {
		return most
	}
	return min(first<<(max(attempt, 1)-1), most)
}

// summary counts outcomes for the last line of a log.
func summary(items []Item) string {
	counts := map[Outcome]int{}
	for _, item := range items {
		counts[item.Outcome]++
	}
	var parts []string
	for _, outcome := range []Outcome{Copied, Unchanged, Kept, Deleted, Absent, Foreign, Lost} {
		if n := counts[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	return strings.Join(parts, ", ")
}
