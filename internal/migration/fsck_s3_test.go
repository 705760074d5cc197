package migration

import (
	"context"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// bucket is a place below a prefix of a store.
type bucket struct {
	t       testing.TB
	store   *ts.Store
	prefix  string
	touched []string // names that were written or removed since the last mend
}

// put puts all files of a world into a store.
func (w *world) put(t testing.TB, store *ts.Store, prefix string) *bucket {
	t.Helper()
	b := &bucket{t: t, store: store, prefix: prefix}
	w.must(filepath.WalkDir(w.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(w.root, path)
		store.Put(prefix+filepath.ToSlash(name), content)
		return err
	}))
	return b
}

func (b *bucket) write(name, content string) {
	b.t.Helper()
	b.touched = append(b.touched, name)
	b.store.Put(b.prefix+name, []byte(content))
}

func (b *bucket) remove(name string) {
	b.t.Helper()
	b.touched = append(b.touched, name)
	b.store.Remove(b.prefix + name)
}

func (b *bucket) read(name string) string {
	b.t.Helper()
	content, there := b.store.Get(b.prefix + name)
	if !there {
		b.t.Fatalf("%s is not there", name)
	}
	return string(content)
}

// mend undoes what was written and removed.
func (b *bucket) mend(w *world) {
	b.t.Helper()
	files := w.files()
	for _, name := range b.touched {
		if content, ours := files[name]; ours {
			b.store.Put(b.prefix+name, []byte(content))
		} else {
			b.store.Remove(b.prefix + name)
		}
	}
	b.touched = nil
}

func (b *bucket) open() tree.Tree { return openStore(b.t, b.store, b.prefix) }

