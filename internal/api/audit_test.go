package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/testserver"
)

type auditEntry struct {
	Username    string `json:"username"`
	Resource    string `json:"resource"`
	Type        string `json:"resource_type"`
	Operation   string `json:"operation"`
	Description string `json:"operation_description"`
	Result      *bool  `json:"operation_result"`
	Time        string `json:"op_time"`
}

func (e auditEntry) String() string {
	text := strings.Join([]string{e.Username, e.Operation, e.Type, e.Resource}, " ")
	if e.Result != nil && !*e.Result {
		text += " failed"
	}
	return text
}

// audit lists entries, the oldest first.
func (l *lighterage) audit(user, password, path string) []string {
	l.t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	a := l.do("GET", path+separator+"page_size=0", user, password, "")
	if a.StatusCode != http.StatusOK {
		l.t.Fatalf("GET %s: %s %s", path, a.Status, a.body)
	}
	var entries []auditEntry
	if err := json.Unmarshal([]byte(a.body), &entries); err != nil {
		l.t.Fatal(err)
	}
	said := make([]string, len(entries))
	for i, e := range entries {
		said[i] = e.String()
		if kind := e.Operation + "_" + e.Type; !slices.Contains(audit.Kinds(), audit.Kind(kind)) {
			l.t.Errorf("%s is recorded and is no type that can be selected", kind)
		}
	}
	slices.Reverse(said)
	return said
}

