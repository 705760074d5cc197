package rule_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

func TestPatternLanguage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"", []string{"", "alpine", "library/alpine"}, nil},
		{"*", []string{"alpine", ""}, []string{"library/a"}},
		{"library", []string{"library"}, []string{"library/a", "Library"}},
		{"library/*", []string{"library/a"}, []string{"library/a/b", "library"}},
		{"library/**", []string{"library/a", "library/a/b"}, []string{"library"}},
		{"**", []string{"", "a", "library/a", "a/b/c"}, nil},
		{"**/a", []string{"a", "x/a", "x/y/a"}, []string{"x/b", "ba"}},
		{"{library,test}/**", []string{"library/a", "test/x/y"}, []string{"prod/a", "library"}},
		{"library/{a,b*}", []string{"library/a", "library/b", "library/bcd"}, []string{"library/ab"}},
		{"{library/**,test/x}", []string{"library/a/b", "test/x"}, []string{"test/y", "test"}},
		{"{a, b}", []string{"a", " b"}, []string{"b"}},
		{"lib*/**", []string{"library/x/y", "lib/x"}, []string{"lob/x"}},
		{"library/a**", []string{"library/abc", "library/a"}, []string{"library/abc/d"}},
		{"1.?", []string{"1.0"}, []string{"1.", "1.01"}},
		{"v[1-3]", []string{"v1", "v3"}, []string{"v4", "v"}},
		{"v[^1-3]", []string{"v4"}, []string{"v1"}},
		{"[!a]", []string{"!", "a"}, []string{"b"}},
		{"!(x)", []string{"!(x)"}, []string{"y"}},
		{"v.*", []string{"v.1"}, []string{"v1"}},
		{`v\*`, []string{"v*"}, []string{"v1"}},
		{"*-rc*", []string{"1.0-rc1", "-rc"}, []string{"", "1.0"}},
		{"VERSION", []string{"VERSION"}, []string{"version"}},
		// The library fails on these although they are well formed.
		{"library/app{,/**}", []string{"library/app", "library/app/x", "library/app/x/y"}, []string{"library/apple", "library"}},
		{"{library/**,test/x}", nil, []string{"", "library"}},
		{"v{1/a,2}", []string{"v2"}, []string{"v", "v1"}},
	} {
		for _, s := range c.yes {
			if ok, err := rule.MatchPattern(c.pattern, s); !ok || err != nil {
				t.Errorf("%q and %q: %t, %v; want true", c.pattern, s, ok, err)
			}
		}
		for _, s := range c.no {
			if ok, err := rule.MatchPattern(c.pattern, s); ok || err != nil {
				t.Errorf("%q and %q: %t, %v; want false", c.pattern, s, ok, err)
			}
		}
	}
}

func TestMalformedPatternsAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"a{b":                       "a { has no matching }",
		"{a,{b,c}":                  "a { has no matching }",
		"[":                         "a [ has no matching ]",
		"library/[a-":               "a [ has no matching ]",
		`[\]`:                       "a [ has no matching ]",
		"{[,x}":                     "a [ has no matching ]",
		"[]":                        "[] is empty",
		"[]a]":                      "[] is empty",
		"[-a]":                      "on both sides",
		"[a-]":                      "on both sides",
		"[a--b]":                    "on both sides",
		`a\`:                        `nothing follows the last \`,
		"a\xff":                     "not valid UTF-8",
		strings.Repeat("a", 1025):   "longer than 1024 characters",
		strings.Repeat("{a,b}", 10): "more than 1000 combinations",
		strings.Repeat("{,a}", 200): "more than 1000 combinations",
		strings.Repeat("{", 1024):   "a { has no matching }",
	} {
		err := rule.ValidatePattern(pattern)
		if !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want a bad request with %q", pattern, err, want)
		}
	}
	for _, pattern := range []string{"", "a}", "a]", "a,b", "[^]", "[^a-c]", `[\]]`, `\{`, "{}", "{,}", "[{]", "[a/b]", "*-*", "ä*", strings.Repeat("{a,b}", 9)} {
		if err := rule.ValidatePattern(pattern); err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

// words draws patterns and names from an alphabet in which they often meet.
func words(t *rapid.T, label, alphabet string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune(alphabet)), 0, 12, -1).Draw(t, label)
}

func TestAPatternThatIsAcceptedNeverFails(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern, name := words(t, "pattern", `ab/*?{},[]^-\`), words(t, "name", "ab/-")
		valid := rule.ValidatePattern(pattern) == nil
		if _, err := rule.MatchPattern(pattern, name); valid && err != nil {
			t.Fatalf("%q was accepted and fails on %q: %v", pattern, name, err)
		}
	})
}

func TestPatternsMeanWhatHarborsLibrarySays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern, name := words(t, "pattern", `ab/**?{},[]^-`), words(t, "name", "ab/")
		want, err := doublestar.Match(pattern, name)
		if err != nil || pattern == "" {
			return
		}
		if got, err := rule.MatchPattern(pattern, name); got != want || err != nil {
			t.Fatalf("%q and %q: %t, %v; the library says %t", pattern, name, got, err, want)
		}
	})
}

func TestLiteralRepositoriesAgreeWithMatching(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern, name := words(t, "pattern", "ab/{},"), words(t, "name", "ab/")
		m, err := rule.Compile(rule.Rule{Filters: []rule.Filter{{Type: rule.FilterName, Value: pattern}}})
		if err != nil {
			return
		}
		names, literal := m.Repositories()
		if !literal {
			if pattern != "" && !strings.ContainsAny(pattern, `*?[\`) {
				t.Fatalf("%q has no wildcards and is not literal", pattern)
			}
			return
		}
		for _, n := range names {
			if !m.MatchRepository(n) {
				t.Fatalf("%q lists %q, which it does not match", pattern, n)
			}
		}
		if rule.ValidateRepositoryName(name) == nil && m.MatchRepository(name) != slices.Contains(names, name) {
			t.Fatalf("%q lists %q; it matches %q: %t", pattern, names, name, m.MatchRepository(name))
		}
	})
}

func FuzzMatchPattern(f *testing.F) {
	for _, pattern := range []string{"", "library/**", "{library,test}/**", "a{b", "[a-c]", `\`, "library/app{,/**}", "[^]", `{\},a}`} {
		f.Add(pattern, "library/app")
		f.Add(pattern, "")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if strings.Count(pattern, "*") > 4 || len(name) > 255 {
			return // the library takes its time for these
		}
		if rule.ValidatePattern(pattern) != nil {
			return
		}
		if _, err := rule.MatchPattern(pattern, name); err != nil {
			t.Errorf("%q was accepted and fails on %q: %v", pattern, name, err)
		}
	})
}
