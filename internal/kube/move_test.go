package kube_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/cli"
	"github.com/lighterage/lighterage/internal/kube"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// fleet is a whole Harbor: its API, a real registry on the volume or the bucket, the
// operator that changes which, and the cluster.
type fleet struct {
	*site
	operator *kube.Operator
	server   *httptest.Server

	mu       sync.Mutex
	readOnly bool
	locked   bool // the settings are fixed
	paused   map[string]bool
	changed  time.Time // the repository, last
	workers  []string
	projects map[string]bool
	registry *ts.Registry
	calls    []string                          // changes of Harbor, in their order
	hook     func(r *http.Request) (gone bool) // before each request
	refused  func(r *http.Request) bool        // what is answered with refusal
	refusal  func(w http.ResponseWriter)
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	return fleetIn(t, newSite(t), &kube.Operator{})
}

func fleetIn(t testing.TB, s *site, operator *kube.Operator) *fleet {
	t.Helper()
	return fleetBefore(t, s, operator, func(*fleet) {})
}

// fleetBefore is fleetIn with something that is done before anything goes on.
func fleetBefore(t testing.TB, s *site, operator *kube.Operator, first func(*fleet)) *fleet {
	t.Helper()
	f := &fleet{site: s, operator: operator, changed: time.Now(), paused: map[string]bool{}, projects: map[string]bool{"library": true}}
	f.registry = ts.Distribution(t, ts.WithRoot(f.volume))
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	f.operator.Change = f.change
	first(f)
	kube.PlayOperator(t, f.kubeconfig, f.namespace, f.operator)
	f.instead(f.nothing)
	kube.AllowTheRole(t, f.kubeconfig, f.namespace)
	return f
}

// nothing lets the pods do what they do, but has no Redis.
func (f *fleet) nothing(c kube.Container) (int, string) {
	if c.Args[1] == "flush" {
		return 0, `{"report": {"deleted": 7}}`
	}
	return -1, ""
}

// change gives the registry its other storage.
func (f *fleet) change(toBucket bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf("bucket %t", toBucket))
	f.registry.Stop()
	if toBucket {
		f.registry = ts.Distribution(f.t, ts.WithStore(f.store, "/images"))
	} else {
		f.registry = ts.Distribution(f.t, ts.WithRoot(f.volume))
	}
}