func openStore(t testing.TB, store *ts.Store, prefix string) tree.Tree {
	t.Helper()
	s, err := tree.OpenS3(t.Context(), tree.S3Config{
		Bucket: store.Bucket, RootDirectory: prefix, Endpoint: store.Endpoint, Region: store.Region, AccessKey: store.AccessKey, SecretKey: store.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestDamageInAStoreIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	w := pushWorld(t, ts.Distribution)
	b := w.put(t, ts.S3(t), "some/where/")
	markers := damageCase{"markers of folders", func(p place, w *world) (light, deep []string) {
		for _, name := range []string{"", "blobs/", "blobs/sha256/", "repositories/", "repositories/alone/", "repositories/alone/_manifests/tags/", "repositories/alone/_uploads/"} {
			p.write(layout.Root+name, "")
			light = append(light, "damaged directory-marker  "+name)
		}
		return light, light
	}}
	for _, c := range append(slices.Clone(damageCases), markers) {
		b.mend(w)
		t.Run(c.name, func(t *testing.T) { // one after the other, in the same bucket
			b.t = t
			light, deep := c.make(b, w)
			w.finds(t, b.open(), light, deep)
		})
	}
}

// sealed is a tree whose ETags tell nothing, as those of encrypted objects.
type sealed struct{ tree.Tree }

func (s *sealed) List(ctx context.Context, o tree.ListOptions) iter.Seq2[tree.Object, error] {
	return func(yield func(tree.Object, error) bool) {
		for object, err := range s.Tree.List(ctx, o) {
			object.ETag = strings.Repeat("0123456789abcdef", 2)
			if !yield(object, err) {
				return
			}
		}
	}
}

// What a listing tells need not be asked for: a look at a store costs a request for
// each manifest and each thousand of names.
func TestLookingAtAStoreReadsManifestsOnly(t *testing.T) {
	t.Parallel()
	w := pushWorld(t, ts.Distribution)
	store := ts.S3(t)
	b := w.put(t, store, "")
	tr := b.open()
	store.ResetRequests()
	r, all := fsck(t, tr, FsckOptions{})
	differ(t, orphans(parts(w.gone)...), all)
	requests := store.Requests()
	if !r.Clean || requests.Count("GET object") != int(r.Revisions) || requests.Count() != requests.Count("GET object", "GET list", "GET folders") {
		t.Errorf("%d revisions:\n%s", r.Revisions, requests)
	}
	// A deep look believes no listing.
	store.ResetRequests()
	r, _ = fsck(t, tr, FsckOptions{Deep: true})
	if requests := store.Requests(); requests.Count("GET object") != int(r.Revisions+r.Links+r.Blobs) {
		t.Errorf("deep: %d revisions, %d links, %d blobs:\n%s", r.Revisions, r.Links, r.Blobs, requests)
	}
	// Every link is read where the store's ETags are no MD5.
	store.ResetRequests()
	r, all = fsck(t, &sealed{tr}, FsckOptions{})
	differ(t, orphans(parts(w.gone)...), all)
	if requests := store.Requests(); requests.Count("GET object") != int(r.Revisions+r.Links) || requests.Count("HEAD object") != 0 {
		t.Errorf("%d revisions, %d links:\n%s", r.Revisions, r.Links, requests)
	}
}

func TestALookAtAStoreDoesNotWaitForHalfAFile(t *testing.T) {
	t.Parallel()
	w := pushWorld(t, ts.Distribution)
	b := w.put(t, ts.S3(t), "")
	name := linkName(layout.LayerLink, "alone", "", w.docker.Blobs[1].Digest)
	b.write(name, "")
	reads := 0
	tr := &hooked{Tree: b.open(), read: func(read string) error {
		if read == name {
			reads++
		}
		return nil
	}}
	_, all := fsck(t, tr, FsckOptions{Concurrency: 1})
	differ(t, append(orphans(parts(w.gone)...), "damaged empty-link alone "+rest(name)+" repairable"), all)
	if reads != 1 {
		t.Errorf("read %d times", reads)
	}
}

func TestRepairMendsAStore(t *testing.T) {
	t.Parallel()
	w := pushWorld(t, ts.Distribution)
	store := ts.S3(t)
	b := w.put(t, store, "harbor/")
	store.Put("harborx/docker/registry/v2/repositories/alone/_manifests/tags/v1/current/link", nil) // not ours
	mended := spoilLinks(b, w)
	before := b.objects()

	w.repairs(t, b.open(), true, mended)
	if diff := cmp.Diff(before, b.objects()); diff != "" {
		t.Fatalf("a dry run changed something:\n%s", diff)
	}
	w.repairs(t, b.open(), false, mended)
	for name := range mended {
		before["harbor/"+name] = w.read(name)
	}
	if diff := cmp.Diff(before, b.objects()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// objects is all that is in the bucket.
func (b *bucket) objects() map[string]string {
	all := map[string]string{}
	for _, key := range b.store.Keys("") {
		content, _ := b.store.Get(key)
		all[key] = string(content)
	}
	return all
}

func TestABucketOfOthersHoldsNoRegistry(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	store.Put("backups/x", []byte("x"))
	store.Put("harbor/docker/registry/v2/blobs/sha256/x", []byte("x"))
	_, err := Fsck(t.Context(), openStore(t, store, ""), FsckOptions{})
	if err == nil || !strings.Contains(err.Error(), "It has backups, harbor") {
		t.Error(err)
	}
}

func TestAStoreThatRefusesEndsTheLook(t *testing.T) {
	t.Parallel()
	w := pushWorld(t, ts.Distribution)
	for class, want := range map[string]string{"GET list": "AccessDenied", "GET folders": "AccessDenied"} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			b := w.put(t, store, "")
			store.Faults.Add(ts.Fault{Class: class, Do: ts.StoreError(403, "AccessDenied", "no")})
			r, err := Fsck(t.Context(), b.open(), FsckOptions{})
			if err == nil || !strings.Contains(err.Error(), want) || r.Clean || !r.Incomplete {
				t.Errorf("%v, %+v", err, r)
			}
		})
	}
}
