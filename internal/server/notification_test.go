package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// hook notes what it is sent.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	events []map[string]any
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var event map[string]any
		if err := json.Unmarshal(body, &event); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, event)
	}))
	t.Cleanup(h.Close)
	return h
}

// all returns a field of each event, "" where it is not there.
func (h *hook) all(path ...string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var values []string
	for _, event := range h.events {
		var value any = event
		for _, field := range path {
			m, _ := value.(map[string]any)
			value = m[field]
		}
		text := ""
		if value != nil {
			text = fmt.Sprint(value)
		}
		values = append(values, text)
	}
	return strings.Join(values, " ")
}

func TestWhatHappensIsToldInHarborsWordsAndAsCloudEvents(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	rule := home.eventRule("all", home.endpoint("cluster", cluster), object{"dest_namespace": "mirror", "description": "every push"})
	ends, changes, others := newHook(t), newHook(t), newHook(t)
	home.create("/notifications", object{"name": "ends", "url": ends.URL, "events": []string{"finished"}, "enabled": true})
	home.create("/notifications", object{"name": "changes", "url": changes.URL, "events": []string{"changed"}, "enabled": true, "payload_format": "CloudEvents"})
	manual := home.create("/replication/policies", object{"name": "manual", "dest_registry": object{"id": 1}, "trigger": object{"type": "manual"}, "enabled": true})
	home.create("/notifications", object{"name": "others", "url": others.URL, "events": []string{"finished"}, "enabled": true, "policy_ids": []int64{manual}})

	ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	ts.Eventually(t, "success is told", func() bool { return ends.all("event_data", "replication", "job_status") == "Success" })
	cluster.Faults.Add(ts.Fault{Class: "PUT manifest", Do: ts.Status(http.StatusForbidden)})
	ts.Push(t, home.registry(), "library/app", "v2", ts.Image(t, 2, 1, 100))
	ts.Eventually(t, "the failure is told", func() bool { return changes.all("type") == "lighterage.replication.failed" })
	cluster.Faults.Clear()
	ts.Eventually(t, "the recovery is told", func() bool {
		return changes.all("type") == "lighterage.replication.failed lighterage.replication.recovered"
	})
	ts.Eventually(t, "all ends are told", func() bool { return ends.all("event_data", "replication", "job_status") == "Success Error Success" })

	if got := changes.all("data", "state", "registry_name"); got != "cluster cluster" {
		t.Errorf("endpoints %q", got)
	}
	if got := changes.all("data", "state", "reason"); !strings.Contains(got, "403") {
		t.Errorf("reasons %q", got)
	}
	if got := changes.all("source"); got != fmt.Sprintf("/replication/policies/%d /replication/policies/%d", rule, rule) {
		t.Errorf("sources %q", got)
	}
	if got := ends.all("event_data", "execution", "status"); got != "Succeed Failed Succeed" {
		t.Errorf("statuses %q", got)
	}
	if got := others.all("type"); got != "" {
		t.Errorf("another rule's target was told %q", got)
	}

	// What Harbor's own consumers read is where Harbor has it.
	recorded, err := os.ReadFile("testdata/harbor-webhook-replication.json")
	if err != nil {
		t.Fatal(err)
	}
	var harbor struct{ Body map[string]any }
	if err := json.Unmarshal(recorded, &harbor); err != nil {
		t.Fatal(err)
	}
	first := ends.events[0]
	sameShape(t, "", harbor.Body, first, []string{
		"event_data.replication.task_id",                // one request tells of all tasks
		"event_data.replication.src_resource.namespace", // of an execution there is none
	})
	done := first["event_data"].(map[string]any)["replication"].(map[string]any)["successful_artifact"]
	if got := fmt.Sprint(done); !strings.Contains(got, "name_tag:mirror/app:v1") {
		t.Errorf("artifacts %s", got)
	}
}

// sameShape checks that what is in one document is in another one with the same type.
func sameShape(t *testing.T, path string, want, got any, but []string) {
	t.Helper()
	if fields, ok := want.(map[string]any); ok {
		have, _ := got.(map[string]any)
		for name, value := range fields {
			below := strings.TrimPrefix(path+"."+name, ".")
			if slices.Contains(but, below) {
				continue
			}
			if _, there := have[name]; !there {
				t.Errorf("%s is missing", below)
				continue
			}
			sameShape(t, below, value, have[name], but)
		}
		return
	}
	if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
		t.Errorf("%s is %T, want %T", path, got, want)
	}
}

func TestNotificationsAreForAdministrators(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	target := newHook(t)
	id := home.create("/notifications", object{"name": "n", "url": target.URL, "events": []string{"failed"}, "enabled": true, "auth_header": "Bearer s3cret"})
	home.create("/users", object{"username": "anna", "password": "Harbor12345", "email": "a@example.com", "realname": "a"})
	for _, path := range []string{"/notifications", fmt.Sprintf("/notifications/%d", id), fmt.Sprintf("/notifications/%d/deliveries", id), "/applied-resources"} {
		for user, want := range map[string]int{"": http.StatusUnauthorized, "anna": http.StatusForbidden, "admin": http.StatusOK} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, home.url+"/api/v2.0"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if user != "" {
				r.SetBasicAuth(user, adminPassword)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != want || strings.Contains(string(text), "s3cret") {
				t.Errorf("%s as %q: %d %s", path, user, answer.StatusCode, text)
			}
		}
	}
	// What is read can be sent back, and the secret stays.
	var shown map[string]any
	home.do(http.MethodGet, fmt.Sprintf("/notifications/%d", id), nil, &shown)
	if shown["auth_header"] != "*****" {
		t.Errorf("%v", shown)
	}
	shown["description"] = "changed"
	home.do(http.MethodPut, fmt.Sprintf("/notifications/%d", id), shown, nil)
	var attempt map[string]any
	home.do(http.MethodPost, fmt.Sprintf("/notifications/%d/test", id), nil, &attempt)
	if attempt["response_status"] != 200.0 || attempt["error"] != nil {
		t.Errorf("%v", attempt)
	}
	if status, _, text := home.call(http.MethodPost, "/notifications", object{"name": "x", "url": target.URL, "events": []string{"failed"}, "policy_ids": []int{99}}); status != http.StatusBadRequest {
		t.Errorf("a rule that is not there: %d %s", status, text)
	}
}
