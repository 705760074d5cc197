package queue

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/store"
)

// Waiting returns the id of the job of a kind and key that waits, if one does.
// It stays waiting until tx ends.
func (q *Queue) Waiting(ctx context.Context, tx *store.Tx, kind, key string) (id int64, found bool, err error) {
	// An update without effect, because it takes the row's lock on both databases.
	err = tx.QueryRowContext(ctx, `UPDATE jobs SET stop = stop WHERE kind = $1 AND key = $2 AND state = 'waiting' RETURNING id`, kind, key).Scan(&id)
	if store.IsNotFound(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look for job %s %s: %w", kind, key, err)
	}
	return id, true, nil
}

// Hasten makes a job that waits due at once. It reports false when there is no
// such job or it runs already.
func (q *Queue) Hasten(ctx context.Context, tx *store.Tx, id int64) (found bool, err error) {
	result, err := tx.ExecContext(ctx, `UPDATE jobs SET run_at = creation_time WHERE id = $1 AND state = 'waiting'`, id)
	if err != nil {
		return false, fmt.Errorf("hasten job %d: %w", id, err)
	}
	n, err := result.RowsAffected()
	if n == 1 {
		tx.OnCommit(q.Wake)
	}
	return n == 1, err
}
