package rule_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

// selecting is a rule that selects beyond its filters.
func selecting(t *testing.T, s rule.Selection, filters ...rule.Filter) *rule.Matcher {
	t.Helper()
	r := rule.Rule{Name: "x", Filters: filters, Extras: rule.Extras{Select: s}}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	m, err := rule.Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMistakesInASelectionNameTheField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s    rule.Selection
		want string // the beginning of the message; "": it is valid
	}{
		{rule.Selection{}, ""},
		{rule.Selection{
			Names: []string{"library/**"}, ExcludeNames: []string{"**/test"}, NameRegexp: `library/.+`, Tags: []string{"v*"}, ExcludeTags: []string{"*-rc*"},
			TagRegexp: `v\d+(\.\d+)*`, Semver: ">=1.2 <2 || ^3", Newest: 3, PushedSince: "30d", ArtifactTypes: []string{"IMAGE", "application/vnd.cncf.helm.config.v1+json"},
		}, ""},
		{rule.Selection{Names: []string{"a", "b{"}}, `select.names: invalid pattern "b{": a { has no matching }`},
		{rule.Selection{ExcludeNames: []string{""}}, `select.exclude_names: pattern 1 is empty`},
		{rule.Selection{NameRegexp: "("}, "select.name_regex: error parsing regexp: missing closing )"},
		{rule.Selection{NameRegexp: "a)|(b"}, "select.name_regex: error parsing regexp: unexpected )"},
		{rule.Selection{Tags: []string{"["}}, `select.tags: invalid pattern "["`},
		{rule.Selection{Tags: slices.Repeat([]string{"a"}, 1001)}, "select.tags: more than 1000 patterns"},
		{rule.Selection{ExcludeTags: []string{`x\`}}, `select.exclude_tags: invalid pattern "x\\"`},
		{rule.Selection{TagRegexp: `(?!x)`}, "select.tag_regex: error parsing regexp: invalid or unsupported Perl syntax"},
		{rule.Selection{TagRegexp: strings.Repeat("a", 1025)}, "select.tag_regex: longer than 1024 characters"},
		{rule.Selection{TagRegexp: "a{1000}{1000}"}, "select.tag_regex: error parsing regexp"},
		{rule.Selection{Semver: "latest"}, `select.semver: "latest" is no range of versions`},
		{rule.Selection{Semver: ">=1.2 <<2"}, `select.semver: ">=1.2 <<2" is no range`},
		{rule.Selection{Semver: strings.Repeat("1 || ", 40) + "1"}, "select.semver: "},
		{rule.Selection{Newest: -1}, "select.newest: -1 is not between 0 (all) and 1000000"},
		{rule.Selection{Newest: 1_000_001}, "select.newest: 1000001 is not"},
		{rule.Selection{PushedSince: "yesterday"}, `select.pushed_since: "yesterday" is neither a time`},
		{rule.Selection{ArtifactTypes: []string{"IMAGE", "a b"}}, `select.artifact_types: "a b" is neither a word`},
		{rule.Selection{ArtifactTypes: []string{""}}, `select.artifact_types: "" is neither a word`},
	} {
		r := rule.Rule{Name: "x", Extras: rule.Extras{Select: c.s}}
		err := r.Validate()
		if c.want == "" && err != nil || c.want != "" && (!problem.Is(err, problem.BadRequest) || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.s, err, c.want)
		}
		if _, compiled := rule.Compile(r); (compiled == nil) != (err == nil) {
			t.Errorf("%+v: compiled: %v, validated: %v", c.s, compiled, err)
		}
	}
}

func TestWhatASelectionSelects(t *testing.T) {
	t.Parallel()
	tagged := rule.Candidate{
		Repository: "library/app", Digest: "sha256:1", Tags: []string{"v1.2.0", "1.10", "2.0.0-rc.1", "latest"}, ResourceType: "image",
		MediaTypes: []string{"application/vnd.oci.image.config.v1+json"},
	}
	untagged := rule.Candidate{Repository: "library/app", Digest: "sha256:2", ResourceType: "image"}
	chart := rule.Candidate{
		Repository: "charts/app", Digest: "sha256:3", Tags: []string{"1.0.0_build.5"}, ResourceType: "CHART",
		MediaTypes: []string{"application/vnd.cncf.helm.config.v1+json"},
	}
	signature := rule.Candidate{
		Repository: "library/app", Digest: "sha256:4", Tags: []string{"sha256-" + strings.Repeat("a", 64) + ".sig"}, ResourceType: "image", Accessory: true,
	}
	all := tagged.Tags
	const dropped = "dropped"
	for _, c := range []struct {
		what    string
		s       rule.Selection
		filters []rule.Filter
		of      rule.Candidate
		want    any
	}{
		{"one of the names is enough", rule.Selection{Names: []string{"test/**", "library/*"}}, nil, tagged, all},
		{"none of the names", rule.Selection{Names: []string{"test/**", "library"}}, nil, tagged, dropped},
		{"a name that is left out", rule.Selection{ExcludeNames: []string{"x", "**/app"}}, nil, tagged, dropped},
		{"a name that is not left out", rule.Selection{ExcludeNames: []string{"library/a"}}, nil, tagged, all},
		{"the whole name matches", rule.Selection{NameRegexp: "library/a.p"}, nil, tagged, all},
		{"a part of the name is not enough", rule.Selection{NameRegexp: "brary/app"}, nil, tagged, dropped},
		{"alternatives are whole names too", rule.Selection{NameRegexp: "library|app"}, nil, tagged, dropped},
		{"lines do not matter", rule.Selection{NameRegexp: "(?m)^library$/app"}, nil, tagged, dropped},
		{"the names of a filter and of a selection must both agree", rule.Selection{Names: []string{"library/*"}}, []rule.Filter{name("test/**")}, tagged, dropped},

		{"one of the patterns of tags is enough", rule.Selection{Tags: []string{"latest", "v*"}}, nil, tagged, []string{"v1.2.0", "latest"}},
		{"tags that are left out", rule.Selection{ExcludeTags: []string{"latest", "*-rc*"}}, nil, tagged, []string{"v1.2.0", "1.10"}},
		{"left out wins", rule.Selection{Tags: []string{"*"}, ExcludeTags: []string{"*"}}, nil, tagged, dropped},
		{"the whole tag matches", rule.Selection{TagRegexp: `v?\d+\.\d+(\.\d+)?`}, nil, tagged, []string{"v1.2.0", "1.10"}},
		{"with the filter of tags", rule.Selection{TagRegexp: `.*1.*`}, []rule.Filter{notTag("v*")}, tagged, []string{"1.10", "2.0.0-rc.1"}},
		{"untagged and tags", rule.Selection{Tags: []string{"v*"}}, nil, untagged, dropped},
		{"untagged and a star among tags", rule.Selection{Tags: []string{"v*", "*"}}, nil, untagged, []string(nil)},
		{"untagged and tags that are left out", rule.Selection{ExcludeTags: []string{"v*"}}, nil, untagged, []string(nil)},
		{"untagged and a regular expression", rule.Selection{TagRegexp: "v.*"}, nil, untagged, dropped},
		{"untagged and one that matches nothing too", rule.Selection{TagRegexp: ".*"}, nil, untagged, []string(nil)},

		{"versions of a range", rule.Selection{Semver: ">=1.2 <2"}, nil, tagged, []string{"v1.2.0", "1.10"}},
		{"1.10 is 1.10.0", rule.Selection{Semver: "1.10.0"}, nil, tagged, []string{"1.10"}},
		{"a pre-release is in no range without one", rule.Selection{Semver: ">=1.2"}, nil, tagged, []string{"v1.2.0", "1.10"}},
		{"and in one with one", rule.Selection{Semver: ">=1.2-0"}, nil, tagged, []string{"v1.2.0", "1.10", "2.0.0-rc.1"}},
		{"what is no version is in no range", rule.Selection{Semver: "*"}, nil, tagged, []string{"v1.2.0", "1.10"}},
		{"untagged and a range", rule.Selection{Semver: "*"}, nil, untagged, dropped},
		{"_ is the + of Helm", rule.Selection{Semver: "=1.0.0"}, nil, chart, []string{"1.0.0_build.5"}},

		{"Harbor's word in small letters", rule.Selection{ArtifactTypes: []string{"chart"}}, nil, chart, []string{"1.0.0_build.5"}},
		{"another word", rule.Selection{ArtifactTypes: []string{"CHART", "WASM"}}, nil, tagged, dropped},
		{"a media type", rule.Selection{ArtifactTypes: []string{"CHART", "application/vnd.oci.image.config.v1+JSON"}}, nil, tagged, all},
		{"a media type that is not told", rule.Selection{ArtifactTypes: []string{"application/vnd.oci.image.config.v1+json"}}, nil, untagged, dropped},
		{"of filter and type both", rule.Selection{ArtifactTypes: []string{"CHART"}}, []rule.Filter{resource("image")}, chart, dropped},

		{"a signature for itself", rule.Selection{}, nil, signature, signature.Tags},
		{"a signature and a type", rule.Selection{ArtifactTypes: []string{"IMAGE"}}, nil, signature, dropped},
		{"a signature and newest", rule.Selection{Newest: 1}, nil, signature, dropped},
		{"a signature that is known by its tag alone", rule.Selection{Newest: 1}, nil, rule.Candidate{Repository: "a", Tags: signature.Tags}, dropped},

		{"all together", rule.Selection{Names: []string{"library/*"}, NameRegexp: ".*app", Tags: []string{"v*", "1*"}, TagRegexp: "[v1].*", Semver: "1.x", ArtifactTypes: []string{"IMAGE"}},
			[]rule.Filter{name("**"), notTag("1.10")}, tagged, []string{"v1.2.0"}},
	} {
		tags, ok := selecting(t, c.s, c.filters...).Match(c.of)
		var got any = tags
		if !ok {
			got = dropped
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestASelectionThatWishesNothing(t *testing.T) {
	t.Parallel()
	if empty := (rule.Selection{Names: []string{}, Tags: []string{}}); !empty.IsZero() || !(rule.Selection{}).IsZero() {
		t.Error("nothing is a wish")
	}
	for _, s := range []rule.Selection{
		{Names: []string{"a"}}, {ExcludeNames: []string{"a"}}, {NameRegexp: "a"}, {Tags: []string{"a"}}, {ExcludeTags: []string{"a"}}, {TagRegexp: "a"},
		{Semver: "1"}, {Newest: 1}, {PushedSince: "1h"}, {ArtifactTypes: []string{"a"}},
	} {
		if s.IsZero() {
			t.Errorf("%+v is no wish", s)
		}
	}
	if n := reflect.TypeFor[rule.Selection]().NumField(); n != 10 {
		t.Errorf("there are %d wishes, and this test knows of 10", n)
	}
}

func TestRepositoriesThatASelectionNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s       rule.Selection
		filters []rule.Filter
		want    any // names, or nil for: read the catalog
	}{
		{rule.Selection{Names: []string{"a/b", "c/{d,e}"}}, nil, []string{"a/b", "c/d", "c/e"}},
		{rule.Selection{Names: []string{"a/b", "c/*"}}, nil, nil},
		{rule.Selection{Names: []string{"a/b", "c/d"}, ExcludeNames: []string{"c/**"}}, nil, []string{"a/b"}},
		{rule.Selection{ExcludeNames: []string{"a/b"}}, nil, nil},
		{rule.Selection{NameRegexp: `a/b\.c`}, nil, []string{"a/b.c"}},
		{rule.Selection{NameRegexp: `a/b.c`}, nil, nil},
		{rule.Selection{NameRegexp: `(?i)a/b`}, nil, nil},
		{rule.Selection{NameRegexp: `.*/b`, Names: []string{"a/b", "a/c"}}, nil, []string{"a/b"}},
		{rule.Selection{Names: []string{"**/b"}}, []rule.Filter{name("{a,c}/b")}, []string{"a/b", "c/b"}},
		{rule.Selection{Names: []string{"a/b"}}, []rule.Filter{name("c/**")}, []string(nil)},
	} {
		names, literal := selecting(t, c.s, c.filters...).Repositories()
		var got any
		if literal {
			got = names
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.s, diff)
		}
	}
}

func TestTagsThatASelectionNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s    rule.Selection
		want any
	}{
		{rule.Selection{Tags: []string{"v1", "v{2,3}"}}, []string{"v1", "v2", "v3"}},
		{rule.Selection{Tags: []string{"v1", "v*"}}, nil},
		{rule.Selection{Tags: []string{"{v1,}"}}, nil},
		{rule.Selection{Tags: []string{"v1", "v2"}, ExcludeTags: []string{"v2"}}, []string{"v1"}},
		{rule.Selection{TagRegexp: `v1\.0`}, []string{"v1.0"}},
		{rule.Selection{TagRegexp: `v1.0`}, nil},
		{rule.Selection{Tags: []string{"1.0", "x"}, Semver: "1.x"}, []string{"1.0"}},
		{rule.Selection{Semver: "=1.0.0"}, nil}, // 1.0 and v1 are that too
	} {
		tags, literal := selecting(t, c.s).LiteralTags()
		var got any
		if literal {
			got = tags
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.s, diff)
		}
	}
}

func TestNamespacesThatASelectionNames(t *testing.T) {
	t.Parallel()
	for want, patterns := range map[string][]string{
		"a,c": {"a/**", "c/d", "a/x"},
		"":    {"a/**", "*/b"},
	} {
		names, literal := selecting(t, rule.Selection{Names: patterns}).Namespaces()
		if got := strings.Join(names, ","); got != want || literal != (want != "") {
			t.Errorf("%q: %q, %t", patterns, got, literal)
		}
	}
}

func TestWhatASelectionHasToKnow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s                        rule.Selection
		tag, types, kinds, times bool
	}{
		{rule.Selection{Names: []string{"a"}}, false, false, false, false},
		{rule.Selection{TagRegexp: "a"}, true, false, false, false},
		{rule.Selection{Semver: "1"}, true, false, false, false},
		{rule.Selection{ArtifactTypes: []string{"IMAGE"}}, false, true, true, false},
		{rule.Selection{ArtifactTypes: []string{"a/b"}}, false, true, true, false},
		{rule.Selection{Newest: 1}, false, false, false, true},
		{rule.Selection{PushedSince: "1h"}, false, false, false, true},
	} {
		m := selecting(t, c.s)
		if m.HasTagFilter() != c.tag || m.NeedsType() != c.types || m.NeedsKind() != c.kinds || m.NeedsTimes() != c.times {
			t.Errorf("%+v: tags %t, types %t, kinds %t, times %t", c.s, m.HasTagFilter(), m.NeedsType(), m.NeedsKind(), m.NeedsTimes())
		}
	}
}

// What a selection names by itself is all that it wants, whatever else it wishes.
func TestLiteralsOfASelectionAgreeWithMatching(t *testing.T) {
	t.Parallel()
	pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab{},*")), 1, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		s := rule.Selection{
			Tags:        rapid.SliceOfN(pattern, 0, 3).Draw(t, "tags"),
			ExcludeTags: rapid.SliceOfN(pattern, 0, 2).Draw(t, "exclude"),
			TagRegexp:   rapid.SampledFrom([]string{"", "ab", "a.*", "(a|b)+", `a\b`}).Draw(t, "regexp"),
		}
		s.Names, s.ExcludeNames, s.NameRegexp = s.Tags, s.ExcludeTags, s.TagRegexp
		m, err := rule.Compile(rule.Rule{Extras: rule.Extras{Select: s}})
		if err != nil {
			return
		}
		probe := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 4, -1).Draw(t, "text")
		if tags, literal := m.LiteralTags(); literal {
			if _, wanted := m.MatchTags([]string{probe}); wanted != slices.Contains(tags, probe) {
				t.Fatalf("%+v lists the tags %v; it wants %q: %t", s, tags, probe, wanted)
			}
		}
		if names, literal := m.Repositories(); literal && m.MatchRepository(probe) != slices.Contains(names, probe) {
			t.Fatalf("%+v lists the repositories %v; it wants %q: %t", s, names, probe, m.MatchRepository(probe))
		}
	})
}

func FuzzSelection(f *testing.F) {
	f.Add("library/**", "v?.*", ">=1.2 <2", "30d", "IMAGE", "library/app", "v1.3.0")
	f.Add("{", "(", "||", "99999w", "a/b", "", "")
	f.Add("a", "a)|(b", "1 - 2", "2026-01-01", "x", "b", "1.0.0_x")
	f.Fuzz(func(t *testing.T, pattern, expression, versions, since, kind, repository, tag string) {
		r := rule.Rule{Name: "x", Extras: rule.Extras{Select: rule.Selection{
			Names: []string{pattern}, TagRegexp: expression, Semver: versions, PushedSince: since, ArtifactTypes: []string{kind}, Newest: 1,
		}}}
		if err := r.Validate(); err != nil {
			if !problem.Is(err, problem.BadRequest) || !strings.HasPrefix(err.Error(), "select.") {
				t.Errorf("%v", err)
			}
			return
		}
		m, err := rule.Compile(r)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1e9, 0)
		choices, err := m.Select([]rule.Candidate{
			{Repository: repository, Digest: "d", Tags: []string{tag}, ResourceType: kind, MediaTypes: []string{kind}, PushTime: now},
			{Repository: repository, Digest: "e", PushTime: now},
		}, now)
		if err != nil || len(choices) > 1 {
			t.Errorf("%v, %v", choices, err)
		}
	})
}
