package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

const adminPassword = "Harbor12345"

// instance is a server that runs in this process.
type instance struct {
	*api
	Stop func() // and wait until it has ended
	info server.Info
}

// start runs a server on a data folder.
func start(t *testing.T, c server.Config) *instance {
	t.Helper()
	ready := make(chan server.Info, 1)
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	c.AdminPassword = adminPassword
	c.Ready = func(i server.Info) { ready <- i }
	if testing.Verbose() && c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, c) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the server ended with: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	select {
	case i := <-ready:
		return &instance{api: &api{t: t, url: i.URL}, Stop: stop, info: i}
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server did not start: %v", err)
		return nil
	}
}

// api is the administrator's way to a server.
type api struct {
	t   testing.TB
	url string
}

// registry is the home registry for clients of the distribution protocol.
func (a *api) registry() *ts.Registry { return ts.Remote(a.url, "admin", adminPassword, "") }

// call makes a request and returns the answer's status, headers and body.
func (a *api) call(method, path string, body any) (int, http.Header, []byte) {
	a.t.Helper()
	answer, err := a.attempt(method, path, body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer.StatusCode, answer.Header, text
}

// attempt makes a request that may get no answer.
func (a *api) attempt(method, path string, body any) (*http.Response, error) {
	a.t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, a.url+"/api/v2.0"+path, reader)
	if err != nil {
		a.t.Fatal(err)
	}
	r.SetBasicAuth("admin", adminPassword)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return http.DefaultClient.Do(r)
}

// do makes a request that must succeed.
func (a *api) do(method, path string, body, into any) http.Header {
	a.t.Helper()
	status, header, text := a.call(method, path, body)
	if status/100 != 2 {
		a.t.Fatalf("%s %s: %d: %s", method, path, status, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			a.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return header
}

// create makes a request that creates something and returns its id.
func (a *api) create(path string, body any) int64 {
	a.t.Helper()
	location := a.do(http.MethodPost, path, body, nil).Get("Location")
	id, err := strconv.ParseInt(location[strings.LastIndex(location, "/")+1:], 10, 64)
	if err != nil {
		a.t.Fatalf("POST %s: Location %q", path, location)
	}
	return id
}

type object = map[string]any

func (a *api) endpoint(name string, r *ts.Registry) int64 {
	a.t.Helper()
	body := object{"name": name, "type": "docker-registry", "url": r.URL}
	if r.Username != "" {
		body["credential"] = object{"type": "basic", "access_key": r.Username, "access_secret": r.Password}
	}
	return a.create("/registries", body)
}

// eventRule creates a rule with the seed's values and returns its id.
func (a *api) eventRule(name string, destination int64, more object) int64 {
	a.t.Helper()
	body := object{
		"name": name, "dest_registry": object{"id": destination}, "trigger": object{"type": "event_based"},
		"deletion": true, "override": true, "enabled": true, "dest_namespace_replace_count": 1, "speed": -1,
	}
	for k, v := range more {
		body[k] = v
	}
	return a.create("/replication/policies", body)
}

type execution struct {
	ID         int64  `json:"id"`
	PolicyID   int64  `json:"policy_id"`
	Status     string `json:"status"`
	StatusText string `json:"status_text"`
	Trigger    string `json:"trigger"`
	Total      int64  `json:"total"`
	Succeed    int64  `json:"succeed"`
	Failed     int64  `json:"failed"`
	InProgress int64  `json:"in_progress"`
	Stopped    int64  `json:"stopped"`
}

type task struct {
	ID          int64  `json:"id"`
	Status      string `json:"status"`
	Operation   string `json:"operation"`
	Source      string `json:"src_resource"`
	Destination string `json:"dst_resource"`
	Reason      string `json:"reason"`
	NextAttempt string `json:"next_attempt_time"`
	Attempts    int64  `json:"attempts"`
}

// executions are those of a rule, newest first.
func (a *api) executions(policy int64) []execution {
	a.t.Helper()
	var list []execution
	a.do(http.MethodGet, fmt.Sprintf("/replication/executions?policy_id=%d&page_size=0", policy), nil, &list)
	return list
}

// executionsOfAll are those of all rules, newest first.
func (a *api) executionsOfAll() []execution {
	a.t.Helper()
	var list []execution
	a.do(http.MethodGet, "/replication/executions?page_size=0", nil, &list)
	return list
}

func (a *api) execution(id int64) execution {
	a.t.Helper()
	var e execution
	a.do(http.MethodGet, fmt.Sprintf("/replication/executions/%d", id), nil, &e)
	return e
}

func (a *api) tasks(execution int64) []task {
	a.t.Helper()
	var list []task
	a.do(http.MethodGet, fmt.Sprintf("/replication/executions/%d/tasks?page_size=0", execution), nil, &list)
	return list
}

func (a *api) log(execution, task int64) string {
	a.t.Helper()
	_, _, text := a.call(http.MethodGet, fmt.Sprintf("/replication/executions/%d/tasks/%d/log", execution, task), nil)
	return string(text)
}

// run starts a rule and waits until it has ended.
func (a *api) run(policy int64) execution {
	a.t.Helper()
	id := a.create("/replication/executions", object{"policy_id": policy})
	ts.Eventually(a.t, fmt.Sprintf("execution %d ends", id), func() bool { return a.execution(id).Status != "InProgress" })
	return a.execution(id)
}

// arrives waits until a tag stands at a registry for what was pushed.
func arrives(t testing.TB, r *ts.Registry, repository, tag string, pushed fmt.Stringer) {
	t.Helper()
	ts.Eventually(t, fmt.Sprintf("%s:%s is %s at %s", repository, tag, pushed, r.Host), func() bool {
		d, ok := ts.Digest(t, r, repository, tag)
		return ok && d.String() == pushed.String()
	})
}

// vanishes waits until a tag is gone.
func vanishes(t testing.TB, r *ts.Registry, repository, tag string) {
	t.Helper()
	ts.Eventually(t, fmt.Sprintf("%s:%s is gone from %s", repository, tag, r.Host), func() bool {
		_, ok := ts.Digest(t, r, repository, tag)
		return !ok
	})
}
