package rule_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

func schedule(t testing.TB, expr, zone string) rule.Schedule {
	t.Helper()
	s, err := rule.ParseSchedule(expr, zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func moment(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestWhenAScheduleComesNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, expr, zone, after string
		want                    []string
	}{
		{"every night, in UTC", "0 30 2 * * *", "", "2026-11-25T13:00:00Z", []string{"2026-11-26T02:30:00Z", "2026-11-27T02:30:00Z"}},
		{"the moment itself is over", "0 30 2 * * *", "", "2026-11-26T02:30:00Z", []string{"2026-11-27T02:30:00Z"}},
		{"just before it", "0 30 2 * * *", "", "2026-11-26T02:29:59.999Z", []string{"2026-11-26T02:30:00Z"}},
		{"in another zone", "0 30 2 * * *", "Asia/Shanghai", "2026-11-25T13:00:00Z", []string{"2026-11-25T18:30:00Z"}},
		{"days of the week are those of the zone", "0 0 1 * * MON", "Asia/Shanghai", "2026-11-25T13:00:00Z", []string{"2026-11-29T17:00:00Z"}},
		{"the leap day", "0 0 0 29 2 ?", "", "2026-11-25T13:00:00Z", []string{"2028-02-29T00:00:00Z"}},

		{"a time that is jumped over comes when the clock has jumped", "0 30 2 * * *", "Europe/Berlin", "2026-03-28T02:00:00Z",
			[]string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		{"several that are jumped over come once", "0 0,15,30 2 * * *", "Europe/Berlin", "2026-03-28T02:00:00Z",
			[]string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		{"with what is due then anyway", "0 0 2,3 * * *", "Europe/Berlin", "2026-03-28T22:00:00Z",
			[]string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z"}},
		{"a time that comes twice counts once, the first time", "0 30 2 * * *", "Europe/Berlin", "2026-10-24T02:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"also for who looks between the two", "0 30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", []string{"2026-10-26T01:30:00Z"}},
		{"every hour goes on through the longer night", "0 0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z",
			[]string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		{"and through the shorter one", "0 */30 * * * *", "Europe/Berlin", "2026-03-29T00:10:00Z",
			[]string{"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}},
		{"0-23 is every hour too", "0 0 0-23 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", []string{"2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		{"midnight that is jumped over", "0 0 0 * * *", "America/Havana", "2026-03-07T12:00:00Z", []string{"2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"}},
		{"midnight that comes twice", "0 0 0 * * *", "America/Havana", "2026-10-31T12:00:00Z", []string{"2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"}},
		{"a change by half an hour", "0 45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", []string{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
		{"a day that is jumped over", "0 0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", []string{"2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"}},
	} {
		s, at := schedule(t, c.expr, c.zone), moment(t, c.after)
		for _, want := range c.want {
			at = s.Next(at)
			if !at.Equal(moment(t, want)) {
				t.Errorf("%s: %s, want %s", c.what, at.Format(time.RFC3339), want)
				break
			}
		}
	}
}

func TestZonesThatThereAreNot(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Nowhere", "Local", "../etc/passwd", "CEST+2", "Europe/Berlin\x00"} {
		err := rule.Rule{Name: "x", Trigger: rule.Scheduled, Cron: "0 0 0 * * *", Extras: rule.Extras{TimeZone: zone}}.Validate()
		if !problem.Is(err, problem.BadRequest) {
			t.Errorf("%q: %v", zone, err)
		}
	}
}

// Whatever a zone does to its clock, what comes next is later, is the same for all
// who look before it, and a schedule of some hour comes as often as there are days.
func TestNoRunIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	zones := []string{"", "Europe/Berlin", "America/New_York", "America/Havana", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran", "America/Sao_Paulo"}
	exprs := []string{"0 0 0 * * *", "0 30 2 * * *", "0 0 3 * * *", "0 15 1 * * *", "0 59 23 * * *"}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		s, err := rule.ParseSchedule(rapid.SampledFrom(exprs).Draw(t, "cron"), zone)
		if err != nil {
			t.Fatal(err)
		}
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Unix(rapid.Int64Range(946684800, 1924992000).Draw(t, "from"), 0) // 2000 to 2030
		last := s.Next(from)
		for range 10 {
			at := s.Next(last)
			gap := at.Sub(last)
			if gap < 22*time.Hour || gap > 26*time.Hour {
				t.Fatalf("from %s to %s", last.In(location), at.In(location))
			}
			between := last.Add(time.Duration(rapid.Int64Range(0, int64(gap)-1).Draw(t, "between")))
			if again := s.Next(between); !again.Equal(at) {
				t.Fatalf("after %s comes %s, after %s %s", last, at, between, again)
			}
			last = at
		}
	})
}
