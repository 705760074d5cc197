package harbor_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/home/harbor"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, ts.IgnoreLeaks()...) }

// fake is the part of a Harbor's API that a whole server cannot play: audit logs of
// several versions, permissions of robot accounts.
type fake struct {
	t   testing.TB
	url string

	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by method and path
	log     []map[string]any            // oldest first
	asked   []string                    // path and query
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, answers: map[string]http.HandlerFunc{}}
	f.answers["GET /api/v2.0/auditlog-exts"] = f.serveLog
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+r.URL.RequestURI())
		answer := f.answers[r.Method+" "+r.URL.EscapedPath()]
		f.mu.Unlock()
		if answer == nil {
			refuse(w, http.StatusNotFound, "NOT_FOUND", r.URL.Path+" not found")
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

func reply(w http.ResponseWriter, body any) { _ = json.NewEncoder(w).Encode(body) }

func (f *fake) answer(what string, with http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[what] = with
}

func (f *fake) requests(of string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.asked {
		if strings.Contains(a, of) {
			n++
		}
	}
	return n
}

// serveLog answers as Harbor does for the queries that are made.
func (f *fake) serveLog(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	_, since, _ := strings.Cut(q.Get("q"), "op_time=[")
	since, _, _ = strings.Cut(since, "~")
	list := []map[string]any{}
	for _, e := range f.log {
		if since == "" || e["op_time"].(string) >= since {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b map[string]any) int { return strings.Compare(a["op_time"].(string), b["op_time"].(string)) })
	if strings.HasPrefix(q.Get("sort"), "-") {
		slices.Reverse(list)
	}
	page, _ := strconv.Atoi(q.Get("page"))
	size, _ := strconv.Atoi(q.Get("page_size"))
	from := min(len(list), (page-1)*size)
	reply(w, list[from:min(len(list), from+size)])
}

func (f *fake) note(at time.Time, operation, resourceType, resource string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, map[string]any{
		"id": len(f.log), "op_time": at.UTC().Format("2006-01-02T15:04:05.000Z"), "operation": operation,
		"operation_result": true, "resource": resource, "resource_type": resourceType, "username": "admin",
	})
}

// world is a Home and its database.
type world struct {
	*harbor.Home
	*fake
	db *store.DB
}

func onBoth(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, rawURL string) {
		test(t, newWorld(t, storetest.OpenURL(t, rawURL), newFake(t), "robot$x"))
	})
}

