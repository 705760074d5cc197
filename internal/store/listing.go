package store

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/lighterage/lighterage/internal/problem"
)

// ListQuery is what a caller asks of a list: Harbor's q=, sort=, page= and
// page_size=.
type ListQuery struct {
	Conditions     []Condition // all of them must hold; one a field
	Sort           []SortKey
	Page, PageSize int64 // Page below 1: the first one. PageSize below 1: everything, as Harbor has it
}

// Match says how a condition compares.
type Match string

// The ways to compare, with the form they have in q.
const (
	Exact Match = "exact" // k=v
	Fuzzy Match = "fuzzy" // k=~v: contains v, whatever the case of A to Z
	Range Match = "range" // k=[min~max], both ends included, one of them may be missing
	AnyOf Match = "any"   // k={a b c}
	AllOf Match = "all"   // k=(a b c): for fields that hold several values, such as labels
)

// Condition is one filter of a ListQuery.
type Condition struct {
	Field    string
	Match    Match
	Values   []string // one for Exact and Fuzzy, any number (also none) for AnyOf and AllOf
	Min, Max string   // of a Range; "" is open
}

// SortKey is one field to order by.
type SortKey struct {
	Field      string
	Descending bool
}

// maxQueryLength bounds q, and by that the number of values that can reach the
// database in one statement. Bytes.
const maxQueryLength = 16 << 10

// ParseListQuery reads the four parameters as Harbor does (its lib/q/builder.go);
// a q that it refuses is refused with its words as a problem.BadRequest.
func ParseListQuery(q, sort string, page, pageSize int64) (ListQuery, error) {
	conditions, err := parseConditions(q)
	if err != nil {
		return ListQuery{}, err
	}
	return ListQuery{Conditions: conditions, Sort: parseSort(sort), Page: page, PageSize: pageSize}, nil
}

// Condition returns the condition on a field that a caller handles by itself,
// because it is no column (labels, tags).
func (q ListQuery) Condition(field string) (Condition, bool) {
	for _, c := range q.Conditions {
		if c.Field == field {
			return c, true
		}
	}
	return Condition{}, false
}

func parseConditions(q string) ([]Condition, error) {
	if q == "" {
		return nil, nil
	}
	if len(q) > maxQueryLength {
		return nil, problem.New(problem.BadRequest, "the query string is longer than %d bytes", maxQueryLength)
	}
	// Harbor's console and clients encode q once more than HTTP needs.
	if unescaped, err := url.QueryUnescape(q); err == nil {
		q = unescaped
	}
	if !utf8.ValidString(q) || strings.ContainsRune(q, 0) {
		return nil, problem.New(problem.BadRequest, "the query string must be UTF-8 text")
	}
	var conditions []Condition
	for part := range strings.SplitSeq(q, ",") {
		field, value, found := strings.Cut(part, "=")
		if !found || field == "" || value == "" {
			return nil, problem.New(problem.BadRequest, `the query string must contain "=" and the key/value cannot be empty`)
		}
		c, err := parseCondition(field, value)
		if err != nil {
			return nil, problem.Wrap(problem.BadRequest, err, "invalid query string value: %s", value)
		}
		conditions = put(conditions, c)
	}
	return conditions, nil
}

// put adds c; of two conditions on a field the later one counts, as in Harbor.
func put(conditions []Condition, c Condition) []Condition {
	for i := range conditions {
		if conditions[i].Field == c.Field {
			conditions[i] = c
			return conditions
		}
	}
	return append(conditions, c)
}

func parseCondition(field, value string) (Condition, error) {
	switch value[0] {
	case '~':
		if len(value) < 2 {
			return Condition{}, errors.New(`fuzzy match value must start with "~" and contain at least 1 other characters`)
		}
		return Condition{Field: field, Match: Fuzzy, Values: []string{value[1:]}}, nil
	case '[':
		return parseRange(field, value)
	case '{':
		inner, closed := strings.CutSuffix(value[1:], "}")
		if !closed {
			return Condition{}, errors.New(`or list must start with "{" and end with "}"`)
		}
		return Condition{Field: field, Match: AnyOf, Values: listValues(inner)}, nil
	case '(':
		inner, closed := strings.CutSuffix(value[1:], ")")
		if !closed {
			return Condition{}, errors.New(`and list must start with "(" and end with ")"`)
		}
		return Condition{Field: field, Match: AllOf, Values: listValues(inner)}, nil
	default:
		// A backslash takes the meaning from a first character that has one.
		// Quotes belong to the value here; they mark text in ranges and lists only.
		return Condition{Field: field, Match: Exact, Values: []string{strings.TrimPrefix(value, `\`)}}, nil
	}
}

func parseRange(field, value string) (Condition, error) {
	inner, closed := strings.CutSuffix(value[1:], "]")
	if !closed || strings.Count(inner, "~") != 1 {
		return Condition{}, errors.New(`range must start with "[", end with "]" and contains only one "~"`)
	}
	low, high, _ := strings.Cut(inner, "~")
	c := Condition{Field: field, Match: Range, Min: unquote(low), Max: unquote(high)}
	if c.Min == "" && c.Max == "" {
		return Condition{}, errors.New("min and max at least one should be set in range")
	}
	return c, nil
}

func listValues(inner string) []string {
	var values []string
	for item := range strings.SplitSeq(inner, " ") {
		if v := unquote(item); v != "" {
			values = append(values, v)
		}
	}
	return values
}

func unquote(value string) string { return strings.Trim(strings.TrimSpace(value), `"'`) }

func parseSort(sort string) []SortKey {
	var keys []SortKey
	for item := range strings.SplitSeq(sort, ",") {
		field, descending := strings.CutPrefix(item, "-")
		if field != "" {
			keys = append(keys, SortKey{Field: field, Descending: descending})
		}
	}
	return keys
}
