package migration

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// world is a volume that a real registry wrote, with a bit of everything.
type world struct {
	*volume
	base, onBase, docker, list, index, nested, subject, referrer, gone *ts.Artifact
	tags                                                               int64
}

var registries = map[string]func(testing.TB, ...ts.Option) *ts.Registry{"v3": ts.Distribution, "v2.8": ts.DistributionV2}

// eachWorld runs a test on what every kind of registry writes.
func eachWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, pushWorld(t, start))
		})
	}
}

func pushWorld(t testing.TB, start func(testing.TB, ...ts.Option) *ts.Registry) *world {
	t.Helper()
	w := &world{volume: newVolume(t)}
	r := start(t, ts.WithRoot(w.root), ts.WithForeignLayers())
	push := func(repository, tag string, a *ts.Artifact) *ts.Artifact {
		t.Helper()
		ts.Push(t, r, repository, tag, a)
		if tag != "" {
			w.tags++
		}
		return a
	}
	w.base = push("library/app", "base", ts.Image(t, 1, 2, 5000))
	w.onBase = push("library/app", "v1", ts.ImageOn(t, w.base, 2, 1, 300))
	push("library/app", "latest", w.base)
	ts.PutTag(t, r, "library/app", "latest", w.onBase)
	push("library/app-b", "base", w.base)
	push("library/app/tools", "V1.0_x", ts.ZstdImage(t, 3))
	push("library/1st", "v1", ts.EmptyLayerImage(t))
	push("library/1st", "foreign", ts.ForeignLayerImage(t, 4))
	push("library/1st", "thing", ts.UnknownArtifact(t, 5))
	w.docker = push("alone", "v1", ts.DockerImage(t, 6))
	w.list = push("multi/list", "v1", ts.ManifestList(t, 7))
	w.index = push("multi/index", "v1", ts.Index(t, 8))
	w.nested = push("multi/nested", "v1", ts.NestedIndex(t, 9))
	w.subject = push("signed/app", "v1", ts.Image(t, 10, 1, 300))
	w.referrer = push("signed/app", "", ts.Referrer(t, w.subject, "application/vnd.example.sbom", 11))
	push("signed/app", ts.CosignTag(w.subject.Digest), ts.CosignSignature(t, w.subject))
	w.gone = push("gone/app", "v1", ts.Image(t, 12, 1, 700))
	ts.Delete(t, r, "gone/app", w.gone.Digest.String())
	w.tags--
	if keepsReferrersUnderTags(t, r, w) {
		w.tags++
	}
	r.Stop()
	w.age()
	return w
}

// keepsReferrersUnderTags reports whether the registry has no API for referrers, so
// that the client kept the list of them under a tag.
func keepsReferrersUnderTags(t testing.TB, r *ts.Registry, w *world) bool {
	t.Helper()
	return slices.Contains(ts.Tags(t, r, "signed/app"), ts.ReferrersTag(w.subject.Digest))
}

// copy is another volume with the same files.
func (w *world) copy(t testing.TB) *world {
	t.Helper()
	other := *w
	other.volume = newVolume(t)
	other.must(os.CopyFS(other.root, os.DirFS(w.root)))
	other.age()
	return &other
}

// place is where files of a registry are: a folder or a bucket.
type place interface {
	write(name, content string)
	remove(name string)
	read(name string) string
	open() tree.Tree
}

func (v *volume) read(name string) string {
	v.t.Helper()
	text, err := os.ReadFile(v.path(name))
	v.must(err)
	return string(text)
}

func (v *volume) open() tree.Tree { return v.tree() }

// hooked is a tree whose calls do something else first.
type hooked struct {
	tree.Tree
	before  func(o tree.ListOptions) // is called before something is listed
	list    string                   // the folder that cannot be listed, nor what is in it
	failure error                    // why
	read    func(name string) error
	put     func(name string)
}

func (h *hooked) List(ctx context.Context, o tree.ListOptions) iter.Seq2[tree.Object, error] {
	return func(yield func(tree.Object, error) bool) {
		if h.before != nil {
			h.before(o)
		}
		told := false
		for object, err := range h.Tree.List(ctx, o) {
			if h.list == "" || err != nil || !strings.HasPrefix(object.Name, h.list) {
				if !yield(object, err) {
					return
				}
				continue
			}
			if !told && (o.OnError == nil || !o.OnError(h.list, h.failure)) {
				yield(tree.Object{}, h.failure)
				return
			}
			told = true
		}
	}
}

func (h *hooked) Read(ctx context.Context, name string, offset, size int64) (io.ReadCloser, error) {
	if h.read != nil {
		if err := h.read(name); err != nil {
			return nil, err
		}
	}
	return h.Tree.Read(ctx, name, offset, size)
}

func (h *hooked) Put(ctx context.Context, name string, c tree.Content) (tree.Receipt, error) {
	if h.put != nil {
		h.put(name)
	}
	return h.Tree.Put(ctx, name, c)
}

// found is damage as tests compare it.
func found(d Damage) string {
	name := d.Repository
	if d.Tag != "" {
		name += ":" + d.Tag
	}
	repairable := ""
	if d.Repairable {
		repairable = " repairable"
	}
	return fmt.Sprintf("%s %s %s %s%s", d.Severity(), d.Kind, name, strings.TrimPrefix(d.Path, layout.Root), repairable)
}

// fsck looks at a tree, and gathers the damage.
func fsck(t testing.TB, tr tree.Tree, o FsckOptions) (FsckReport, []string) {
	t.Helper()
	var all []string
	o.OnDamage = func(d Damage) { all = append(all, found(d)) }
	r, err := Fsck(t.Context(), tr, o)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	counts := r.Broken + r.Damaged + r.Notes
	if int64(len(all)) != counts {
		t.Errorf("%d damages told, %d counted", len(all), counts)
	}
	return r, all
}

func sorted(all []string) []string { slices.Sort(all); return all }

// differ fails the test unless got is want and nothing else, in any order.
func differ(t testing.TB, want, got []string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("damage (-want +got):\n%s", diff)
	}
}

// orphans are the notes for blobs that nothing needs any more.
func orphans(digests ...digest.Digest) (notes []string) {
	for _, d := range digests {
		notes = append(notes, "note orphan-blob  "+strings.TrimPrefix(blobName(d), layout.Root))
	}
	return notes
}

// parts are the digests of an artifact and its blobs, without its children.
func parts(a *ts.Artifact) []digest.Digest {
	all := []digest.Digest{a.Digest}
	for _, b := range a.Blobs {
		if !slices.Contains(all, b.Digest) {
			all = append(all, b.Digest)
		}
	}
	return all
}
