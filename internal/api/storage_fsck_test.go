package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/testserver"
)

// fsck starts a look at the storage and waits for its end.
func (l *lighterage) fsck(body string) (f gen.StorageFsck) {
	l.t.Helper()
	path := l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/storage/fsck", body).Header.Get("Location")
	testserver.Eventually(l.t, "the look ends", func() bool {
		f = gen.StorageFsck{}
		l.decode(path, &f)
		return f.Status != "waiting" && f.Status != "running"
	})
	return f
}

func (l *lighterage) decode(path string, into any) answer {
	l.t.Helper()
	a := l.must(http.StatusOK, http.MethodGet, path, "")
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		l.t.Fatalf("%s: %v in %s", path, err, a.body)
	}
	return a
}

// damage empties the first link of an image that is stored in the server's folder.
func (l *lighterage) damage(repository string) (file string) {
	l.t.Helper()
	pattern := filepath.Join(l.storage, "docker/registry/v2/repositories", repository, "_manifests/revisions/sha256/*/link")
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		l.t.Fatalf("no link at %s: %v", pattern, err)
	}
	if err := os.Truncate(files[0], 0); err != nil {
		l.t.Fatal(err)
	}
	return files[0]
}

func TestStorageIsLookedAtAndItsLinksAreMended(t *testing.T) {
	t.Parallel()
	l := start(t)
	image := testserver.Image(t, 1, 2, 3000)
	testserver.Push(t, l.home, "library/app", "v1", image)
	testserver.Push(t, l.home, "library/other", "v1", image)

	var usage gen.StorageUsage
	l.decode("/api/v2.0/storage/usage", &usage)
	if usage.Repositories != 2 || usage.Tags != 2 || usage.Bytes == 0 || usage.SharedBytes != usage.Bytes || usage.SeparateBytes != 2*usage.Bytes || len(usage.Biggest) != 2 {
		t.Errorf("usage: %+v", usage)
	}
	var none []gen.StorageFsck
	if l.decode("/api/v2.0/storage/fsck", &none); len(none) != 0 {
		t.Errorf("before any look: %+v", none)
	}
	whole := l.fsck(`{"deep":true}`)
	if r := whole.Report; whole.Status != "succeeded" || r == nil || !r.Clean || r.Bytes != usage.Bytes || r.HashedBytes < r.Bytes || !whole.Deep || whole.Operator != "admin" {
		t.Errorf("of a whole storage: %+v", whole)
	}

	file := l.damage("library/app")
	found := l.fsck(`{}`)
	if r := found.Report; r == nil || r.Clean || r.Repairable != 1 || r.Kinds["empty-link"] != 1 {
		t.Errorf("of a damaged storage: %+v", found)
	}
	var list []gen.StorageFsckFinding
	a := l.decode(fmt.Sprintf("/api/v2.0/storage/fsck/%d/findings?severity=broken,damaged&repairable=true&repository=app", found.ID), &list)
	if len(list) != 1 || a.Header.Get("X-Total-Count") != "1" || list[0].Kind != "empty-link" || list[0].Repository != "library/app" || list[0].Path == "" {
		t.Errorf("findings: %s", a.body)
	}
	mended := l.fsck(`{"repair_links":true}`)
	if r := mended.Report; r == nil || !r.Clean || r.Mended != 1 {
		t.Errorf("mended: %+v", mended)
	}
	if content, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(content), "sha256:") {
		t.Errorf("the link holds %q, %v", content, err)
	}
	if l.decode("/api/v2.0/storage/fsck", &none); len(none) != 3 || none[0].ID != mended.ID {
		t.Errorf("the looks that are kept: %+v", none)
	}
	log := l.must(http.StatusOK, http.MethodGet, "/api/v2.0/auditlog-exts?q=resource_type=storage_fsck", "").body
	if strings.Count(log, `"start"`) != 3 {
		t.Errorf("the audit log: %s", log)
	}
}

