package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestHostileRequestsAreRefusedClearly(t *testing.T) {
	t.Parallel()
	l := start(t)
	registry := func(name string) string {
		text, err := json.Marshal(map[string]any{"name": name, "type": "docker-registry", "url": "http://127.0.0.1:9"})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	long := strings.Repeat("x", 3<<20)
	for _, c := range []struct {
		what, method, path, body string
		headers                  []string
		status                   int
		message                  string
	}{
		{"a body that is too large", "POST", "/api/v2.0/registries", registry(long), nil, 413, "the body is larger than 1048576 bytes"},
		{"JSON that is nested too deep", "POST", "/api/v2.0/registries", strings.Repeat("[", 200_000), nil, 422, "parsing registry body"},
		{"JSON of another kind", "POST", "/api/v2.0/registries", "[]", nil, 422, "cannot unmarshal array into Go value of type"},
		{"null", "POST", "/api/v2.0/registries", "null", nil, 400, "name cannot be empty"},
		{"a number that is too large", "POST", "/api/v2.0/replication/executions", `{"policy_id":9223372036854775808}`, nil, 422, "policy_id of type int64"},
		{"a time that is none", "POST", "/api/v2.0/registries", `{"creation_time":"yesterday"}`, nil, 422, `time "yesterday"`},
		{"a NUL in a name", "POST", "/api/v2.0/registries", registry("a\x00b"), nil, 400, "U+0000"},
		{"a form", "POST", "/api/v2.0/registries", "name=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 422, "unsupported media type"},
		{"no media type", "POST", "/api/v2.0/registries", "{}", []string{"Content-Type", ""}, 422, "unsupported media type"},
		{"a broken media type", "POST", "/api/v2.0/registries", "{}", []string{"Content-Type", "application/json;="}, 422, "parsing Content-Type header"},
		{"an id that is too large", "GET", "/api/v2.0/registries/9223372036854775808", "", nil, 422, "id in path must be of type int64"},
		{"a negative id", "GET", "/api/v2.0/registries/-1", "", nil, 404, "registry -1 not found"},
		{"an id in hexadecimal", "DELETE", "/api/v2.0/replication/policies/0x1", "", nil, 422, "must be of type int64"},
		{"two bad parameters", "GET", "/api/v2.0/registries?page=x&page_size=1000", "", nil, 422, "page in query must be of type int64: \"x\"\npage_size in query should be less than or equal to 100"},
		{"a q that is too long", "GET", "/api/v2.0/registries?q=name=" + strings.Repeat("y", 20_000), "", nil, 400, "longer than"},
		{"a label filter with numbers", "POST", "/api/v2.0/replication/policies", `{"name":"x","dest_registry":{"id":1},"filters":[{"type":"label","value":[1]}]}`, nil, 400, "string slice"},
		{"a project name in capitals", "POST", "/api/v2.0/projects", `{"project_name":"Team/../X"}`, nil, 400, "illegal characters"},
		{"a project with a quota", "POST", "/api/v2.0/projects", `{"project_name":"team","storage_limit":1000}`, nil, 400, "storage_limit"},
		{"a proxy cache project", "POST", "/api/v2.0/projects", `{"project_name":"team","registry_id":1}`, nil, 400, "registry_id"},
		{"an LDAP server", "PUT", "/api/v2.0/configurations", `{"ldap_url":"ldaps://x"}`, nil, 400, "ldap_url"},
		{"an LDAP password", "PUT", "/api/v2.0/configurations", `{"ldap_search_password":"x"}`, nil, 400, "ldap_search_password"},
		{"tokens that live no time", "PUT", "/api/v2.0/configurations", `{"token_expiration":0}`, nil, 400, "token_expiration"},
		{"an empty robot prefix", "PUT", "/api/v2.0/configurations", `{"robot_name_prefix":""}`, nil, 400, "robot_name_prefix"},
		{"a label of a project that is not there", "POST", "/api/v2.0/labels", `{"name":"x","scope":"p","project_id":999}`, nil, 404, "project 999 not found"},
		{"a tag with a slash", "POST", "/api/v2.0/projects/library/repositories/a/artifacts/v1/tags", `{"name":"a/b"}`, nil, 400, "tag"},
		{"no q for a search", "GET", "/api/v2.0/search", "", nil, 422, "q in query is required"},
		{"a NUL in a path", "GET", "/api/v2.0/projects/a%00b", "", nil, 422, "must be UTF-8 text"},
		{"a doubled slash", "GET", "/api/v2.0//registries", "", nil, 0, ""},
		{"a path that climbs", "GET", "/api/v2.0/registries/%2e%2e/%2e%2e/etc", "", nil, 404, ""},
		{"a method that does not exist", "PROPFIND", "/api/v2.0/registries", "", nil, 405, "method PROPFIND is not allowed, but [POST,GET] are"},
		{"an answer in XML", "GET", "/api/v2.0/registries", "", []string{"Accept", "text/html;q=0.9, application/xml"}, 422, "unsupported media type requested"},
		{"a form on a page of another site", "POST", "/api/v2.0/replication/executions/1/retry", "", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403, "cross-origin"},
		{"a POST for a token", "POST", "/service/token", "", nil, 405, ""},
		{"a token for another service", "GET", "/service/token?service=x", "", nil, 400, "Unable to handle service"},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := l.admin(c.method, c.path, c.body, c.headers...)
			if c.status == 0 { // the router sends the client elsewhere, or there is nothing
				if got.StatusCode >= 500 {
					t.Errorf("%s %s", got.Status, got.body)
				}
				return
			}
			var body struct {
				Errors []struct{ Code, Message string }
			}
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || len(body.Errors) != 1 {
				t.Fatalf("%s: no error of Harbor's form: %.500s", got.Status, got.body)
			}
			if got.StatusCode != c.status || !strings.Contains(body.Errors[0].Message, c.message) {
				t.Errorf("%s %q, want %d %q", got.Status, body.Errors[0].Message, c.status, c.message)
			}
			if contentType := got.Header.Get("Content-Type"); contentType != "application/json; charset=utf-8" {
				t.Errorf("Content-Type %q", contentType)
			}
		})
	}
}

