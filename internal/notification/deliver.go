package notification

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

const (
	// patience is how long a delivery is tried. A target that is down over a weekend
	// loses nothing.
	patience = 72 * time.Hour
	// fewAttempts is how often an event is tried whose body the target refuses as such.
	fewAttempts = 5
	// keptDeliveries of a target that are done can be looked at.
	keptDeliveries = 200
	maxError       = 500 // bytes
)

// waiting is a delivery that is not done.
type waiting struct {
	id int64
	delivery
	created, next time.Time
}

// run delivers what waits for a target, in its order, until nothing waits, or one
// cannot be delivered now: then all that follow wait for it.
func (s *Service) run(ctx context.Context, job *queue.Job) error {
	id, err := strconv.ParseInt(job.Payload, 10, 64)
	if err != nil {
		return fmt.Errorf("notification job %d: %w", job.ID, err)
	}
	for {
		t, err := s.get(ctx, s.o.DB, id)
		if problem.Is(err, problem.NotFound) || err == nil && !t.Enabled {
			return nil // gone, or told when it is enabled again
		}
		if err != nil {
			return err
		}
		w, found, err := s.next(ctx, id)
		if err != nil || !found {
			return err
		}
		if w.next.After(s.now()) {
			return job.Reschedule(ctx, w.next, nil)
		}
		w.attempt++
		status, failure := s.send(ctx, t, w.delivery)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if failure == nil {
			if err := s.book(ctx, t, w, "delivered", status, "", time.Time{}); err != nil {
				return err
			}
			continue
		}
		now := s.now()
		if givesUp(w, status, now) {
			s.o.Log.Error("a notification was not delivered, and is given up", "notification", t.Name, "event", w.event, "id", w.eventID, "error", failure)
			if err := s.book(ctx, t, w, "failed", status, failure.Error(), time.Time{}); err != nil {
				return err
			}
			continue
		}
		if w.attempt == 1 { // the target tells about the others
			s.o.Log.Warn("a notification was not delivered", "notification", t.Name, "event", w.event, "id", w.eventID, "error", failure)
		}
		next := now.Add(backoff(w.attempt))
		if err := s.book(ctx, t, w, "waiting", status, failure.Error(), next); err != nil {
			return err
		}
		return job.Reschedule(ctx, next, nil)
	}
}

func givesUp(w waiting, status int, now time.Time) bool {
	if now.Sub(w.created) >= patience {
		return true
	}
	switch status { // they speak of this body, and others should not wait for it for days
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return w.attempt >= fewAttempts
	}
	return false
}

// backoff is how long the nth failed attempt is followed by nothing.
func backoff(attempt int64) time.Duration {
	const first, most = 5 * time.Second, 10 * time.Minute
	if attempt > 8 {
		return most
	}
	return min(first<<(max(attempt, 1)-1), most)
}

func (s *Service) next(ctx context.Context, target int64) (w waiting, found bool, err error) {
	var created, next int64
	err = s.o.DB.QueryRowContext(ctx, `SELECT id, event_id, event, content_type, body, attempts, creation_time, next_attempt_time
		FROM notification_deliveries WHERE notification_id = $1 AND status = 'waiting' ORDER BY id LIMIT 1`, target).
		Scan(&w.id, &w.eventID, &w.event, &w.contentType, &w.body, &w.attempt, &created, &next)
	if store.IsNotFound(err) {
		return w, false, nil
	}
	if err != nil {
		return w, false, fmt.Errorf("look for deliveries to notification %d: %w", target, err)
	}
	w.created, w.next = store.Time(created), store.Time(next)
	return w, true, nil
}

// book writes down how an attempt ended, and forgets deliveries of long ago.
func (s *Service) book(ctx context.Context, t Target, w waiting, status string, response int, failure string, next time.Time) error {
	if len(failure) > maxError {
		failure = failure[:maxError] + "..."
	}
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE notification_deliveries SET status = $2, attempts = $3, response_status = $4, error = $5,
			attempt_time = $6, next_attempt_time = $7 WHERE id = $1`,
			w.id, status, w.attempt, response, failure, store.Millis(s.now()), store.Millis(next))
		if err != nil {
			return err
		}
		return forget(ctx, tx, t.ID)
	})
	if err != nil {
		return fmt.Errorf("note delivery %d to %s: %w", w.id, t.Name, err)
	}
	return nil
}

func forget(ctx context.Context, tx *store.Tx, target int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM notification_deliveries WHERE notification_id = $1 AND status <> 'waiting'
		AND id <= (SELECT id FROM notification_deliveries WHERE notification_id = $1 AND status <> 'waiting' ORDER BY id DESC LIMIT 1 OFFSET $2)`,
		target, keptDeliveries)
	return err
}

// Test sends a target an event now that says it is a test, and returns how that went.
// What waits for the target goes on waiting.
func (s *Service) Test(ctx context.Context, id int64) (Attempt, error) {
	t, err := s.get(ctx, s.o.DB, id)
	if err != nil {
		return Attempt{}, err
	}
	now := s.now()
	e := Event{
		Kinds: []Kind{test}, Type: "lighterage.test", Time: now, Operator: "admin",
		Data: map[string]any{"test": map[string]any{"notification": t.Name, "message": "This is a test."}},
	}
	d := delivery{eventID: newID(), event: string(test), attempt: 1}
	if d.body, d.contentType, err = e.write(t.Format, d.eventID); err != nil {
		return Attempt{}, err
	}
	status, failure := s.send(ctx, t, d)
	result, outcome := Attempt{Time: now, Status: status}, "delivered"
	if failure != nil {
		result.Error, outcome = failure.Error(), "failed"
	}
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO notification_deliveries (notification_id, event_id, event, content_type, body, status, attempts,
			response_status, error, creation_time, attempt_time) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $9)`,
			id, d.eventID, d.event, d.contentType, d.body, outcome, status, result.Error, store.Millis(now))
		if err != nil {
			return err
		}
		return forget(ctx, tx, id)
	})
	if err != nil {
		return result, fmt.Errorf("note the test of %s: %w", t.Name, err)
	}
	return result, nil
}
