package rule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ago makes an artifact of which each tag was pushed so many hours before noon.
func ago(digest string, tags map[string]int) rule.Candidate {
	c := rule.Candidate{Repository: "library/app", Digest: digest, TagTimes: map[string]time.Time{}}
	for tag, hours := range tags {
		c.Tags = append(c.Tags, tag)
		c.TagTimes[tag] = noon.Add(-time.Duration(hours) * time.Hour)
	}
	slices.Sort(c.Tags)
	return c
}

// only makes what a registry tells that knows nothing but tags.
func only(tags ...string) (all []rule.Candidate) {
	for _, tag := range tags {
		all = append(all, rule.Candidate{Repository: "library/app", Tags: []string{tag}})
	}
	return all
}

func chosen(t *testing.T, all []rule.Candidate, choices []rule.Choice) (texts []string) {
	t.Helper()
	for _, c := range choices {
		if len(c.Tags) == 0 {
			texts = append(texts, all[c.Index].Digest)
		}
		texts = append(texts, c.Tags...)
	}
	return texts
}

func TestWhatIsChosenOfARepository(t *testing.T) {
	t.Parallel()
	day := []rule.Candidate{
		ago("d1", map[string]int{"v1": 30, "v1.0": 3}), ago("d2", map[string]int{"v2": 20}), ago("d3", map[string]int{"latest": 1, "v3": 1}),
		{Repository: "library/app", Digest: "d4", PushTime: noon.Add(-2 * time.Hour)},
	}
	signed := append(slices.Clone(day), rule.Candidate{Repository: "library/app", Digest: "d5", Tags: []string{"sig"}, PushTime: noon, Accessory: true})
	for _, c := range []struct {
		what string
		s    rule.Selection
		of   []rule.Candidate
		want []string
	}{
		{"everything", rule.Selection{}, day, []string{"v1", "v1.0", "v2", "latest", "v3", "d4"}},
		{"the newest", rule.Selection{Newest: 1}, day, []string{"v3"}},
		{"the two newest, of one time", rule.Selection{Newest: 2}, day, []string{"latest", "v3"}},
		{"an untagged artifact counts", rule.Selection{Newest: 3}, day, []string{"latest", "v3", "d4"}},
		{"a tag that was put on an old artifact is new", rule.Selection{Newest: 4}, day, []string{"v1.0", "latest", "v3", "d4"}},
		{"more than there are", rule.Selection{Newest: 100}, day, []string{"v1", "v1.0", "v2", "latest", "v3", "d4"}},
		{"the newest of what is left", rule.Selection{Newest: 1, TagRegexp: `v\d`, ExcludeTags: []string{"v3"}}, day, []string{"v2"}},
		{"a signature takes nobody's place", rule.Selection{Newest: 2}, signed, []string{"latest", "v3"}},
		{"since an age", rule.Selection{PushedSince: "2h"}, day, []string{"latest", "v3", "d4"}},
		{"since a time", rule.Selection{PushedSince: "2026-02-28T16:00:00Z"}, day, []string{"v1.0", "v2", "latest", "v3", "d4"}},
		{"since a time of another zone", rule.Selection{PushedSince: "2026-03-01T11:30:00+01:00"}, day, []string{"latest", "v3"}},
		{"since a day", rule.Selection{PushedSince: "2026-03-01"}, day, []string{"v1.0", "latest", "v3", "d4"}},
		{"since, and newest of that", rule.Selection{PushedSince: "1d", Newest: 5, Tags: []string{"v*"}}, day, []string{"v1.0", "v2", "v3"}},
		{"since the future", rule.Selection{PushedSince: "2030-01-01"}, day, nil},
		{"the highest versions where no times are told", rule.Selection{Newest: 2}, only("v1.9", "1.10.0", "1.2", "2.0.0-rc.1"), []string{"1.10.0", "2.0.0-rc.1"}},
		{"of a range", rule.Selection{Newest: 2, Semver: "1.x"}, only("latest", "v1.9", "1.10.0", "1.2", "2.0.0"), []string{"v1.9", "1.10.0"}},
		{"of the same version the later text", rule.Selection{Newest: 1}, only("1.0", "v1.0.0", "1.0.0"), []string{"v1.0.0"}},
		{"few enough need no order", rule.Selection{Newest: 2}, only("latest", "edge"), []string{"latest", "edge"}},
		{"lists of referrers take nobody's place", rule.Selection{Newest: 1}, only("1.0", "1.1", "sha256-"+strings.Repeat("0", 64), "sha256-"+strings.Repeat("f", 64)+".att"), []string{"1.1"}},
		{"nothing", rule.Selection{Newest: 1, PushedSince: "1h"}, nil, nil},
	} {
		choices, err := selecting(t, c.s).Select(c.of, noon)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if diff := cmp.Diff(c.want, chosen(t, c.of, choices)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestASourceThatCannotTellWhatIsNewest(t *testing.T) {
	t.Parallel()
	half := append(only("1.0"), ago("d", map[string]int{"latest": 1}))
	for _, c := range []struct {
		s    rule.Selection
		of   []rule.Candidate
		want string
	}{
		{rule.Selection{Newest: 1}, only("1.0", "latest"), "select.newest: the source does not tell when tags were pushed, and library/app:latest is no version"},
		{rule.Selection{Newest: 1}, half, "select.newest: the source does not tell when tags were pushed, and library/app:latest is no version"},
		{rule.Selection{Newest: 1}, append(only("1.0"), rule.Candidate{Repository: "library/app", Digest: "sha256:1"}), "select.newest: the source does not tell when tags were pushed, and library/app@sha256:1 is no"},
		{rule.Selection{PushedSince: "1h"}, only("1.0"), "select.pushed_since: the source does not tell when library/app:1.0 was pushed"},
	} {
		if choices, err := selecting(t, c.s).Select(c.of, noon); !problem.Is(err, problem.BadRequest) || !strings.HasPrefix(err.Error(), c.want) || choices != nil {
			t.Errorf("%+v: %v, %v, want %q", c.s, choices, err, c.want)
		}
	}
}

func TestAges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"36h": 36 * time.Hour, "30d": 720 * time.Hour, "2w": 336 * time.Hour, "1w2d3h": (7*24 + 2*24 + 3) * time.Hour, "90m": 90 * time.Minute,
		"1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "1d12h": 36 * time.Hour, "45s": 45 * time.Second, "5214w": 5214 * 168 * time.Hour,
		"0h": 0, "-1h": 0, "1y": 0, "5": 0, "d": 0, "1d1w": 0, "5215w": 0, "9999w": 0, "99999d": 0, "9999999h": 0, "1d-1h": 0, "1h ": 0, " ": 0, "1d1d": 0,
	} {
		s := rule.Selection{PushedSince: text}
		err := rule.Rule{Name: "x", Extras: rule.Extras{Select: s}}.Validate()
		if (want == 0) != (err != nil) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if want == 0 {
			continue
		}
		all := []rule.Candidate{{Digest: "in", PushTime: noon.Add(-want)}, {Digest: "out", PushTime: noon.Add(-want - 1)}}
		choices, err := selecting(t, s).Select(all, noon)
		if err != nil || !slices.Equal(chosen(t, all, choices), []string{"in"}) {
			t.Errorf("%q lets %v through, %v", text, choices, err)
		}
	}
}

// What is chosen is wanted, as many as asked for, does not depend on the order of the
// listing, only grows with the number, and nothing that was left is newer.
func TestTheNewestAreTheNewest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		timed := rapid.Bool().Draw(t, "timed")
		var all []rule.Candidate
		for i := range rapid.IntRange(0, 12).Draw(t, "artifacts") {
			c := rule.Candidate{Repository: "a", Digest: fmt.Sprint("d", i)}
			for j := range rapid.IntRange(1, 3).Draw(t, "tags") {
				c.Tags = append(c.Tags, fmt.Sprintf("%d.%d.%d", rapid.IntRange(0, 2).Draw(t, "major"), i, j))
			}
			if timed {
				c.PushTime = noon.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "time")) * time.Hour)
			}
			all = append(all, c)
		}
		most := rapid.IntRange(1, 10).Draw(t, "newest")
		pick := func(all []rule.Candidate, most int) []string {
			m, err := rule.Compile(rule.Rule{Extras: rule.Extras{Select: rule.Selection{Newest: most, ExcludeTags: []string{"1.*"}}}})
			if err != nil {
				t.Fatal(err)
			}
			choices, err := m.Select(all, noon)
			if err != nil {
				t.Fatal(err)
			}
			var tags []string
			for _, c := range choices {
				tags = append(tags, c.Tags...)
			}
			slices.Sort(tags)
			return tags
		}
		got := pick(all, most)
		times := map[string]time.Time{}
		for _, c := range all {
			for _, tag := range c.Tags {
				if !strings.HasPrefix(tag, "1.") {
					times[tag] = c.PushTime
				}
			}
		}
		if len(got) != min(most, len(times)) {
			t.Fatalf("%d of %d tags, want %d", len(got), len(times), most)
		}
		shuffled := slices.Clone(all)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := pick(shuffled, most); !slices.Equal(got, again) {
			t.Fatalf("in another order %v, was %v", again, got)
		}
		for _, tag := range got {
			if !slices.Contains(pick(all, most+1), tag) {
				t.Fatalf("%s is among %d and not among %d", tag, most, most+1)
			}
			for left, at := range times {
				if at.After(times[tag]) && !slices.Contains(got, left) {
					t.Fatalf("%s was chosen and %s, which is newer, not", tag, left)
				}
			}
		}
	})
}
