package kube

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/problem"
)

// aHarbor answers as Harbor's API does, with what a path is given.
func aHarbor(t *testing.T, answers map[string]any) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "admin" || password != "Harbor12345" {
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		answer, known := answers[r.URL.RequestURI()]
		if !known {
			http.NotFound(w, r)
			return
		}
		if text, raw := answer.(string); raw {
			_, _ = w.Write([]byte(text))
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func authority(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func quiet() map[string]any {
	return map[string]any{
		"/api/v2.0/configurations":                 map[string]any{"read_only": map[string]any{"value": false, "editable": true}},
		"/api/v2.0/schedules?page=1&page_size=100": []any{},
		"/api/v2.0/jobservice/queues":              []any{},
		"/api/v2.0/jobservice/pools/all/workers":   []any{},
	}
}

func TestHarborSaysWhatGoesOnInIt(t *testing.T) {
	t.Parallel()
	answers := quiet()
	first := []any{
		map[string]any{"vendor_type": "GARBAGE_COLLECTION", "vendor_id": -1, "cron": "0 0 0 * * *"},
		map[string]any{"vendor_type": "RETENTION", "vendor_id": 4, "cron": "0 0 1 * * 0"},
	}
	for len(first) < 100 {
		first = append(first, map[string]any{"vendor_type": "SCAN_ALL", "vendor_id": 0, "cron": "0 0 3 * * *"})
	}
	answers["/api/v2.0/configurations"] = map[string]any{"read_only": map[string]any{"value": true, "editable": true}}
	answers["/api/v2.0/schedules?page=1&page_size=100"] = first
	answers["/api/v2.0/schedules?page=2&page_size=100"] = []any{map[string]any{"vendor_type": "REPLICATION", "vendor_id": 9, "cron": "0 */5 * * * *"}}
	answers["/api/v2.0/jobservice/queues"] = []any{
		map[string]any{"job_type": "RETENTION", "count": 0, "paused": true}, map[string]any{"job_type": "SCAN_DATA_EXPORT", "paused": true},
	}
	answers["/api/v2.0/jobservice/pools/all/workers"] = []any{
		map[string]any{"id": "a", "job_name": "GARBAGE_COLLECTION", "job_id": "1"}, map[string]any{"id": "b"}, map[string]any{"id": "c", "job_name": "GARBAGE_COLLECTION"},
	}
	s := aHarbor(t, answers)
	r := onVolume()
	if err := (&Cluster{}).Ask(t.Context(), r, Account{URL: s.URL + "/", Password: "Harbor12345", CA: authority(s)}); err != nil {
		t.Fatal(err)
	}
	want := &Activity{
		ReadOnly: true, Editable: true, Running: []string{"GARBAGE_COLLECTION"}, Paused: []string{"RETENTION"}, Queues: []string{"RETENTION"},
		Schedules: []Schedule{{"GARBAGE_COLLECTION", 0, "0 0 0 * * *"}, {"RETENTION", 4, "0 0 1 * * 0"}, {"REPLICATION", 9, "0 */5 * * * *"}},
	}
	if diff := cmp.Diff(want, r.Activity); diff != "" {
		t.Error(diff)
	}
	if codes := codesOf(r); !slices.Equal(codes, []string{"warns read-only", "warns running"}) || !r.Ready() {
		t.Errorf("obstacles: %q", codes)
	}
}

func TestSettingsThatAreFixedStopAMigration(t *testing.T) {
	t.Parallel()
	answers := quiet()
	answers["/api/v2.0/configurations"] = map[string]any{"read_only": map[string]any{"value": false, "editable": false}}
	s := aHarbor(t, answers)
	r := onVolume()
	if err := (&Cluster{}).Ask(t.Context(), r, Account{URL: s.URL, Password: "Harbor12345", Insecure: true}); err != nil {
		t.Fatal(err)
	}
	if codes := codesOf(r); !slices.Equal(codes, []string{"stops config-locked"}) || r.Ready() || len(r.Steps) > 0 {
		t.Errorf("obstacles: %q", codes)
	}
}

func TestAHarborThatDoesNotAnswerIsExplained(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	redirects := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	good := aHarbor(t, quiet())
	odd := quiet()
	odd["/api/v2.0/schedules?page=1&page_size=100"] = "<html>"
	old := quiet()
	delete(old, "/api/v2.0/jobservice/queues")
	page := aHarbor(t, odd)
	for says, c := range map[string]struct {
		account Account
		kind    problem.Kind
	}{
		"does not accept the password of admin":  {Account{URL: good.URL, Password: "other", Insecure: true}, problem.Unauthorized},
		"certificate":                            {Account{URL: good.URL, Password: "Harbor12345"}, problem.Unknown},
		"has no certificate in PEM":              {Account{URL: good.URL, Password: "Harbor12345", CA: []byte("odd")}, problem.BadRequest},
		"is not its API":                         {Account{URL: page.URL, Password: "Harbor12345", Insecure: true}, problem.Unknown},
		"knows no /jobservice/queues":            {Account{URL: aHarbor(t, old).URL, Password: "Harbor12345", Insecure: true}, problem.NotFound},
		"307 Temporary Redirect":                 {Account{URL: redirects.URL, Password: "Harbor12345"}, problem.Unknown},
		"not known where Harbor harbor is reach": {Account{Password: "Harbor12345"}, problem.BadRequest},
	} {
		err := (&Cluster{}).Ask(t.Context(), onVolume(), c.account)
		if err == nil || !strings.Contains(err.Error(), says) || problem.KindOf(err) != c.kind {
			t.Errorf("%s: %v (%s)", says, err, problem.KindOf(err))
		}
		if err != nil && strings.Contains(err.Error(), "Harbor12345") {
			t.Errorf("a password is shown: %v", err)
		}
	}
	if elsewhere.Load() > 0 {
		t.Error("the password was sent to where Harbor points")
	}
}

func TestThePasswordComesFromTheSecretOfTheChart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := aHarbor(t, quiet())
	account := Account{URL: s.URL, Insecure: true}
	r := onVolume()
	r.values = map[string]any{"existingSecretAdminPassword": "harbor-account"}
	if err := w.Ask(t.Context(), r, account); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "harbor-account has no HARBOR_ADMIN_PASSWORD") {
		t.Errorf("without a Secret: %v", err)
	}
	w.apply(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "harbor-account"}, "stringData": {"HARBOR_ADMIN_PASSWORD": "Harbor12345"}}`)
	w.apply(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "harbor-core"}, "stringData": {"HARBOR_ADMIN_PASSWORD": "Harbor12345"}}`)
	for _, values := range []map[string]any{r.values, nil} {
		r := onVolume()
		r.values = values
		if err := w.Ask(t.Context(), r, account); err != nil || r.Activity == nil {
			t.Errorf("with values %v: %v", values, err)
		}
	}
}
