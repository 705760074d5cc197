package store

import (
	"context"
	"fmt"
)

// Setting returns the value stored under name; found is false when there is none.
func (db *DB) Setting(ctx context.Context, name string) (value string, found bool, err error) {
	return Setting(ctx, db, name)
}

// Setting is DB.Setting for callers that are in a transaction.
func Setting(ctx context.Context, q Querier, name string) (value string, found bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
	if IsNotFound(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read setting %s: %w", name, err)
	}
	return value, true, nil
}

// Settings returns all values, under their names.
func (db *DB) Settings(ctx context.Context) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT name, value FROM settings`)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("read the settings: %w", err)
		}
		all[name] = value
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return all, nil
}

// SetSetting stores value under name, whether there was one or not.
func SetSetting(ctx context.Context, tx *Tx, name, value string) error {
	_, err := tx.ExecContext(ctx,
		`INSERT INTO settings (name, value) VALUES ($1, $2)
		 ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	if err != nil {
		return fmt.Errorf("write setting %s: %w", name, err)
	}
	return nil
}

// InitSetting stores value under name unless there is one already, and returns
// the one that counts. Servers that start at the same time get the same answer.
func InitSetting(ctx context.Context, tx *Tx, name, value string) (current string, err error) {
	_, err = tx.ExecContext(ctx,
		`INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, value)
	if err != nil {
		return "", fmt.Errorf("write setting %s: %w", name, err)
	}
	current, _, err = Setting(ctx, tx, name)
	return current, err
}
