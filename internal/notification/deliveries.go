package notification

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Delivery is what a target was told, or is to be told.
type Delivery struct {
	ID              int64
	EventID         string
	Event           string // finished, failed, changed, held, test
	Status          string // waiting, delivered, failed
	Body            string
	Attempts        int64
	ResponseStatus  int       // of the last attempt, 0: there was no answer
	Error           string    // of the last attempt
	CreationTime    time.Time // when it happened
	AttemptTime     time.Time // of the last attempt; zero: there was none
	NextAttemptTime time.Time // zero: at once, or never again
}

var deliveryColumns = store.Columns{
	"id":            {SQL: "id", Kind: store.Integer},
	"event":         {SQL: "event", Kind: store.Text},
	"status":        {SQL: "status", Kind: store.Text},
	"creation_time": {SQL: "creation_time", Kind: store.Instant},
}

// Waiting returns how many deliveries wait for each target, by its name.
func (s *Service) Waiting(ctx context.Context) (map[string]int64, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT n.name, (SELECT count(*) FROM notification_deliveries d
		WHERE d.notification_id = n.id AND d.status = 'waiting') FROM notifications n`)
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	waiting := map[string]int64{}
	_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
		var name string
		var n int64
		err = rows.Scan(&name, &n)
		waiting[name] = n
		return none, err
	})
	return waiting, err
}

// Deliveries returns what a target was told, the newest first, and how many there are.
func (s *Service) Deliveries(ctx context.Context, target int64, q store.ListQuery) ([]Delivery, int64, error) {
	if _, err := s.get(ctx, s.o.DB, target); err != nil {
		return nil, 0, err
	}
	where, args := q.Where(deliveryColumns, "notification_id = $1", []any{target})
	var total int64
	if err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM notification_deliveries`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count deliveries to notification %d: %w", target, err)
	}
	rows, err := s.o.DB.QueryContext(ctx, `SELECT id, event_id, event, status, body, attempts, response_status, error, creation_time, attempt_time,
		next_attempt_time FROM notification_deliveries`+where+q.OrderLimit(deliveryColumns, "id DESC"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list deliveries to notification %d: %w", target, err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (Delivery, error) {
		var d Delivery
		var created, tried, next int64
		err := rows.Scan(&d.ID, &d.EventID, &d.Event, &d.Status, &d.Body, &d.Attempts, &d.ResponseStatus, &d.Error, &created, &tried, &next)
		d.CreationTime, d.AttemptTime, d.NextAttemptTime = store.Time(created), store.Time(tried), store.Time(next)
		return d, err
	})
	return list, total, err
}
