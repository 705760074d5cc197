package store

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ColumnKind says what values a column holds.
type ColumnKind int

// The kinds of columns.
const (
	Text    ColumnKind = iota
	Integer            // BIGINT
	Boolean            // BOOLEAN
	Instant            // BIGINT, a time as Millis stores it
)

// Column is an SQL expression that may be filtered and sorted by.
type Column struct {
	SQL  string // trusted: it becomes part of the statement
	Kind ColumnKind
}

// Columns maps the field names that a caller may use to columns. Other names in
// a query are ignored, as Harbor does. Names are in snake_case; a query may also
// spell them as Harbor's Go fields (CreationTime).
type Columns map[string]Column

func (c Columns) find(field string) (Column, bool) {
	column, found := c[field]
	if !found {
		column, found = c[snakeCase(field)]
	}
	return column, found
}

// Where returns " WHERE ..." for the conditions on known columns and for base, a
// condition of the caller's own ("" for none) whose arguments are already in
// args. The arguments of the conditions are appended to args and numbered after
// them. It returns "" when there is nothing to filter by.
//
// A value that its column cannot hold (an id of "abc") matches no row.
func (q ListQuery) Where(c Columns, base string, args []any) (string, []any) {
	var terms []string
	if base != "" {
		terms = append(terms, "("+base+")")
	}
	for _, condition := range q.Conditions {
		if column, found := c.find(condition.Field); found {
			var term string
			term, args = condition.sql(column, args)
			terms = append(terms, term)
		}
	}
	if len(terms) == 0 {
		return "", args
	}
	return " WHERE " + strings.Join(terms, " AND "), args
}

// OrderLimit returns " ORDER BY ... LIMIT ... OFFSET ...". Rows that the known
// sort keys leave equal, or all rows when there is no known key, are in the order
// of fallback ("id DESC"), so that no row is on two pages.
func (q ListQuery) OrderLimit(c Columns, fallback string) string {
	var keys []string
	for _, key := range q.Sort {
		if column, found := c.find(key.Field); found {
			direction := " ASC"
			if key.Descending {
				direction = " DESC"
			}
			keys = append(keys, column.SQL+direction)
		}
	}
	text := " ORDER BY " + strings.Join(append(keys, fallback), ", ")
	if q.PageSize < 1 {
		return text
	}
	before := max(q.Page, 1) - 1
	offset := int64(math.MaxInt64)
	if before <= math.MaxInt64/q.PageSize {
		offset = before * q.PageSize
	}
	return fmt.Sprintf("%s LIMIT %d OFFSET %d", text, q.PageSize, offset)
}

const matchesNothing = "1 = 0"

func (c Condition) sql(column Column, args []any) (string, []any) {
	placeholder := func(value any) string {
		args = append(args, value)
		return "$" + strconv.Itoa(len(args))
	}
	switch c.Match {
	case Fuzzy:
		return c.fuzzySQL(column, placeholder), args
	case Range:
		term := c.rangeSQL(column, placeholder)
		return term, args
	}
	var values []string // placeholders of the values that the column can hold
	for _, text := range c.Values {
		if v, ok := column.value(text); ok {
			values = append(values, placeholder(v))
		} else if c.Match != AnyOf {
			return matchesNothing, args[:len(args)-len(values)]
		}
	}
	switch {
	case c.Match == AllOf && len(values) == 0:
		return "1 = 1", args
	case len(values) == 0:
		return matchesNothing, args
	case c.Match == AnyOf:
		return column.SQL + " IN (" + strings.Join(values, ", ") + ")", args
	default: // a column holds one value, which must then be equal to each
		return column.SQL + " = " + strings.Join(values, " AND "+column.SQL+" = "), args
	}
}

func (c Condition) fuzzySQL(column Column, placeholder func(any) string) string {
	pattern := "%" + escapeLike(upperASCII(c.Values[0])) + "%"
	switch column.Kind {
	case Text:
		return "UPPER(" + column.SQL + ") LIKE " + placeholder(pattern) + ` ESCAPE '\'`
	case Integer:
		return "CAST(" + column.SQL + " AS TEXT) LIKE " + placeholder(pattern) + ` ESCAPE '\'`
	default: // no text that a caller would know parts of
		v, ok := column.value(c.Values[0])
		if !ok {
			return matchesNothing
		}
		return column.SQL + " = " + placeholder(v)
	}
}

func (c Condition) rangeSQL(column Column, placeholder func(any) string) string {
	low, lowOK := column.value(c.Min)
	high, highOK := column.value(c.Max)
	if c.Min != "" && !lowOK || c.Max != "" && !highOK {
		return matchesNothing
	}
	var terms []string
	if c.Min != "" {
		terms = append(terms, column.SQL+" >= "+placeholder(low))
	}
	if c.Max != "" {
		terms = append(terms, column.SQL+" <= "+placeholder(high))
	}
	return strings.Join(terms, " AND ")
}

// value converts what a caller wrote to what the column holds.
func (c Column) value(text string) (any, bool) {
	switch c.Kind {
	case Integer:
		v, err := strconv.ParseInt(text, 10, 64)
		return v, err == nil
	case Boolean:
		v, err := strconv.ParseBool(text)
		return v, err == nil
	case Instant:
		// The first form is Harbor's, the second is in its documentation.
		for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime, time.RFC3339, time.DateOnly} {
			if v, err := time.Parse(layout, text); err == nil {
				return Millis(v), true
			}
		}
		return nil, false
	default:
		return text, true
	}
}

func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// upperASCII does what UPPER does on both databases (on PostgreSQL because the
// columns have the collation "C").
func upperASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, text)
}

func snakeCase(field string) string {
	runes := []rune(field)
	var b strings.Builder
	for i, r := range runes {
		startsWord := unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if startsWord {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
