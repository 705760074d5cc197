package rule_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/rule"
)

func name(pattern string) rule.Filter { return rule.Filter{Type: rule.FilterName, Value: pattern} }

func tag(pattern string) rule.Filter { return rule.Filter{Type: rule.FilterTag, Value: pattern} }

func notTag(pattern string) rule.Filter {
	return rule.Filter{Type: rule.FilterTag, Value: pattern, Decoration: rule.Excludes}
}

func label(names ...string) rule.Filter { return rule.Filter{Type: rule.FilterLabel, Value: names} }

func notLabel(names ...string) rule.Filter {
	return rule.Filter{Type: rule.FilterLabel, Value: names, Decoration: rule.Excludes}
}

func resource(word string) rule.Filter { return rule.Filter{Type: rule.FilterResource, Value: word} }

func compile(t *testing.T, filters ...rule.Filter) *rule.Matcher {
	t.Helper()
	m, err := rule.Compile(rule.Rule{Filters: filters})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatARuleSelects(t *testing.T) {
	t.Parallel()
	tagged := rule.Candidate{Repository: "library/app", Digest: "sha256:1", Tags: []string{"v1", "v2-rc1", "latest"}, Labels: []string{"release", "x86"}, ResourceType: "image"}
	untagged := rule.Candidate{Repository: "library/app", Digest: "sha256:2", ResourceType: "image"}
	chart := rule.Candidate{Repository: "charts/app", Digest: "sha256:3", Tags: []string{"v1"}, ResourceType: "CHART"}
	unknown := rule.Candidate{Repository: "library/app", Tags: []string{"v1"}}
	const dropped = "dropped"
	for _, c := range []struct {
		what    string
		filters []rule.Filter
		of      rule.Candidate
		want    any // tags, or dropped
	}{
		{"no filter takes all tags", nil, tagged, []string{"v1", "v2-rc1", "latest"}},
		{"no filter takes an untagged artifact", nil, untagged, []string(nil)},
		{"an empty pattern is no filter", []rule.Filter{name(""), tag("")}, untagged, []string(nil)},

		{"a name matches the whole repository", []rule.Filter{name("library/**")}, tagged, []string{"v1", "v2-rc1", "latest"}},
		{"a project alone is not its repositories", []rule.Filter{name("library")}, tagged, dropped},
		{"two names must both match", []rule.Filter{name("library/**"), name("**/app")}, tagged, []string{"v1", "v2-rc1", "latest"}},
		{"two names that exclude each other", []rule.Filter{name("library/**"), name("test/**")}, tagged, dropped},

		{"a tag filter keeps only its tags", []rule.Filter{tag("v*")}, tagged, []string{"v1", "v2-rc1"}},
		{"an artifact without a tag left is dropped", []rule.Filter{tag("x*")}, tagged, dropped},
		{"excludes keeps the other tags", []rule.Filter{notTag("*-rc*")}, tagged, []string{"v1", "latest"}},
		{"excludes that leaves nothing", []rule.Filter{notTag("*")}, tagged, dropped},
		{"tag filters are ANDed", []rule.Filter{tag("v*"), notTag("*-rc*")}, tagged, []string{"v1"}},
		{"and their order has no meaning", []rule.Filter{notTag("*-rc*"), tag("v*")}, tagged, []string{"v1"}},

		{"untagged and a tag filter", []rule.Filter{tag("v*")}, untagged, dropped},
		{"untagged and a star", []rule.Filter{tag("*")}, untagged, []string(nil)},
		{"untagged and two stars", []rule.Filter{tag("**")}, untagged, []string(nil)},
		{"untagged and excludes", []rule.Filter{notTag("*-rc*")}, untagged, []string(nil)},
		{"untagged and excludes of everything", []rule.Filter{notTag("**")}, untagged, dropped},

		{"a label it has", []rule.Filter{label("release")}, tagged, []string{"v1", "v2-rc1", "latest"}},
		{"all labels must be there", []rule.Filter{label("release", "arm")}, tagged, dropped},
		{"no labels listed is no filter", []rule.Filter{label(), notLabel()}, untagged, []string(nil)},
		{"excludes means not all of them", []rule.Filter{notLabel("release", "arm")}, tagged, []string{"v1", "v2-rc1", "latest"}},
		{"excludes of labels it has", []rule.Filter{notLabel("release", "x86")}, tagged, dropped},
		{"without labels", []rule.Filter{label("release")}, untagged, dropped},
		{"excludes without labels", []rule.Filter{notLabel("release")}, untagged, []string(nil)},

		{"image is an image", []rule.Filter{resource("image")}, tagged, []string{"v1", "v2-rc1", "latest"}},
		{"a chart is no image", []rule.Filter{resource("image")}, chart, dropped},
		{"a chart is an artifact", []rule.Filter{resource("artifact")}, chart, []string{"v1"}},
		{"an image is an artifact", []rule.Filter{resource("artifact")}, untagged, []string(nil)},
		{"the unknown is no image", []rule.Filter{resource("image")}, unknown, dropped},
		{"capitals do not matter", []rule.Filter{resource("image")}, rule.Candidate{Tags: []string{"a"}, ResourceType: "IMAGE"}, []string{"a"}},

		{"all filters together", []rule.Filter{name("library/**"), tag("v*"), label("x86"), resource("image")}, tagged, []string{"v1", "v2-rc1"}},
		{"one that disagrees is enough", []rule.Filter{name("library/**"), tag("v*"), label("arm"), resource("image")}, tagged, dropped},
	} {
		tags, ok := compile(t, c.filters...).Match(c.of)
		var got any = tags
		if !ok {
			got = dropped
			if tags != nil {
				t.Errorf("%s: dropped with tags %v", c.what, tags)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestMatchDoesNotChangeTheCandidate(t *testing.T) {
	t.Parallel()
	tags := []string{"a", "v1", "b"}
	compile(t, tag("v*")).Match(rule.Candidate{Tags: tags})
	if diff := cmp.Diff([]string{"a", "v1", "b"}, tags); diff != "" {
		t.Error(diff)
	}
}

func TestWhichFiltersThereAre(t *testing.T) {
	t.Parallel()
	none := compile(t, name(""), tag(""), label(), resource("artifact"))
	if none.HasTagFilter() || none.HasLabelFilter() || none.NeedsType() {
		t.Error("filters without effect are counted")
	}
	all := compile(t, notTag("a"), notLabel("a"), resource("image"))
	if !all.HasTagFilter() || !all.HasLabelFilter() || !all.NeedsType() {
		t.Error("filters are not counted")
	}
}

func TestRepositoriesThatARuleNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filters []rule.Filter
		want    any // names, or nil for: read the catalog
	}{
		{nil, nil},
		{[]rule.Filter{name("")}, nil},
		{[]rule.Filter{name("library")}, []string{"library"}},
		{[]rule.Filter{name("library/hello-world")}, []string{"library/hello-world"}},
		{[]rule.Filter{name("library/**")}, nil},
		{[]rule.Filter{name("library/a?")}, nil},
		{[]rule.Filter{name("library/[a]")}, nil},
		{[]rule.Filter{name("{library}")}, []string{"library"}},
		{[]rule.Filter{name("library/{hello-world,busybox}")}, []string{"library/hello-world", "library/busybox"}},
		{[]rule.Filter{name("{library,test}/{a,b}")}, []string{"library/a", "library/b", "test/a", "test/b"}},
		{[]rule.Filter{name("{library/a,test}")}, []string{"library/a", "test"}},
		{[]rule.Filter{name("a{b{c,d}e}f")}, []string{"abcef", "abdef"}},
		{[]rule.Filter{name("{a,a}")}, []string{"a"}},
		{[]rule.Filter{name("{a, b}")}, []string{"a"}}, // no repository is called " b"
		{[]rule.Filter{name("UPPER")}, []string(nil)},
		{[]rule.Filter{name("library/{a,b}"), name("**/b")}, []string{"library/b"}},
		{[]rule.Filter{name("**/b"), name("library/{a,b}")}, []string{"library/b"}},
	} {
		names, literal := compile(t, c.filters...).Repositories()
		var got any
		if literal {
			got = names
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.filters, diff)
		}
	}
}

func TestTagsThatARuleNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filters []rule.Filter
		want    any // tags, or nil for: read the list
	}{
		{nil, nil},
		{[]rule.Filter{tag("v*")}, nil},
		{[]rule.Filter{tag("v1")}, []string{"v1"}},
		{[]rule.Filter{tag("{v1,v2}")}, []string{"v1", "v2"}},
		{[]rule.Filter{tag("{v1,V2,a b}")}, []string{"v1", "V2"}},
		{[]rule.Filter{tag("{v1,}")}, nil}, // untagged artifacts too
		{[]rule.Filter{tag("{v1,}"), tag("v1")}, []string{"v1"}},
		{[]rule.Filter{notTag("v1")}, nil},
		{[]rule.Filter{tag("{v1,v1-rc}"), notTag("*-rc")}, []string{"v1"}},
	} {
		tags, literal := compile(t, c.filters...).LiteralTags()
		var got any
		if literal {
			got = tags
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.filters, diff)
		}
	}
}

func TestLiteralTagsAgreeWithMatching(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var filters []rule.Filter
		for _, pattern := range rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("ab{},*")), 1, 8, -1), 1, 3).Draw(t, "patterns") {
			decoration := rapid.SampledFrom([]string{"", rule.Excludes}).Draw(t, "decoration")
			filters = append(filters, rule.Filter{Type: rule.FilterTag, Value: pattern, Decoration: decoration})
		}
		m, err := rule.Compile(rule.Rule{Filters: filters})
		if err != nil {
			return
		}
		listed, literal := m.LiteralTags()
		if !literal {
			return
		}
		has := map[string]bool{}
		for _, tag := range listed {
			has[tag] = true
		}
		if _, untagged := m.MatchTags(nil); untagged {
			t.Fatalf("%v lists %v and wants untagged artifacts", filters, listed)
		}
		probe := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 4, -1).Draw(t, "tag")
		if _, wanted := m.MatchTags([]string{probe}); wanted != has[probe] {
			t.Fatalf("%v lists %v; it wants %q: %t", filters, listed, probe, wanted)
		}
	})
}
