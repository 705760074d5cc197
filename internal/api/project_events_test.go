package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
)

func TestWhoWatchesAProjectIsToldOfPushesAndMembersOfReplication(t *testing.T) {
	t.Parallel()
	l := start(t)
	cluster := testserver.Distribution(t)
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/projects", `{"project_name":"other","metadata":{"public":"false"}}`)
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/registries", fmt.Sprintf(`{"name":"cluster","type":"docker-registry","url":%q}`, cluster.URL))
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/replication/policies", `{"name":"all","dest_registry":{"id":1},"enabled":true,"override":true}`)

	member := l.listen(t, "/api/v2.0/projects/library/events")
	if e := member.next(); e.name != "ready" {
		t.Fatalf("the first event is %+v", e)
	}
	testserver.Push(t, l.home, "library/app", "v1", testserver.Image(t, 1, 1, 1000))
	member.await("contents", "")
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/replication/executions", `{"policy_id":1}`)
	member.await("replication", "")
	l.must(http.StatusOK, http.MethodDelete, "/api/v2.0/projects/library/repositories/app", "")
	member.await("contents", "")

	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/users", `{"username":"dev","email":"dev@example.com","realname":"U","password":"Dev123456"}`)
	for _, test := range []struct {
		user, project string
		status        int
	}{
		{"", "other", http.StatusUnauthorized},
		{"dev", "other", http.StatusForbidden},
		{"dev", "nothing", http.StatusForbidden},
		{"admin", "nothing", http.StatusNotFound},
	} {
		password := "Dev123456"
		if test.user == "admin" {
			password = adminPassword
		}
		if a := l.do(http.MethodGet, "/api/v2.0/projects/"+test.project+"/events", test.user, password, ""); a.StatusCode != test.status {
			t.Errorf("%q watches %s: %s", test.user, test.project, a.Status)
		}
	}
}
