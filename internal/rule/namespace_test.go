package rule_test

import (
	"slices"
	"testing"

	"github.com/lighterage/lighterage/internal/rule"
)

func TestNamespacesThatARuleNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names   []string // patterns of name filters
		want    []string
		literal bool
	}{
		{nil, nil, false},
		{[]string{"library/**"}, []string{"library"}, true},
		{[]string{"library"}, []string{"library"}, true},
		{[]string{"a/b/c"}, []string{"a"}, true},
		{[]string{"{library,team}/app*"}, []string{"library", "team"}, true},
		{[]string{"{library/**,team/x,library/y}"}, []string{"library", "team"}, true},
		{[]string{"library/{a,b}/*"}, []string{"library"}, true},
		{[]string{"**"}, nil, false},
		{[]string{"lib*/**"}, nil, false},
		{[]string{"{library,te*}/**"}, nil, false},
		{[]string{"[a]/x"}, nil, false},
		{[]string{`\a/x`}, nil, false},
		{[]string{"**/x", "team/**"}, []string{"team"}, true}, // both must agree: one that names them is enough
	} {
		var filters []rule.Filter
		for _, n := range c.names {
			filters = append(filters, rule.Filter{Type: rule.FilterName, Value: n})
		}
		m, err := rule.Compile(rule.Rule{Filters: filters})
		if err != nil {
			t.Fatalf("%q: %v", c.names, err)
		}
		got, literal := m.Namespaces()
		if literal != c.literal || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, %v; want %q, %v", c.names, got, literal, c.want, c.literal)
		}
	}
}
