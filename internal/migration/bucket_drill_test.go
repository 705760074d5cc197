package migration

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// besides is what a bucket holds beside a registry below "registry/", by key.
var besides = map[string]string{
	"reg":      "a name that ours begins with",
	"registry": "an object at the prefix itself",
	"registry-old/docker/registry/v2/repositories/library/app/_manifests/tags/v1/current/link": "not a digest",
	"registry-old/docker/registry/v2/blobs/sha256/aa/x":                                        "not a blob",
	"registry.bak":                         "x",
	"registry0/docker/registry/v2/blobs/x": "comes right after ours",
	"Registry/docker/registry/v2/x":        "x",
	"registr/docker/registry/v2/x":         "x",
	"docker/registry/v2/repositories/library/app/_manifests/tags/v1/current/link": "another registry's",
	".lighterage/tree.json":              "another tree's",
	".lighterage/journal/00000001-x.zst": "another tree's",
	"backups/":                           "",
	"a/registry/docker/registry/v2/x":    "x",
	"zzz":                                "x",
}

// markers are what consoles and other tools leave in our own prefix.
var markers = []string{"registry/", "registry/docker/", "registry/" + layout.Root, "registry/" + layout.Root + "repositories/", "registry/" + layout.Root + "blobs/"}

// state is all that a bucket holds outside a prefix: ETags, times and contents.
func outside(t testing.TB, store *ts.Store, prefix string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for o := range store.Direct().ListObjects(context.Background(), store.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if strings.HasPrefix(o.Key, prefix) {
			continue
		}
		content, _ := store.Get(o.Key)
		all[o.Key] = fmt.Sprintf("%s %d %s %s", o.ETag, o.Size, o.LastModified, content)
	}
	return all
}

// stays fails the test for every request that goes beyond a prefix.
func stays(t testing.TB, store *ts.Store, prefix string) {
	t.Helper()
	for _, r := range store.Requests() {
		query, err := url.ParseQuery(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		key := strings.TrimPrefix(r.Path, "/"+store.Bucket+"/")
		switch {
		case key == "" && r.Method == http.MethodGet && (query.Has("prefix") || query.Has("list-type")):
			key = query.Get("prefix")
		case key == "":
			continue // a setting of the bucket, or the keys are in the body
		}
		if !strings.HasPrefix(key, prefix) {
			t.Errorf("asked for %s %s?%s", r.Method, r.Path, r.Query)
		}
	}
}

func TestNothingOutsideThePrefixIsReadOrChanged(t *testing.T) {
	t.Parallel()
	src, store := newMemoryVolume(t), ts.MinIO(t, ts.WithRoot(memoryFolder(t)))
	src.fill()
	src.clutter()
	for key, content := range besides {
		store.Put(key, []byte(content))
	}
	before := outside(t, store, "registry/")
	unchanged := func(what string) {
		t.Helper()
		if diff := cmp.Diff(before, outside(t, store, "registry/")); diff != "" {
			t.Errorf("%s changed the bucket (-before +after):\n%s", what, diff)
		}
		stays(t, store, "registry/")
		store.ResetRequests()
	}
	dst := at(t, store, "registry")
	store.ResetRequests()

	moves(t, src.tree(), dst)
	unchanged("a copy")
	// Something of everything that a final copy removes.
	src.remove(layout.TagsFolder("library/app") + "v0")
	src.remove(layout.Repositories + "library/app-b")
	src.remove(strings.TrimSuffix(theBase, "/data"))
	r := copyVolume(t, src.tree(), dst, CopyOptions{Final: true})
	if r.Removed == 0 || !r.Complete() {
		t.Errorf("report %+v", r)
	}
	unchanged("a final copy")
	none(t, checkCopy(t, src.tree(), dst))
	unchanged("a check")
	if _, err := Assess(t.Context(), dst, AssessOptions{}); err != nil {
		t.Error(err)
	}
	unchanged("an assessment")
	if r, err := Preflight(t.Context(), dst, PreflightOptions{}); err != nil || len(r.Rows) == 0 {
		t.Errorf("preflight: %v, %+v", err, r)
	}
	unchanged("a preflight")
	if _, all := fsck(t, dst, FsckOptions{Deep: true}); len(all) == 0 {
		t.Error("the base that was removed is not missed")
	}
	unchanged("a look at everything")

	store.Put("registry/"+tagName("library/app", "v1"), nil)
	if r, err := Repair(t.Context(), dst, RepairOptions{}); err != nil || r.Repaired != 1 {
		t.Errorf("repair: %v, %+v", err, r)
	}
	unchanged("a repair")
}

// Markers of folders are in the prefix but not ours: they are told of, since they make
// registries fail, and stay.
func TestMarkersOfFoldersAreToldOfAndStay(t *testing.T) {
	t.Parallel()
	src, store := newMemoryVolume(t), newStore(t)
	src.fill()
	for _, key := range markers {
		store.Put(key, nil)
	}
	dst := at(t, store, "/registry/")
	for _, final := range []bool{false, true} {
		if r := copyVolume(t, src.tree(), dst, CopyOptions{Final: final}); !r.Complete() || r.Removed > 0 {
			t.Errorf("report %+v", r)
		}
	}
	var want []string
	for _, key := range markers {
		if name := strings.TrimPrefix(key, "registry/"); strings.HasPrefix(name, layout.Root) {
			want = append(want, "- "+name)
		}
		if _, there := store.Info(key); !there {
			t.Errorf("%s was removed", key)
		}
	}
	differ(t, want, checkCopy(t, src.tree(), dst))
}

// A whole bucket is a prefix too: what lies beside the registry in it stays.
func TestARegistryInTheRootOfABucketHasNeighbours(t *testing.T) {
	t.Parallel()
	src, store := newMemoryVolume(t), newStore(t)
	src.fill()
	neighbours := []string{"docker", "docker/other", "docker/registry/v1/images/x", "docker/registry/v2-old/blobs/x", "docker/registry/v20/x", "x/docker/registry/v2/y"}
	for _, key := range neighbours {
		if key != "docker" { // a store on a file system cannot have both
			store.Put(key, []byte(key))
		}
	}
	dst := at(t, store, "")
	moves(t, src.tree(), dst)
	src.remove(layout.Repositories + "library/app-b")
	if r := copyVolume(t, src.tree(), dst, CopyOptions{Final: true}); r.Removed == 0 {
		t.Errorf("report %+v", r)
	}
	none(t, checkCopy(t, src.tree(), dst))
	for _, key := range neighbours[1:] {
		if content, _ := store.Get(key); string(content) != key {
			t.Errorf("%s is %q now", key, content)
		}
	}
}