// auditHas waits until the log has an entry: those of pulls and logins come later.
func (l *lighterage) auditHas(want string) {
	l.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !slices.Contains(l.audit("admin", adminPassword, "/api/v2.0/auditlog-exts"), want) {
		if time.Now().After(deadline) {
			l.t.Fatalf("no entry %q among\n%s", want, strings.Join(l.audit("admin", adminPassword, "/api/v2.0/auditlog-exts"), "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestTheAuditLogSaysWhoDidWhat(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(http.StatusCreated, "POST", "/api/v2.0/users", `{"username":"ann","email":"ann@example.com","realname":"Ann","password":"Passw0rd!"}`)
	l.must(http.StatusConflict, "POST", "/api/v2.0/users", `{"username":"ann","email":"ann@example.com","realname":"Ann","password":"Passw0rd!"}`)
	l.must(http.StatusCreated, "POST", "/api/v2.0/projects", `{"project_name":"team"}`)
	l.must(http.StatusCreated, "POST", "/api/v2.0/projects/team/members", `{"role_id":2,"member_user":{"username":"ann"}}`)
	l.must(http.StatusCreated, "POST", "/api/v2.0/robots", `{"name":"bot","level":"project","duration":-1,"permissions":[{"kind":"project","namespace":"team","access":[{"resource":"repository","action":"pull"}]}]}`)
	l.must(http.StatusCreated, "POST", "/api/v2.0/labels", `{"name":"prod","scope":"g","color":"#0095D3"}`)
	l.must(http.StatusOK, "PUT", "/api/v2.0/configurations", `{"session_timeout":45,"ldap_search_password":""}`)
	l.must(http.StatusCreated, "POST", "/api/v2.0/registries", `{"name":"cluster1","type":"docker-registry","url":"`+l.url+`","insecure":true}`)
	l.must(http.StatusCreated, "POST", "/api/v2.0/replication/policies", `{"name":"rule","dest_registry":{"id":1},"trigger":{"type":"manual"},"filters":[{"type":"name","value":"none/**"}],"enabled":true}`)
	l.must(http.StatusCreated, "POST", "/api/v2.0/replication/executions", `{"policy_id":1}`)
	if a := l.do("DELETE", "/api/v2.0/labels/1", "ann", "Passw0rd!", ""); a.StatusCode != http.StatusForbidden {
		t.Errorf("%s %s", a.Status, a.body)
	}
	l.must(http.StatusOK, "DELETE", "/api/v2.0/labels/1", "")
	got := l.audit("admin", adminPassword, "/api/v2.0/auditlog-exts")
	want := []string{
		"admin create user ann", "admin create user ann failed", "admin create project team", "admin create member ann", "admin create robot robot$team+bot",
		"admin create label prod", "admin update configuration configuration", "admin create registry cluster1", "admin create replication_policy rule",
		"admin start replication rule", "ann delete label prod failed", "admin delete label prod",
	}
	// Members are named with their project.
	want[3] = "admin create member team ann"
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	a := l.admin("GET", "/api/v2.0/auditlog-exts?q="+url.QueryEscape("resource_type=configuration"), "")
	if !strings.Contains(a.body, "session_timeout=45") || strings.Contains(a.body, "ldap_search_password=") || a.Header.Get("X-Total-Count") != "1" {
		t.Errorf("%s %s", a.Header.Get("X-Total-Count"), a.body)
	}
	if old := l.audit("admin", adminPassword, "/api/v2.0/audit-logs"); !slices.Equal(old, []string{"admin create project team"}) {
		t.Errorf("the older log: %v", old)
	}
}

func TestTheAuditLogHasWhatHappensToArtifacts(t *testing.T) {
	t.Parallel()
	l := start(t)
	image := testserver.Image(t, 1, 1, 100)
	testserver.Push(t, l.home, "library/app", "v1", image)
	testserver.Pull(t, l.home, "library/app", "v1")
	l.must(http.StatusCreated, "POST", "/api/v2.0/projects/library/repositories/app/artifacts/v1/tags", `{"name":"v2"}`)
	l.must(http.StatusOK, "DELETE", "/api/v2.0/projects/library/repositories/app/artifacts/v1/tags/v2", "")
	l.must(http.StatusOK, "DELETE", "/api/v2.0/projects/library/repositories/app", "")
	l.auditHas("admin pull artifact library/app:v1")
	for _, want := range []string{
		"admin create artifact library/app:v1", "admin create tag library/app:v2", "admin delete tag library/app:v2", "admin delete repository library/app",
	} {
		l.auditHas(want)
	}
	got := l.audit("admin", adminPassword, "/api/v2.0/projects/library/logs")
	if len(got) != 6 || !slices.ContainsFunc(got, func(e string) bool { return strings.HasPrefix(e, "admin delete artifact library/app@sha256:") }) {
		t.Errorf("of the project: %v", got)
	}
	// What is turned off is recorded no more, from the next second on.
	l.must(http.StatusOK, "PUT", "/api/v2.0/configurations", `{"disabled_audit_log_event_types":"create_artifact"}`)
	deadline := time.Now().Add(time.Minute)
	for n := 1; ; n++ {
		repository := fmt.Sprintf("quiet%d", n)
		testserver.Push(t, l.home, "library/"+repository, "v1", image)
		if len(l.audit("admin", adminPassword, "/api/v2.0/audit-logs?q=resource%3Dlibrary%2F"+repository+"%3Av1")) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("pushes are still recorded")
		}
	}
}

func TestTheAuditLogHasLogins(t *testing.T) {
	t.Parallel()
	l := start(t)
	if a := l.do("GET", "/service/token?service=harbor-registry", "admin", "wrong", ""); a.StatusCode != http.StatusUnauthorized {
		t.Fatal(a.Status)
	}
	l.auditHas("admin login user admin failed")
	b := newBrowser(t, l)
	b.send("GET", "/c/login", "", "") // for a token
	if a := b.login("admin", adminPassword); a.StatusCode != http.StatusOK {
		t.Fatal(a.Status)
	}
	l.auditHas("admin login user admin")
}

func TestTheAuditLogHasWhatWasRefused(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(http.StatusCreated, "POST", "/api/v2.0/users", `{"username":"ann","email":"ann@example.com","realname":"Ann","password":"Passw0rd!"}`)
	testserver.Push(t, l.home, "library/app", "v1", testserver.Image(t, 1, 1, 100))
	readOnly := func(on bool) {
		l.must(http.StatusOK, "PUT", "/api/v2.0/configurations", fmt.Sprintf(`{"read_only":%v}`, on))
	}
	asAnn := func(method, path, body string, headers ...string) func(*testing.T) int {
		return func(*testing.T) int { return l.do(method, path, "ann", "Passw0rd!", body, headers...).StatusCode }
	}
	tests := []struct {
		name   string
		do     func(t *testing.T) int
		status int
		want   string // "": nothing is recorded
	}{
		{"an artifact of others", asAnn("DELETE", "/api/v2.0/projects/library/repositories/app/artifacts/v1", ""), 403, "ann delete artifact library/app:v1 failed"},
		{"a tag of others", asAnn("DELETE", "/api/v2.0/projects/library/repositories/app/artifacts/v1/tags/v1", ""), 403, "ann delete tag library/app:v1 failed"},
		{"a new tag of others", asAnn("POST", "/api/v2.0/projects/library/repositories/app/artifacts/v1/tags", `{"name":"v2"}`), 403, "ann create tag library/app:v1 failed"},
		{"what is no label", asAnn("POST", "/api/v2.0/labels", `{"name":"one"}`, "Content-Type", "text/plain"), 422, "ann create label one failed"},
		{"a page of another site", asAnn("POST", "/api/v2.0/projects", `{"project_name":"stolen"}`, "Sec-Fetch-Site", "cross-site"), 403, "ann create project stolen failed"},
		{"a session without its token", func(t *testing.T) int {
			b := newBrowser(t, l)
			b.send("GET", "/c/login", "", "")
			b.login("admin", adminPassword)
			return b.label("forged", "X-Harbor-CSRF-Token", "no").StatusCode
		}, 403, "admin create label forged failed"},
		{"read-only", func(*testing.T) int {
			readOnly(true)
			defer readOnly(false)
			return l.admin("POST", "/api/v2.0/projects", `{"project_name":"late"}`).StatusCode
		}, 403, "admin create project late failed"},
		{"a push to a project of others", func(t *testing.T) int {
			return l.do("POST", "/v2/library/app/blobs/uploads/", "ann", "Passw0rd!", "").StatusCode
		}, 401, "ann create artifact library/app failed"},
		{"a deletion by the registry's protocol", func(t *testing.T) int {
			return l.do("DELETE", "/v2/library/other/manifests/v1", "ann", "Passw0rd!", "").StatusCode
		}, 401, "ann delete artifact library/other failed"},
		{"nobody", func(*testing.T) int { return l.do("DELETE", "/api/v2.0/labels/1", "", "", "").StatusCode }, 401, ""},
		{"what only reads", asAnn("GET", "/api/v2.0/configurations", ""), 403, ""},
	}
	for _, tt := range tests {
		before := len(l.audit("admin", adminPassword, "/api/v2.0/auditlog-exts?q=operation_result%3Dfalse"))
		if status := tt.do(t); status != tt.status {
			t.Errorf("%s: answered with %d, want %d", tt.name, status, tt.status)
		}
		if tt.want != "" {
			l.auditHas(tt.want)
		} else if got := l.audit("admin", adminPassword, "/api/v2.0/auditlog-exts?q=operation_result%3Dfalse"); len(got) != before {
			t.Errorf("%s: recorded %v", tt.name, got[before:])
		}
	}
	// It is the project's too.
	if got := l.audit("admin", adminPassword, "/api/v2.0/projects/library/auditlog-exts"); !slices.Contains(got, "ann create artifact library/app failed") {
		t.Errorf("of the project: %v", got)
	}
}

func TestTheAuditLogHasWrongPasswordsWhereverTheyAreTried(t *testing.T) {
	t.Parallel()
	l := start(t)
	for user, path := range map[string]string{"one": "/v2/", "two": "/api/v2.0/projects", "three": "/service/token?service=harbor-registry", "four": "/v2/library/app/manifests/v1"} {
		l.do("GET", path, user, "wrong", "")
		l.auditHas(user + " login user " + user + " failed")
	}
	a := l.admin("GET", "/api/v2.0/auditlog-exts?q=username%3Done", "")
	if !strings.Contains(a.body, `"operation_description":"login from 127.0.0.1"`) {
		t.Errorf("%s", a.body)
	}
	// A right one is no login of its own: clients send it with every request.
	l.do("GET", "/v2/", "admin", adminPassword, "")
	if got := l.audit("admin", adminPassword, "/api/v2.0/auditlog-exts?q=operation_result%3Dtrue"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestTheAuditLogIsForThoseWhoMayListIt(t *testing.T) {
	t.Parallel()
	l := start(t)
	for _, name := range []string{"ann", "bob"} {
		l.must(http.StatusCreated, "POST", "/api/v2.0/users", `{"username":"`+name+`","email":"`+name+`@example.com","realname":"X","password":"Passw0rd!"}`)
	}
	for _, name := range []string{"one", "two"} {
		l.must(http.StatusCreated, "POST", "/api/v2.0/projects", `{"project_name":"`+name+`"}`)
		l.must(http.StatusOK, "PUT", "/api/v2.0/projects/"+name, `{"metadata":{"public":"false"}}`)
	}
	l.must(http.StatusCreated, "POST", "/api/v2.0/projects/one/members", `{"role_id":1,"member_user":{"username":"ann"}}`)
	if a := l.do("GET", "/api/v2.0/auditlog-exts", "", "", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("anonymous: %s", a.Status)
	}
	for _, path := range []string{"/api/v2.0/auditlog-exts", "/api/v2.0/audit-logs"} {
		if got := l.audit("bob", "Passw0rd!", path); len(got) != 0 {
			t.Errorf("bob sees %v", got)
		}
		got := l.audit("ann", "Passw0rd!", path)
		if !slices.Contains(got, "admin update project one") || slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, "two") || strings.Contains(e, " user ") }) {
			t.Errorf("ann sees %v", got)
		}
	}
	for path, want := range map[string]int{
		"/api/v2.0/projects/one/logs": http.StatusOK, "/api/v2.0/projects/one/auditlog-exts": http.StatusOK,
		"/api/v2.0/projects/two/logs": http.StatusForbidden, "/api/v2.0/projects/none/auditlog-exts": http.StatusForbidden,
	} {
		if a := l.do("GET", path, "ann", "Passw0rd!", ""); a.StatusCode != want {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

func TestTheTypesOfEntriesAreListed(t *testing.T) {
	t.Parallel()
	l := start(t)
	a := l.admin("GET", "/api/v2.0/auditlog-exts/events", "")
	var listed []struct {
		Type audit.Kind `json:"event_type"`
	}
	if err := json.Unmarshal([]byte(a.body), &listed); err != nil {
		t.Fatal(err)
	}
	for i, kind := range audit.Kinds() {
		if i >= len(listed) || listed[i].Type != kind {
			t.Fatalf("%s is missing in %s", kind, a.body)
		}
	}
	// Those that Harbor has are called as Harbor calls them.
	for _, kind := range []audit.Kind{"create_member", "update_member", "delete_member", "update_configuration", "login_user", "delete_repository"} {
		if !slices.Contains(audit.Kinds(), kind) {
			t.Errorf("%s is missing", kind)
		}
	}
}

func TestTheAuditLogSaysWhatIsRecordedAndForHowLong(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(http.StatusCreated, "POST", "/api/v2.0/users", `{"username":"ann","email":"ann@example.com","realname":"Ann","password":"Passw0rd!"}`)
	for _, tt := range []struct{ change, want string }{
		{`{}`, `{"disabled_event_types":[],"recorded":true,"retention_days":90}`},
		{`{"audit_log_retention_days":7,"disabled_audit_log_event_types":"pull_artifact, nonsense"}`, `{"disabled_event_types":["pull_artifact"],"recorded":true,"retention_days":7}`},
		{`{"audit_log_retention_days":0,"disabled_audit_log_event_types":"","skip_audit_log_database":true}`, `{"disabled_event_types":[],"recorded":false,"retention_days":0}`},
	} {
		l.must(http.StatusOK, "PUT", "/api/v2.0/configurations", tt.change)
		if a := l.do("GET", "/api/v2.0/auditlog-exts/recording", "ann", "Passw0rd!", ""); strings.TrimSpace(a.body) != tt.want {
			t.Errorf("with %s: %s %s", tt.change, a.Status, a.body)
		}
	}
	if a := l.admin("PUT", "/api/v2.0/configurations", `{"audit_log_retention_days":-1}`); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "for ever") {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if a := l.do("GET", "/api/v2.0/auditlog-exts/recording", "", "", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("anonymous: %s", a.Status)
	}
}
