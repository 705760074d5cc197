package api

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Applied is what "lighterage apply" remembers of what it has brought here: what it may
// take away again, and whether a secret is still the one of its files. It decides
// nothing: the things themselves are changed by their own operations.
type Applied struct{ db *store.DB }

// NewApplied returns what is remembered in db.
func NewApplied(db *store.DB) *Applied { return &Applied{db: db} }

// appliedResource is what the right to it is asked for: who may change everything may.
const appliedResource = "configuration"

func (a *api) ListAppliedResources(ctx context.Context, _ gen.ListAppliedResourcesRequestObject) (gen.ListAppliedResourcesResponseObject, error) {
	if _, err := a.require(ctx, appliedResource, "update"); err != nil { // hashes of secrets are for few eyes
		return nil, err
	}
	list, err := a.o.Applied.list(ctx)
	return gen.ListAppliedResources200JSONResponse(list), err
}

func (a *api) RememberAppliedResource(ctx context.Context, r gen.RememberAppliedResourceRequestObject) (gen.RememberAppliedResourceResponseObject, error) {
	if _, err := a.require(ctx, appliedResource, "update"); err != nil {
		return nil, err
	}
	if err := a.o.Applied.remember(ctx, *r.Body, a.o.Clock()); err != nil {
		return nil, err
	}
	return gen.RememberAppliedResource200Response{}, nil
}

func (a *api) ForgetAppliedResource(ctx context.Context, r gen.ForgetAppliedResourceRequestObject) (gen.ForgetAppliedResourceResponseObject, error) {
	if _, err := a.require(ctx, appliedResource, "update"); err != nil {
		return nil, err
	}
	if r.Params.Kind == "" || r.Params.Name == "" {
		return nil, problem.New(problem.BadRequest, "kind and name are required")
	}
	if err := a.o.Applied.forget(ctx, r.Params.Kind, r.Params.Name); err != nil {
		return nil, err
	}
	return gen.ForgetAppliedResource200Response{}, nil
}

func (a *Applied) list(ctx context.Context) ([]gen.AppliedResource, error) {
	rows, err := a.db.QueryContext(ctx, `SELECT kind, name, set_name, made, secret, update_time FROM applied_resources ORDER BY kind, name`)
	if err != nil {
		return nil, fmt.Errorf("list applied resources: %w", err)
	}
	defer func() { _ = rows.Close() }()
	list := []gen.AppliedResource{}
	for rows.Next() {
		var r gen.AppliedResource
		var updated int64
		if err := rows.Scan(&r.Kind, &r.Name, &r.Set, &r.Made, &r.Secret, &updated); err != nil {
			return nil, fmt.Errorf("list applied resources: %w", err)
		}
		r.UpdateTime = gen.Time{Time: store.Time(updated)}
		list = append(list, r)
	}
	return list, rows.Err()
}

// mostText bounds what is remembered of one thing. Bytes.
const mostText = 512

func (a *Applied) remember(ctx context.Context, r gen.AppliedResource, now time.Time) error {
	for field, text := range map[string]string{"kind": r.Kind, "name": r.Name, "set": r.Set} {
		if text == "" || len(text) > mostText || !utf8.ValidString(text) {
			return problem.New(problem.BadRequest, "%s: it is empty, longer than %d bytes or no text", field, mostText)
		}
	}
	if len(r.Secret) > mostText || !utf8.ValidString(r.Secret) {
		return problem.New(problem.BadRequest, "secret: it is longer than %d bytes or no text", mostText)
	}
	err := a.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO applied_resources (kind, name, set_name, made, secret, update_time) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (kind, name) DO UPDATE SET set_name = excluded.set_name, made = excluded.made, secret = excluded.secret, update_time = excluded.update_time`,
			r.Kind, r.Name, r.Set, r.Made, r.Secret, store.Millis(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("remember %s %s: %w", r.Kind, r.Name, err)
	}
	return nil
}

func (a *Applied) forget(ctx context.Context, kind, name string) error {
	err := a.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM applied_resources WHERE kind = $1 AND name = $2`, kind, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget %s %s: %w", kind, name, err)
	}
	return nil
}
