package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/metrics"
	"github.com/lighterage/lighterage/internal/server"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// scrape asks for metrics as Prometheus does.
func scrape(t testing.TB, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// number finds a series; found is false when it is not there.
func number(text, series string) (value float64, found bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return value, err == nil
		}
	}
	return 0, false
}

func TestMetricsTellHowReplicationGoes(t *testing.T) {
	t.Parallel()
	const token = "for prometheus only"
	home := start(t, server.Config{DataDir: t.TempDir(), MetricsToken: token, MetricsListen: "127.0.0.1:0"})
	own := home.info.MetricsURL
	cluster := ts.Distribution(t)
	home.eventRule("all", home.endpoint("cluster", cluster), nil)

	for name, tc := range map[string]struct {
		url, token string
		status     int
	}{
		"nobody":             {home.url + "/metrics", "", http.StatusUnauthorized},
		"the wrong token":    {home.url + "/metrics", "for prometheus onl", http.StatusUnauthorized},
		"the token":          {home.url + "/metrics", token, http.StatusOK},
		"an address of own":  {own, "", http.StatusOK},
		"health there":       {strings.TrimSuffix(own, "/metrics") + "/readyz", "", http.StatusOK},
		"nothing else there": {strings.TrimSuffix(own, "/metrics") + "/v2/", "", http.StatusNotFound},
	} {
		if status, text := scrape(t, tc.url, tc.token); status != tc.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}

	// is waits until a series has a value.
	is := func(series string, want func(float64) bool) {
		t.Helper()
		ts.Eventually(t, series+" is as it should be", func() bool {
			_, text := scrape(t, own, "")
			value, found := number(text, series)
			return found && want(value)
		})
	}
	zero := func(v float64) bool { return v == 0 }
	one := func(v float64) bool { return v == 1 }
	some := func(v float64) bool { return v > 0 }

	image := ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 2, 1000))
	arrives(t, cluster, "library/app", "v1", image)
	is(`lighterage_replication_executions_total{rule="all",status="Succeed",trigger="event_based"}`, one)
	is(`lighterage_replication_artifacts_total{endpoint="cluster",outcome="copied",rule="all"}`, one)
	is(`lighterage_replication_sent_bytes_total{endpoint="cluster",rule="all"}`, some)
	is(`lighterage_replication_last_success_timestamp_seconds{endpoint="cluster",rule="all"}`, some)
	is(`lighterage_replication_lag_seconds{endpoint="cluster",rule="all"}`, zero)
	is(`lighterage_replication_failing{endpoint="cluster",rule="all"}`, zero)
	is(`lighterage_replication_drift_artifacts{endpoint="cluster",rule="all",state="in_sync"}`, one)
	is(`registry_http_requests_total{code="201",handler="manifest",method="PUT"}`, one)
	is(`harbor_core_http_request_total{code="201",method="POST",operation="createReplicationPolicy"}`, one)
	is(fmt.Sprintf(`lighterage_registry_requests_total{code="201",host=%q,method="PUT"}`, cluster.Host), some)
	is(`lighterage_registry_up{endpoint="cluster"}`, one)
	is(`harbor_up{component="database"}`, one)
	is(`harbor_project_total{public="true"}`, one)
	is(`harbor_statistics_total_repo_amount`, one)
	is(`lighterage_home_oldest_event_seconds`, zero)
	for _, part := range []string{"replication", "queue", "home", "health", "notifications", "drift"} {
		is(fmt.Sprintf(`lighterage_numbers_up{part=%q}`, part), one)
	}

	// A destination that fails shows, and that it has come back too.
	cluster.Faults.Add(ts.Fault{Class: "PUT manifest", Do: ts.Status(http.StatusForbidden)})
	second := ts.Push(t, home.registry(), "library/app", "v2", ts.Image(t, 2, 1, 100))
	is(`lighterage_replication_failing{endpoint="cluster",rule="all"}`, one)
	is(`lighterage_replication_lag_seconds{endpoint="cluster",rule="all"}`, some)
	is(`lighterage_replication_tasks{endpoint="cluster",rule="all",status="Failed"}`, one)
	is(`lighterage_queue_jobs{kind="replication.event",state="waiting"}`, one)
	is(`lighterage_replication_task_attempts_total{endpoint="cluster",rule="all",status="Failed"}`, some)
	cluster.Faults.Clear()
	arrives(t, cluster, "library/app", "v2", second)
	is(`lighterage_replication_failing{endpoint="cluster",rule="all"}`, zero)
	is(`lighterage_replication_lag_seconds{endpoint="cluster",rule="all"}`, zero)
}

func TestWithoutATokenTheRegistrysPortTellsNoMetrics(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	if status, _ := scrape(t, home.url+"/metrics", ""); status != http.StatusNotFound {
		t.Errorf("%d", status)
	}
	if home.info.MetricsURL != "" {
		t.Errorf("there is an address of their own: %s", home.info.MetricsURL)
	}
}

func TestReadinessSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := start(t, server.Config{DataDir: dir})
	ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	if status, text := scrape(t, home.url+"/readyz", ""); status != http.StatusOK || !strings.Contains(text, "database: ok\n") || !strings.Contains(text, "registry: ok\n") {
		t.Errorf("%d %s", status, text)
	}
	// As when a volume is not mounted any more.
	if err := os.Rename(filepath.Join(dir, "registry"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if status, text := scrape(t, home.url+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(text, "registry: ") || strings.Contains(text, "registry: ok") || !strings.Contains(text, "database: ok\n") {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := scrape(t, home.url+"/healthz", ""); status != http.StatusOK {
		t.Errorf("the process is not alive: %d", status)
	}
}

// ownName finds names of metrics in texts.
var ownName = regexp.MustCompile(`\b(?:lighterage|harbor|registry|go|process)_[a-z][a-z0-9_]*\b`)

func allNames(t *testing.T) map[string]bool {
	t.Helper()
	m := metrics.New("")
	m.Watch(metrics.Sources{}, nil)
	names := map[string]bool{}
	for _, name := range m.Names() {
		names[name] = true
	}
	return names
}

// exists also knows what Prometheus makes of histograms.
func exists(names map[string]bool, name string) bool {
	for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && names[base] {
			return true
		}
	}
	return false
}

func TestTheDashboardAsksForMetricsThatAreThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/chart/lighterage/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Templating struct {
			List []struct{ Definition string }
		}
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	names, asked := allNames(t), 0
	check := func(where, expression string) {
		for _, name := range ownName.FindAllString(expression, -1) {
			if asked++; !exists(names, name) {
				t.Errorf("%s asks for %s, which there is not", where, name)
			}
		}
	}
	for _, v := range dashboard.Templating.List {
		check("a variable", v.Definition)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			before := asked
			if check(p.Title, target.Expr); asked == before {
				t.Errorf("the panel %s asks for nothing: %s", p.Title, target.Expr)
			}
		}
	}
	if asked < 20 {
		t.Errorf("the dashboard asks for %d metrics", asked)
	}
}

func TestTheGuideNamesAllMetrics(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	named := ownName.FindAllString(string(text), -1)
	names := allNames(t)
	for name := range names {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !slices.Contains(named, name) {
			t.Errorf("docs/operations.md does not name %s", name)
		}
	}
	for _, name := range named {
		if !exists(names, name) {
			t.Errorf("docs/operations.md names %s, which there is not", name)
		}
	}
}

// What is read from the database is read from either kind of it.
func TestNumbersAndNotesOnBothDatabases(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		home := start(t, server.Config{DataDir: t.TempDir(), Database: database, MetricsListen: "127.0.0.1:0"})
		cluster := ts.Distribution(t)
		policy := home.create("/replication/policies", object{
			"name": "manual", "dest_registry": object{"id": home.endpoint("cluster", cluster)}, "enabled": true, "trigger": object{"type": "manual"},
		})
		home.create("/projects", object{"project_name": "private"})
		home.create("/notifications", object{"name": "ops", "url": "http://127.0.0.1:1/", "events": []string{"finished"}, "enabled": true})
		ts.Push(t, home.registry(), "private/app", "v1", ts.Image(t, 1, 1, 100))
		home.run(policy)
		for series, want := range map[string]float64{
			`harbor_project_total{public="true"}`:                                                           1,
			`harbor_project_total{public="false"}`:                                                          1,
			`harbor_statistics_private_repo_amount`:                                                         1,
			`harbor_statistics_public_repo_amount`:                                                          0,
			`lighterage_home_events_waiting`:                                                                0,
			`lighterage_notification_deliveries_waiting{notification="ops"}`:                                1,
			`lighterage_replication_rule_enabled{rule="manual",trigger="manual"}`:                           1,
			`lighterage_replication_failing{endpoint="cluster",rule="manual"}`:                              0,
			`lighterage_replication_tasks{endpoint="cluster",rule="manual",status="Pending"}`:               0,
			`lighterage_replication_executions_total{rule="manual",status="Succeed",trigger="manual"}`:      1,
			`lighterage_replication_artifacts_total{endpoint="cluster",outcome="copied",rule="manual"}`:     1,
			`lighterage_replication_task_attempts_total{endpoint="cluster",rule="manual",status="Succeed"}`: 1,
			`lighterage_numbers_up{part="replication"}`:                                                     1, `lighterage_numbers_up{part="home"}`: 1, `lighterage_numbers_up{part="drift"}`: 1,
		} {
			ts.Eventually(t, fmt.Sprintf("%s is %v", series, want), func() bool {
				_, text := scrape(t, home.info.MetricsURL, "")
				value, found := number(text, series)
				return found && value == want
			})
		}

		note := object{"kind": "Registry", "name": "cluster", "set": "default", "made": true, "secret": "hash"}
		home.do(http.MethodPut, "/applied-resources", note, nil)
		note["set"], note["made"] = "others", false
		home.do(http.MethodPut, "/applied-resources", note, nil)
		var notes []map[string]any
		home.do(http.MethodGet, "/applied-resources", nil, &notes)
		if len(notes) != 1 || notes[0]["set"] != "others" || notes[0]["made"] != nil || notes[0]["secret"] != "hash" {
			t.Errorf("%v", notes)
		}
		for _, bad := range []object{{"kind": "", "name": "x", "set": "y"}, {"kind": "k", "name": "x", "set": strings.Repeat("y", 600)}} {
			if status, _, text := home.call(http.MethodPut, "/applied-resources", bad); status != http.StatusBadRequest {
				t.Errorf("%v: %d %s", bad, status, text)
			}
		}
		if status, _, _ := home.call(http.MethodDelete, "/applied-resources?kind=Registry", nil); status != http.StatusBadRequest {
			t.Errorf("forget nothing in particular: %d", status)
		}
		home.do(http.MethodDelete, "/applied-resources?kind=Registry&name=cluster", nil, nil)
		home.do(http.MethodGet, "/applied-resources", nil, &notes)
		if len(notes) != 0 {
			t.Errorf("%v", notes)
		}
	})
}