func TestUnusualRequestsAreServed(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(201, "POST", "/api/v2.0/registries", `{"name":"注册表 ☃","type":"docker-registry","url":"http://127.0.0.1:9","unknown":[{}]}`)
	if got := l.must(200, "GET", "/api/v2.0/registries?name=%E6%B3%A8", ""); !strings.Contains(got.body, "注册表 ☃") {
		t.Errorf("found %s", got.body)
	}
	for _, path := range []string{
		"/api/v2.0/registries?page=9223372036854775807&page_size=100",
		"/api/v2.0/registries?page=-9223372036854775808&page_size=100",
		"/api/v2.0/registries?page=&page_size=&q=&sort=",
		"/api/v2.0/registries?page=x&page=1",
		"/api/v2.0/registries?sort=name;drop,-%27--,nothing&q=nothing%3D1",
		"/api/v2.0/registries?page_size=-1",
		"/api/v2.0/projects?public=yes&with_detail=maybe",
		"/api/v2.0/quotas/?page=1&page_size=100",
		"/api/version", "/api/v2.0/ping/", "/api/openapi.yaml",
	} {
		l.must(200, "GET", path, "")
	}
	for _, authorization := range []string{"Basic", "Basic !!!", "Basic " + strings.Repeat("A", 5000), "Bearer x", "Basic YWRtaW4="} {
		got := l.do("GET", "/api/v2.0/registries", "", "", "", "Authorization", authorization)
		if got.StatusCode != 401 && got.StatusCode != 400 {
			t.Errorf("Authorization %.20q: %s", authorization, got.Status)
		}
	}
	if got := l.do("GET", "/api/v2.0/ping", "", "", "", "X-Request-Id", strings.Repeat("i", 1000)); len(got.Header.Get("X-Request-Id")) != 36 {
		t.Errorf("a request id of 1000 characters is answered with %q", got.Header.Get("X-Request-Id"))
	}
}

