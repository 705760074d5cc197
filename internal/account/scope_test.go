package account_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
)

func TestScopesAreReadAsTheTokenSpecSays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]account.Scope{
		"repository:library/alpine:pull":                           {Type: "repository", Name: "library/alpine", Actions: []string{"pull"}},
		"repository:library/alpine:pull,push,pull":                 {Type: "repository", Name: "library/alpine", Actions: []string{"pull", "push"}},
		"repository:alpine:pull":                                   {Type: "repository", Name: "alpine", Actions: []string{"pull"}},
		"repository:localhost:5000/library/alpine:pull":            {Type: "repository", Name: "localhost:5000/library/alpine", Actions: []string{"pull"}},
		"repository:harbor.example.com/a/b/c__d:push":              {Type: "repository", Name: "harbor.example.com/a/b/c__d", Actions: []string{"push"}},
		"repository:library/alpine:":                               {Type: "repository", Name: "library/alpine", Actions: []string{}},
		"repository:library/alpine:*":                              {Type: "repository", Name: "library/alpine", Actions: []string{"*"}},
		"repository(plugin):library/plugin:pull":                   {Type: "repository", Name: "library/plugin", Actions: []string{"pull"}},
		"registry:catalog:*":                                       {Type: "registry", Name: "catalog", Actions: []string{"*"}},
		"artifact-repository:library/app:metadata-read":            {Type: "artifact-repository", Name: "library/app", Actions: []string{"metadata-read"}},
		"repository:library/" + strings.Repeat("a", 200) + ":pull": {Type: "repository", Name: "library/" + strings.Repeat("a", 200), Actions: []string{"pull"}},
	} {
		got, err := account.ParseScope(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestMalformedScopesAreErrors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", ":", "::", "repository", "repository:", "repository:library/alpine", "repository::pull", ":library/alpine:pull",
		"Repository:library/alpine:pull", "repository:library/Alpine:pull", "repository:library//alpine:pull", "repository:/alpine:pull",
		"repository:library/alpine:pull,", "repository:library/alpine:pull push", "repository:library/alpine:PULL",
		"repository:library/alpine:v1:pull", "repository:library/alpine@sha256:" + strings.Repeat("0", 64) + ":pull",
		"repository:library/\x00:pull", "repository:" + strings.Repeat("a/", 600) + "b:pull", "registry::*",
	} {
		_, err := account.ParseScope(text)
		if problem.KindOf(err) != problem.BadRequest {
			t.Errorf("%.80q: got %v", text, err)
		}
	}
}

func TestScopeTextIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := account.Scope{
			Type:    rapid.SampledFrom([]string{"repository", "registry"}).Draw(t, "type"),
			Name:    rapid.StringMatching(`([a-z]{2,5}\.[a-z]{2}(:[1-9][0-9]{1,4})?/)?[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,3}`).Draw(t, "name"),
			Actions: rapid.SliceOfDistinct(rapid.SampledFrom([]string{"pull", "push", "delete", "*"}), rapid.ID).Draw(t, "actions"),
		}
		got, err := account.ParseScope(want.String())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%s: %v (-want +got):\n%s", want, err, diff)
		}
	})
}

func FuzzScope(f *testing.F) {
	for _, seed := range []string{"repository:library/alpine:pull,push", "registry:catalog:*", "repository(plugin):a:", "a:b:c:d", "::", "repository:h:5000/a:pull"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scope, err := account.ParseScope(text)
		if err != nil {
			if problem.KindOf(err) != problem.BadRequest {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := account.ParseScope(scope.String())
		if diff := cmp.Diff(scope, again); err != nil || diff != "" {
			t.Fatalf("%q: %v (-first +second):\n%s", text, err, diff)
		}
	})
}
