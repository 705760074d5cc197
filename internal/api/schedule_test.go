package api_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
)

func TestAScheduleTellsItsNextRunsBeforeItIsSaved(t *testing.T) {
	t.Parallel()
	l := start(t)
	path := func(cron, zone string) string {
		return "/api/v2.0/replication/schedule?" + url.Values{"cron": {cron}, "time_zone": {zone}}.Encode()
	}
	var s gen.ReplicationSchedule
	if err := json.Unmarshal([]byte(l.must(200, "GET", path("0 30 2 * * *", "Asia/Shanghai"), "").body), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.NextRunTimes) != 5 {
		t.Fatalf("%v", s.NextRunTimes)
	}
	for i, at := range s.NextRunTimes {
		if at.UTC().Format(time.TimeOnly) != "18:30:00" || i == 0 && !at.After(time.Now()) || i > 0 && at.Sub(s.NextRunTimes[i-1].Time) != 24*time.Hour {
			t.Errorf("run %d is at %s", i, at)
		}
	}
	for _, c := range []struct{ cron, zone, says string }{
		{"0 30 2 * * *", "Mars/Olympus", "is no time zone"},
		{"1 30 2 * * *", "", "the 1st field"},
		{"0 0 0 30 2 *", "", "there is no such day"},
		{"", "", "cannot be empty"},
	} {
		if a := l.must(400, "GET", path(c.cron, c.zone), ""); !strings.Contains(a.body, c.says) {
			t.Errorf("%+v: %s", c, a.body)
		}
	}
}
