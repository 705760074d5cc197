package notification

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

var targetColumns = store.Columns{
	"id":            {SQL: "id", Kind: store.Integer},
	"name":          {SQL: "name", Kind: store.Text},
	"description":   {SQL: "description", Kind: store.Text},
	"enabled":       {SQL: "enabled", Kind: store.Boolean},
	"creation_time": {SQL: "creation_time", Kind: store.Instant},
	"update_time":   {SQL: "update_time", Kind: store.Instant},
}

const selectTarget = `SELECT id, name, description, enabled, url, auth_header, skip_cert_verify, ca_certificate, payload_format,
	events, policy_ids, creation_time, update_time FROM notifications`

// List returns targets and how many there are in all.
func (s *Service) List(ctx context.Context, q store.ListQuery) ([]Target, int64, error) {
	where, args := q.Where(targetColumns, "", nil)
	var total int64
	if err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM notifications`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count notifications: %w", err)
	}
	list, err := s.selectTargets(ctx, s.o.DB, selectTarget+where+q.OrderLimit(targetColumns, "id"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list notifications: %w", err)
	}
	for i := range list {
		if err := s.addAttempts(ctx, &list[i]); err != nil {
			return nil, 0, err
		}
	}
	return list, total, nil
}

// Get returns a target.
func (s *Service) Get(ctx context.Context, id int64) (Target, error) {
	t, err := s.get(ctx, s.o.DB, id)
	if err != nil {
		return Target{}, err
	}
	return t, s.addAttempts(ctx, &t)
}

func (s *Service) get(ctx context.Context, q store.Querier, id int64) (Target, error) {
	list, err := s.selectTargets(ctx, q, selectTarget+` WHERE id = $1`, id)
	if err != nil {
		return Target{}, fmt.Errorf("read notification %d: %w", id, err)
	}
	if len(list) == 0 {
		return Target{}, problem.New(problem.NotFound, "notification %d not found", id)
	}
	return list[0], nil
}

func (s *Service) selectTargets(ctx context.Context, q store.Querier, query string, args ...any) ([]Target, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Target, error) {
		var t Target
		var events, policies string
		var created, updated int64
		err := rows.Scan(&t.ID, &t.Name, &t.Description, &t.Enabled, &t.URL, &t.sealed, &t.SkipCertVerify, &t.CACertificate, &t.Format,
			&events, &policies, &created, &updated)
		if err != nil {
			return t, err
		}
		t.CreationTime, t.UpdateTime = store.Time(created), store.Time(updated)
		// A secret that cannot be opened (the key file is another one) hides nothing else.
		if t.AuthHeader, err = s.o.Box.Open(t.sealed, secretContext(t.ID)); err != nil {
			t.locked = fmt.Errorf("the stored secret cannot be read; set it again: %w", err)
		}
		return t, errors.Join(store.FromJSON(events, &t.Events), store.FromJSON(policies, &t.PolicyIDs))
	})
}

// collect reads all rows and closes them.
func collect[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) ([]T, error) {
	defer func() { _ = rows.Close() }()
	list := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// secretContext binds a sealed secret to its row, so that it is worthless in another.
func secretContext(id int64) string { return fmt.Sprintf("notifications/%d/auth_header", id) }

// addAttempts fills in how deliveries to a target go.
func (s *Service) addAttempts(ctx context.Context, t *Target) error {
	err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM notification_deliveries WHERE notification_id = $1 AND status = 'waiting'`, t.ID).Scan(&t.Waiting)
	if err != nil {
		return fmt.Errorf("count deliveries to %s: %w", t.Name, err)
	}
	var at int64
	var last Attempt
	err = s.o.DB.QueryRowContext(ctx, `SELECT attempt_time, response_status, error FROM notification_deliveries
		WHERE notification_id = $1 AND attempts > 0 ORDER BY attempt_time DESC, id DESC LIMIT 1`, t.ID).Scan(&at, &last.Status, &last.Error)
	if store.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read deliveries to %s: %w", t.Name, err)
	}
	last.Time = store.Time(at)
	t.Last = &last
	return nil
}

