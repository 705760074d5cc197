package tree_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestThousandsAreRemovedWithFewRequests(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			all := fill(t, store, "root/", 1200)
			s := probed(t, store)
			if err := s.Remove(t.Context(), append(all, "not/there")); err != nil {
				t.Fatal(err)
			}
			if keys := store.Keys(""); len(keys) != 0 {
				t.Errorf("%d objects are left", len(keys))
			}
			requests := store.Requests()
			if requests.Count() != 2 || requests.Count("POST delete") != 2 || requests[0].Header.Get("Content-Md5") == "" {
				t.Errorf("it took\n%s", requests)
			}
		})
	}
}

func TestRemovingCopesWithWhatAStoreCannotDo(t *testing.T) {
	t.Parallel()
	keyOf := regexp.MustCompile(`<Deleted><Key>root/f3/[^<]*</Key></Deleted>`)
	for name, fault := range map[string]ts.Fault{
		"delete many at once":  {Class: "POST delete", Do: ts.StoreError(http.StatusNotImplemented, "NotImplemented", "")},
		"understand it":        {Class: "POST delete", Do: ts.StoreError(http.StatusBadRequest, "MalformedXML", "")},
		"do it this time":      {Class: "POST delete", Times: 2, Do: ts.SlowDown(0)},
		"keep the line":        {Class: "POST delete", Times: 2, Do: ts.ResetAnswer()},
		"answer to the end":    {Class: "POST delete", Times: 2, Do: ts.TruncateAnswer(200)},
		"tell of all":          {Class: "POST delete", Do: replaceInAnswer(keyOf, "")},
		"delete some":          {Class: "POST delete", Do: replaceInAnswer(keyOf, "<Error><Key>root/f3/0003</Key><Code>InternalError</Code></Error>")},
		"delete one by one":    {Class: "DELETE object", Times: 2, Do: ts.SlowDown(0)},
		"say more than it has": {Class: "POST delete", Times: 1, Do: ts.Status(200)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			all := fill(t, store, "root/", 30)
			store.Put("root/one", nil)
			s := probed(t, store)
			store.Faults.Add(fault)
			for _, names := range [][]string{all, {"one"}} {
				if err := s.Remove(t.Context(), names); err != nil {
					t.Error(err)
				}
			}
			if keys := store.Keys(""); len(keys) != 0 {
				t.Errorf("left: %q", keys)
			}
		})
	}
}

func replaceInAnswer(what *regexp.Regexp, by string) ts.Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			held := httptest.NewRecorder()
			next.ServeHTTP(held, r)
			_, _ = w.Write(what.ReplaceAll(held.Body.Bytes(), []byte(by)))
		})
	}
}

func TestRemovingThatIsNotPermittedIsFatal(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	all := fill(t, store, "root/", 3)
	s := probed(t, store)
	for _, class := range []string{"POST delete", "DELETE object"} {
		active := store.Faults.Add(ts.Fault{Class: class, Do: ts.StoreError(403, "AccessDenied", "")})
		for _, names := range [][]string{all, all[:1]} {
			err := s.Remove(t.Context(), names)
			if refused := len(names) > 1 == (class == "POST delete"); refused != tree.IsFatal(err) {
				t.Errorf("%s, remove %d: fatal %t, %v", class, len(names), tree.IsFatal(err), err)
			}
		}
		active.Remove()
	}
	if keys := store.Keys(""); len(keys) != 0 {
		t.Log(fmt.Sprint(keys))
	}
}
