package tree_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func names(t *testing.T, s *tree.S3, o tree.ListOptions) (all []string, err error) {
	t.Helper()
	for object, err := range s.List(t.Context(), o) {
		if err != nil {
			return all, err
		}
		all = append(all, object.Name)
	}
	return all, nil
}

// fill puts so many little objects past the front.
func fill(t *testing.T, store *ts.Store, prefix string, n int) (want []string) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("f%d/%04d", i%7, i)
		store.Put(prefix+name, []byte(name))
		want = append(want, name)
	}
	slices.Sort(want)
	return want
}

func TestAListingOfManyPagesIsWholeWhateverHappens(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	want := fill(t, store, "root/", 2300)
	s := probed(t, store)
	for name, fault := range map[string]ts.Fault{
		"nothing":       {Class: "none", Do: ts.Status(500)},
		"slow down":     {Class: "GET list", Skip: 1, Times: 2, Do: ts.SlowDown(0)},
		"cut short":     {Class: "GET list", Skip: 1, Times: 2, Do: ts.TruncateAnswer(20_000)},
		"reset":         {Class: "GET list", Skip: 1, Times: 2, Do: ts.ResetResponse(20_000)},
		"empty answers": {Class: "GET list", Skip: 2, Times: 1, Do: ts.Status(200)},
	} {
		store.ResetRequests()
		active := store.Faults.Add(fault)
		got, err := names(t, s, tree.ListOptions{})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %d names, want %d, %v", name, len(got), len(want), err)
		}
		if n := store.Requests().Count(); n != 3+active.Hits() {
			t.Errorf("%s: %d requests for 2,300 objects and %d failures", name, n, active.Hits())
		}
		active.Remove()
	}
}

func TestAListingThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	fill(t, store, "root/", 1100)
	s := probed(t, store)
	store.Faults.Add(ts.Fault{Class: "GET list", Skip: 1, Do: ts.StoreError(403, "AccessDenied", "Access Denied")})
	got, err := names(t, s, tree.ListOptions{})
	if len(got) != 1000 || !tree.IsFatal(err) || tree.S3Code(err) != "AccessDenied" {
		t.Errorf("%d names, %v", len(got), err)
	}
}

func TestNothingOutsideThePrefixIsListedOrRemoved(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	others := []string{"roo/a", "root-2/a", "root.a", "root0", "other/root/a"}
	for _, key := range append([]string{"root/a", "root/b/c"}, others...) {
		store.Put(key, []byte(key))
	}
	s := probed(t, store)
	if got, err := names(t, s, tree.ListOptions{}); err != nil || !slices.Equal(got, []string{"a", "b/c"}) {
		t.Errorf("listed %q, %v", got, err)
	}
	for folder, err := range s.Folders(t.Context(), "") {
		if err != nil || folder != "b" {
			t.Errorf("folder %q, %v", folder, err)
		}
	}
	// A store that takes no notice of the prefix.
	store.Faults.Add(ts.Fault{Class: "GET list", Do: store.Rewrite(func(r *http.Request) {
		q := r.URL.Query()
		q.Set("prefix", "")
		r.URL.RawQuery = q.Encode()
	})})
	if got, err := names(t, s, tree.ListOptions{}); err != nil || !slices.Equal(got, []string{"a", "b/c"}) {
		t.Errorf("from a store that ignores the prefix: %q, %v", got, err)
	}
	if err := s.Remove(t.Context(), []string{"a", "b/c", "../root-2/a"}); err == nil {
		t.Error("a name outside was taken for one to remove")
	}
	if err := s.Remove(t.Context(), []string{"a", "b/c"}); err != nil {
		t.Error(err)
	}
	slices.Sort(others)
	if keys := store.Keys(""); !slices.Equal(keys, others) {
		t.Errorf("left: %q, want %q", keys, others)
	}
}

func TestMarkersOfFoldersAreFoundAndRemoved(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			tags := layout.TagsFolder("lib")
			markers := []string{"", tags}
			for _, marker := range markers {
				store.Put("root/"+marker, nil)
			}
			store.Put("root/"+tags+"v1/current/link", []byte("x"))
			s := probed(t, store)
			want := append(slices.Clone(markers), tags+"v1/current/link")
			if got, err := names(t, s, tree.ListOptions{}); err != nil || !slices.Equal(got, want) {
				t.Errorf("listed %q, %v; want %q", got, err, want)
			}
			for folder, err := range s.Folders(t.Context(), tags) {
				if err != nil || folder != "v1" {
					t.Errorf("folder %q, %v", folder, err)
				}
			}
			if err := s.Remove(t.Context(), []string{tags}); err != nil {
				t.Error(err)
			}
			if got, err := names(t, s, tree.ListOptions{Prefix: "docker/"}); err != nil || !slices.Equal(got, want[2:]) {
				t.Errorf("after removing: %q, %v", got, err)
			}
		})
	}
}

func TestAStoreThatListsInAnotherOrderIsFoundOut(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	fill(t, store, "root/", 20)
	s := probed(t, store)
	for name, fault := range map[string]ts.Action{
		"does not begin where it is told": store.Rewrite(func(r *http.Request) {
			q := r.URL.Query()
			q.Del("start-after")
			r.URL.RawQuery = q.Encode()
		}),
		"swaps keys": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				held := httptest.NewRecorder()
				next.ServeHTTP(held, r)
				body := held.Body.Bytes()
				body = bytes.ReplaceAll(body, []byte("f2/"), []byte("XX/"))
				body = bytes.ReplaceAll(body, []byte("f5/"), []byte("f2/"))
				_, _ = w.Write(bytes.ReplaceAll(body, []byte("XX/"), []byte("f5/")))
			})
		},
	} {
		active := store.Faults.Add(ts.Fault{Class: "GET list", Do: fault})
		got, err := names(t, s, tree.ListOptions{After: "f1/0008"})
		if err == nil || !strings.Contains(err.Error(), "in the order of their bytes") || !slices.IsSorted(got) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if active.Hits() != 1 {
			t.Errorf("%s: asked %d times", name, active.Hits())
		}
		active.Remove()
	}
}

func TestManyFoldersAreListedWhole(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	var want []string
	for i := range 1500 {
		name := fmt.Sprintf("v%d", i)
		store.Put("root/tags/"+name+"/current/link", []byte("x"))
		want = append(want, name)
	}
	slices.Sort(want)
	s := probed(t, store)
	store.Faults.Add(ts.Fault{Class: "GET folders", Skip: 1, Times: 1, Do: ts.TruncateAnswer(1000)})
	var got []string
	for folder, err := range s.Folders(t.Context(), "tags/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, folder)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d folders, want %d", len(got), len(want))
	}
}