func newWorld(t *testing.T, db *store.DB, f *fake, account string) world {
	t.Helper()
	api, err := registry.NewHarbor(registry.Endpoint{
		URL: f.url, Credential: registry.Credential{AccessKey: account, AccessSecret: "p"},
	}, registry.Options{Attempts: 1, Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	h := harbor.New(harbor.Options{API: api, DB: db, Secret: "hush", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	t.Cleanup(h.Close)
	return world{h, f, db}
}

func (w world) read(t *testing.T) {
	t.Helper()
	if err := w.ReadAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// events are those that are recorded, as "type repository reference".
func (w world) events(t *testing.T) []string {
	t.Helper()
	list, err := home.EventsAfter(t.Context(), w.db, 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]string, len(list))
	for i, e := range list {
		reference := e.Digest
		if len(e.Tags) > 0 {
			reference = e.Tags[0]
		}
		all[i] = e.Type + " " + e.Repository + " " + reference
	}
	return all
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const d1, d2 = "sha256:d6aed89ce2e0f30a010289f57d17047995946af6a52973e9e6bb8fdf063bba91", "sha256:8a49e76ee7fcdb6fa8845802830131b76e0a45477052fd842b4c29fa9abe90cc"

// deliver posts a webhook about one artifact.
func (w world) deliver(t *testing.T, kind string, at time.Time, repository, tag, digest string) {
	t.Helper()
	body := fmt.Sprintf(`{"type":%q,"occur_at":%d,"operator":"admin","event_data":{"resources":[{"digest":%q,"tag":%q}],"repository":{"repo_full_name":%q}}}`,
		kind, at.Unix(), digest, tag, repository)
	r := httptest.NewRequest(http.MethodPost, harbor.WebhookPath, strings.NewReader(body)).WithContext(t.Context())
	r.Header.Set("Authorization", "Bearer hush")
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
}

func TestWhatWebhookAndLogTellCountsOnceWhicheverComesFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		at := time.Date(2026, 11, 22, 4, 28, 42, 300e6, time.UTC)
		w.note(at.Add(-time.Hour), "create", "artifact", "library/old:v1")
		w.note(at.Add(-10*time.Minute), "login", "user", "admin")
		w.read(t) // finds the end of the log
		same(t, w.events(t))

		w.deliver(t, "PUSH_ARTIFACT", at, "library/app", "v1", d1)
		w.deliver(t, "PUSH_ARTIFACT", at, "library/app", "v1", d1)
		w.note(at, "create", "artifact", "library/app:v1")
		w.read(t)
		w.read(t)
		same(t, w.events(t), "push_artifact library/app v1")

		later := at.Add(5 * time.Second)
		w.note(later, "create", "artifact", "library/app:v2")
		w.read(t)
		w.deliver(t, "PUSH_ARTIFACT", later, "library/app", "v2", d1)
		same(t, w.events(t), "push_artifact library/app v1", "push_artifact library/app v2")

		// Two pushes in one second, of which one webhook was lost.
		twice := at.Add(10 * time.Second)
		w.deliver(t, "PUSH_ARTIFACT", twice, "library/app", "v3", d1)
		w.note(twice, "create", "artifact", "library/app:v3")
		w.note(twice.Add(400*time.Millisecond), "create", "artifact", "library/app:v3")
		w.read(t)
		same(t, w.events(t)[2:], "push_artifact library/app v3", "push_artifact library/app v3")
		w.deliver(t, "PUSH_ARTIFACT", twice, "library/app", "v3", d2) // it was late, not lost
		if n := len(w.events(t)); n != 4 {
			t.Errorf("%d events", n)
		}

		// A deleted artifact is named by a tag in webhooks, by its digest in the log.
		gone := at.Add(15 * time.Second)
		w.deliver(t, "DELETE_ARTIFACT", gone, "library/app", "v3", d2)
		w.note(gone, "delete", "artifact", "library/app@"+d2)
		w.read(t)
		same(t, w.events(t)[4:], "delete_artifact library/app "+d2)
	})
}

func TestTheLogIsReadAsEachVersionWritesIt(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		at := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
		w.answer("GET /api/v2.0/audit-logs", w.serveLog)
		w.answer("GET /api/v2.0/auditlog-exts", func(rw http.ResponseWriter, _ *http.Request) {
			refuse(rw, http.StatusNotFound, "NOT_FOUND", "path /api/v2.0/auditlog-exts was not found")
		})
		w.read(t)
		for i, e := range [][3]string{
			{"create", "artifact", "library/team/app:v1"},
			{"create", "artifact", "library/app:" + d1}, // in older versions
			{"create", "artifact", "library/app@" + d2},
			{"create", "tag", "library/app:stable"},
			{"delete", "tag", "library/app:old"},
			{"delete", "artifact", "library/app:" + d1},
			{"pull", "artifact", "library/app:v1"},
			{"create", "project", "library"},
			{"delete", "repository", "library/app"},
			{"create", "artifact", "library/../../x:v1"},
			{"create", "artifact", "library/app:../x"},
			{"create", "artifact", "library/app@sha256:12"},
			{"create", "artifact", "alpine:v1"},
			{"create", "artifact", ""},
		} {
			w.note(at.Add(time.Duration(i)*time.Second), e[0], e[1], e[2])
		}
		w.log[3]["operation_result"] = nil // older logs do not tell it
		w.note(at.Add(time.Minute), "create", "artifact", "library/app:failed")
		w.log[len(w.log)-1]["operation_result"] = false
		w.read(t)
		got := w.events(t)
		slices.Sort(got)
		same(t, got, "create_tag library/app stable", "delete_artifact library/app "+d1, "delete_tag library/app old",
			"push_artifact library/app "+d2, "push_artifact library/app "+d1, "push_artifact library/team/app v1")
		if n := w.requests("auditlog-exts"); n != 1 {
			t.Errorf("where there is no newer log it was asked for %d times", n)
		}
	})
}

