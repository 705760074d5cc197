package audit

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/store"
)

// Selection is what of the log somebody may see, or asked for.
type Selection struct {
	// Projects are the ids of projects; nil: everything, also what belongs to none.
	Projects []int64
	// Types are types of resources; nil: all.
	Types []string
}

func logColumns() store.Columns {
	return store.Columns{
		"id":                    {SQL: "id", Kind: store.Integer},
		"project_id":            {SQL: "project_id", Kind: store.Integer},
		"username":              {SQL: "username"},
		"resource":              {SQL: "resource"},
		"resource_type":         {SQL: "resource_type"},
		"operation":             {SQL: "operation"},
		"operation_description": {SQL: "operation_description"},
		"operation_result":      {SQL: "operation_result", Kind: store.Boolean},
		"op_time":               {SQL: "op_time", Kind: store.Instant},
		"creation_time":         {SQL: "op_time", Kind: store.Instant},
	}
}

// List returns the entries that a query selects, the latest first, and how many there are on
// all pages.
func (l *Log) List(ctx context.Context, s Selection, q store.ListQuery) (entries []Entry, total int64, err error) {
	condition, args := s.condition()
	where, args := q.Where(logColumns(), condition, args)
	if total, err = l.counts.count(ctx, l.db, l.now(), where, args); err != nil {
		return nil, 0, err
	}
	if total == 0 {
		return nil, 0, nil // to look for what is not there takes the longest
	}
	rows, err := l.db.QueryContext(ctx, `SELECT id, username, resource, resource_type, operation, operation_description, operation_result, op_time
		FROM audit_logs`+where+q.OrderLimit(logColumns(), order(q)), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("read the audit log: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e Entry
		var resource, operation string
		var succeeded bool
		var millis int64
		if err := rows.Scan(&e.ID, &e.Username, &e.Resource, &resource, &operation, &e.Description, &succeeded, &millis); err != nil {
			return nil, 0, fmt.Errorf("read the audit log: %w", err)
		}
		e.Kind, e.Failed, e.Time = Kind(operation+"_"+resource), !succeeded, store.Time(millis)
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read the audit log: %w", err)
	}
	return entries, total, nil
}

// order is how entries are ordered that the keys of a query leave equal. It goes the way of
// the last key: an index can be read in either direction, and not in both.
func order(q store.ListQuery) string {
	switch {
	case len(q.Sort) == 0:
		return "op_time DESC, id DESC"
	case q.Sort[len(q.Sort)-1].Descending:
		return "id DESC"
	default:
		return "id ASC"
	}
}

func (s Selection) condition() (string, []any) {
	var terms []string
	var args []any
	if s.Projects != nil {
		ids := []string{"-1"} // of no project: a list has to have something
		for _, id := range s.Projects {
			ids = append(ids, strconv.FormatInt(id, 10))
		}
		terms = append(terms, "project_id IN ("+strings.Join(ids, ", ")+")")
	}
	if s.Types != nil {
		var places []string
		for _, t := range s.Types {
			args = append(args, t)
			places = append(places, fmt.Sprintf("$%d", len(args)))
		}
		terms = append(terms, "resource_type IN ("+strings.Join(places, ", ")+")")
	}
	return strings.Join(terms, " AND "), args
}
