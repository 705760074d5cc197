package rule_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

func TestFiltersKeepHarborsForm(t *testing.T) {
	t.Parallel()
	const text = `[{"type":"name","value":"library/**"},{"type":"tag","value":"v*","decoration":"matches"},` +
		`{"type":"label","value":["release","x86"],"decoration":"excludes"},{"type":"resource","value":"image"}]`
	var filters []rule.Filter
	if err := json.Unmarshal([]byte(text), &filters); err != nil {
		t.Fatal(err)
	}
	want := []rule.Filter{
		{Type: rule.FilterName, Value: "library/**"},
		{Type: rule.FilterTag, Value: "v*", Decoration: rule.Matches},
		{Type: rule.FilterLabel, Value: []string{"release", "x86"}, Decoration: rule.Excludes},
		{Type: rule.FilterResource, Value: "image"},
	}
	if diff := cmp.Diff(want, filters); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	back, err := json.Marshal(filters)
	if err != nil {
		t.Fatal(err)
	}
	if string(back) != text {
		t.Errorf("written %s", back)
	}
	if filters[0].Text() != "library/**" || filters[0].Labels() != nil || filters[2].Text() != "" || len(filters[2].Labels()) != 2 {
		t.Errorf("texts and labels: %q %v %q %v", filters[0].Text(), filters[0].Labels(), filters[2].Text(), filters[2].Labels())
	}
}

func TestFilterValidation(t *testing.T) {
	t.Parallel()
	const noString, noLabels = "the type of filter value isn't string", "the type of label filter value isn't string slice"
	for text, want := range map[string]string{
		`{"type":"name","value":"library/**"}`:                         "",
		`{"type":"name","value":""}`:                                   "",
		`{"type":"tag","value":"v*","decoration":""}`:                  "",
		`{"type":"tag","value":"v*","decoration":"matches"}`:           "",
		`{"type":"tag","value":"v*","decoration":"excludes"}`:          "",
		`{"type":"label","value":["a"]}`:                               "",
		`{"type":"label","value":[]}`:                                  "",
		`{"type":"label","value":["a"],"decoration":"excludes"}`:       "",
		`{"type":"resource","value":"image"}`:                          "",
		`{"type":"resource","value":"artifact"}`:                       "",
		`{"type":"nope","value":"x"}`:                                  "invalid filter type",
		`{"value":"x"}`:                                                "invalid filter type",
		`{"type":"name","value":5}`:                                    noString,
		`{"type":"name"}`:                                              noString,
		`{"type":"name","value":null}`:                                 noString,
		`{"type":"tag","value":["v1"]}`:                                noString,
		`{"type":"resource","value":true}`:                             noString,
		`{"type":"label","value":"release"}`:                           noLabels,
		`{"type":"label"}`:                                             noLabels,
		`{"type":"label","value":["a",1]}`:                             noLabels,
		`{"type":"resource","value":"chart"}`:                          "invalid resource filter: chart",
		`{"type":"name","value":"library/**","decoration":"excludes"}`: "only tag and label filter support decoration",
		`{"type":"resource","value":"image","decoration":"matches"}`:   "only tag and label filter support decoration",
		`{"type":"tag","value":"v*","decoration":"nope"}`:              "invalid filter decoration, :nope",
		`{"type":"label","value":["a"],"decoration":"nope"}`:           "invalid filter decoration, :nope",
		`{"type":"name","value":"a{b"}`:                                `invalid pattern "a{b" of the name filter: a { has no matching }`,
		`{"type":"tag","value":"[","decoration":"excludes"}`:           `invalid pattern "[" of the tag filter: a [ has no matching ]`,
	} {
		var f rule.Filter
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		err := f.Validate()
		if want == "" && err != nil || want != "" && (!problem.Is(err, problem.BadRequest) || err.Error() != want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestCompileRefusesWhatValidateRefuses(t *testing.T) {
	t.Parallel()
	_, err := rule.Compile(rule.Rule{Filters: []rule.Filter{{Type: rule.FilterName, Value: "library/**"}, {Type: rule.FilterTag, Value: "["}}})
	if !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "tag filter") {
		t.Errorf("compiled: %v", err)
	}
}
