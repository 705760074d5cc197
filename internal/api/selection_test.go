package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/testserver"
)

const everyWish = `"select":{"names":["library/**"],"exclude_names":["**/test"],"name_regex":"library/.+","tags":["v*"],"exclude_tags":["*-rc*"],` +
	`"tag_regex":"v.+","semver":">=1 <2","newest":3,"pushed_since":"30d","artifact_types":["IMAGE"]},"rename":{"regex":"library/(.+)","template":"prod/$1"}`

// What a rule selects and renames comes back as it was sent, is there until it is left
// out, and is refused with the name of the field when it is wrong.
func TestWishesBeyondHarborsRulesAreKept(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(201, "POST", "/api/v2.0/registries", `{"name":"cluster","type":"docker-registry","url":"http://127.0.0.1:9"}`)
	rule := func(more string) string {
		return strings.TrimSuffix(`{"name":"rule","dest_registry":{"id":1},"trigger":{"type":"manual"},`+more, ",") + "}"
	}
	l.must(201, "POST", "/api/v2.0/replication/policies", rule(everyWish))
	wishes := func() (got struct{ Select, Rename map[string]any }) {
		t.Helper()
		if err := json.Unmarshal([]byte(l.must(200, "GET", "/api/v2.0/replication/policies/1", "").body), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	var want struct{ Select, Rename map[string]any }
	if err := json.Unmarshal([]byte("{"+everyWish+"}"), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, wishes()); diff != "" {
		t.Errorf("-sent +kept\n%s", diff)
	}
	for _, c := range []struct{ wish, says string }{
		{`"select":{"tag_regex":"("}`, "select.tag_regex: error parsing regexp"},
		{`"select":{"names":["a","["]}`, "select.names: invalid pattern"},
		{`"select":{"semver":"latest"}`, "select.semver: "},
		{`"select":{"newest":-1}`, "select.newest: -1"},
		{`"select":{"pushed_since":"soon"}`, "select.pushed_since: "},
		{`"select":{"artifact_types":["a b"]}`, "select.artifact_types: "},
		{`"rename":{"template":"{team}"}`, "rename.template: unknown placeholder {team}"},
		{`"rename":{"regex":"a"}`, "rename.template: is missing"},
		{`"rename":{"template":"{name}"},"dest_namespace":"n"`, "rename: it cannot be together with dest_namespace (n)"},
	} {
		a := l.must(400, "PUT", "/api/v2.0/replication/policies/1", rule(c.wish))
		var failed struct {
			Errors []struct{ Code, Message string }
		}
		if err := json.Unmarshal([]byte(a.body), &failed); err != nil || len(failed.Errors) != 1 || failed.Errors[0].Code != "BAD_REQUEST" || !strings.HasPrefix(failed.Errors[0].Message, c.says) {
			t.Errorf("%s: %s", c.wish, a.body)
		}
	}
	if diff := cmp.Diff(want, wishes()); diff != "" {
		t.Errorf("what was refused has changed the rule: %s", diff)
	}
	l.must(200, "PUT", "/api/v2.0/replication/policies/1", rule(""))
	if got := wishes(); got.Select != nil || got.Rename != nil {
		t.Errorf("left out: %+v", got)
	}
}

func TestPlatformsAndAccessoriesOfARuleAreKept(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(201, "POST", "/api/v2.0/registries", `{"name":"cluster","type":"docker-registry","url":"http://127.0.0.1:9"}`)
	rule := func(more string) string {
		return `{"name":"rule","dest_registry":{"id":1},"trigger":{"type":"manual"}` + more + "}"
	}
	l.must(201, "POST", "/api/v2.0/replication/policies", rule(""))
	for _, c := range []struct{ wish, refused string }{
		{`,"platforms":["linux/amd64","linux/arm/v7"],"platform_mode":"rewrite","accessories":"signed_only"`, ""},
		{`,"platforms":["linux/amd64"]`, ""},
		{`,"platforms":["linux"]`, `platforms: \"linux\" is no platform`},
		{`,"platform_mode":"rewrite"`, "platform_mode: rewrite needs platforms"},
		{`,"platforms":["linux/amd64"],"platform_mode":"thin"`, `platform_mode: \"thin\" is neither sparse nor rewrite`},
		{`,"accessories":"signed"`, `accessories: \"signed\" is none of all, none and signed_only`},
	} {
		if c.refused != "" {
			if a := l.must(400, "PUT", "/api/v2.0/replication/policies/1", rule(c.wish)); !strings.Contains(a.body, c.refused) {
				t.Errorf("%s: %s", c.wish, a.body)
			}
			continue
		}
		l.must(200, "PUT", "/api/v2.0/replication/policies/1", rule(c.wish))
		var got, want struct {
			Platforms   []string
			Mode        string `json:"platform_mode"`
			Accessories string
		}
		if err := json.Unmarshal([]byte(l.must(200, "GET", "/api/v2.0/replication/policies/1", "").body), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte("{"+c.wish[1:]+"}"), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-sent +kept\n%s", diff)
		}
	}
}

func TestAPlanTellsOfNamesThatCollide(t *testing.T) {
	t.Parallel()
	l := start(t)
	cluster := testserver.Distribution(t)
	for i, repository := range []string{"library/one/app", "library/two/app"} {
		testserver.Push(t, l.home, repository, "v1", testserver.Image(t, uint64(i), 1, 100))
	}
	l.must(201, "POST", "/api/v2.0/registries", fmt.Sprintf(`{"name":"cluster","type":"docker-registry","url":%q}`, cluster.URL))
	l.must(201, "POST", "/api/v2.0/replication/policies", `{"name":"rule","dest_registry":{"id":1},"rename":{"template":"all/{name}"},"enabled":true}`)
	const reason = "the tag v1 of library/one/app and library/two/app would be all/app:v1 at the destination: neither is put there"
	lines := planLines(t, l.must(200, "GET", "/api/v2.0/replication/policies/1/plan", "").body)
	if len(lines) != 3 {
		t.Fatalf("%+v", lines)
	}
	for _, line := range lines[:2] {
		if line.Action != "conflict" || line.Reason != reason {
			t.Errorf("%+v", line)
		}
	}
	if w := lines[2].Summary.Warnings; len(w) != 2 || w[1].Code != "collisions" {
		t.Errorf("%+v", w)
	}
}