// Create checks and stores a target. It is told of what happens from now on.
func (s *Service) Create(ctx context.Context, t Target) (int64, error) {
	if err := t.normalize(); err != nil {
		return 0, err
	}
	if t.AuthHeader == MaskedSecret {
		return 0, problem.New(problem.BadRequest, "auth_header: %s stands for a secret and is none", MaskedSecret)
	}
	now := store.Millis(s.now())
	var id int64
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO notifications (name, description, enabled, url, skip_cert_verify, ca_certificate,
			payload_format, events, policy_ids, creation_time, update_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) RETURNING id`,
			t.Name, t.Description, t.Enabled, t.URL, t.SkipCertVerify, t.CACertificate, string(t.Format), store.JSON(t.Events), policyJSON(t), now).Scan(&id)
		if err != nil {
			return err
		}
		return s.seal(ctx, tx, id, t.AuthHeader)
	})
	if store.IsConflict(err) {
		return 0, problem.New(problem.Conflict, "notification %s already exists", t.Name)
	}
	if err != nil {
		return 0, fmt.Errorf("create notification %s: %w", t.Name, err)
	}
	return id, nil
}

func policyJSON(t Target) string {
	if t.PolicyIDs == nil {
		return "[]"
	}
	return store.JSON(t.PolicyIDs)
}

func (s *Service) seal(ctx context.Context, tx *store.Tx, id int64, header string) error {
	sealed, err := s.o.Box.Seal(header, secretContext(id))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE notifications SET auth_header = $2 WHERE id = $1`, id, sealed)
	return err
}

// Update replaces a target, but for its secret when authHeader is nil or
// MaskedSecret. A secret goes to the host that it was given for only: a new host needs
// it anew, or "". What waits is delivered to the new target at once.
func (s *Service) Update(ctx context.Context, t Target, authHeader *string) error {
	old, err := s.get(ctx, s.o.DB, t.ID)
	if err != nil {
		return err
	}
	keep := authHeader == nil || *authHeader == MaskedSecret
	if t.AuthHeader = ""; !keep {
		t.AuthHeader = *authHeader
	}
	if err := t.normalize(); err != nil {
		return err
	}
	if keep && old.sealed != "" && origin(old.URL) != origin(t.URL) {
		return problem.New(problem.BadRequest, `auth_header: the stored one was given for %s: give it again for %s, or "" for none`, origin(old.URL), origin(t.URL))
	}
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE notifications SET name = $2, description = $3, enabled = $4, url = $5, skip_cert_verify = $6,
			ca_certificate = $7, payload_format = $8, events = $9, policy_ids = $10, update_time = $11 WHERE id = $1`,
			t.ID, t.Name, t.Description, t.Enabled, t.URL, t.SkipCertVerify, t.CACertificate, string(t.Format), store.JSON(t.Events), policyJSON(t), store.Millis(s.now()))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, problem.New(problem.NotFound, "notification %d not found", t.ID))
		}
		if !keep {
			if err := s.seal(ctx, tx, t.ID, t.AuthHeader); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE notification_deliveries SET next_attempt_time = 0 WHERE notification_id = $1 AND status = 'waiting'`, t.ID)
		if err != nil {
			return err
		}
		return s.enqueue(ctx, tx, t.ID)
	})
	if store.IsConflict(err) {
		return problem.New(problem.Conflict, "notification %s already exists", t.Name)
	}
	if err != nil {
		return fmt.Errorf("update notification %s: %w", t.Name, err)
	}
	return nil
}

func (s *Service) enqueue(ctx context.Context, tx *store.Tx, target int64) error {
	_, _, err := s.o.Queue.Insert(ctx, tx, queue.NewJob{Kind: jobKind, Key: fmt.Sprint(target), Payload: fmt.Sprint(target)})
	return err
}

// Delete removes a target with its deliveries, also those that wait.
func (s *Service) Delete(ctx context.Context, id int64) error {
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM notifications WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, problem.New(problem.NotFound, "notification %d not found", id))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete notification %d: %w", id, err)
	}
	return nil
}
