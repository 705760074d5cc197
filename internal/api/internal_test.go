package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/problem"
)

func TestServerErrorsAreLoggedAndNotShown(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := &api{o: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	r := httptest.NewRequest("GET", "/api/v2.0/registries", nil)
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, &request{id: "the-id"}))
	for _, err := range []error{
		errors.New("disk on fire at /var/secret"),
		problem.Wrap(problem.Unknown, errors.New("disk on fire at /var/secret"), "list registries"),
	} {
		log.Reset()
		w := httptest.NewRecorder()
		a.fail(w, r, err)
		if want := `{"errors":[{"code":"UNKNOWN","message":"internal server error"}]}` + "\n"; w.Code != 500 || w.Body.String() != want {
			t.Errorf("%d %q, want 500 %q", w.Code, w.Body, want)
		}
		if !strings.Contains(log.String(), "the-id") || !strings.Contains(log.String(), "disk on fire") {
			t.Errorf("log: %s", log.String())
		}
	}
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := &api{o: Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Remote: func(r *http.Request) string { return r.RemoteAddr }}} // and no router
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest("GET", "/api/v2.0/ping", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "nil pointer") || !strings.Contains(log.String(), "nil pointer") {
		t.Errorf("%d %s\n%s", w.Code, w.Body, log.String())
	}
}

func TestKindsOfProblemsHaveHarborsStatus(t *testing.T) {
	t.Parallel()
	for kind, want := range map[problem.Kind]int{
		problem.BadRequest: 400, problem.Unsupported: 400, problem.Unauthorized: 401, problem.Forbidden: 403, problem.Denied: 403,
		problem.NotFound: 404, problem.NotAllowed: 405, problem.Conflict: 409, problem.Precondition: 412, problem.TooLarge: 413,
		problem.Unprocessable: 422, problem.TooManyRequest: 429, problem.Unknown: 500,
	} {
		if got := status(kind); got != want {
			t.Errorf("%s is answered with %d, want %d", kind, got, want)
		}
	}
}

func TestTimesHaveThreeDecimals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"2026-11-22T04:20:47Z"`:                `"2026-11-22T04:20:47.000Z"`,
		`"2026-11-22T04:20:47.123456789+02:00"`: `"2026-11-22T02:20:47.123Z"`,
		`""`:                                    `"0001-01-01T00:00:00.000Z"`,
		`null`:                                  `"0001-01-01T00:00:00.000Z"`,
		`"0001-01-01T00:00:00.000Z"`:            `"0001-01-01T00:00:00.000Z"`,
	} {
		var v gen.Time
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("%s is written %s (%v), want %s", text, got, err, want)
		}
	}
	if got, _ := json.Marshal(gen.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 999_999_999, time.UTC)}); string(got) != `"2026-01-02T03:04:05.999Z"` {
		t.Errorf("written %s", got)
	}
}

func TestLinksNameTheNeighbouringPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query             string
		total, page, size int64
		want              string
	}{
		{"", 5, 1, 10, ""},
		{"", 0, 1, 10, ""},
		{"", 11, 1, 10, `</p?page=2&page_size=10>; rel="next"`},
		{"page=2", 25, 2, 10, `</p?page=1&page_size=10>; rel="prev" , </p?page=3&page_size=10>; rel="next"`},
		{"page=3", 25, 3, 10, `</p?page=2&page_size=10>; rel="prev"`},
		{"page=9", 25, 9, 10, ""},
		{"page_size=0", 25, 1, 0, ""},
		{"page_size=-1", 25, 1, -1, ""},
		{"page=-1", 5, -1, 10, `</p?page=0&page_size=10>; rel="next"`},
		{"q=name%3D~a%20b&sort=-name", 11, 1, 10, `</p?page=2&page_size=10&q=name=~a b&sort=-name>; rel="next"`},
		{"q=%3E%0D%0AX-Evil%3A1", 11, 1, 10, `</p?page=2&page_size=10&q=%3E%0D%0AX-Evil%3A1>; rel="next"`},
		{"", 1 << 62, 1 << 62, 100, ""},
	} {
		if got := links(url.URL{Path: "/p", RawQuery: c.query}, c.total, c.page, c.size); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func FuzzLinksStayInTheirHeader(f *testing.F) {
	f.Add("q=name%3D1&page=2", int64(100), int64(2), int64(10))
	f.Add("a=%0d%0a%3e", int64(9), int64(-5), int64(1))
	f.Fuzz(func(t *testing.T, query string, total, page, size int64) {
		text := links(url.URL{Path: "/p", RawQuery: query}, total, page, size)
		if strings.ContainsFunc(text, unicode.IsControl) && strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("a link with control characters: %q", text)
		}
		if strings.Count(text, "<") != strings.Count(text, `; rel="`) {
			t.Errorf("a link that can be read in two ways: %q", text)
		}
	})
}

func FuzzParametersAreReadOnce(f *testing.F) {
	operations, err := readSpec(specText)
	if err != nil {
		f.Fatal(err)
	}
	list := operations["GET /api/v2.0/projects"]
	f.Add("page=1&public=yes")
	f.Add("page=%31&page_size=101&name=%00")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/api/v2.0/projects", nil)
		r.URL.RawQuery = query
		clean, err := list.validate(r, nil)
		if err != nil {
			if !problem.Is(err, problem.Unprocessable) {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		again, err := list.validate(clean, nil)
		if err != nil || again.URL.RawQuery != clean.URL.RawQuery {
			t.Errorf("%q is read as %q and then as %v (%v)", query, clean.URL.RawQuery, again, err)
		}
	})
}

func TestRepositoryNamesAreDecodedOnceOrTwice(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{"app": "library/app", "a/b": "library/a/b", "a%2Fb": "library/a/b", "100%": "library/100%"} {
		if got := fullName("library", raw); got != want {
			t.Errorf("%s is %s, want %s", raw, got, want)
		}
	}
}

func TestEveryOperationIsRouted(t *testing.T) {
	t.Parallel()
	handler, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := handler.(*api)
	for pattern := range a.operations {
		method, path, _ := strings.Cut(pattern, " ")
		r := httptest.NewRequest(method, strings.NewReplacer("{", "", "}", "").Replace(path), nil)
		if _, routed := a.mux.Handler(r); routed != pattern {
			t.Errorf("%s is routed to %q", pattern, routed)
		}
	}
	if len(a.operations) < 80 {
		t.Errorf("%d operations", len(a.operations))
	}
}

func TestEveryKindOfEntryIsRecordedBySomething(t *testing.T) {
	t.Parallel()
	operations, err := readSpec(specText)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := auditKinds(operations)
	if err != nil {
		t.Fatal(err)
	}
	recorded := slices.Collect(maps.Values(kinds))
	recorded = append(recorded, audit.CreateArtifact, audit.DeleteArtifact, audit.PullArtifact, audit.CreateTag, audit.DeleteTag, audit.LoginUser, audit.LogoutUser)
	for _, kind := range audit.Kinds() {
		if !slices.Contains(recorded, kind) {
			t.Errorf("nothing records %s", kind)
		}
	}
}

func TestAnOperationThatTheAuditLogDoesNotKnowIsRefused(t *testing.T) {
	t.Parallel()
	_, err := auditKinds(map[string]operation{"POST /api/v2.0/ships": {id: "createShip", tag: "ship"}})
	if err == nil || !strings.Contains(err.Error(), "createShip") || !strings.Contains(err.Error(), "create_ship") {
		t.Errorf("%v", err)
	}
}
