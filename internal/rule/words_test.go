package rule_test

import (
	"testing"

	"github.com/lighterage/lighterage/internal/rule"
)

func TestARuleInWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule rule.Rule
		want string
	}{
		{rule.Rule{}, "everything: no filter is set"},
		{rule.Rule{Filters: []rule.Filter{name(""), name("**"), tag("**"), label(), notLabel(), resource("artifact")}}, "everything: no filter is set"},
		{rule.Rule{Filters: []rule.Filter{name("library/**"), tag("v*"), notTag("*-rc*"), label("release", "x86"), resource("image")}},
			"repositories library/**; tags v*; without tags *-rc*; with the labels release, x86; images only"},
		{rule.Rule{Filters: []rule.Filter{label("release"), notLabel("hold")}}, "with the label release; without the label hold"},
		{rule.Rule{Filters: []rule.Filter{notLabel("a", "b")}}, "without all of the labels a, b together"},
		{rule.Rule{Filters: []rule.Filter{notTag("**")}}, "without tags **"},
		// A single star leaves out every repository with a slash.
		{rule.Rule{Filters: []rule.Filter{name("*")}}, "repositories *"},
		{rule.Rule{Extras: rule.Extras{Select: rule.Selection{Names: []string{"a/**", "b"}, Semver: ">=1.2 <2", Newest: 3}}},
			"repositories a/** or b; versions >=1.2 <2; of each repository the newest 3"},
	} {
		if got := rule.Describe(c.rule); got != c.want {
			t.Errorf("%+v: %q, want %q", c.rule, got, c.want)
		}
		if everything := c.want == "everything: no filter is set"; rule.SelectsEverything(c.rule) != everything {
			t.Errorf("%+v selects everything: %v", c.rule, !everything)
		}
	}
}

func TestWhyNothingWasSelected(t *testing.T) {
	t.Parallel()
	image := rule.Candidate{Repository: "library/app", Tags: []string{"dev"}, ResourceType: "image"}
	labelled := image
	labelled.Labels = []string{"x"}
	for _, c := range []struct {
		filters []rule.Filter
		has     [][]rule.Candidate // by repository
		want    string
	}{
		{nil, nil, "the source has no repositories"},
		{[]rule.Filter{name("library/**")}, nil, "no repository at the source passes repositories library/**"},
		{[]rule.Filter{tag("v*")}, [][]rule.Candidate{nil, nil}, "in 2 repositories is nothing that passes tags v*"},
		{[]rule.Filter{tag("v*")}, [][]rule.Candidate{{image}}, "of 1 artifact in 1 repository were left out 1 by the tag filter (tags v*)"},
		{[]rule.Filter{tag("v*"), label("release")}, [][]rule.Candidate{{image, image}},
			"of 2 artifacts in 1 repository were left out 2 by the label filter (with the label release); the source tells of no labels at all"},
		{[]rule.Filter{label("x"), tag("v*"), resource("image")}, [][]rule.Candidate{{image, labelled}, {{Repository: "charts/a", ResourceType: "CHART"}}},
			"of 3 artifacts in 2 repositories were left out 1 by the resource filter (images only), 1 by the label filter (with the label x), 1 by the tag filter (tags v*)"},
	} {
		r := rule.Rule{Filters: c.filters}
		m := compile(t, c.filters...)
		var census rule.Census
		for _, repository := range c.has {
			census.Repository()
			for _, a := range repository {
				_, ok := m.Match(a)
				census.Artifact(m, a, ok)
			}
		}
		if got := census.Nothing(r); got != c.want || census.Wanted != 0 {
			t.Errorf("%v: %q, want %q (%d wanted)", c.filters, got, c.want, census.Wanted)
		}
	}
}
