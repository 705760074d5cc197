//go:build unix

package migration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// places runs a test for each kind of place that a copy may go to.
func places(t *testing.T, test func(t *testing.T, dst tree.Tree)) {
	t.Helper()
	t.Run("S3", func(t *testing.T) { t.Parallel(); test(t, at(t, newStore(t), "x")) })
	t.Run("a folder", func(t *testing.T) { t.Parallel(); test(t, newMemoryVolume(t).tree()) })
}

// is fails the test unless a tree holds the files of a volume and no others.
func (v *volume) is(t testing.TB, dst tree.Tree) {
	t.Helper()
	want := v.files()
	for o, err := range dst.List(t.Context(), tree.ListOptions{Prefix: layout.Root}) {
		if err != nil {
			t.Fatal(err)
		}
		if content, err := tree.ReadAll(t.Context(), dst, o.Name, 1<<30); err != nil || string(content) != want[o.Name] {
			t.Errorf("%s: %v, %q and not %q", o.Name, err, content, want[o.Name])
		}
		delete(want, o.Name)
	}
	for name := range want {
		t.Errorf("%s is not there", name)
	}
}

// Names that sort in another way as folders than as keys, and that begin alike.
func TestNamesThatAreHardToTellApart(t *testing.T) {
	t.Parallel()
	src := newMemoryVolume(t)
	names := []string{"a", "a-b", "a-b/c", "a.b", "a.b/c", "a/b", "a/b/c/d", "a0", "a_b", "a__b", "a---b/c", "library/a_b-c.d__e", "blobs", "link/data", "index/current/link"}
	for _, name := range names {
		for _, tag := range []string{"latest", "LATEST", "Latest", "_", "__x", "0", "a.b-c_D", "sha256-" + strings.Repeat("a", 64) + ".sig", strings.Repeat("T", 128), "current", "index", "link"} {
			src.image(name, tag, name)
		}
	}
	for _, name := range names {
		src.write(layout.Repositories+name+"/_uploads/0b0e/data", "half of a layer")
		src.write(layout.Repositories+name+"/_uploads/0b0e/hashstates/sha256/17", "x")
	}
	places(t, func(t *testing.T, dst tree.Tree) {
		moves(t, src.tree(), dst)
		src.is(t, dst)
		only := func(name string) bool { return name == "a-b" || name == "a/b" }
		part := newMemoryVolume(t)
		copyVolume(t, dst, part.tree(), CopyOptions{Repositories: only})
		part.whole()
		for name := range part.files() {
			if f := layout.Parse(name); f.Kind != layout.Blob && !only(f.Repository) {
				t.Errorf("%s was copied", name)
			}
		}
		none(t, func() []string {
			all, _ := checkOnce(t, dst, part.tree(), CheckOptions{Repositories: only})
			return all
		}())
	})
}

func TestARepositoryWithThousandsOfTags(t *testing.T) {
	t.Parallel()
	src := newMemoryVolume(t)
	d := src.image("library/app", "", "one")
	for i := range 5000 {
		src.tag("library/app", fmt.Sprintf("build-%d", i), d)
	}
	dst := newMemoryVolume(t)
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{Final: true})
	src.equals(dst)
	store := at(t, newStore(t), "")
	copyVolume(t, dst.tree(), store, CopyOptions{})
	src.remove(layout.TagsFolder("library/app") + "build-77")
	src.tag("library/app", "build-78", src.image("library/app", "", "two"))
	r := copyVolume(t, src.tree(), store, CopyOptions{Final: true})
	if want := int64(3 + 2 + 1 + 1 + 1); r.Copied != want || r.Removed != 2 { // blobs, layers, manifest, history, tag
		t.Errorf("copied %d and removed %d, want %d and 2", r.Copied, r.Removed, want)
	}
	all, _ := checkOnce(t, src.tree(), store, CheckOptions{})
	none(t, all)
}

// Files that are no files end a copy that meets them: what is behind a symbolic link
// is nobody's to follow, and what could not be seen must not be taken for gone.
func TestWhatIsNoFileIsToldOfAndNothingIsRemovedForIt(t *testing.T) {
	t.Parallel()
	elsewhere := newMemoryVolume(t)
	elsewhere.fill()
	for name, spoil := range map[string]func(v *volume){
		"blobs on another disk": func(v *volume) {
			v.remove("docker/registry/v2/blobs")
			v.must(os.Symlink(elsewhere.path("docker/registry/v2/blobs"), v.path("docker/registry/v2/blobs")))
		},
		"a repository on another disk": func(v *volume) {
			v.remove(layout.Repositories + "library/app")
			v.must(os.Symlink(elsewhere.path(layout.Repositories+"library/app"), v.path(layout.Repositories+"library/app")))
		},
		"a blob that is a symbolic link": func(v *volume) {
			v.must(os.Remove(v.path(aBlob)))
			v.must(os.Symlink(elsewhere.path(aBlob), v.path(aBlob)))
		},
		"a tag that is a symbolic link": func(v *volume) {
			v.must(os.Symlink("v1", v.path(layout.TagsFolder("library/app")+"linked")))
		},
		"a link that is a pipe": func(v *volume) {
			link := v.path(linkName(layout.LayerLink, "library/app", "", digest.FromString("base")))
			v.must(os.Remove(link))
			v.must(syscall.Mkfifo(link, 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := newMemoryVolume(t), newMemoryVolume(t)
			src.t, dst.t = t, t
			src.fill()
			copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
			all := dst.files()
			spoil(src)
			for _, final := range []bool{false, true} {
				var told []string
				r, err := tryCopy(t, src.tree(), dst.tree(), CopyOptions{Final: final, OnDamage: func(d Damage) { told = append(told, d.String()) }})
				if r.Removed > 0 || len(dst.files()) != len(all) {
					t.Errorf("final %t removed: %+v", final, r)
				}
				if !errors.Is(err, tree.ErrNotRegular) && final || err == nil && !r.Complete() || len(told) > 0 {
					t.Errorf("final %t: %v, %+v, %q", final, err, r, told)
				}
			}
		})
	}
}

// Two copies at the same time end right, or one of them refuses.
func TestTwoCopiesAtTheSameTime(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, dst tree.Tree) {
		src := newMemoryVolume(t)
		src.fill()
		for round := range 4 {
			src.image("library/app", fmt.Sprint("round", round), fmt.Sprint("round", round))
			var both sync.WaitGroup
			errs := make([]error, 2)
			for i := range errs {
				both.Go(func() { _, errs[i] = tryCopy(t, src.tree(), dst, CopyOptions{Concurrency: 3}) })
			}
			both.Wait()
			if errs[0] != nil && errs[1] != nil || !refused(errs[0]) || !refused(errs[1]) {
				t.Errorf("round %d: %v and %v", round, errs[0], errs[1])
			}
		}
		moves(t, src.tree(), dst)
		src.is(t, dst)
	})
}

