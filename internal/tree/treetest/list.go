package treetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

var listing = []promise{
	{"AnEmptyTreeListsNothing", listEmpty},
	{"ListingIsInTheOrderOfBytes", listOrder},
	{"ListingStaysWithinItsBounds", listBounds},
	{"APrefixIsAFolder", listPrefix},
	{"ListingTellsSizeAndTime", listAttributes},
	{"UploadsAreListedOnlyWhenAskedFor", listUploads},
	{"ImpliedListingNamesTheSameFiles", listImplied},
	{"PresentListingTellsOfTheFilesThemselves", listPresent},
	{"ListingCanBeLeft", listLeft},
	{"ListingEndsWithItsContext", listCancelled},
}

var folders = []promise{
	{"FoldersAreInTheOrderOfTheirNames", foldersOrder},
	{"FoldersAreThoseDirectlyInside", foldersDirect},
	{"FoldersEndWithTheirContext", foldersCancelled},
}

// tricky are names that come out in another order, or not at all, when folders are
// sorted without their slash or compared component by component.
var tricky = []string{
	"A/x", "a!/x", "a-b/x", "a-b/y/z", "a.b", "a/x", "a/x-y/z", "a/x.y", "a/y/z", "a/y-z", "a0", "aa/x", "ab", "b/c/d/e", "b/c-/d", "b/c0",
	layout.Blobs + "sha256/ab/" + strings.Repeat("ab", 32) + "/data",
	layout.Blobs + "sha256/ab/" + strings.Repeat("ab", 31) + "ac/data",
	layout.Blobs + "sha256/ac/" + strings.Repeat("ac", 32) + "/data",
	layout.TagsFolder("lib") + "v1-rc/current/link",
	layout.TagsFolder("lib") + "v1.0/current/link",
	layout.TagsFolder("lib") + "v1/current/link",
	layout.TagsFolder("lib") + "v1/index/sha256/" + strings.Repeat("ab", 32) + "/link",
	layout.RevisionsFolder("lib") + "sha256/" + strings.Repeat("ab", 32) + "/link",
	layout.LayersFolder("lib") + "sha256/" + strings.Repeat("ab", 32) + "/link",
	layout.LayersFolder("lib-x") + "sha256/" + strings.Repeat("ab", 32) + "/link",
	layout.LayersFolder("lib/x") + "sha256/" + strings.Repeat("ab", 32) + "/link",
}

func listEmpty(t *testing.T, tr tree.Tree) {
	for _, o := range []tree.ListOptions{{}, {Prefix: "no/such/"}, {Implied: true}, {Prefix: layout.Blobs, Implied: true}, {After: "a", Until: "z"}} {
		same(t, fmt.Sprintf("%+v", o), list(t, tr, o), []string{})
	}
	for _, folder := range []string{"", "no/", "no/such/"} {
		same(t, folder, collect(t, tr.Folders(t.Context(), folder), itself), []string{})
	}
}

func listOrder(t *testing.T, tr tree.Tree) {
	names := slices.Clone(tricky)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	plant(t, tr, names...)
	same(t, "all", list(t, tr, tree.ListOptions{}), slices.Sorted(slices.Values(tricky)))
}

