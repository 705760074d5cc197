package account

import (
	"context"
	"database/sql"

	"github.com/lighterage/lighterage/internal/store"
)

// scanAll reads all rows and closes them.
func scanAll[T any](rows *sql.Rows, scan func(row scanner) (T, error)) ([]T, error) {
	defer func() { _ = rows.Close() }() // Err tells what went wrong
	all := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// execOne runs a statement that changes one row; found is false if it was not there.
func execOne(ctx context.Context, tx *store.Tx, statement string, args ...any) (found bool, err error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
