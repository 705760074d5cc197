package inspection

import (
	"context"
	"fmt"
	"strings"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Finding is one thing that a look has found, or mended.
type Finding struct {
	Damage   migration.Damage `json:"damage"`
	Severity string           `json:"severity"`         // one of Severities
	Message  string           `json:"message"`          // all of it in a sentence
	Target   string           `json:"target,omitempty"` // where a link leads that was mended
}

// FindingFilter selects findings; what is empty selects all.
type FindingFilter struct {
	Severities []string
	Kind       string
	Repository string // a part of its name
	Repairable bool   // only what a repair mends
}

var findingColumns = store.Columns{
	"severity": {SQL: "severity", Kind: store.Integer}, "kind": {SQL: "kind", Kind: store.Text},
	"repository": {SQL: "repository", Kind: store.Text}, "repairable": {SQL: "repairable", Kind: store.Boolean},
}

// Findings returns what a look has found so far, the worst first, and how many there are.
func (s *Service) Findings(ctx context.Context, id int64, f FindingFilter, q store.ListQuery) ([]Finding, int64, error) {
	if _, err := s.Get(ctx, id); err != nil {
		return nil, 0, err
	}
	conditions, err := f.conditions()
	if err != nil {
		return nil, 0, err
	}
	where, args := store.ListQuery{Conditions: conditions}.Where(findingColumns, "inspection_id = $1", []any{id})
	var total int64
	if err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM storage_findings`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count findings of look %d: %w", id, err)
	}
	list, err := s.findings(ctx, where+q.OrderLimit(findingColumns, "severity DESC, position"), args)
	if err != nil {
		return nil, 0, fmt.Errorf("list findings of look %d: %w", id, err)
	}
	return list, total, nil
}

func (f FindingFilter) conditions() (list []store.Condition, err error) {
	var numbers []string
	for _, word := range f.Severities {
		n, known := severityNumber(word)
		if !known {
			return nil, problem.New(problem.BadRequest, "severity %q: want %s", word, strings.Join(Severities, ", "))
		}
		numbers = append(numbers, fmt.Sprint(n))
	}
	if numbers != nil {
		list = append(list, store.Condition{Field: "severity", Match: store.AnyOf, Values: numbers})
	}
	if f.Kind != "" {
		if !migration.DamageKind(f.Kind).Known() {
			return nil, problem.New(problem.BadRequest, "kind %q is not known", f.Kind)
		}
		list = append(list, store.Condition{Field: "kind", Match: store.AnyOf, Values: []string{f.Kind}})
	}
	if f.Repository != "" {
		list = append(list, store.Condition{Field: "repository", Match: store.Fuzzy, Values: []string{f.Repository}})
	}
	if f.Repairable {
		list = append(list, store.Condition{Field: "repairable", Match: store.AnyOf, Values: []string{"true"}})
	}
	return list, nil
}

func (s *Service) findings(ctx context.Context, clauses string, args []any) (list []Finding, err error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT finding FROM storage_findings`+clauses, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		var f Finding
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if err := store.FromJSON(text, &f); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, rows.Err()
}
