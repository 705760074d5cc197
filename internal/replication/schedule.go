package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// scheduleInterval is how often it is looked whether a rule is due, and the most that
// a start is late on a server that runs.
const scheduleInterval = time.Second

// lateAfter is how late a start must be to be told from one in time.
const lateAfter = time.Minute

// watchSchedules starts rules when they are due until ctx ends.
func (s *Service) watchSchedules(ctx context.Context) {
	said := ""
	every(ctx, scheduleInterval, func(ctx context.Context) {
		trouble := ""
		if err := s.StartDue(ctx); err != nil && ctx.Err() == nil {
			trouble = err.Error()
		}
		if trouble != said && trouble != "" { // the same trouble is told once, not every second
			s.log.Error("rules are not started when they are due", "error", trouble)
		}
		said = trouble
	})
}

// StartDue starts the rules whose schedule says so. Of all servers that share a
// database one starts a rule: who moves its next run on. A rule that cannot be started
// does not keep the others back.
func (s *Service) StartDue(ctx context.Context) error {
	type dueRun struct{ policy, at int64 }
	rows, err := s.o.DB.QueryContext(ctx, `SELECT policy_id, next_run FROM replication_schedules WHERE next_run <= $1 ORDER BY next_run`,
		store.Millis(s.now()))
	if err != nil {
		return fmt.Errorf("look for rules that are due: %w", err)
	}
	runs, err := collect(rows, func(row scanner) (r dueRun, err error) { return r, row.Scan(&r.policy, &r.at) })
	if err != nil {
		return fmt.Errorf("look for rules that are due: %w", err)
	}
	var failures []error
	for _, r := range runs {
		err := s.o.DB.InTx(ctx, func(tx *store.Tx) error { return s.startDue(ctx, tx, r.policy, r.at) })
		if err != nil {
			failures = append(failures, fmt.Errorf("start replication policy %d, which is due: %w", r.policy, err))
		}
	}
	return errors.Join(failures...)
}

// startDue starts one rule, unless somebody else has, and moves its next run on. Runs
// that were missed are made up for by one.
func (s *Service) startDue(ctx context.Context, tx *store.Tx, policy, at int64) error {
	p, err := lockPolicy(ctx, tx, policy)
	if problem.Is(err, problem.NotFound) {
		return nil // it was deleted just now
	}
	if err != nil {
		return err
	}
	schedule, err := p.Schedule()
	if err != nil {
		return err
	}
	now := s.now()
	next := schedule.Next(now)
	result, err := tx.ExecContext(ctx, `UPDATE replication_schedules SET next_run = $3 WHERE policy_id = $1 AND next_run = $2`,
		policy, at, store.Millis(next))
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if next.IsZero() {
		if err := endSchedule(ctx, tx, policy); err != nil {
			return err
		}
	}
	_, err = s.startIn(ctx, tx, p, Scheduled, lateness(schedule, store.Time(at), now))
	return err
}

// lateness says how late a start is, "" if it is in time.
func lateness(schedule rule.Schedule, due, now time.Time) string {
	if now.Sub(due) < lateAfter {
		return ""
	}
	text := "started late: it was due at " + due.UTC().Format(time.RFC3339)
	const worthCounting = 1000
	missed := 0
	for at := schedule.Next(due); !at.IsZero() && at.Before(now) && missed < worthCounting; at = schedule.Next(at) {
		missed++
	}
	switch missed {
	case 0:
		return text
	case worthCounting:
		return text + fmt.Sprintf(" and at least %d times more since, which this run makes up for", missed)
	default:
		return text + fmt.Sprintf(" and %d times more since, which this run makes up for", missed)
	}
}

// setSchedule makes the next run of a rule follow from what the rule says now. One that
// stays as it was keeps its next run, also if that is overdue.
func (s *Service) setSchedule(ctx context.Context, tx *store.Tx, p Policy) error {
	if !p.Enabled || p.Trigger != rule.Scheduled {
		return endSchedule(ctx, tx, p.ID)
	}
	schedule, err := p.Schedule()
	if err != nil {
		return err
	}
	next := schedule.Next(s.now())
	if next.IsZero() {
		return endSchedule(ctx, tx, p.ID)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO replication_schedules (policy_id, schedule, next_run) VALUES ($1, $2, $3)
		ON CONFLICT (policy_id) DO UPDATE SET schedule = excluded.schedule,
		next_run = CASE replication_schedules.schedule WHEN excluded.schedule THEN replication_schedules.next_run ELSE excluded.next_run END`,
		p.ID, p.Cron+" "+p.TimeZone, store.Millis(next))
	return err
}

func endSchedule(ctx context.Context, tx *store.Tx, policy int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM replication_schedules WHERE policy_id = $1`, policy)
	return err
}