// A body without Content-Length is limited like any other.
func TestChunkedBodyIsLimited(t *testing.T) {
	t.Parallel()
	l := start(t)
	conn, err := net.Dial("tcp", l.host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "POST /api/v2.0/registries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat(" ", 1<<16))
	for range 32 {
		if _, err := conn.Write([]byte(chunk)); err != nil {
			break // the server has answered and does not read on
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %s, want 413", response.Status)
	}
}

// operationsOfSpec returns every operation with a path and a body that fit it.
func operationsOfSpec(t *testing.T) (all []struct{ id, method, path, body string }) {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Paths map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("{project_name}", "library", "{project_name_or_id}", "library", "{repository_name}", "app",
		"{reference}", "v1", "{tag_name}", "v1", "{addition}", "build_history")
	for path, item := range spec.Paths {
		for method, node := range item {
			var o struct {
				ID   string    `yaml:"operationId"`
				Body yaml.Node `yaml:"requestBody"`
			}
			if method == "parameters" || method == "x-lighterage" {
				continue
			}
			if err := node.Decode(&o); err != nil {
				t.Fatal(err)
			}
			body := ""
			if !o.Body.IsZero() {
				body = "{}"
			}
			full := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(names.Replace(path), "1")
			query := map[string]string{"headProject": "?project_name=library", "search": "?q=a", "searchUsers": "?username=a", "listLabels": "?scope=g"}[o.ID]
			all = append(all, struct{ id, method, path, body string }{o.ID, strings.ToUpper(method), "/api/v2.0" + full + query, body})
		}
	}
	return all
}

func TestEveryOperationWantsRights(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(201, "POST", "/api/v2.0/users", `{"username":"dev1","email":"dev1@example.com","realname":"dev","password":"Passw0rd1"}`)
	l.must(201, "POST", "/api/v2.0/projects", `{"project_name":"secret"}`)
	open := []string{ // to everybody; what they show depends on the caller, and library is public
		"getPing", "getHealth", "getSystemInfo", "getCert", "search", "listProjects", "listAllRepositories", "getProject", "getProjectSummary",
		"listRepositories", "getRepository", "listArtifacts", "getArtifact", "listTags", "listAccessories", "getAddition",
	}
	self := []string{ // to everybody who has logged in
		"headProject", "getStatistic", "searchUsers", "getCurrentUserInfo", "getCurrentUserPermissions", "listLabels", "getLabelByID", "createProject",
		"listAuditLogs", "listAuditLogExts", "listAuditLogEventTypes", "getAuditLogRecording",
	}
	others := map[string]int{ // whose rights depend on what is asked for: there is no such thing, or it is no good
		"updateLabel": 404, "deleteLabel": 404, "createLabel": 400, "getRobotByID": 404, "updateRobot": 404, "refreshSec": 404, "deleteRobot": 404, "createRobot": 400,
	}
	for _, o := range operationsOfSpec(t) {
		if slices.Contains(open, o.id) || o.id == "watchProject" || o.id == "watchAuditLog" { // their answers do not end, and library is public
			continue
		}
		if got := l.do(o.method, o.path, "", "", o.body); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s %s without credentials: %s %s", o.id, o.method, o.path, got.Status, got.body)
		}
		if slices.Contains(self, o.id) || o.id == "watchSystem" { // its answer does not end
			continue
		}
		want := http.StatusForbidden
		if status, ok := others[o.id]; ok {
			want = status
		}
		if got := l.do(o.method, o.path, "dev1", "Passw0rd1", o.body); got.StatusCode != want {
			t.Errorf("%s: %s %s as an ordinary user: %s %s, want %d", o.id, o.method, o.path, got.Status, got.body, want)
		}
	}
	for _, path := range []string{"/projects/secret", "/projects/secret/summary", "/projects/secret/repositories", "/projects/secret/members", "/projects/nothing", "/projects/nothing/repositories"} {
		if got := l.do("GET", "/api/v2.0"+path, "dev1", "Passw0rd1", ""); got.StatusCode != 403 {
			t.Errorf("%s as somebody who is no member: %s", path, got.Status)
		}
	}
	for _, path := range []string{"/projects?name=secret", "/search?q=secret", "/repositories?q=name%3D~secret"} {
		if got := l.do("GET", "/api/v2.0"+path, "dev1", "Passw0rd1", ""); strings.Contains(got.body, `"secret`) {
			t.Errorf("%s shows a private project: %s", path, got.body)
		}
	}
}

func TestReadOnlyModeRefusesEveryChange(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(200, "PUT", "/api/v2.0/configurations", `{"read_only":true}`)
	allowed := []string{"updateConfigurations", "pingRegistry", "planReplication", "stopReplication"}
	for _, o := range operationsOfSpec(t) {
		if strings.HasPrefix(o.path, "/api/v2.0/storage") && o.method != "GET" { // a migration is what it may be read-only for
			allowed = append(allowed, o.id)
		}
		if o.id == "watchReplication" || o.id == "watchStorage" || o.id == "watchStorageFsck" || o.id == "watchProject" || o.id == "watchSystem" || o.id == "watchAuditLog" { // change nothing, and their answers do not end
			continue
		}
		got := l.admin(o.method, o.path, o.body)
		denied := got.StatusCode == http.StatusForbidden && strings.Contains(got.body, `"code":"DENIED"`)
		reads := o.method == "GET" || o.method == "HEAD"
		if denied == (reads || slices.Contains(allowed, o.id)) {
			t.Errorf("%s: %s %s: %s %s", o.id, o.method, o.path, got.Status, got.body)
		}
	}
}