func listBounds(t *testing.T, tr tree.Tree) {
	plant(t, tr, tricky...)
	sorted := slices.Sorted(slices.Values(tricky))
	bounds := []string{"", "a", "a/", "a-", "a0/", "b/c/", "zz", layout.Root, layout.Blobs + "sha256/ab", layout.Blobs + "sha256/ab/", layout.TagsFolder("lib") + "v1"}
	for _, name := range sorted {
		bounds = append(bounds, name, name+"0", name[:len(name)-1])
	}
	check := func(o tree.ListOptions) {
		t.Helper()
		want := slices.DeleteFunc(slices.Clone(sorted), func(name string) bool {
			return !strings.HasPrefix(name, o.Prefix) || name <= o.After || o.Until != "" && name >= o.Until
		})
		same(t, fmt.Sprintf("prefix %q, after %q, until %q, implied %t, present %t", o.Prefix, o.After, o.Until, o.Implied, o.Present), list(t, tr, o), want)
	}
	for _, bound := range bounds {
		check(tree.ListOptions{After: bound})
		check(tree.ListOptions{Until: bound})
	}
	random := rand.New(rand.NewPCG(3, 4))
	prefixes := []string{"", "", "a/", "b/", layout.Root, layout.Repositories, layout.TagsFolder("lib")}
	for range 100 {
		check(tree.ListOptions{
			Prefix: prefixes[random.IntN(len(prefixes))], After: bounds[random.IntN(len(bounds))],
			Until: bounds[random.IntN(len(bounds))], Implied: random.IntN(3) > 0, Present: random.IntN(2) == 0,
		})
	}
}

func listPrefix(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a-b/x", "a/x", "a/y/z", "ab/x", "b")
	same(t, "a/", list(t, tr, tree.ListOptions{Prefix: "a/"}), []string{"a/x", "a/y/z"})
	same(t, "a/y/", list(t, tr, tree.ListOptions{Prefix: "a/y/"}), []string{"a/y/z"})
	same(t, "b/, a file", list(t, tr, tree.ListOptions{Prefix: "b/"}), []string{})
	for _, prefix := range append([]string{"a", "a/y"}, hostile...) {
		if prefix == "" || prefix == "a/" {
			continue
		}
		wantOnlyError(t, "list "+prefix, tr.List(t.Context(), tree.ListOptions{Prefix: prefix}), tree.ErrName)
	}
}

func listAttributes(t *testing.T, tr tree.Tree) {
	start := time.Now().Add(-time.Minute) // the clock of a store may be another one
	put(t, tr, "empty", nil)
	put(t, tr, "link", text("link", 71))
	put(t, tr, "blob", text("blob", 100_000))
	sizes := map[string]int64{"empty": 0, "link": 71, "blob": 100_000}
	for o, err := range tr.List(t.Context(), tree.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Size != sizes[o.Name] {
			t.Errorf("%s is listed with %d bytes, want %d", o.Name, o.Size, sizes[o.Name])
		}
		if o.Modified.Before(start) {
			t.Errorf("%s is listed as of %s, before %s", o.Name, o.Modified, start)
		}
		same, err := tr.Stat(t.Context(), o.Name)
		if err != nil || same.Name != o.Name || same.Size != o.Size || same.ETag != o.ETag || same.Modified.Sub(o.Modified).Abs() > time.Second {
			t.Errorf("Stat says %+v, %v; List said %+v", same, err, o)
		}
	}
}

func listUploads(t *testing.T, tr tree.Tree) {
	uploads := []string{
		layout.Repositories + "a/_uploads/1/data",
		layout.Repositories + "a/_uploads/1/hashstates/sha256/0",
		layout.Repositories + "a/b/_uploads/2/startedat",
	}
	others := []string{
		"_uploads/x", // not of a repository
		"docker/_uploads/x",
		layout.LayersFolder("a") + "_uploads/x",
		layout.Repositories + "a/_uploads-of-others/x",
		layout.TagsFolder("a") + "_uploads/current/link", // a tag may be called so
	}
	plant(t, tr, slices.Concat(uploads, others)...)
	for _, kind := range []tree.ListOptions{{}, {Implied: true}, {Implied: true, Present: true}} {
		same(t, "without uploads", list(t, tr, kind), slices.Sorted(slices.Values(others)))
		kind.Uploads = true
		same(t, "with uploads", list(t, tr, kind),
			slices.Sorted(slices.Values(slices.Concat(uploads, others))))
	}
	same(t, "in uploads", list(t, tr, tree.ListOptions{Prefix: layout.Repositories + "a/_uploads/"}), []string{})
	same(t, "in uploads, with uploads", list(t, tr, tree.ListOptions{Prefix: layout.Repositories + "a/_uploads/", Uploads: true}), uploads[:2])
}

