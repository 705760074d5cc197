package migration

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// grown is a world with large blobs in it, and names that are hard to tell apart.
func grown(t testing.TB, start func(testing.TB, ...ts.Option) *ts.Registry) *world {
	t.Helper()
	w := pushWorld(t, start)
	r := start(t, ts.WithRoot(w.root))
	ts.Push(t, r, "large/app", "v1", ts.Image(t, 100, 1, 6<<20))
	small := ts.Image(t, 101, 1, 500)
	for _, repository := range []string{"a", "a/b", "a-b", "a-b/c", "a.b/c", "a_b", "a__b", "a0"} {
		for _, tag := range []string{"v1", "V1-x_.0"} {
			ts.Push(t, r, repository, tag, small)
		}
	}
	r.Stop()
	return w
}

// work is what goes on at a registry after it was moved: pushes, tags that change,
// manifests that are deleted.
func work(t testing.TB, r *ts.Registry, w *world, seed uint64) {
	t.Helper()
	repository := fmt.Sprint("after/app", seed)
	ts.Push(t, r, repository, "v1", ts.ImageOn(t, w.base, seed, 1, 300)) // layers that are there
	ts.Push(t, r, "library/app", fmt.Sprint("new", seed), ts.Index(t, seed))
	ts.Push(t, r, "large/app", fmt.Sprint("new", seed), ts.Image(t, seed+1, 1, 6<<20))
	ts.PutTag(t, r, "library/app", "latest", w.base)
	gone := ts.Image(t, seed+2, 1, 100)
	ts.Push(t, r, repository, "gone", gone)
	ts.Delete(t, r, repository, gone.Digest.String())
	if _, there := ts.Digest(t, r, repository, "gone"); there {
		t.Errorf("%s:gone is there after it was deleted", repository)
	}
	if d, _ := ts.Digest(t, r, "library/app", "latest"); d != w.base.Digest {
		t.Errorf("latest is %s after it was put on %s", d, w.base.Digest)
	}
}

// Whatever wrote a volume, and whatever serves the bucket that it was copied to:
// everything is there, and the registry goes on. Back on the volume it has all that
// was pushed since.
func TestWhatWasMovedIsServedAndGoesBack(t *testing.T) {
	t.Parallel()
	for name, start := range registries {
		t.Run("written by "+name, func(t *testing.T) {
			t.Parallel()
			w := grown(t, start)
			registry := start(t, ts.WithRoot(w.root))
			before := everything(t, registry, w.files())
			before.whole(t)
			registry.Stop()

			store := newStore(t)
			dst := at(t, store, "/some/where")
			moves(t, w.tree(), dst)
			if parts := store.Requests().Count("PUT part"); parts == 0 {
				t.Error("nothing was sent in parts")
			}

			v3 := ts.Distribution(t, ts.WithStore(store, "/some/where"))
			v2 := ts.DistributionV2(t, ts.WithStore(store, "/some/where"))
			before.same(t, "served by v3", everything(t, v3, w.files()))
			before.same(t, "served by v2.8", everything(t, v2, w.files()))
			work(t, v3, w, 1000)
			work(t, v2, w, 2000)
			ts.Delete(t, v3, "library/1st", w.tagged(t, "library/1st", "thing").String())
			files := bucketFiles(t, dst)
			moved := everything(t, v3, files)
			moved.whole(t)
			moved.same(t, "v2.8 serves what v3 serves", everything(t, v2, files))
			v3.Stop()
			v2.Stop()

			t.Run("back", func(t *testing.T) { goesBack(t, w, dst, start, maps.Clone(moved)) })
			t.Run("to another store", func(t *testing.T) {
				other := ts.MinIO(t, ts.WithRoot(memoryFolder(t)))
				moves(t, dst, at(t, other, ""))
				moved.same(t, "served from MinIO", everything(t, start(t, ts.WithStore(other, "")), bucketFiles(t, dst)))
			})
			t.Run("to a new folder", func(t *testing.T) {
				folder := newMemoryVolume(t)
				moves(t, dst, folder.tree())
				moved.same(t, "served from a folder", everything(t, start(t, ts.WithRoot(folder.root)), folder.files()))
				next := newMemoryVolume(t)
				moves(t, folder.tree(), next.tree())
				folder.equals(next)
				moved.same(t, "served from the next folder", everything(t, start(t, ts.WithRoot(next.root)), next.files()))
			})
		})
	}
}

// goesBack is the rollback: what the registry did on the bucket comes to the volume
// that it was moved from. A manifest that was deleted meanwhile is still on the
// volume, and is told of: what no copy put there is not removed.
func goesBack(t *testing.T, w *world, bucket tree.Tree, start func(testing.TB, ...ts.Option) *ts.Registry, moved served) {
	old := w.copy(t)
	deleted := w.tagged(t, "library/1st", "thing")
	for _, final := range []bool{false, true} {
		r := copyVolume(t, bucket, old.tree(), CopyOptions{Final: final})
		if !r.Complete() || r.Removed > 0 {
			t.Errorf("final %t: %+v", final, r)
		}
		if !final && (r.Adopted == 0 || r.Copied > int64(len(old.files()))/2) {
			t.Errorf("what was on the volume was sent again: %+v", r)
		}
	}
	want := []string{
		"- " + linkName(layout.RevisionLink, "library/1st", "", deleted),
		"- " + tagName("library/1st", "thing"),
		"- " + linkName(layout.TagHistory, "library/1st", "thing", deleted),
	}
	differ(t, want, checkCopy(t, bucket, old.tree()))
	back := everything(t, start(t, ts.WithRoot(old.root)), old.files())
	for name := range back { // what was deleted
		if strings.Contains(name, deleted.String()) || name == "library/1st:thing" {
			delete(back, name)
		}
	}
	ofDeleted := func(name, _ string) bool { return strings.HasPrefix(name, "library/1st layer ") }
	maps.DeleteFunc(moved, ofDeleted)
	maps.DeleteFunc(back, ofDeleted)
	moved.same(t, "served from the old volume", back)
}

// tagged is what a tag stood for on the volume.
func (w *world) tagged(t testing.TB, repository, tag string) digest.Digest {
	t.Helper()
	d := digest.Digest(w.read(tagName(repository, tag)))
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

// bucketFiles are the names of all files of the layout in a tree.
func bucketFiles(t testing.TB, tr tree.Tree) map[string]string {
	t.Helper()
	all := map[string]string{}
	for o, err := range tr.List(t.Context(), tree.ListOptions{Prefix: layout.Root}) {
		if err != nil {
			t.Fatal(err)
		}
		all[o.Name] = ""
	}
	return all
}
