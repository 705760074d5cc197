package audit

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Mark is a place in the log: who has read what there is up to it can ask what has come since.
type Mark struct {
	after int64 // entries up to this one have been there for a while
	had   int64 // how many of the later ones were there already
}

// String is the form that ParseMark reads.
func (m Mark) String() string { return fmt.Sprintf("%d.%d", m.after, m.had) }

// ParseMark reads a mark.
func ParseMark(text string) (m Mark, err error) {
	if n, err := fmt.Sscanf(text, "%d.%d", &m.after, &m.had); err != nil || n != 2 || m.after < 0 || m.had < 0 || m.had > markMargin+mostNew || m.String() != text {
		return Mark{}, problem.New(problem.BadRequest, "%q is no mark of the audit log", text)
	}
	return m, nil
}

const (
	// markMargin is how many of the latest entries a mark counts: PostgreSQL gives an entry its
	// number before others can see it, so that one may appear below others.
	markMargin = 1000
	// mostNew is how many new entries are counted.
	mostNew = 1000
	// mostLooked is how many of the latest entries are looked at for that.
	mostLooked = 100_000
)

// Mark returns the place where the part of the log that a query selects ends now.
func (l *Log) Mark(ctx context.Context, s Selection, q store.ListQuery) (m Mark, err error) {
	end, err := l.end(ctx)
	if err != nil {
		return Mark{}, err
	}
	m.after = max(end-markMargin, 0)
	m.had, err = l.later(ctx, s, q, m.after, markMargin+mostNew)
	return m, err
}

// Since returns how many entries have come since a mark that was made for the same query; it
// does not count beyond a thousand.
func (l *Log) Since(ctx context.Context, s Selection, q store.ListQuery, m Mark) (int64, error) {
	end, err := l.end(ctx)
	if err != nil {
		return 0, err
	}
	n, err := l.later(ctx, s, q, max(m.after, end-mostLooked), m.had+mostNew)
	return max(n-m.had, 0), err // some may have been removed
}

// end is the number of the latest entry.
func (l *Log) end(ctx context.Context) (id int64, err error) {
	if err := l.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM audit_logs`).Scan(&id); err != nil {
		return 0, fmt.Errorf("find the end of the audit log: %w", err)
	}
	return id, nil
}

func (l *Log) later(ctx context.Context, s Selection, q store.ListQuery, after, most int64) (n int64, err error) {
	condition, args := s.condition()
	where, args := q.Where(logColumns(), condition, args)
	conjunction := " WHERE "
	if where != "" {
		conjunction = " AND "
	}
	err = l.db.QueryRowContext(ctx, fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 FROM audit_logs%s%sid > %d LIMIT %d) AS later`, where, conjunction, after, most), args...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count what is new in the audit log: %w", err)
	}
	return n, nil
}
