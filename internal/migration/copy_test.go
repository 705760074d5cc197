package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// copyVolume copies once, with a journal in the destination that is read anew.
func copyVolume(t testing.TB, src tree.Tree, dst tree.Tree, o CopyOptions) CopyReport {
	t.Helper()
	r, err := tryCopy(t, src, dst, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryCopy(t testing.TB, src, dst tree.Tree, o CopyOptions) (CopyReport, error) {
	t.Helper()
	j, err := OpenJournal(t.Context(), dst, dst, src.String())
	if err != nil {
		return CopyReport{}, err
	}
	return Copy(t.Context(), src, dst, j, o)
}

// tampered is a tree some of whose calls do something else.
type tampered struct {
	tree.Tree
	beforePut func(name string) error
	afterPut  func(name string)
}

func (w *tampered) Put(ctx context.Context, name string, c tree.Content) (tree.Receipt, error) {
	if w.beforePut != nil {
		if err := w.beforePut(name); err != nil {
			return tree.Receipt{}, err
		}
	}
	r, err := w.Tree.Put(ctx, name, c)
	if err == nil && w.afterPut != nil {
		w.afterPut(name)
	}
	return r, err
}

func TestCopyBringsEverythingAndOnlyThat(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	src.clutter()
	r := copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.equals(dst)
	if n := int64(len(src.files())); r.Copied != n || r.Found != n || r.Known != 0 || r.Bytes == 0 || !r.Complete() {
		t.Errorf("%d files, report %+v", n, r)
	}
	if _, err := os.Stat(dst.path("lost+found")); err == nil {
		t.Error("lost+found was copied")
	}
	if _, err := os.Stat(dst.path(layout.Repositories + "library/app/_uploads")); err == nil {
		t.Error("uploads were copied")
	}
}

func TestASecondCopySendsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})

	puts := map[string]int{}
	var mu sync.Mutex
	counted := &tampered{Tree: dst.tree(), afterPut: func(name string) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(name, layout.Root) {
			puts[name]++
		}
	}}
	if r := copyVolume(t, src.tree(), counted, CopyOptions{}); r.Copied != 0 || r.Known != r.Found || len(puts) > 0 {
		t.Errorf("nothing had changed, and it copied %d: %v", r.Copied, puts)
	}

	before := src.files()
	src.image("library/new", "v1", "new")
	src.tag("library/app", "v0", src.image("library/app", "v1", "library/app 1"))
	copyVolume(t, src.tree(), counted, CopyOptions{})
	src.equals(dst)
	want := map[string]int{}
	for name, content := range src.files() {
		if before[name] != content {
			want[name] = 1
		}
	}
	if diff := cmp.Diff(want, puts); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// At every moment the destination is a registry whose artifacts are whole, and an
// interrupted copy goes on where it was.
func TestACopyMayEndAtAnyMoment(t *testing.T) {
	t.Parallel()
	src := newVolume(t)
	src.fill()
	total := len(src.files())
	for _, last := range []int{0, 1, 7, total / 3, total / 2, total * 3 / 4, total - 1} {
		t.Run(fmt.Sprint("after ", last), func(t *testing.T) {
			t.Parallel()
			dst := newVolume(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var puts atomic.Int64
			broken := &tampered{Tree: dst.tree(), beforePut: func(name string) error {
				if strings.HasPrefix(name, layout.Root) && puts.Add(1) > int64(last) {
					cancel()
					return context.Canceled
				}
				return nil
			}}
			j, err := OpenJournal(ctx, broken, broken, "here")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Copy(ctx, src.tree(), broken, j, CopyOptions{Concurrency: 4}); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v", err)
			}
			dst.whole()
			copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
			src.equals(dst)
		})
	}
}

// A copy that is killed has not recorded what it did last. That a tag was moved by it
// and has been moved back in the source since must not be overlooked.
func TestATagThatAKilledCopyMovedIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	a := src.image("library/app", "latest", "a")
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	b := src.image("library/app", "latest", "b")

	// The journal takes nothing any more once the tag has been moved: that is what a
	// killed process leaves.
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	killed := &tampered{Tree: dst.tree(), afterPut: func(name string) {
		if name == tagName("library/app", "latest") {
			kill()
		}
	}}
	j, err := OpenJournal(ctx, killed, killed, "here")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(ctx, src.tree(), killed, j, CopyOptions{}); err == nil {
		t.Fatal("the copy was not interrupted")
	}
	if got := dst.files()[tagName("library/app", "latest")]; got != b.String() {
		t.Fatalf("latest is %s", got)
	}
	src.tag("library/app", "latest", a)
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.equals(dst)
}