func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	hook, refused, refusal := f.hook, f.refused, f.refusal
	f.mu.Unlock()
	if hook != nil && hook(r) {
		return
	}
	if refused != nil && refused(r) {
		refusal(w)
		return
	}
	if user, password, _ := r.BasicAuth(); user != "admin" || password != "Harbor12345" {
		w.Header().Set("WWW-Authenticate", `Basic realm="harbor"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"unauthorized"}]}`, http.StatusUnauthorized)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	path, isAPI := strings.CutPrefix(r.URL.Path, "/api/v2.0")
	change := r.Method != http.MethodGet && r.Method != http.MethodHead
	if change && f.readOnly && (r.Method != http.MethodPut || path != "/configurations") {
		http.Error(w, `{"errors":[{"code":"DENIED","message":"The system is in read only mode. Any modification is prohibited."}]}`, http.StatusForbidden)
		return
	}
	if !isAPI {
		target, _ := url.Parse(f.registry.URL)
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
		return
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	f.api(w, r.Method, path, page, body)
}

func (f *fleet) api(w http.ResponseWriter, method, path string, page int, body map[string]any) {
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	call := func(format string, args ...any) { f.calls = append(f.calls, fmt.Sprintf(format, args...)) }
	queue, isQueue := strings.CutPrefix(path, "/jobservice/queues/")
	switch {
	case method == http.MethodPut && path == "/configurations" && f.locked:
		http.Error(w, `{"errors":[{"code":"FORBIDDEN","message":"can not be changed"}]}`, http.StatusForbidden)
	case method == http.MethodPut && path == "/configurations":
		f.readOnly = body["read_only"].(bool)
		call("read-only %t", f.readOnly)
	case path == "/configurations":
		answer(map[string]any{"read_only": map[string]any{"value": f.readOnly, "editable": !f.locked}})
	case path == "/schedules":
		answer([]any{map[string]any{"vendor_type": "GARBAGE_COLLECTION", "cron": "0 0 0 * * *"}})
	case method == http.MethodPut && isQueue:
		f.paused[queue] = body["action"] == "pause"
		call("%s %s", body["action"], queue)
	case path == "/jobservice/queues":
		all := []any{}
		for _, kind := range []string{"GARBAGE_COLLECTION", "RETENTION", "REPLICATION"} {
			all = append(all, map[string]any{"job_type": kind, "paused": f.paused[kind]})
		}
		answer(all)
	case path == "/jobservice/pools/all/workers":
		all := []any{}
		for _, kind := range f.workers {
			all = append(all, map[string]any{"job_name": kind})
		}
		answer(all)
	case path == "/health":
		answer(map[string]any{"status": "healthy", "components": []any{map[string]any{"name": "registry", "status": "healthy"}}})
	case method == http.MethodPost && path == "/projects":
		name := body["project_name"].(string)
		f.projects[name] = true
		w.WriteHeader(http.StatusCreated)
		call("project")
	case method == http.MethodDelete && strings.HasPrefix(path, "/projects/"):
		name, rest, repository := strings.Cut(strings.TrimPrefix(path, "/projects/"), "/repositories/")
		if !f.projects[name] {
			http.Error(w, `{"errors":[{"code":"NOT_FOUND"}]}`, http.StatusNotFound)
			return
		}
		if !repository {
			delete(f.projects, name)
			call("project deleted")
		} else {
			call("%s deleted", rest)
		}
	case path == "/repositories":
		answer([]any{map[string]any{"name": "library/app", "update_time": f.changed}})
	case path == "/projects/library/repositories/app/artifacts":
		all := []any{}
		tags := ts.Tags(f.t, f.registry, "library/app")
		for _, tag := range tags[min(len(tags), 100*(page-1)):min(len(tags), 100*page)] {
			d, _ := ts.Digest(f.t, f.registry, "library/app", tag)
			all = append(all, map[string]any{"digest": d, "size": 100})
		}
		answer(all)
	default:
		http.Error(w, `{"errors":[{"code":"NOT_FOUND"}]}`, http.StatusNotFound)
	}
}

func (f *fleet) refuse(which func(r *http.Request) bool, how func(w http.ResponseWriter)) {
	f.set(func() { f.refused, f.refusal = which, how })
}

func (f *fleet) made() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return strings.Join(calls, ", ")
}

