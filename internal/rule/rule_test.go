package rule_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

func TestRuleValidation(t *testing.T) {
	t.Parallel()
	scheduled := func(cron string) func(*rule.Rule) {
		return func(r *rule.Rule) { r.Trigger, r.Cron = rule.Scheduled, cron }
	}
	for _, c := range []struct {
		what   string
		change func(*rule.Rule)
		want   string
	}{
		{"as it is", func(*rule.Rule) {}, ""},
		{"nothing but a name", func(r *rule.Rule) { *r = rule.Rule{Name: "x"} }, ""},
		{"a name with blank and slash", func(r *rule.Rule) { r.Name = "a b/c" }, ""},
		{"a name of 256 characters", func(r *rule.Rule) { r.Name = strings.Repeat("ä", 256) }, ""},
		{"no trigger", func(r *rule.Rule) { r.Trigger = "" }, ""},
		{"event based", func(r *rule.Rule) { r.Trigger = rule.EventBased }, ""},
		{"negative speed", func(r *rule.Rule) { r.Speed = -5 }, ""},
		{"any replace count", func(r *rule.Rule) { r.ReplaceCount = 99 }, ""},
		{"namespace with components", func(r *rule.Rule) { r.DestNamespace = "x/y/z" }, ""},
		{"single active by hand", func(r *rule.Rule) { r.SingleActive = true }, ""},
		{"scheduled", scheduled("0 30 2 * * *"), ""},

		{"no name", func(r *rule.Rule) { r.Name = "" }, "empty name"},
		{"a name of 257 characters", func(r *rule.Rule) { r.Name = strings.Repeat("n", 257) }, "the name is longer than 256 characters"},
		{"a wrong filter", func(r *rule.Rule) { r.Filters = append(r.Filters, rule.Filter{Type: "nope"}) }, "invalid filter type"},
		{"a pattern that cannot be understood", func(r *rule.Rule) { r.Filters[0].Value = "a{b" },
			`invalid pattern "a{b" of the name filter: a { has no matching }`},
		{"capitals in the namespace", func(r *rule.Rule) { r.DestNamespace = "UPPER/Case" }, "invalid destination namespace: UPPER/Case"},
		{"slashes around the namespace", func(r *rule.Rule) { r.DestNamespace = "/x/" }, "invalid destination namespace: /x/"},
		{"an unknown trigger", func(r *rule.Rule) { r.Trigger = "nope" }, "invalid trigger type"},
		{"scheduled without schedule", scheduled(""), "the cron string cannot be empty when the trigger type is scheduled"},
		{"single active on events", func(r *rule.Rule) { r.Trigger, r.SingleActive = rule.EventBased, true },
			"single active replication is not allowed for event_based triggers"},
	} {
		r := rule.Rule{
			Name: "to-cluster1", Trigger: rule.Manual, Enabled: true, ReplaceCount: rule.FlattenAll, DestNamespace: "mirror",
			Filters: []rule.Filter{{Type: rule.FilterName, Value: "library/**"}, {Type: rule.FilterResource, Value: "image"}},
		}
		c.change(&r)
		err := r.Validate()
		if c.want == "" && err != nil || c.want != "" && (!problem.Is(err, problem.BadRequest) || err.Error() != c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

func TestCron(t *testing.T) {
	t.Parallel()
	const (
		seconds = "the 1st field (indicating Seconds of time) of the cron setting must be 0"
		minutes = "* is not allowed for the Minutes field of the cron setting of replication policy"
	)
	invalid := func(expr string) string { return "invalid cron string for scheduled trigger: " + expr }
	for expr, want := range map[string]string{
		"0 30 2 * * *":       "",
		"0 0 */4 * * MON":    "",
		"0 */15 * * * *":     "",
		"0 0 0 1 JAN ?":      "",
		"0 0 0 29 2 *":       "",
		"0 0 0 30 2 *":       invalid("0 0 0 30 2 *") + ": there is no such day",
		"":                   "the cron string cannot be empty when the trigger type is scheduled",
		"nonsense":           invalid("nonsense"),
		"0 0 * * *":          invalid("0 0 * * *"),
		"0 0 0 0 0 0 0":      invalid("0 0 0 0 0 0 0"),
		"0 60 0 * * *":       invalid("0 60 0 * * *"),
		"0 0 0 * * 7":        invalid("0 0 0 * * 7"),
		"@daily":             invalid("@daily"),
		"TZ=UTC":             invalid("TZ=UTC"),
		"CRON_TZ=":           invalid("CRON_TZ="),
		"TZ=UTC 0 0 0 * * *": invalid("TZ=UTC 0 0 0 * * *"),
		"5 0 0 * * *":        seconds,
		"* 0 0 * * *":        seconds,
		"00 0 0 * * *":       seconds,
		"0 * * * * *":        minutes,
		"0  * * * * *":       minutes,
	} {
		err := rule.ValidateCron(expr)
		if want == "" && err != nil || want != "" && (!problem.Is(err, problem.BadRequest) || err.Error() != want) {
			t.Errorf("%q: %v, want %q", expr, err, want)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, expr := range []string{"0 30 2 * * *", "TZ=UTC", "TZ= ", "@every 1h", "0 */0 * * * *", "CRON_TZ=../x 0 0 0 * * *"} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		s, err := rule.ParseSchedule(expr, "America/Havana")
		if err != nil {
			if !problem.Is(err, problem.BadRequest) {
				t.Errorf("%q: %v", expr, err)
			}
			return
		}
		at := time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC) // the day before the clock jumps over midnight
		for range 5 {
			next := s.Next(at)
			if next.IsZero() {
				return
			}
			if !next.After(at) {
				t.Fatalf("%q: after %s comes %s", expr, at, next)
			}
			at = next
		}
	})
}

func TestSpeedIsInHarborsKilobits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		speed int32
		bytes int64
	}{{0, 0}, {1, 128}, {8192, 1 << 20}, {math.MaxInt32, 128 * math.MaxInt32}} {
		if got := (rule.Rule{Speed: c.speed}).BytesPerSecond(); got != c.bytes {
			t.Errorf("speed %d is %d bytes a second, want %d", c.speed, got, c.bytes)
		}
		if got := rule.SpeedOf(c.bytes); got != c.speed {
			t.Errorf("%d bytes a second are speed %d, want %d", c.bytes, got, c.speed)
		}
	}
	for bytes, want := range map[int64]int32{-1: 0, 1: 1, 129: 2, math.MaxInt64: math.MaxInt32} {
		if got := rule.SpeedOf(bytes); got != want {
			t.Errorf("%d bytes a second are speed %d, want %d", bytes, got, want)
		}
	}
	if got := (rule.Rule{Speed: -1}).BytesPerSecond(); got != 0 {
		t.Errorf("speed -1 is %d bytes a second", got)
	}
}