func TestWhatIsDamagedInTheSourceIsToldOfAndNeverCopied(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	flipped := digest.FromString("config of library/app 0")
	src.write(blobName(flipped), "config of library/app O")
	emptied := src.image("library/app", "v9", "emptied")
	src.write(blobName(emptied), "")
	layer := linkName(layout.LayerLink, "library/app", "", digest.FromString("base"))
	src.write(layer, "")
	tag := tagName("library/app", "v1")
	src.write(tag, "")
	newline := tagName("library/app", "v2")
	src.write(newline, src.files()[newline]+"\n")
	src.age()

	var told []string
	r := copyVolume(t, src.tree(), dst.tree(), CopyOptions{OnDamage: func(d Damage) { told = append(told, string(d.Kind)+" "+d.Path) }})
	want := []string{
		"digest-mismatch " + blobName(flipped), "empty-blob " + blobName(emptied),
		"empty-link " + layer, "empty-link " + tag, "malformed-link " + newline,
	}
	slices.Sort(told)
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told of (-want +got):\n%s", diff)
	}
	copied := dst.files()
	for _, name := range []string{blobName(flipped), blobName(emptied), tag, newline} {
		if _, there := copied[name]; there {
			t.Errorf("%s was copied", name)
		}
	}
	if got, right := copied[layer], digest.FromString("base").String(); got != right {
		t.Errorf("the link that follows from its path is %q in the copy", got)
	}
	if r.Lost() != 4 || r.Repaired != 1 || r.Complete() {
		t.Errorf("report %+v", r)
	}
}

func TestFinalRemovesOnlyWhatACopyPutThere(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	own := dst.blob("somebody else put this here")

	deleted := digest.Digest(src.files()[tagName("library/app-b", "v0")])
	src.remove(layout.TagsFolder("library/app-b") + "v0")
	src.deleteManifest("library/app-b", deleted)
	src.remove(strings.TrimSuffix(blobName(deleted), "/data"))
	late := src.image("library/late", "v1", "late")

	r := copyVolume(t, src.tree(), dst.tree(), CopyOptions{Final: true})
	if r.Removed != 4 { // tag, its history, revision, blob
		t.Errorf("removed %d, report %+v", r.Removed, r)
	}
	if r.Passes != 2 {
		t.Errorf("%d looks at the source, want one that finds and one that finds nothing", r.Passes)
	}
	copied := dst.files()
	if copied[tagName("library/late", "v1")] != late.String() {
		t.Error("what came last was not copied")
	}
	if _, there := copied[blobName(own)]; !there {
		t.Error("what no copy put there was removed")
	}
	delete(copied, blobName(own))
	if diff := cmp.Diff(src.files(), copied); diff != "" {
		t.Errorf("-source +copy:\n%s", diff)
	}

	// What was removed and comes back is sent again.
	src.image("library/app-b", "v0", "library/app-b 0")
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	if diff := cmp.Diff(src.files()[tagName("library/app-b", "v0")], dst.files()[tagName("library/app-b", "v0")]); diff != "" {
		t.Error(diff)
	}
	dst.whole()
}

func TestALivingCopyRemovesNothing(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	all := dst.files()
	src.remove(layout.Repositories + "library/app")
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	if diff := cmp.Diff(all, dst.files()); diff != "" {
		t.Error(diff)
	}
}

func TestFinalRefusesToRemoveMostOfADestination(t *testing.T) {
	t.Parallel()
	src, other, dst := newVolume(t), newVolume(t), newVolume(t)
	src.fill()
	other.image("library/other", "v1", "other")
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	all := dst.files()
	_, err := tryCopy(t, other.tree(), dst.tree(), CopyOptions{Final: true, MaxRemove: 5})
	if !problem.Is(err, problem.Conflict) {
		t.Fatalf("got %v", err)
	}
	copied := dst.files()
	for name := range all {
		if _, there := copied[name]; !there {
			t.Errorf("%s was removed", name)
		}
	}
}

func TestFinalSaysThatTheSourceIsStillChanging(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	i := 0
	live := &tampered{Tree: dst.tree(), afterPut: func(name string) {
		if strings.HasSuffix(name, "/current/link") {
			i++
			src.image("library/busy", "latest", fmt.Sprint("busy ", i))
		}
	}}
	_, err := tryCopy(t, src.tree(), live, CopyOptions{Final: true, Concurrency: 1})
	if !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), "still changing") {
		t.Errorf("got %v", err)
	}
}

