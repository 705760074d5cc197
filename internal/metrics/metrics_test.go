package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/metrics"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/replication"
)

var quiet = slog.New(slog.DiscardHandler)

// ask returns what Prometheus would get.
func ask(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	all := strings.Split(text, "\n")
	for _, line := range lines {
		if !slices.Contains(all, line) {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}
}

func TestEveryMetricHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	m := metrics.New("1.2.3")
	m.Watch(metrics.Sources{}, quiet)
	seen := map[string]bool{}
	for _, name := range m.Names() {
		own := strings.HasPrefix(name, "lighterage_") || strings.HasPrefix(name, "harbor_") || strings.HasPrefix(name, "registry_")
		if own && seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
	}
	has(t, ask(t, m), `lighterage_build_info{version="1.2.3"} 1`)
}

func TestWhatIsReplicatedIsCounted(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	m.ExecutionEnded("all", replication.Manual, replication.Succeed)
	m.AttemptEnded("all", "cluster", replication.Failed, map[replication.Outcome]int{replication.Copied: 3, replication.Lost: 1})
	m.AttemptEnded("all", "cluster", replication.Succeed, map[replication.Outcome]int{replication.Copied: 1})
	m.BytesSent("all", "cluster", 100)
	m.BytesSent("all", "cluster", 11)
	m.RegistryRequest("r.example.com", "GET", 429, time.Second)
	m.RegistryRequest("r.example.com", "GET", 0, time.Second)
	m.RegistryRateLimit("r.example.com", 76)
	has(t, ask(t, m),
		`lighterage_replication_executions_total{rule="all",status="Succeed",trigger="manual"} 1`,
		`lighterage_replication_task_attempts_total{endpoint="cluster",rule="all",status="Failed"} 1`,
		`lighterage_replication_artifacts_total{endpoint="cluster",outcome="copied",rule="all"} 4`,
		`lighterage_replication_artifacts_total{endpoint="cluster",outcome="failed",rule="all"} 1`,
		`lighterage_replication_sent_bytes_total{endpoint="cluster",rule="all"} 111`,
		`lighterage_registry_requests_total{code="429",host="r.example.com",method="GET"} 1`,
		`lighterage_registry_requests_total{code="none",host="r.example.com",method="GET"} 1`,
		`lighterage_registry_rate_limit_remaining{host="r.example.com"} 76`)
}

// Whoever may test registries can name any host.
func TestHostsAreToldApartUpToANumber(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	for i := range 1000 {
		m.RegistryRequest(fmt.Sprintf("host%d", i), "GET", 200, 0)
		m.ExecutionEnded(fmt.Sprintf("rule%d", i), replication.Manual, replication.Succeed)
	}
	text := ask(t, m)
	if n := strings.Count(text, "lighterage_registry_requests_total{"); n != 201 {
		t.Errorf("%d hosts", n)
	}
	has(t, text, `lighterage_registry_requests_total{code="200",host="(other)",method="GET"} 800`,
		`lighterage_replication_executions_total{rule="(other)",status="Succeed",trigger="manual"} 500`)
}

func TestRulesThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	m.Watch(metrics.Sources{Replication: func(context.Context) (replication.Numbers, error) {
		return replication.Numbers{Rules: []replication.RuleNumbers{{Name: "stays", Destinations: []replication.DestinationNumbers{{Name: "cluster", Lag: time.Minute}}}}}, nil
	}}, quiet)
	m.BytesSent("stays", "cluster", 1)
	m.BytesSent("goes", "cluster", 1)
	ask(t, m) // what is counted may be told before what is read
	text := ask(t, m)
	has(t, text, `lighterage_replication_sent_bytes_total{endpoint="cluster",rule="stays"} 1`, `lighterage_replication_lag_seconds{endpoint="cluster",rule="stays"} 60`)
	if strings.Contains(text, `"goes"`) {
		t.Error("a rule that is gone is still told of")
	}
}

// A number that could not be read must not look like zero, nor hide the others.
func TestASourceThatFailsIsMissingAndSaid(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	m.Watch(metrics.Sources{
		Replication: func(context.Context) (replication.Numbers, error) {
			return replication.Numbers{}, errors.New("no database")
		},
		Queue: func(context.Context) ([]queue.Count, error) { return []queue.Count{{Kind: "work", Waiting: 7}}, nil },
		Health: func(context.Context) []metrics.Component {
			return []metrics.Component{{Name: "core", Up: true}, {Name: "database"}}
		},
	}, quiet)
	text := ask(t, m)
	has(t, text, `lighterage_numbers_up{part="replication"} 0`, `lighterage_numbers_up{part="queue"} 1`,
		`lighterage_queue_jobs{kind="work",state="waiting"} 7`, `harbor_up{component="core"} 1`, `harbor_up{component="database"} 0`, `harbor_health 0`)
	if strings.Contains(text, "lighterage_replication_lag_seconds") {
		t.Error("a lag is told that nobody knows")
	}
}

func TestRequestsAreCountedByTheirKind(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	h := m.Registry(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = io.WriteString(w, "")
	}))
	for _, r := range []struct{ method, path string }{
		{"GET", "/v2/"},
		{"PUT", "/v2/a/b/manifests/v1"},
		{"HEAD", "/v2/a/b/blobs/sha256:1"},
		{"PATCH", "/v2/a/b/blobs/uploads/x"},
		{"GET", "/v2/a/tags/list"},
		{"GET", "/v2/a/referrers/sha256:1"},
		{"GET", "/v2/_catalog"},
		{"BREW", "/v2/a/tags/list"},
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(r.method, r.path, nil))
	}
	operations := m.API(http.NotFoundHandler(), func(ctx context.Context) (context.Context, func() string) {
		return ctx, func() string { return "getPing" }
	})
	operations.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/v2.0/ping", nil))
	text := ask(t, m)
	for _, want := range []string{
		`base",method="GET"`, `manifest",method="PUT"`, `blob",method="HEAD"`, `blob_upload",method="PATCH"`, `tags",method="GET"`,
		`referrers",method="GET"`, `catalog",method="GET"`, `tags",method="(other)"`,
	} {
		code := "200"
		if strings.Contains(want, "PUT") {
			code = "201"
		}
		has(t, text, fmt.Sprintf(`registry_http_requests_total{code="%s",handler="%s} 1`, code, want))
	}
	has(t, text, `harbor_core_http_request_total{code="404",method="GET",operation="getPing"} 1`, `registry_http_in_flight_requests{handler="base"} 0`)
}
