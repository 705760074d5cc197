package home

import (
	"context"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/store"
)

// chunk bounds the values in one statement; both databases take more.
const chunk = 500

// placeholders returns "$first, $first+1, ...", n of them.
func placeholders(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(first+i))
	}
	return b.String()
}

func anys[T any](values []T) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// collect runs a query and reads each row with scan.
func collect[T any](ctx context.Context, q store.Querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scanText(s scanner) (string, error) {
	var text string
	err := s.Scan(&text)
	return text, err
}

// insertRows inserts rows of values into table, many with each statement, and
// leaves rows that are there as they are.
func insertRows(ctx context.Context, tx *store.Tx, table string, columns []string, rows [][]any) error {
	const perStatement = 100
	for start := 0; start < len(rows); start += perStatement {
		part := rows[start:min(start+perStatement, len(rows))]
		var b strings.Builder
		b.WriteString("INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES ")
		var args []any
		for i, row := range part {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(" + placeholders(len(args)+1, len(row)) + ")")
			args = append(args, row...)
		}
		b.WriteString(" ON CONFLICT DO NOTHING")
		if _, err := tx.ExecContext(ctx, b.String(), args...); err != nil {
			return err
		}
	}
	return nil
}