func TestALongLogIsReadInStretchesAndGoneOnWith(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		start := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
		w.note(start, "login", "user", "admin")
		w.read(t)
		const entries = 7_203 // more than are read at a time; several a second
		for i := range entries {
			w.note(start.Add(10*time.Minute+time.Duration(i)*130*time.Millisecond), "create", "artifact", fmt.Sprintf("library/app:v%d", i))
		}
		w.read(t)
		if n := len(w.events(t)); n != entries {
			t.Fatalf("%d events of %d entries", n, entries)
		}
		// Another process, which remembers nothing, goes on from the cursor.
		again := newWorld(t, w.db, w.fake, "robot$x")
		before := w.requests("auditlog-exts")
		w.note(start.Add(time.Hour), "create", "artifact", "library/app:later")
		again.read(t)
		if n := len(w.events(t)); n != entries+1 {
			t.Errorf("%d events, want one more than %d", n, entries)
		}
		if n := w.requests("auditlog-exts") - before; n > 15 {
			t.Errorf("%d pages were read for one new entry", n)
		}
	})
}

func TestManyEntriesOfOneSecondAreNotMissed(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		start := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
		w.read(t)
		for i := range 5_500 {
			w.note(start.Add(10*time.Minute), "create", "artifact", fmt.Sprintf("library/app:v%d", i))
		}
		w.note(start.Add(11*time.Minute), "create", "artifact", "library/app:last")
		for range 3 {
			w.read(t)
		}
		got := w.events(t)
		if !slices.Contains(got, "push_artifact library/app last") {
			t.Error("what comes after a crowded second is never read")
		}
		if len(got) != 5_501 {
			t.Errorf("%d events", len(got))
		}
	})
}

func TestARecordedLogIsUnderstood(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "82-auditlogs-ext.json"))
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, storetest.OpenURL(t, storetest.SQLiteURL(t)), newFake(t), "robot$x")
	w.answer("GET /api/v2.0/auditlog-exts", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(recorded.Body) })
	w.read(t)
	w.read(t)
	same(t, w.events(t)) // logins, robots and configurations are nothing to replicate
	value, found, err := w.db.Setting(t.Context(), "harbor.audit_cursor")
	if err != nil || !found || !strings.Contains(value, strconv.FormatInt(time.Date(2026, 11, 22, 5, 22, 18, 602e6, time.UTC).UnixMilli(), 10)) {
		t.Errorf("the cursor is %s, %v", value, err)
	}
}

func TestACursorIsOfOneHarborOnly(t *testing.T) {
	t.Parallel()
	db := storetest.OpenURL(t, storetest.SQLiteURL(t))
	first, second := newWorld(t, db, newFake(t), "robot$x"), newWorld(t, db, newFake(t), "robot$x")
	first.read(t)
	second.note(time.Now().Add(-time.Hour), "create", "artifact", "library/app:v1")
	second.note(time.Now().Add(-10*time.Minute), "login", "user", "admin")
	second.read(t)
	same(t, second.events(t))
	second.note(time.Now(), "create", "artifact", "library/app:v2")
	second.read(t)
	same(t, second.events(t), "push_artifact library/app v2")
}

func TestEventsWaitForAHarborThatSaysNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		artifact := func(repository, reference string) string {
			return "GET /api/v2.0/projects/library/repositories/" + repository + "/artifacts/" + reference
		}
		now := time.Now()
		w.deliver(t, "PUSH_ARTIFACT", now, "library/good", "v1", d1)
		w.deliver(t, "PUSH_ARTIFACT", now, "library/hidden", "v1", d1)
		w.deliver(t, "PUSH_ARTIFACT", now, "library/gone", "v1", d1)
		w.deliver(t, "DELETE_ARTIFACT", now, "library/deleted", "v1", d1)
		for _, name := range []string{"good", "hidden", "gone"} {
			w.answer(artifact(name, "v1"), func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
		}
		// With the Harbor down only what needs no question can be worked on.
		events, err := w.EventsAfter(t.Context(), 0, 100)
		if err != nil || len(events) != 1 || events[0].Type != home.DeleteArtifact || events[0].Digest != d1 {
			t.Fatalf("%+v, %v", events, err)
		}
		w.answer(artifact("good", "v1"), func(rw http.ResponseWriter, _ *http.Request) {
			reply(rw, map[string]any{"digest": d2, "type": "IMAGE", "tags": []any{map[string]any{"name": "v1"}}, "labels": []any{map[string]any{"name": "release"}}})
		})
		w.answer(artifact("hidden", "v1"), func(rw http.ResponseWriter, _ *http.Request) {
			refuse(rw, http.StatusForbidden, "FORBIDDEN", "forbidden")
		})
		w.answer(artifact("gone", "v1"), func(rw http.ResponseWriter, _ *http.Request) {
			refuse(rw, http.StatusNotFound, "NOT_FOUND", "artifact library/gone:v1 not found")
		})
		for range 3 {
			if events, err = w.EventsAfter(t.Context(), 0, 2); err != nil {
				t.Fatal(err)
			}
		}
		if len(events) != 2 || events[0].Repository != "library/good" || events[0].Digest != d2 || events[0].Artifact != "image" ||
			!slices.Equal(events[0].Labels, []string{"release"}) || events[1].Repository != "library/gone" || events[1].Type != home.DeleteTag {
			t.Errorf("%+v", events)
		}
		rest, err := w.EventsAfter(t.Context(), events[1].ID, 2)
		if err != nil || len(rest) != 1 || rest[0].Repository != "library/deleted" {
			t.Errorf("%+v, %v", rest, err)
		}
		if n := w.requests("/good/artifacts/v1"); n != 2 {
			t.Errorf("an event was asked about %d times: once in vain, once with success", n)
		}
		if n := len(w.events(t)); n != 4 {
			t.Errorf("%d events are recorded: who only looks takes none", n)
		}
	})
}

func TestWhatARobotLacksIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.OpenURL(t, storetest.SQLiteURL(t)), newFake(t), "robot$x")
	w.answer("GET /api/v2.0/users/current", func(rw http.ResponseWriter, _ *http.Request) {
		refuse(rw, http.StatusPreconditionFailed, "PRECONDITION", "get current user not available for security context: robot")
	})
	w.answer("GET /api/v2.0/projects", func(rw http.ResponseWriter, _ *http.Request) {
		reply(rw, []map[string]any{{"project_id": 1, "name": "library"}, {"project_id": 2, "name": "team"}})
	})
	permission := func(resource, action string) map[string]string {
		return map[string]string{"resource": resource, "action": action}
	}
	w.answer("GET /api/v2.0/users/current/permissions", func(rw http.ResponseWriter, r *http.Request) {
		all := []map[string]string{permission("repository", "list"), permission("artifact", "list"), permission("artifact", "read"), permission("repository", "pull")}
		switch r.URL.Query().Get("scope") {
		case "/system":
			reply(rw, []any{})
		case "/project/1":
			reply(rw, append(all, permission("repository", "push")))
		default:
			reply(rw, all[:3])
		}
	})
	lacks, err := w.Permissions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lacks {
		got = append(got, l.Permission+" of "+strings.Join(l.Projects, ","))
		if l.Need == "" || !strings.Contains(l.String(), l.Permission) {
			t.Errorf("%+v", l)
		}
	}
	same(t, got, "audit log: list of ", "repository: pull of team", "repository: push of team")

	w.answer("GET /api/v2.0/users/current", func(rw http.ResponseWriter, _ *http.Request) {
		refuse(rw, http.StatusUnauthorized, "UNAUTHORIZED", "unauthorized")
	})
	if _, err := w.Permissions(t.Context()); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("%v", err)
	}
	w.answer("GET /api/v2.0/users/current", func(rw http.ResponseWriter, _ *http.Request) {
		reply(rw, map[string]any{"user_id": 1, "username": "admin", "sysadmin_flag": true})
	})
	if lacks, err := w.Permissions(t.Context()); len(lacks) != 0 || err != nil {
		t.Errorf("an administrator lacks %v, %v", lacks, err)
	}
}

