package migration

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestIntentsAreLeftUntilTheirObjectsAreRecorded(t *testing.T) {
	t.Parallel()
	dst := newVolume(t)
	open := func() *Journal {
		t.Helper()
		j, err := OpenJournal(t.Context(), dst.tree(), dst.tree(), "here")
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	left := func(j *Journal) []string {
		t.Helper()
		names, _, err := j.leftovers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		return names
	}
	names := []string{blobName(digest.FromString("a")), blobName(digest.FromString("b")), tagName("a", "v1")}
	slices.Sort(names)
	killed := open()
	if err := killed.intend(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	if err := killed.stored(t.Context(), names[0], 1, tree.Receipt{Proof: tree.Accepted}); err != nil {
		t.Fatal(err)
	}
	j := open() // nothing was recorded durably
	if diff := cmp.Diff(names, left(j)); diff != "" {
		t.Error(diff)
	}
	if err := killed.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names[1:], left(open())); diff != "" {
		t.Error(diff)
	}
	if err := killed.fulfilled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := left(open()); len(all) > 0 {
		t.Errorf("left: %q", all)
	}
}

// What a copy has put in its last moment is in no record. When it is deleted in the
// source before the next copy it must not stay, and what others have put there must.
func TestWhatAKilledCopyPutAndTheSourceDeletedIsRemoved(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	d := src.image("library/app", "gone", "gone")
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	killed := &tampered{Tree: dst.tree(), afterPut: func(name string) {
		if name == tagName("library/app", "gone") {
			kill()
		}
	}}
	j, err := OpenJournal(ctx, killed, killed, "here")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(ctx, src.tree(), killed, j, CopyOptions{}); err == nil {
		t.Fatal("the copy was not killed")
	}
	others := dst.image("library/app", "others", "somebody else's")
	src.remove(layout.TagsFolder("library/app") + "gone")
	src.deleteManifest("library/app", d)
	src.remove(strings.TrimSuffix(blobName(d), "/data"))

	if r := copyVolume(t, src.tree(), dst.tree(), CopyOptions{}); r.Removed > 0 || !r.Complete() {
		t.Errorf("the next copy: %+v", r)
	}
	dry := copyVolume(t, src.tree(), dst.tree(), CopyOptions{Final: true, DryRun: true})
	r := copyVolume(t, src.tree(), dst.tree(), CopyOptions{Final: true})
	if dry.Removed != 3 || r.Removed != 3 || !r.Complete() { // tag, manifest and its blob; the copy had not come to the history
		t.Errorf("removed %d, and %d before it was done", r.Removed, dry.Removed)
	}
	files := dst.files()
	if files[tagName("library/app", "others")] != others.String() {
		t.Error("what somebody else put there was removed")
	}
	if files[tagName("library/app", "gone")] != "" || files[blobName(d)] != "" {
		t.Error("what was deleted is there")
	}
}

// forgetful is a tree whose listings leave something out.
type forgetful struct {
	tree.Tree
	without string
}

func (f *forgetful) List(ctx context.Context, o tree.ListOptions) iter.Seq2[tree.Object, error] {
	return func(yield func(tree.Object, error) bool) {
		for object, err := range f.Tree.List(ctx, o) {
			if err == nil && strings.HasPrefix(object.Name, f.without) {
				continue
			}
			if !yield(object, err) {
				return
			}
		}
	}
}

func TestWhatAListingLeavesOutIsNotTakenForGone(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	for _, without := range []string{layout.TagsFolder("library/app"), layout.LayersFolder("library/app-b"), layout.Blobs + "sha256/"} {
		_, err := tryCopy(t, &forgetful{src.tree(), without}, dst.tree(), CopyOptions{Final: true})
		if !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), without) {
			t.Errorf("without %s: %v", without, err)
		}
	}
	src.equals(dst)
}