func listImplied(t *testing.T, tr tree.Tree) {
	names := append([]string{layout.Blobs + "sha256/ab/junk", layout.Blobs + "sha256/ab/short/data", layout.LayersFolder("a") + "sha256/junk/link"}, tricky...)
	plant(t, tr, names...)
	same(t, "implied", list(t, tr, tree.ListOptions{Implied: true}), slices.Sorted(slices.Values(names)))
	for o, err := range tr.List(t.Context(), tree.ListOptions{Implied: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Size != -1 && o.Size != int64(len(o.Name)) {
			t.Errorf("%s is listed with %d bytes, want -1 or %d", o.Name, o.Size, len(o.Name))
		}
	}
}

func listPresent(t *testing.T, tr tree.Tree) {
	plant(t, tr, tricky...)
	same(t, "present", list(t, tr, tree.ListOptions{Implied: true, Present: true}), slices.Sorted(slices.Values(tricky)))
	for o, err := range tr.List(t.Context(), tree.ListOptions{Implied: true, Present: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Size != int64(len(o.Name)) {
			t.Errorf("%s is listed with %d bytes, want %d", o.Name, o.Size, len(o.Name))
		}
	}
}

func listLeft(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a", "b", "c")
	var seen []string
	for o, err := range tr.List(t.Context(), tree.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, o.Name); len(seen) == 2 {
			break
		}
	}
	same(t, "until left", seen, []string{"a", "b"})
}

func listCancelled(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a/1", "a/2", "b/1", "c")
	ctx, cause := cancelled(t)
	wantOnlyError(t, "list", tr.List(ctx, tree.ListOptions{}), cause)

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var end error
	for o, err := range tr.List(ctx, tree.ListOptions{}) {
		if end != nil {
			t.Fatalf("after the error %v the listing yields %+v, %v", end, o, err)
		}
		cancel(cause)
		end = err
	}
	if !errors.Is(end, cause) {
		t.Errorf("a listing that was cancelled on the way ends with %v, want %v", end, cause)
	}
}

func foldersOrder(t *testing.T, tr tree.Tree) {
	plant(t, tr, "r/a/x", "r/a-b/x", "r/a.b/x", "r/A/x", "r/a0/x", "r/b/x")
	same(t, "folders", collect(t, tr.Folders(t.Context(), "r/"), itself), []string{"A", "a", "a-b", "a.b", "a0", "b"})
}

func foldersDirect(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a/b/c/d", "a/e/f", "a/file", "ab/x", "b", layout.Repositories+"r/_uploads/1/data")
	for folder, want := range map[string][]string{
		"": {"a", "ab", "docker"}, "a/": {"b", "e"}, "a/b/": {"c"}, "a/b/c/": {}, "a/e/": {}, layout.Repositories + "r/": {"_uploads"},
	} {
		same(t, "in "+folder, collect(t, tr.Folders(t.Context(), folder), itself), want)
	}
	for _, folder := range append([]string{"a"}, hostile...) {
		if folder == "" || folder == "a/" {
			continue
		}
		wantOnlyError(t, "folders of "+folder, tr.Folders(t.Context(), folder), tree.ErrName)
	}
}

func foldersCancelled(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a/1", "b/1")
	ctx, cause := cancelled(t)
	wantOnlyError(t, "folders", tr.Folders(ctx, ""), cause)
}

func itself(name string) string { return name }

// wantOnlyError fails the test unless a listing yields one error and nothing else.
func wantOnlyError[T any](t *testing.T, what string, all func(func(T, error) bool), want error) {
	t.Helper()
	var errs []error
	for item, err := range all {
		if err == nil {
			t.Errorf("%q yields %+v", what, item)
			continue
		}
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], want) {
		t.Errorf("%q ends with %v, want once: %v", what, errs, want)
	}
}
