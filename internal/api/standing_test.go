package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/testserver"
)

// artifacts lists a repository with how it stands at the destinations of rules.
func (l *lighterage) artifacts(user, password, path string) []gen.Artifact {
	l.t.Helper()
	a := l.do(http.MethodGet, "/api/v2.0"+path, user, password, "")
	if a.StatusCode != http.StatusOK {
		l.t.Fatalf("%s: %s %s", path, a.Status, a.body)
	}
	var list []gen.Artifact
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		l.t.Fatal(err)
	}
	return list
}

func TestArtifactsTellWhereTheyAreReplicatedAndToWhom(t *testing.T) {
	t.Parallel()
	l := start(t)
	cluster := testserver.Distribution(t)
	index := testserver.Index(t, 7, "linux/amd64", "linux/arm64")
	testserver.Push(t, l.home, "library/app", "v1", testserver.Image(t, 1, 2, 1000))
	testserver.Push(t, l.home, "library/app", "multi", index)
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/registries", fmt.Sprintf(`{"name":"cluster","type":"docker-registry","url":%q}`, cluster.URL))
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/replication/policies",
		`{"name":"all","dest_registry":{"id":1},"dest_namespace":"mirror","dest_namespace_replace_count":1,"enabled":true,"override":true}`)
	for i, name := range []string{"member", "stranger"} {
		l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/users",
			fmt.Sprintf(`{"username":%q,"email":"%s@example.com","realname":"U","password":"Dev123456"}`, name, name))
		if i == 0 {
			l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/projects/library/members", `{"role_id":5,"member_user":{"username":"member"}}`)
		}
	}
	const path = "/projects/library/repositories/app/artifacts"
	for _, a := range l.artifacts("admin", adminPassword, path+"?with_replication=true") {
		if a.Replication == nil || len(*a.Replication) != 1 || (*a.Replication)[0].State != "not_verified" || (*a.Replication)[0].DstRepository != "mirror/app" {
			t.Errorf("before the rule was run %s stands %+v", a.Tags[0].Name, a.Replication)
		}
	}
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/replication/executions", `{"policy_id":1}`)
	testserver.Eventually(t, "all is in sync", func() bool {
		list := l.artifacts("member", "Dev123456", path+"?with_replication=true")
		for _, a := range list {
			if a.Replication == nil || len(*a.Replication) != 1 || (*a.Replication)[0].State != "in_sync" {
				return false
			}
			n := (*a.Replication)[0]
			if n.PolicyName != "all" || n.RegistryName != "cluster" || n.DstDigest != a.Digest || n.Since.IsZero() || n.VerifiedTime.IsZero() || n.Drift {
				t.Errorf("%s stands %+v", a.Tags[0].Name, n)
			}
		}
		return len(list) == 2
	})

	for _, test := range []struct {
		who, user, password, query string
		asked                      bool
	}{
		{"who is no member", "stranger", "Dev123456", "?with_replication=true", false},
		{"who has not logged in", "", "", "?with_replication=true", false},
		{"who does not ask", "admin", adminPassword, "", false},
		{"a member of the least role", "member", "Dev123456", "?with_replication=true", true},
	} {
		for _, a := range l.artifacts(test.user, test.password, path+test.query) {
			if (a.Replication != nil) != test.asked {
				t.Errorf("%s is told %+v", test.who, a.Replication)
			}
		}
	}

	var one gen.Artifact
	read := func(reference string) {
		t.Helper()
		one = gen.Artifact{}
		if err := json.Unmarshal([]byte(l.must(http.StatusOK, http.MethodGet, "/api/v2.0"+path+"/"+reference+"?with_replication=true", "").body), &one); err != nil {
			t.Fatal(err)
		}
	}
	if read("multi"); one.Replication == nil || len(*one.Replication) != 1 || (*one.Replication)[0].Reference != "multi" {
		t.Errorf("an index stands %+v", one.Replication)
	}
	if read(one.References[0].ChildDigest); one.Replication == nil || len(*one.Replication) != 0 {
		t.Errorf("a child of an index stands %+v for itself", one.Replication)
	}
}
