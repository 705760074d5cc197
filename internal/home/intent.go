package home

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Operation is what an intent is about to do.
type Operation string

// The operations.
const (
	PushOperation   Operation = "push"
	DeleteOperation Operation = "delete"
)

// Intent says that a reference in the storage is about to change.
type Intent struct {
	ID         int64
	Owner      string
	Repository string
	Reference  string // tag or digest; "" for the whole repository
	Operation  Operation
	Time       time.Time // when it was made or last kept alive
}

// Begin records that a reference is about to change. The intent ends with one of
// the Record methods or with Abort, or is left behind with Abandon.
func (x *Index) Begin(ctx context.Context, repository, reference string, operation Operation) (Intent, error) {
	in := Intent{Owner: x.owner, Repository: repository, Reference: reference, Operation: operation, Time: time.Now()}
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		x.Abandon(in) // of an attempt that the database broke off
		err := tx.QueryRowContext(ctx, `INSERT INTO intents (owner, repository, reference, operation, time)
			VALUES ($1, $2, $3, $4, $5) RETURNING id`,
			in.Owner, in.Repository, in.Reference, string(in.Operation), store.Millis(in.Time)).Scan(&in.ID)
		if err != nil {
			return err
		}
		x.mu.Lock() // before the commit, after which LeftOver can see the row
		defer x.mu.Unlock()
		x.live[in.ID] = struct{}{}
		return nil
	})
	if err != nil {
		x.Abandon(in)
		return Intent{}, fmt.Errorf("record intent to %s %s:%s: %w", operation, repository, reference, err)
	}
	return in, nil
}

// Abort ends an intent whose change was not made. When that fails the intent is
// left behind, as with Abandon.
func (x *Index) Abort(ctx context.Context, in Intent) error {
	defer x.Abandon(in)
	err := x.db.InTx(ctx, func(tx *store.Tx) error { return endIntent(ctx, tx, in) })
	if err != nil {
		return fmt.Errorf("end intent to %s %s:%s: %w", in.Operation, in.Repository, in.Reference, err)
	}
	return nil
}

// Abandon leaves an intent to LeftOver: whether its change was made is not known.
func (x *Index) Abandon(in Intent) {
	x.mu.Lock()
	delete(x.live, in.ID)
	x.mu.Unlock()
}

func endIntent(ctx context.Context, tx *store.Tx, in Intent) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM intents WHERE id = $1`, in.ID)
	return err
}

// KeepAlive shows other processes that this one still works on its intents. Call
// it several times within the silence given to LeftOver.
func (x *Index) KeepAlive(ctx context.Context) error {
	ids := x.liveIntents()
	if len(ids) == 0 || !x.Shared() {
		return nil
	}
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		args := append([]any{store.Millis(time.Now())}, anys(ids)...)
		_, err := tx.ExecContext(ctx, `UPDATE intents SET time = $1 WHERE id IN (`+placeholders(2, len(ids))+`)`, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep intents alive: %w", err)
	}
	return nil
}

func (x *Index) liveIntents() []int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	ids := make([]int64, 0, len(x.live))
	for id := range x.live {
		ids = append(ids, id)
	}
	return ids
}

// LeftOver returns the intents that nobody works on any more: those that this
// process abandoned, and those of processes that are gone. Where several
// processes share the database, one is gone when it was silent for so long.
func (x *Index) LeftOver(ctx context.Context, silence time.Duration) ([]Intent, error) {
	dead := time.Now().Add(-silence)
	rows, err := x.db.QueryContext(ctx, `SELECT id, owner, repository, reference, operation, time FROM intents ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list intents: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var found []Intent
	for rows.Next() {
		var in Intent
		var millis int64
		if err := rows.Scan(&in.ID, &in.Owner, &in.Repository, &in.Reference, &in.Operation, &millis); err != nil {
			return nil, fmt.Errorf("list intents: %w", err)
		}
		in.Time = store.Time(millis)
		found = append(found, in)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list intents: %w", err)
	}
	return slices.DeleteFunc(found, func(in Intent) bool {
		if in.Owner == x.owner {
			return x.isLive(in)
		}
		return x.Shared() && in.Time.After(dead)
	}), nil
}

func (x *Index) isLive(in Intent) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, live := x.live[in.ID]
	return live
}