func (f *fleet) set(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// migrate runs a command of migrate for this Harbor.
func (f *fleet) migrate(ctx context.Context, args ...string) ended {
	f.t.Helper()
	env := map[string]string{"AWS_ACCESS_KEY_ID": f.store.AccessKey, "AWS_SECRET_ACCESS_KEY": f.store.SecretKey, "HARBOR_PASSWORD": "Harbor12345"}
	args = append([]string{"migrate", args[0], "--kubernetes", "--kubeconfig", f.kubeconfig, "--context", "limited", "--namespace", f.namespace}, args[1:]...)
	var out, errs bytes.Buffer
	code := cli.Main(ctx, cli.Options{
		Args: args, Program: "lighterage", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(name string) string { return env[name] },
	})
	return ended{code, out.String(), errs.String()}
}

func (f *fleet) run(ctx context.Context, more ...string) ended {
	f.t.Helper()
	place := "s3://" + f.store.Bucket + "/images?region=" + f.store.Region + "&endpoint=" + f.store.Endpoint
	return f.migrate(ctx, append([]string{"run", place, "--image", "lighterage:test", "--harbor-url", f.server.URL, "--drain", "0s"}, more...)...)
}

func (f *fleet) rollback(ctx context.Context, more ...string) ended {
	f.t.Helper()
	return f.migrate(ctx, append([]string{"rollback", "--harbor-url", f.server.URL, "--drain", "0s"}, more...)...)
}

// push pushes through Harbor.
func (f *fleet) pushed(tag string, seed uint64) {
	f.t.Helper()
	f.set(func() {
		ts.Push(f.t, f.registry, "library/app", tag, ts.Image(f.t, seed, 2, 500))
		f.changed = time.Now()
	})
}

func TestAHarborIsMovedAndMovedBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	before := f.operator.Harbor()
	f.set(func() { f.paused["RETENTION"] = true })

	// Somebody pushes in the last moment.
	var late sync.Once
	f.hooked(func(r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/queues/REPLICATION") {
			late.Do(func() { f.pushed("late", 8) })
		}
		return false
	})
	report := filepath.Join(t.TempDir(), "moved.md")
	got := f.run(t.Context(), "--report", report)
	if got.code != 0 || !strings.Contains(got.out, "Harbor harbor has its images in the bucket") {
		t.Fatalf("%+v", got)
	}
	text, err := os.ReadFile(report)
	for _, line := range []string{"has its images in the bucket", "Before the window: 1 artifacts in 1 repositories", "since: 2 artifacts in 1 repositories", "2 are whole in the bucket", "- pushed an image", "migrate rollback --kubernetes", "accepted under its digest"} {
		if err != nil || !strings.Contains(string(text), line) {
			t.Errorf("%q is not in the report: %v\n%s", line, err, text)
		}
	}
	want := "pause GARBAGE_COLLECTION, pause REPLICATION, read-only true, bucket true, read-only false, project, trial deleted, project deleted, resume GARBAGE_COLLECTION, resume REPLICATION"
	if made := f.made(); made != want {
		t.Errorf("what was done to Harbor:\n%s\nwant\n%s", made, want)
	}
	if ran := f.commands(); ran != "flush preflight copy check find copy check find flush find" {
		t.Errorf("the pods ran %s", ran)
	}
	after := f.operator.Harbor()
	if diff := foreign(before, after); diff != "" {
		t.Errorf("what is not of the storage has changed: %s", diff)
	}
	f.pushed("after", 9)

	got = f.rollback(t.Context())
	if got.code != 0 || !strings.Contains(got.out, "has its images in its volume") {
		t.Fatalf("%+v", got)
	}
	want = "pause GARBAGE_COLLECTION, pause REPLICATION, read-only true, bucket false, read-only false, resume GARBAGE_COLLECTION, resume REPLICATION"
	if made := f.made(); made != want {
		t.Errorf("on the way back:\n%s\nwant\n%s", made, want)
	}
	if diff := foreign(before, f.operator.Harbor()); diff != "" {
		t.Errorf("the Harbor is not what it was: %s", diff)
	}
	if s := storageOf(f.operator.Harbor()); len(s) > 0 {
		t.Errorf("of the bucket is left: %v", s)
	}
	f.set(func() {
		if tags := ts.Tags(t, f.registry, "library/app"); !slices.Equal(tags, []string{"after", "late", "v1"}) {
			t.Errorf("tags in the volume: %q", tags)
		}
	})
}

func storageOf(harbor map[string]any) map[string]any {
	values := harbor["spec"].(map[string]any)["helmValues"].(map[string]any)
	storage, _ := values["persistence"].(map[string]any)["imageChartStorage"].(map[string]any)
	return storage
}

// foreign compares two Harbors but for where the images are.
func foreign(before, after map[string]any) string {
	strip := func(h map[string]any) map[string]any {
		text, _ := json.Marshal(h["spec"])
		var spec map[string]any
		_ = json.Unmarshal(text, &spec)
		persistence := spec["helmValues"].(map[string]any)["persistence"].(map[string]any)
		delete(persistence, "imageChartStorage")
		return spec
	}
	if b, a := strip(before), strip(after); !reflect.DeepEqual(b, a) {
		return fmt.Sprint(b, "\n", a)
	}
	return ""
}
