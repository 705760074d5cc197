package replication_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

const password = "s3cr3t-0f-the-cluster"

// guarded creates an endpoint of a registry that wants a password.
func (w *world) guarded() (int64, *ts.Registry) {
	w.t.Helper()
	r := ts.Distribution(w.t, ts.WithMemory(), ts.WithBasicAuth("robot", password))
	id, err := w.CreateEndpoint(w.t.Context(), replication.Endpoint{
		Name: "guarded", Type: registry.ProviderDockerRegistry, URL: r.URL,
		Credential: registry.Credential{AccessKey: "robot", AccessSecret: password},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id, r
}

func (w *world) get(id int64) replication.Endpoint {
	w.t.Helper()
	e, err := w.GetEndpoint(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// listener records what authorization it is sent.
func listener(t *testing.T) (url string, heard func() []string) {
	var mu sync.Mutex
	var all []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if a := r.Header.Get("Authorization"); a != "" {
			all = append(all, a)
		}
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func TestASecretIsSealedAndStaysAsItIsUntilItIsReplaced(t *testing.T) {
	onBoth(t, func(w *world) {
		id, _ := w.guarded()
		var sealed string
		if err := w.db.QueryRowContext(w.t.Context(), `SELECT access_secret FROM registries WHERE id = $1`, id).Scan(&sealed); err != nil {
			w.t.Fatal(err)
		}
		if sealed == "" || strings.Contains(sealed, password) {
			w.t.Errorf("stored is %q", sealed)
		}
		for _, u := range []replication.EndpointUpdate{{Description: new("x")}, {AccessSecret: new(replication.MaskedSecret), Name: new("other")}} {
			if err := w.UpdateEndpoint(w.t.Context(), id, u); err != nil {
				w.t.Fatal(err)
			}
			if e := w.get(id); e.Credential.AccessSecret != password || e.Status != replication.Healthy || e.Credential.Type != "basic" {
				w.t.Errorf("after %+v: %+v", u, e)
			}
		}
		if err := w.UpdateEndpoint(w.t.Context(), id, replication.EndpointUpdate{AccessSecret: new("wrong")}); err != nil {
			w.t.Fatal(err)
		}
		if e := w.get(id); e.Credential.AccessSecret != "wrong" || e.Status != replication.Unhealthy || !strings.Contains(e.StatusReason, "refuses the credential") {
			w.t.Errorf("%+v", e)
		}
		if err := w.UpdateEndpoint(w.t.Context(), id, replication.EndpointUpdate{AccessKey: new("")}); err != nil {
			w.t.Fatal(err)
		}
		if e := w.get(id); e.Credential != (registry.Credential{}) {
			w.t.Errorf("a secret without a name: %+v", e.Credential)
		}
	})
}

func TestASecretIsNotSentToANewAddress(t *testing.T) {
	onSQLite(t, func(w *world) {
		id, old := w.guarded()
		url, heard := listener(w.t)
		for _, ping := range []replication.EndpointPing{
			{ID: &id, URL: &url},
			{ID: &id, URL: &url, AccessSecret: new(replication.MaskedSecret)},
			{ID: &id, URL: new(url + "/"), AccessKey: new("robot")},
		} {
			if err := w.PingEndpoint(w.t.Context(), ping); err == nil {
				w.t.Error("the ping succeeds")
			}
		}
		if err := w.UpdateEndpoint(w.t.Context(), id, replication.EndpointUpdate{URL: &url}); err != nil {
			w.t.Fatal(err)
		}
		for _, a := range heard() {
			if r, _ := http.NewRequest(http.MethodGet, "/", nil); true {
				r.Header.Set("Authorization", a)
				if _, sent, _ := r.BasicAuth(); sent != "" {
					w.t.Errorf("the new address was sent the secret %q", sent)
				}
			}
		}
		if err := w.UpdateEndpoint(w.t.Context(), id, replication.EndpointUpdate{URL: &old.URL}); err != nil {
			w.t.Fatal(err)
		}
		if e := w.get(id); e.Credential.AccessSecret != "" {
			w.t.Error("the secret is there again at its old address")
		}
	})
}

func TestPingTestsWhatItIsGiven(t *testing.T) {
	onSQLite(t, func(w *world) {
		id, r := w.guarded()
		kind := registry.ProviderDockerRegistry
		for name, tc := range map[string]struct {
			ping replication.EndpointPing
			want string // in the error; "": none
		}{
			"stored":             {replication.EndpointPing{ID: &id}, ""},
			"stored, masked":     {replication.EndpointPing{ID: &id, AccessSecret: new(replication.MaskedSecret)}, ""},
			"stored, other type": {replication.EndpointPing{ID: &id, Type: new(registry.ProviderHarbor)}, ""},
			"stored, wrong":      {replication.EndpointPing{ID: &id, AccessSecret: new("wrong")}, "refuses the credential"},
			"new":                {replication.EndpointPing{Type: &kind, URL: &r.URL, AccessKey: new("robot"), AccessSecret: new(password)}, ""},
			"new with id 0":      {replication.EndpointPing{ID: new(int64(0)), Type: &kind, URL: &r.URL, AccessKey: new("robot"), AccessSecret: new(password)}, ""},
			"no type":            {replication.EndpointPing{URL: &r.URL}, "type or url cannot be empty"},
			"no url":             {replication.EndpointPing{Type: &kind}, "type or url cannot be empty"},
			"unknown type":       {replication.EndpointPing{Type: new("floppy"), URL: &r.URL}, "floppy"},
			"unknown id":         {replication.EndpointPing{ID: new(int64(4711))}, "registry 4711 not found"},
		} {
			err := w.PingEndpoint(w.t.Context(), tc.ping)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				w.t.Errorf("%s: %v, want %q", name, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				w.t.Errorf("%s: the error tells the secret", name)
			}
		}
	})
}

// The key file is the one thing that a backup of the database does not hold.
func TestALostKeyHidesNoRegistryAndCanBeHealed(t *testing.T) {
	onSQLite(t, func(w *world) {
		id, r := w.guarded()
		policy := w.policy("all", rule.EventBased)
		w.change(policy, func(p *replication.Policy) { p.Destination.ID = id })
		box, err := secret.NewBox([32]byte{1})
		if err != nil {
			w.t.Fatal(err)
		}
		w.box = box
		w.restart()
		list, n, err := w.ListEndpoints(w.t.Context(), store.ListQuery{})
		if err != nil || n != 2 || list[1].Credential.AccessSecret != "" {
			w.t.Fatalf("%+v, %d, %v", list, n, err)
		}
		if _, _, err := w.ListPolicies(w.t.Context(), store.ListQuery{}); err != nil {
			w.t.Error(err)
		}
		if err := w.CheckHealth(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if e := w.get(id); e.Status != replication.Unhealthy || !strings.Contains(e.StatusReason, "set it again") {
			w.t.Errorf("%+v", e)
		}
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		if failed := w.fails(policy); !strings.Contains(failed.Reason, "set it again") {
			w.t.Errorf("%+v", failed)
		}
		if err := w.UpdateEndpoint(w.t.Context(), id, replication.EndpointUpdate{AccessSecret: new(password)}); err != nil {
			w.t.Fatal(err)
		}
		w.cluster = r
		ts.Eventually(w.t, "the task goes on", func() bool { return w.at("library/app", "v1") != "" })
		w.settled()
	})
}

func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLiteURL(t))
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&syncWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.open()
	id, r := w.guarded()
	policy := w.policy("all", rule.EventBased)
	w.change(policy, func(p *replication.Policy) { p.Destination.ID = id })
	w.run()
	r.SetPassword("changed")
	w.push("library/app", "v1", ts.Image(t, 1, 1, 100))
	failed := w.fails(policy)
	_ = w.CheckHealth(t.Context())
	lines, err := w.TaskLog(t.Context(), failed.ExecutionID, failed.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	for _, l := range lines {
		log.WriteString(l.String())
	}
	if strings.Contains(log.String(), password) {
		t.Errorf("the secret is in the log:\n%s", log.String())
	}
}

type syncWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

func TestURLsAreKeptInOneForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLiteURL(t))
	for raw, want := range map[string]string{
		"http://127.0.0.1:1":                "http://127.0.0.1:1",
		" https://127.0.0.1:1/ ":            "https://127.0.0.1:1",
		"127.0.0.1:1":                       "http://127.0.0.1:1",
		"HTTPS://127.0.0.1:1//":             "https://127.0.0.1:1",
		"https://u:p@127.0.0.1:1/x/?q=1#f":  "https://127.0.0.1:1/x",
		"":                                  "! empty string",
		"  / ":                              "! empty string",
		"ftp://127.0.0.1:1":                 "! invalid HTTP scheme: ftp",
		"http://":                           "! invalid URL",
		"http://:5000":                      "! invalid URL",
		"http://127.0.0.1:":                 "! invalid URL",
		"http://127.0.0.1:port":             "! invalid URL",
		"http://127.0.0.1:1/\x00":           "! invalid URL",
		"http://user:hunter2@[::1]:1/a b/c": "http://[::1]:1/a%20b/c",
	} {
		id, err := w.CreateEndpoint(t.Context(), replication.Endpoint{Name: "x" + raw, Type: registry.ProviderDockerRegistry, URL: raw})
		switch message, bad := strings.CutPrefix(want, "! "); {
		case bad:
			if !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), message) {
				t.Errorf("%q: %v, want %s", raw, err, message)
			}
		case err != nil:
			t.Errorf("%q: %v", raw, err)
		default:
			if got := w.get(id).URL; got != want {
				t.Errorf("%q: %q, want %q", raw, got, want)
			}
		}
	}
}

func TestEndpointsHaveNamesOfTheirOwn(t *testing.T) {
	onBoth(t, func(w *world) {
		create := func(name string) error {
			_, err := w.CreateEndpoint(w.t.Context(), replication.Endpoint{Name: name, Type: registry.ProviderDockerRegistry, URL: w.cluster.URL})
			return err
		}
		if err := create("cluster"); !problem.Is(err, problem.Conflict) || err.Error() != "registry cluster already exists" {
			w.t.Error(err)
		}
		if err := create(""); !problem.Is(err, problem.BadRequest) || err.Error() != "name cannot be empty" {
			w.t.Error(err)
		}
		if err := create(strings.Repeat("x", 65)); !problem.Is(err, problem.BadRequest) || err.Error() != "the max length of name is 64" {
			w.t.Error(err)
		}
		other := w.create("other", w.cluster.URL)
		if err := w.UpdateEndpoint(w.t.Context(), other, replication.EndpointUpdate{Name: new("cluster")}); !problem.Is(err, problem.Conflict) {
			w.t.Error(err)
		}
		if err := w.UpdateEndpoint(w.t.Context(), other, replication.EndpointUpdate{Name: new("other")}); err != nil {
			w.t.Error(err)
		}
		if err := w.UpdateEndpoint(w.t.Context(), 0, replication.EndpointUpdate{}); !problem.Is(err, problem.NotFound) {
			w.t.Error(err)
		}
	})
}
