package rule_test

import (
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

func TestAccessoriesAreNotWantedByARuleThatLeavesThemBehind(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0a", 32)
	for _, c := range []struct {
		name      string
		candidate rule.Candidate
		all, none string // the tags that are wanted, "-" for not at all
	}{
		{"an image", rule.Candidate{Tags: []string{"v1", "v2"}}, "v1 v2", "v1 v2"},
		{"an image without a tag", rule.Candidate{}, "", ""},
		{"a referrer", rule.Candidate{Accessory: true}, "", "-"},
		{"a referrer with a tag", rule.Candidate{Accessory: true, Tags: []string{"v1"}}, "v1", "-"},
		{"a cosign tag", rule.Candidate{Tags: []string{"sha256-" + hex + ".sig"}}, "sha256-" + hex + ".sig", "-"},
		{"a fallback tag", rule.Candidate{Tags: []string{"sha256-" + hex}}, "sha256-" + hex, "-"},
		{"an image that has such a tag too", rule.Candidate{Tags: []string{"v1", "sha256-" + hex + ".att"}}, "v1 sha256-" + hex + ".att", "v1"},
	} {
		for mode, want := range map[rule.AccessoryMode]string{"": c.all, rule.AccessoriesAll: c.all, rule.AccessoriesNone: c.none} {
			m, err := rule.Compile(rule.Rule{Name: "x", Extras: rule.Extras{Accessories: mode}})
			if err != nil {
				t.Fatal(err)
			}
			c.candidate.Repository, c.candidate.ResourceType = "library/app", "image"
			tags, ok := m.Match(c.candidate)
			got := strings.Join(tags, " ")
			if !ok {
				got = "-"
			}
			if got != want {
				t.Errorf("%s, accessories %q: %q, want %q", c.name, mode, got, want)
			}
		}
	}
}

func TestAnUnknownWordForAccessoriesIsRefused(t *testing.T) {
	t.Parallel()
	err := rule.Rule{Name: "x", Extras: rule.Extras{Accessories: "some"}}.Validate()
	if !problem.Is(err, problem.BadRequest) || !strings.HasPrefix(err.Error(), `accessories: "some"`) {
		t.Errorf("%v", err)
	}
}
