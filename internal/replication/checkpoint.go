package replication

import (
	"context"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// checkpoints keeps in the database how far interrupted uploads came, so that
// they are gone on with after a restart.
type checkpoints struct {
	db  *store.DB
	now func() time.Time
}

// Load returns what was saved under a name.
func (c checkpoints) Load(ctx context.Context, name string) (value string, found bool, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT value FROM upload_checkpoints WHERE name = $1`, name).Scan(&value)
	if store.IsNotFound(err) {
		return "", false, nil
	}
	return value, err == nil, err
}

// Save stores a value under a name.
func (c checkpoints) Save(ctx context.Context, name, value string) error {
	return c.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO upload_checkpoints (name, value, time) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, time = excluded.time`, name, value, store.Millis(c.now()))
		return err
	})
}

// Delete forgets a name.
func (c checkpoints) Delete(ctx context.Context, name string) error {
	return c.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM upload_checkpoints WHERE name = $1`, name)
		return err
	})
}
