package rule_test

import (
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

func TestPlatformsAreCheckedWhenARuleIsSaved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		platforms string
		mode      rule.PlatformMode
		want      string // "": valid
	}{
		{"", "", ""},
		{"", rule.PlatformSparse, ""},
		{"linux/amd64 linux/arm64/v8 windows/amd64", "", ""},
		{"linux/amd64", rule.PlatformSparse, ""},
		{"linux/amd64", rule.PlatformRewrite, ""},
		{"", rule.PlatformRewrite, "platform_mode: rewrite needs platforms"},
		{"linux/amd64", "dense", `platform_mode: "dense" is neither sparse nor rewrite`},
		{"linux", "", `platforms: "linux" is no platform such as linux/amd64`},
		{"linux/amd64,linux/arm64", "", `platforms: "linux/amd64,linux/arm64" is no platform`},
		{"linux/*", "", `platforms: "linux/*" is no platform`},
		{"linux/arm/v7/x", "", `platforms: "linux/arm/v7/x" is no platform`},
		{strings.Repeat("linux/amd64 ", 101), "", "platforms: more than 100"},
	} {
		r := rule.Rule{Name: "x", Extras: rule.Extras{Platforms: strings.Fields(c.platforms), PlatformMode: c.mode}}
		err := r.Validate()
		if c.want == "" && err != nil || c.want != "" && (!problem.Is(err, problem.BadRequest) || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%q %q: %v, want %q", c.platforms, c.mode, err, c.want)
		}
	}
}

// What may leave out what an accessory belongs to does not choose the accessory for itself.
func TestAccessoriesFollowWhereArtifactsMayBeLeftOut(t *testing.T) {
	t.Parallel()
	for _, e := range []rule.Extras{{Accessories: rule.AccessoriesSignedOnly}, {Platforms: []string{"linux/amd64"}}} {
		m, err := rule.Compile(rule.Rule{Name: "x", Extras: e})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.Match(rule.Candidate{Repository: "library/app", Tags: []string{"v1"}}); !ok {
			t.Errorf("%+v does not select an image", e)
		}
		if _, ok := m.Match(rule.Candidate{Repository: "library/app", Accessory: true}); ok {
			t.Errorf("%+v selects an accessory for itself", e)
		}
	}
}
