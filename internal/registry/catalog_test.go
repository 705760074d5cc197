package registry_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func catalog(t testing.TB, c *registry.Client) (names []string, err error) {
	t.Helper()
	for name, err := range c.Catalog(t.Context()) {
		if err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

func TestCatalogAndTags(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		image := ts.Image(t, 30, 1, 10)
		for _, repo := range []string{"library/app", "library/nested/deep/svc", "team-a/api"} {
			ts.Push(t, r, repo, "v1", image)
			ts.Push(t, r, repo, "v2", image)
		}
		c := clientOf(t, r)
		names, err := catalog(t, c)
		slices.Sort(names)
		olareg := registry.IsNotFound(err) // it has no catalog, and an empty list for every name
		if !olareg && err != nil || !olareg && !slices.Equal(names, []string{"library/app", "library/nested/deep/svc", "team-a/api"}) {
			t.Errorf("%v, %v", names, err)
		}
		tags, err := c.Tags(t.Context(), "library/nested/deep/svc")
		slices.Sort(tags)
		if err != nil || !slices.Equal(tags, []string{"v1", "v2"}) {
			t.Errorf("%v, %v", tags, err)
		}
		if _, err := c.Tags(t.Context(), "nope"); !olareg && !registry.IsNotFound(err) {
			t.Errorf("tags of an unknown repository: %v", err)
		}
	})
}

// paged answers a list of n tags in pages of at most limit.
func paged(n, limit int, link func(r *http.Request, last string) string) http.HandlerFunc {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("t%05d", i))
	}
	return func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if last := r.URL.Query().Get("last"); last != "" {
			from = slices.Index(all, last) + 1
		}
		to := min(from+limit, n)
		if asked, _ := strconv.Atoi(r.URL.Query().Get("n")); asked > 0 {
			to = min(to, from+asked)
		}
		if to < n && link != nil {
			w.Header().Set("Link", link(r, all[to-1]))
		}
		reply(w, map[string]any{"name": "app", "tags": all[from:to]})
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*registry.Client{
		"relative links": fake(t, paged(2500, 100, func(r *http.Request, last string) string {
			return fmt.Sprintf(`<%s?n=100&last=%s>; rel="next"`, r.URL.Path, last)
		})),
		"links relative to the page": fake(t, paged(2500, 100, func(_ *http.Request, last string) string {
			return `<?last=` + last + `>;rel=next`
		})),
		"absolute links to a name that only the registry knows": fake(t, paged(2500, 700, func(r *http.Request, last string) string {
			return fmt.Sprintf(`<http://registry.internal:5000%s?last=%s&n=5000>; rel="next"`, r.URL.Path, last)
		})),
		"no links":           fake(t, paged(2500, 1000, nil)),
		"no links, even end": fake(t, paged(2000, 1000, nil)),
		"n is ignored, everything at once": fake(t, func(w http.ResponseWriter, r *http.Request) {
			r.URL.RawQuery = ""
			paged(2500, 9999, nil)(w, r)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := 2500
			if strings.Contains(name, "even") {
				want = 2000
			}
			tags, err := c.Tags(t.Context(), "app")
			if err != nil || len(tags) != want || !slices.IsSorted(tags) || len(slices.Compact(tags)) != want {
				t.Errorf("%d tags, %v", len(tags), err)
			}
		})
	}
}

func TestPagesThatNeverEndAreAnError(t *testing.T) {
	t.Parallel()
	var page counter
	for name, h := range map[string]http.HandlerFunc{
		"the same link for ever": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `</v2/app/tags/list?last=x>; rel="next"`)
			reply(w, map[string]any{"tags": []string{fmt.Sprint(page.next())}})
		},
		"the same page for ever": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?last=%d>; rel="next"`, page.next()))
			reply(w, map[string]any{"tags": []string{"a", "b"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tags, err := fake(t, h).Tags(t.Context(), "app"); err == nil {
				t.Errorf("%v without an error", tags)
			}
		})
	}
}

func TestListsThatAreOdd(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{
		`{"name":"app","tags":null}`: true, `{"name":"app"}`: true, `{"name":"app","tags":[]}`: true,
		`{}`: false, `[]`: false, `<html>`: false, `{"tags":[1]}`: false, `{"tags":"a"}`: false,
	} {
		c := fake(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		if tags, err := c.Tags(t.Context(), "app"); len(tags) != 0 || (err == nil) != ok {
			t.Errorf("%s: %v, %v", body, tags, err)
		}
	}
}