func refused(err error) bool { return err == nil || problem.Is(err, problem.Conflict) }

// A copy that is slow must not undo, unseen, what a later one has done to a tag.
func TestATagThatTwoCopiesWriteIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	src, dst := newMemoryVolume(t), newMemoryVolume(t)
	src.image("library/app", "latest", "old")
	ready, release := make(chan struct{}), make(chan struct{})
	slow := &tampered{Tree: dst.tree(), beforePut: func(name string) error {
		if name == tagName("library/app", "latest") {
			close(ready)
			<-release
		}
		return nil
	}}
	done := make(chan error)
	go func() {
		_, err := tryCopy(t, src.tree(), slow, CopyOptions{})
		done <- err
	}()
	<-ready
	src.image("library/app", "latest", "new")
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	close(release)
	if err := <-done; !refused(err) {
		t.Error(err)
	}
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.equals(dst)
}

// A copy whose journal cannot be written is not made: it could not be told later what
// it did.
func TestAJournalThatCannotBeWrittenEndsTheCopy(t *testing.T) {
	t.Parallel()
	src, dst := newMemoryVolume(t), newMemoryVolume(t)
	src.fill()
	notes := &tampered{Tree: newMemoryVolume(t).tree(), beforePut: func(string) error { return fs.ErrPermission }}
	j, err := OpenJournal(t.Context(), dst.tree(), notes, "here")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), src.tree(), dst.tree(), j, CopyOptions{}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "journal") {
		t.Errorf("got %v", err)
	}
	for name := range dst.files() {
		if layout.Parse(name).Kind == layout.TagLink {
			t.Errorf("%s was moved without a note", name)
		}
	}
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.equals(dst)
}

// A clock that was wrong leaves files from the future. What is wrong with one of them
// is damage and no write that goes on.
func TestFilesFromTheFutureAreNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	src, dst := newMemoryVolume(t), newMemoryVolume(t)
	src.fill()
	src.write(aTag, "")
	src.write(aBlob, "something else")
	future := time.Now().Add(24 * time.Hour)
	for name := range src.files() {
		src.must(os.Chtimes(src.path(name), future, future))
	}
	for _, final := range []bool{false, true} {
		r := copyVolume(t, src.tree(), dst.tree(), CopyOptions{Final: final})
		if r.Postponed > 0 || r.Lost() != 2 || r.Complete() {
			t.Errorf("final %t: %+v", final, r)
		}
	}
	lacking := []string{"+ " + aTag, "+ " + aBlob, "+ " + linkName(layout.LayerLink, "library/app", "", layout.Parse(aBlob).Digest())}
	missing := []string{}
	files := dst.files()
	for _, name := range slices.Sorted(maps.Keys(src.files())) {
		if _, there := files[name]; !there {
			missing = append(missing, "+ "+name)
		}
	}
	differ(t, lacking, missing)
}

// An upload that goes on is not there until it has ended.
func TestAnUploadThatGoesOnIsLeftOut(t *testing.T) {
	t.Parallel()
	src, dst := newMemoryVolume(t), newMemoryVolume(t)
	r := ts.Distribution(t, ts.WithRoot(src.root))
	ts.Push(t, r, "library/app", "v1", ts.Image(t, 1, 1, 1000))
	hold := ts.NewHold()
	r.Faults.Add(ts.Fault{Class: "PATCH upload", Do: hold.Request(500)})
	image := ts.Image(t, 2, 1, 200_000)
	pushed := make(chan error)
	go func() { pushed <- ts.TryPush(context.WithoutCancel(t.Context()), r, "library/app", "v2", image) }()
	ts.Eventually(t, "an upload is under way", func() bool { return hold.Waiting() > 0 })
	if r := copyVolume(t, src.tree(), dst.tree(), CopyOptions{}); !r.Complete() {
		t.Errorf("report %+v", r)
	}
	dst.whole()
	if _, err := os.Stat(dst.path(layout.Repositories + "library/app/_uploads")); err == nil {
		t.Error("the upload was copied")
	}
	hold.Release()
	if err := <-pushed; err != nil {
		t.Error(err)
	}
	moves(t, src.tree(), dst.tree())
	if got := dst.read(tagName("library/app", "v2")); got != image.Digest.String() {
		t.Errorf("v2 is %s", got)
	}
}
