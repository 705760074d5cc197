package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
)

// A project may be called by a number that is the id of another one.
func TestAProjectThatIsCalledByANumberIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(http.StatusCreated, "POST", "/api/v2.0/users", `{"username":"ann","email":"ann@example.com","realname":"Ann","password":"Passw0rd!"}`)
	l.must(http.StatusCreated, "POST", "/api/v2.0/projects", `{"project_name":"other"}`) // 2
	l.must(http.StatusCreated, "POST", "/api/v2.0/projects", `{"project_name":"2"}`)     // 3
	l.must(http.StatusCreated, "POST", "/api/v2.0/projects", `{"project_name":"99"}`)    // 4
	testserver.Push(t, l.home, "2/app", "v1", testserver.Image(t, 1, 1, 100))

	about := func(path, header string) string {
		t.Helper()
		a := l.admin("GET", "/api/v2.0/projects/"+path, "", "X-Is-Resource-Name", header)
		if a.StatusCode != http.StatusOK {
			return a.Status
		}
		var project struct{ Name string }
		if err := json.Unmarshal([]byte(a.body), &project); err != nil {
			t.Fatal(err)
		}
		return project.Name
	}
	for _, tt := range []struct{ path, header, want string }{
		{"2", "", "other"}, {"2", "false", "other"}, {"2", "true", "2"}, {"3", "", "2"}, {"other", "true", "other"}, {"other", "false", "other"},
		{"99", "", "404 Not Found"}, {"99", "true", "99"}, {"1", "true", "404 Not Found"},
	} {
		if got := about(tt.path, tt.header); got != tt.want {
			t.Errorf("project %s, X-Is-Resource-Name %q: %s, want %s", tt.path, tt.header, got, tt.want)
		}
	}

	named := func(method, path, body string, status int) answer {
		t.Helper()
		a := l.admin(method, "/api/v2.0/projects/2"+path, body, "X-Is-Resource-Name", "true")
		if a.StatusCode != status {
			t.Errorf("%s %s: %s %s", method, path, a.Status, a.body)
		}
		return a
	}
	named("GET", "/immutabletagrules", "", http.StatusOK)
	if a := named("GET", "/summary", "", http.StatusOK); !strings.Contains(a.body, `"repo_count":1`) {
		t.Errorf("the summary is another's: %s", a.body)
	}
	if a := named("GET", "/_deletable", "", http.StatusOK); !strings.Contains(a.body, `"deletable":false`) {
		t.Errorf("%s", a.body)
	}
	named("POST", "/members", `{"role_id":2,"member_user":{"username":"ann"}}`, http.StatusCreated)
	type entity struct {
		ID   int64  `json:"id"`
		Name string `json:"entity_name"`
	}
	var members []entity
	if err := json.Unmarshal([]byte(named("GET", "/members", "", http.StatusOK).body), &members); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(members, func(m entity) bool { return m.Name == "ann" })
	if i < 0 {
		t.Fatalf("members: %v", members)
	}
	member := fmt.Sprint("/members/", members[i].ID)
	named("GET", member, "", http.StatusOK)
	named("PUT", member, `{"role_id":3}`, http.StatusOK)
	named("DELETE", member, "", http.StatusOK)
	named("PUT", "", `{"metadata":{"public":"true"}}`, http.StatusOK)
	named("DELETE", "", "", http.StatusPreconditionFailed) // it is not empty
	if got := about("2", "false"); got != "other" {
		t.Errorf("the project with the id 2 is %s", got)
	}

	// The log says of which project each of it was.
	wanted := []string{
		"admin create project 2", "admin create artifact 2/app:v1", "admin create member 2 ann", "admin update member ann", "admin delete member ann",
		"admin update project 2", "admin delete project 2 failed",
	}
	for _, want := range wanted {
		l.auditHas(want)
	}
	for _, path := range []string{"/auditlog-exts", "/logs"} {
		got := l.audit("admin", adminPassword, "/api/v2.0/projects/2"+path) // always a name, as with Harbor
		if !slices.Contains(got, "admin create artifact 2/app:v1") || slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, "other") }) {
			t.Errorf("%s: %v", path, got)
		}
	}
	if got := l.audit("admin", adminPassword, "/api/v2.0/projects/2/auditlog-exts"); len(got) != len(wanted) {
		t.Errorf("of the project 2:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
	if got := l.audit("admin", adminPassword, "/api/v2.0/projects/other/auditlog-exts"); !slices.Equal(got, []string{"admin create project other"}) {
		t.Errorf("of the other project: %v", got)
	}
}