func TestASourceWithoutARegistryIsRefused(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*volume){
		"empty":           func(*volume) {},
		"lost+found only": func(v *volume) { v.write("lost+found/x", "x") },
		"below a folder":  func(v *volume) { v.write("registry/"+layout.Blobs+"sha256/aa/x", "x") },
		"no repositories": func(v *volume) { v.blob("x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst, full := newVolume(t), newVolume(t), newVolume(t)
			make(src)
			full.fill()
			copyVolume(t, full.tree(), dst.tree(), CopyOptions{})
			_, err := tryCopy(t, src.tree(), dst.tree(), CopyOptions{Final: true})
			if !problem.Is(err, problem.BadRequest) {
				t.Fatalf("got %v", err)
			}
			full.equals(dst)
		})
	}
}

func TestAJournalBelongsToOneDestination(t *testing.T) {
	t.Parallel()
	src, dst, other, notes := newVolume(t), newVolume(t), newVolume(t), newVolume(t)
	src.fill()
	open := func(dst *volume) (*Journal, error) { return OpenJournal(t.Context(), dst.tree(), notes.tree(), "here") }
	j, err := open(dst)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), src.tree(), dst.tree(), j, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if j, err = open(dst); err != nil || j.Len() != len(src.files()) {
		t.Fatalf("again: %v", err)
	}
	if _, err := open(other); !problem.Is(err, problem.Conflict) {
		t.Errorf("another destination: %v", err)
	}
	dst.remove("docker")
	dst.remove(".lighterage")
	if _, err := open(dst); !problem.Is(err, problem.Conflict) {
		t.Errorf("the destination was emptied: %v", err)
	}
}

func TestWhatADestinationHoldsWithoutAJournalIsNotSentAgain(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	for name, content := range src.files() {
		dst.write(name, content)
	}
	short := blobName(digest.FromString("base"))
	dst.write(short, "bas")
	stale := tagName("library/app", "v1")
	dst.write(stale, digest.FromString("something else").String())
	puts := map[string]bool{}
	var mu sync.Mutex
	counted := &tampered{Tree: dst.tree(), afterPut: func(name string) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(name, layout.Root) {
			puts[name] = true
		}
	}}
	r := copyVolume(t, src.tree(), counted, CopyOptions{})
	src.equals(dst)
	want := []string{short, stale}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(puts))); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if r.Adopted != int64(len(src.files())-2) {
		t.Errorf("adopted %d of %d", r.Adopted, len(src.files()))
	}
}

func TestSelectedRepositoriesAreCopiedWithTheirBlobsOnly(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	only := func(name string) bool { return name == "library/app-b" }
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{Repositories: only})
	dst.whole()
	for name := range dst.files() {
		if f := layout.Parse(name); f.Kind != layout.Blob && f.Repository != "library/app-b" {
			t.Errorf("%s was copied", name)
		}
	}
	want := newVolume(t)
	for i := range 3 {
		want.image("library/app-b", fmt.Sprintf("v%d", i), fmt.Sprintf("library/app-b %d", i))
	}
	want.image("library/app-b", "", "library/app-b without a tag")
	want.equals(dst)
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{Repositories: only, Final: true})
	want.equals(dst)
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.equals(dst)
}

func TestADryRunTellsAndDoesNothing(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.image("library/new", "v1", "new")
	src.remove(layout.TagsFolder("library/app") + "v0")
	all := dst.files()
	j, err := ReadJournal(t.Context(), dst.tree(), dst.tree())
	if err != nil {
		t.Fatal(err)
	}
	r, err := Copy(t.Context(), src.tree(), dst.tree(), j, CopyOptions{DryRun: true, Final: true})
	if err != nil {
		t.Fatal(err)
	}
	if blobs, links := int64(3), int64(3+1+1+1); r.Copied != blobs+links || r.Removed != 2 || r.Bytes == 0 {
		t.Errorf("report %+v", r)
	}
	if diff := cmp.Diff(all, dst.files()); diff != "" {
		t.Error(diff)
	}
}

func TestOneObjectThatCannotBeStoredDoesNotKeepTheOthersBack(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	refused := blobName(digest.FromString("config of library/app 0"))
	broken := &tampered{Tree: dst.tree(), beforePut: func(name string) error {
		if name == refused {
			return errors.New("503 again and again")
		}
		return nil
	}}
	var failed []string
	r := copyVolume(t, src.tree(), broken, CopyOptions{OnFailure: func(name string, _ error) { failed = append(failed, name) }})
	if r.Complete() || r.Failed == 0 || !slices.Contains(failed, refused) {
		t.Errorf("report %+v, failed %v", r, failed)
	}
	dst.whole()
	if _, there := dst.files()[tagName("library/app-b", "v0")]; !there {
		t.Error("another repository was kept back")
	}
	r = copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.equals(dst)
	if !r.Complete() {
		t.Errorf("report %+v", r)
	}
}