// What a policy is made of is what Harbor keeps of it: made once, it is found unchanged.
func TestAPolicyIsFoundAsHarborKeepsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.OpenURL(t, storetest.SQLiteURL(t)), newFake(t), "robot$x")
	text, err := os.ReadFile(filepath.Join("testdata", "40-webhook-list.json"))
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Body []map[string]any `json:"body"`
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	w.answer("GET /api/v2.0/projects", func(rw http.ResponseWriter, _ *http.Request) {
		reply(rw, []map[string]any{{"project_id": 1, "name": "library"}})
	})
	const path = "/api/v2.0/projects/library/webhook/policies"
	list := recorded.Body
	w.answer("GET "+path, func(rw http.ResponseWriter, _ *http.Request) { reply(rw, list) })
	w.answer("POST "+path, func(rw http.ResponseWriter, r *http.Request) {
		var sent map[string]any
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		kept := map[string]any{}
		for name, value := range list[0] {
			kept[name] = value // what Harbor adds: times, ids
		}
		for name, value := range sent {
			kept[name] = value
		}
		target := kept["targets"].([]any)[0].(map[string]any)
		if _, named := target["payload_format"]; named {
			t.Error("Harbor before 2.8 knows no payload_format")
		}
		target["payload_format"] = "Default"
		list = append(list, kept)
		rw.WriteHeader(http.StatusCreated)
	})
	wish := harbor.Attachment{Address: "http://127.0.0.1:8580" + harbor.WebhookPath}
	for _, want := range []string{"created", "unchanged"} {
		done, err := w.Attach(t.Context(), wish)
		if err != nil || len(done) != 1 || done[0].Action != want {
			t.Fatalf("%+v, %v, want %s", done, err, want)
		}
	}
	w.answer("GET "+path, func(rw http.ResponseWriter, _ *http.Request) {
		refuse(rw, http.StatusForbidden, "FORBIDDEN", "forbidden")
	})
	done, err := w.Attach(t.Context(), wish)
	if err != nil || done[0].Action != "failed" || !strings.Contains(done[0].Reason, `"notification policy: list" of project library`) {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestAnAddressThatTheHarborCannotReachIsRefused(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"http://127.0.0.1:8580" + harbor.WebhookPath:          false,
		"http://localhost" + harbor.WebhookPath:               false,
		"http://[::1]:8580" + harbor.WebhookPath:              false,
		"http://0.0.0.0:8580" + harbor.WebhookPath:            false,
		"https://user:x@h.example.com" + harbor.WebhookPath:   false,
		"https://lighterage.example.com/":                     false,
		"lighterage.example.com" + harbor.WebhookPath:         false,
		"https://lighterage.example.com" + harbor.WebhookPath: true,
	} {
		api, err := registry.NewHarbor(registry.Endpoint{URL: "https://harbor.invalid"}, registry.Options{Attempts: 1, Backoff: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		h := harbor.New(harbor.Options{API: api, DB: storetest.OpenURL(t, storetest.SQLiteURL(t)), Secret: "hush"})
		_, err = h.Attach(t.Context(), harbor.Attachment{Address: address})
		h.Close()
		if refused := problem.Is(err, problem.BadRequest); refused == ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAPushCostsTwoQuestions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.OpenURL(t, storetest.SQLiteURL(t)), newFake(t), "robot$x")
	const list = "/api/v2.0/projects/library/repositories/app/artifacts"
	image := map[string]any{"digest": d1, "type": "IMAGE", "tags": []any{map[string]any{"name": "v1"}}}
	w.answer("GET "+list+"/v1", func(rw http.ResponseWriter, _ *http.Request) { reply(rw, image) })
	w.answer("GET "+list, func(rw http.ResponseWriter, _ *http.Request) { reply(rw, []any{image}) })
	w.deliver(t, "PUSH_ARTIFACT", time.Now(), "library/app", "v1", d1)
	for range 3 { // a rule that cannot take it now looks again
		events, err := w.EventsAfter(t.Context(), 0, 10)
		if err != nil || len(events) != 1 {
			t.Fatalf("%+v, %v", events, err)
		}
		if owners, err := w.Owners(t.Context(), "library/app", events[0].Digest); len(owners) != 0 || err != nil {
			t.Fatalf("%+v, %v", owners, err)
		}
	}
	if n := w.requests(list); n != 2 {
		t.Errorf("%d requests: %q", n, w.asked)
	}
}

// Servers on one database all read the log and get webhooks, also at the same moment.
func TestServersThatShareADatabaseRecordAChangeOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		w.read(t)
		servers := []world{w, newWorld(t, w.db, w.fake, "robot$x"), newWorld(t, w.db, w.fake, "robot$x")}
		at := time.Now().Add(time.Hour)
		const changes = 40
		for i := range changes {
			w.note(at.Add(time.Duration(i)*time.Second), "create", "artifact", fmt.Sprintf("library/app:v%d", i))
		}
		var wg sync.WaitGroup
		for _, s := range servers {
			wg.Go(func() {
				if err := s.ReadAudit(t.Context()); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				for i := range changes / 2 {
					s.deliver(t, "PUSH_ARTIFACT", at.Add(time.Duration(2*i)*time.Second), "library/app", fmt.Sprintf("v%d", 2*i), d1)
				}
			})
		}
		wg.Wait()
		got := w.events(t)
		slices.Sort(got)
		if n := len(got); n != changes || len(slices.Compact(got)) != changes {
			t.Errorf("%d events of %d changes", n, changes)
		}
	})
}