func TestWhatIsWrongWithARequestAboutTheStorageIsSaid(t *testing.T) {
	t.Parallel()
	l := start(t)
	for _, test := range []struct {
		what, method, path, body string
		status                   int
		says                     string
	}{
		{"no such look", http.MethodGet, "/storage/fsck/7", "", http.StatusNotFound, "look 7"},
		{"findings of no look", http.MethodGet, "/storage/fsck/7/findings", "", http.StatusNotFound, "look 7"},
		{"no look to stop", http.MethodPut, "/storage/fsck/7/stop", "", http.StatusNotFound, "look 7"},
		{"no JSON", http.MethodPost, "/storage/fsck", "{", http.StatusUnprocessableEntity, ""},
		{"no truth", http.MethodPost, "/storage/fsck", `{"deep":"very"}`, http.StatusUnprocessableEntity, "deep"},
	} {
		a := l.admin(test.method, "/api/v2.0"+test.path, test.body)
		if a.StatusCode != test.status || !strings.Contains(a.body, test.says) {
			t.Errorf("%s: %s %s", test.what, a.Status, a.body)
		}
	}
	if f := l.fsck(`{}`); f.Status != "failed" || !strings.Contains(f.Error, "holds no registry") {
		t.Errorf("of a folder that holds nothing: %+v", f)
	}
	testserver.Push(t, l.home, "library/app", "v1", testserver.Image(t, 1, 1, 100))
	found := l.fsck(`{}`)
	for _, query := range []string{"severity=awful", "kind=nothing"} {
		if a := l.admin(http.MethodGet, fmt.Sprintf("/api/v2.0/storage/fsck/%d/findings?%s", found.ID, query), ""); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", query, a.Status, a.body)
		}
	}
}

func TestInReadOnlyModeTheStorageIsLookedAtAndNotMended(t *testing.T) {
	t.Parallel()
	l := start(t)
	testserver.Push(t, l.home, "library/app", "v1", testserver.Image(t, 1, 1, 100))
	file := l.damage("library/app")
	l.must(http.StatusOK, http.MethodPut, "/api/v2.0/configurations", `{"read_only":true}`)
	if f := l.fsck(`{}`); f.Report == nil || f.Report.Repairable != 1 {
		t.Errorf("the look: %+v", f)
	}
	a := l.admin(http.MethodPost, "/api/v2.0/storage/fsck", `{"repair_links":true}`)
	if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "read-only mode") {
		t.Errorf("mending: %s %s", a.Status, a.body)
	}
	if info, err := os.Stat(file); err != nil || info.Size() != 0 {
		t.Errorf("the link was written: %v", err)
	}
}

func TestOnlyAdministratorsSeeTheStorage(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/users", `{"username":"dev","email":"dev@example.com","realname":"Dev","password":"Dev123456"}`)
	for _, request := range [][2]string{
		{http.MethodGet, "/storage/usage"}, {http.MethodGet, "/storage/fsck"}, {http.MethodPost, "/storage/fsck"}, {http.MethodGet, "/storage/fsck/1"},
		{http.MethodGet, "/storage/fsck/1/findings"}, {http.MethodPut, "/storage/fsck/1/stop"}, {http.MethodGet, "/storage/fsck/events"},
	} {
		body := ""
		if request[0] == http.MethodPost {
			body = "{}"
		}
		if a := l.do(request[0], "/api/v2.0"+request[1], "dev", "Dev123456", body); a.StatusCode != http.StatusForbidden {
			t.Errorf("%v as anybody: %s", request, a.Status)
		}
		if a := l.do(request[0], "/api/v2.0"+request[1], "", "", body); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v as nobody: %s", request, a.Status)
		}
	}
}

func TestEventsTellOfALookAtTheStorage(t *testing.T) {
	t.Parallel()
	l := start(t)
	testserver.Push(t, l.home, "library/app", "v1", testserver.Image(t, 1, 1, 100))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+"/api/v2.0/storage/fsck/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", adminPassword)
	response, err := l.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		switch {
		case lines.Text() == "event: ready":
			l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/storage/fsck", `{}`)
		case strings.HasPrefix(lines.Text(), "data: {") && strings.Contains(lines.Text(), `"status":"succeeded"`):
			return
		}
	}
	t.Errorf("nobody told of the end: %v", lines.Err())
}
