package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func plain(t testing.TB, r *ts.Registry) registry.Adapter {
	t.Helper()
	a, err := registry.NewAdapter(endpointOf(r), quick)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Client().Close)
	return a
}

func tagsOf(all map[string][]registry.Artifact) []string {
	var tags []string
	for repo, artifacts := range all {
		for _, a := range artifacts {
			for _, tag := range a.Tags {
				tags = append(tags, repo+":"+tag)
			}
		}
	}
	slices.Sort(tags)
	return tags
}

func TestAPlainRegistryIsListedByCatalogAndTags(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	image := ts.Image(t, 60, 1, 10)
	for _, name := range []string{"library/app:v1", "library/app:v2", "library/app:latest", "library/deep/er:v1", "other/app:v1"} {
		repo, tag, _ := strings.Cut(name, ":")
		ts.Push(t, r, repo, tag, image)
	}
	a := plain(t, r)
	for name, test := range map[string]struct {
		filters []rule.Filter
		want    []string
		asked   map[string]int
	}{
		"everything":        {nil, []string{"library/app:latest", "library/app:v1", "library/app:v2", "library/deep/er:v1", "other/app:v1"}, map[string]int{"GET catalog": 1, "GET tags": 3, "HEAD manifest": 0}},
		"by project":        {[]rule.Filter{named("library/**")}, []string{"library/app:latest", "library/app:v1", "library/app:v2", "library/deep/er:v1"}, map[string]int{"GET catalog": 1, "GET tags": 2}},
		"spelled out":       {[]rule.Filter{named("{library/app,library/nope}")}, []string{"library/app:latest", "library/app:v1", "library/app:v2"}, map[string]int{"GET catalog": 0, "GET tags": 2}},
		"by tag":            {[]rule.Filter{tagged("v*")}, []string{"library/app:v1", "library/app:v2", "library/deep/er:v1", "other/app:v1"}, map[string]int{"GET tags": 3}},
		"tags spelled out":  {[]rule.Filter{tagged("{v1,none}")}, []string{"library/app:v1", "library/deep/er:v1", "other/app:v1"}, map[string]int{"GET catalog": 1, "GET tags": 0, "HEAD manifest": 6}},
		"nothing like that": {[]rule.Filter{named("none/**")}, nil, map[string]int{"GET catalog": 1, "GET tags": 0}},
	} {
		r.ResetRequests()
		all, failures := listed(t, a, matcher(t, test.filters...))
		if got := tagsOf(all); !slices.Equal(got, test.want) || len(failures) != 0 {
			t.Errorf("%s: %q, %v; want %q", name, got, failures, test.want)
		}
		for class, want := range test.asked {
			if n := r.Requests().Count(class); n != want {
				t.Errorf("%s: %d times %s, want %d", name, n, class, want)
			}
		}
		if name == "tags spelled out" && all["other/app"][0].Digest != image.Digest.String() {
			t.Errorf("the digest is known and not told: %+v", all["other/app"])
		}
	}
}

func TestARepositoryThatFailsIsNamed(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	image := ts.Image(t, 61, 1, 10)
	for i := range 5 {
		ts.Push(t, r, fmt.Sprint("app", i), "v1", image)
	}
	r.Faults.Add(ts.Fault{Path: "app3/tags", Do: ts.Error(http.StatusForbidden, "DENIED", "not yours")})
	all, failures := listed(t, plain(t, r), nil)
	if len(all) != 4 || !registry.IsUnauthorized(failures["app3"]) {
		t.Errorf("%v, %v", all, failures)
	}
}

func TestWithoutACatalogTheNamesMustBeSpelledOut(t *testing.T) {
	t.Parallel()
	r := ts.Olareg(t)
	ts.Push(t, r, "app", "v1", ts.Image(t, 62, 1, 10))
	a := plain(t, r)
	if _, failures := listed(t, a, nil); failures[""] == nil || !strings.Contains(failures[""].Error(), "name filter") {
		t.Errorf("%v", failures)
	}
	if all, failures := listed(t, a, matcher(t, named("app"))); len(all["app"]) != 1 || len(failures) != 0 {
		t.Errorf("%v, %v", all, failures)
	}
}

func TestHostileNamesInACatalogAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, open(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/_catalog":
			reply(w, map[string]any{"repositories": []string{"good", "../../etc", "Bad", "odd"}})
		case "/v2/good/tags/list":
			reply(w, map[string]any{"tags": []string{"v1"}})
		case "/v2/odd/tags/list":
			reply(w, map[string]any{"tags": []string{"v1", "../v2"}})
		default:
			t.Errorf("asked for %s", r.URL)
		}
	}))
	a, err := registry.NewAdapter(registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: s.URL}, quick)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Client().Close)
	all, failures := listed(t, a, nil)
	if len(all) != 1 || len(failures) != 3 || failures["odd"] == nil {
		t.Errorf("%v, %v", all, failures)
	}
}

func TestAListingMayBeLeftAtAnyTime(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	image := ts.Image(t, 63, 1, 10)
	for i := range 20 {
		ts.Push(t, r, fmt.Sprint("app", i), "v1", image)
	}
	for l, err := range plain(t, r).Artifacts(t.Context(), nil) {
		if err != nil || len(l.Artifacts) != 1 {
			t.Errorf("%+v, %v", l, err)
		}
		break
	}
}

func TestAStoppedListingDoesNotLookComplete(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	image := ts.Image(t, 65, 1, 10)
	for i := range 20 {
		ts.Push(t, r, fmt.Sprint("app", i), "v1", image)
	}
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	r.Faults.Add(ts.Fault{Path: "app7/tags", Do: hold.Before()})
	stopped := errors.New("stopped by the user")
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	var last error
	listed := 0
	for l, err := range plain(t, r).Artifacts(ctx, nil) {
		if listed++; listed == 19 {
			stop(stopped)
		}
		if l.Repository == "" {
			last = err
		}
	}
	if !errors.Is(last, stopped) {
		t.Errorf("%v after %d", last, listed)
	}
}

func TestPlainRegistriesNeedNoPreparation(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	a := plain(t, r)
	if err := a.Prepare(t.Context(), []string{"app", "library/app"}, nil); err != nil {
		t.Error(err)
	}
	if err := a.Prepare(t.Context(), []string{"library/../app"}, nil); err == nil {
		t.Error("a name that is none was taken")
	}
	ts.Push(t, r, "app", "v1", ts.Image(t, 64, 1, 10))
	if err := a.DeleteTag(t.Context(), "app", "v1"); err != nil {
		t.Error(err)
	}
	if n := len(r.Requests().Of("GET base")); n > 2 {
		t.Errorf("the base was asked %d times", n)
	}
}
