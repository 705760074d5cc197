package embedded

import (
	"strings"
	"testing"
)

func FuzzParseRoute(f *testing.F) {
	for _, path := range []string{
		"/v2", "/v2/", "/v2/_catalog", "/v2/library/app/manifests/v1", "/v2/a/b/c/blobs/uploads/", "/v2/a/blobs/uploads/id-_.=",
		"/v2/a/tags/list", "/v2/a/../b/manifests/x", "/v2/a/referrers/sha256:" + strings.Repeat("a", 64), "/v2//manifests/", "/v2/blobs/uploads/blobs/uploads/",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		rt, failed := parseRoute(path)
		if failed != nil {
			if failed.status < 400 || failed.status > 499 || failed.code == "" {
				t.Fatalf("%q: %+v", path, failed)
			}
			return
		}
		again, failed := parseRoute(rt.path())
		if failed != nil || again != rt {
			t.Fatalf("%q is %+v, whose path %q is %+v", path, rt, rt.path(), again)
		}
		if strings.Contains(rt.repository, "..") || strings.HasPrefix(rt.repository, "/") {
			t.Fatalf("%q leads to repository %q", path, rt.repository)
		}
		if d := rt.digest(); d != "" && d.Validate() != nil {
			t.Fatalf("%q: digest %q", path, d)
		}
	})
}
