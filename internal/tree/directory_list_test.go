//go:build unix

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// tester is a test, or one of a property.
type tester interface {
	Context() context.Context
	Fatalf(format string, args ...any)
}

// listed returns the names that are listed, and fails the test on an error.
func listed(t tester, d *tree.Directory, o tree.ListOptions) []string {
	names := []string{}
	for object, err := range d.List(t.Context(), o) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		names = append(names, object.Name)
	}
	return names
}

func TestAnyFilesAreListedInTheOrderOfBytes(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[ab\-./0]{1,8}`).Filter(func(name string) bool {
		return !strings.Contains("/"+name+"/", "//") && !strings.Contains("/"+name+"/", "/./") && !strings.Contains("/"+name+"/", "/../")
	})
	bound := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[ab\-./0]{1,4}`))
	rapid.Check(t, func(r *rapid.T) {
		root, err := os.MkdirTemp("", "lighterage-test-")
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(root) }()
		var want []string
		for _, name := range rapid.SliceOfN(name, 0, 25).Draw(r, "names") {
			path := filepath.Join(root, name)
			if os.MkdirAll(filepath.Dir(path), 0o755) != nil {
				continue // a file is in the way
			}
			if os.WriteFile(path, nil, 0o644) == nil && !slices.Contains(want, name) {
				want = append(want, name)
			}
		}
		d, err := tree.OpenDirectory(root, tree.DirectoryOptions{})
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		o := tree.ListOptions{After: bound.Draw(r, "after"), Until: bound.Draw(r, "until")}
		want = slices.DeleteFunc(want, func(name string) bool { return name <= o.After || o.Until != "" && name >= o.Until })
		slices.Sort(want)
		if got := listed(r, d, o); !slices.Equal(got, want) {
			r.Fatalf("after %q, until %q: got %q, want %q", o.After, o.Until, got, want)
		}
	})
}

func withOnError(o tree.ListOptions, onError func(path string, err error) bool) tree.ListOptions {
	o.OnError = onError
	return o
}

func TestWhatIsNeitherFileNorFolderIsReported(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	plant(t, outside, "secret", "folder/secret")
	root := t.TempDir()
	plant(t, root, "a/file", "z")
	special := map[string]func(path string) error{
		"a/link-out":        func(path string) error { return os.Symlink(filepath.Join(outside, "secret"), path) },
		"a/link-in":         func(path string) error { return os.Symlink("file", path) },
		"a/link-to-nothing": func(path string) error { return os.Symlink("nothing", path) },
		"folder-out":        func(path string) error { return os.Symlink(filepath.Join(outside, "folder"), path) },
		"folder-in":         func(path string) error { return os.Symlink("a", path) },
		"a/pipe":            func(path string) error { return syscall.Mkfifo(path, 0o644) },
	}
	for name, make := range special {
		if err := make(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	socket, err := net.Listen("unix", filepath.Join(root, "b.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	want := []string{"a/link-in", "a/link-out", "a/link-to-nothing", "a/pipe", "b.sock", "folder-in", "folder-out"}
	// A link to the tree's folder itself is followed.
	link := filepath.Join(outside, "registry")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}

	bothWays(t, link, func(t *testing.T, d *tree.Directory) {
		for _, kind := range []tree.ListOptions{{}, {Implied: true}, {Implied: true, Present: true}} {
			reported := map[string]error{}
			var names []string
			for o, err := range d.List(t.Context(), withOnError(kind, func(path string, err error) bool {
				reported[path] = err
				return true
			})) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, o.Name)
			}
			if !slices.Equal(names, []string{"a/file", "z"}) || len(reported) != len(want) {
				t.Errorf("listed %q, reported %v", names, reported)
			}
			for _, name := range want {
				if err := reported[name]; !errors.Is(err, tree.ErrNotRegular) || !strings.Contains(err.Error(), filepath.Join(link, name)) {
					t.Errorf("%s is reported with %v", name, err)
				}
			}
		}
		// Nobody asked: it is an error.
		var end error
		for _, err := range d.List(t.Context(), tree.ListOptions{}) {
			end = err
		}
		if !errors.Is(end, tree.ErrNotRegular) || !strings.Contains(end.Error(), "a/link-in") {
			t.Errorf("the listing ends with %v", end)
		}
		end = nil
		for _, err := range d.List(t.Context(), tree.ListOptions{OnError: func(path string, _ error) bool { return path != "b.sock" }}) {
			end = err
		}
		if !errors.Is(end, tree.ErrNotRegular) || !strings.Contains(end.Error(), "b.sock") {
			t.Errorf("the listing ends with %v", end)
		}
		for _, prefix := range []string{"folder-in/", "folder-out/"} {
			end = nil
			for o, err := range d.List(t.Context(), tree.ListOptions{Prefix: prefix}) {
				if err == nil {
					t.Errorf("%s is in %s", o.Name, prefix)
				}
				end = err
			}
			if !errors.Is(end, tree.ErrNotRegular) {
				t.Errorf("listing %s ends with %v", prefix, end)
			}
			for name, err := range d.Folders(t.Context(), prefix) {
				if !errors.Is(err, tree.ErrNotRegular) {
					t.Errorf("%s in %s, %v", name, prefix, err)
				}
			}
		}
		for _, name := range append(want, "folder-in/file", "folder-out/secret") {
			if o, err := d.Stat(t.Context(), name); !errors.Is(err, tree.ErrNotRegular) {
				t.Errorf("stat %s: %+v, %v", name, o, err)
			}
			if name == "b.sock" { // a socket cannot even be opened
				continue
			}
			if content, err := tree.ReadAll(t.Context(), d, name, 100); !errors.Is(err, tree.ErrNotRegular) {
				t.Errorf("read %s: %q, %v", name, content, err)
			}
		}
	})
}

// A repository that somebody has moved to another disk must not look as if it had gone.
func TestALinkInThePlaceOfAFolderIsNoFolderThatIsMissing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "a/b/file", "a/c/file", "a/d")
	if err := os.Symlink("c", filepath.Join(root, "a/linked")); err != nil {
		t.Fatal(err)
	}
	bothWays(t, root, func(t *testing.T, d *tree.Directory) {
		var names []string
		var end error
		for name, err := range d.Folders(t.Context(), "a/") {
			if end = err; err == nil {
				names = append(names, name)
			}
		}
		if !slices.Equal(names, []string{"b", "c"}) || !errors.Is(end, tree.ErrNotRegular) || !strings.Contains(end.Error(), "a/linked") {
			t.Errorf("folders %q, then %v", names, end)
		}
		for prefix, linked := range map[string]bool{"a/linked/": true, "a/linked/x/": true, "a/d/": false, "a/e/": false} {
			var listing, folders error
			for _, err := range d.List(t.Context(), tree.ListOptions{Prefix: prefix}) {
				listing = err
			}
			for _, err := range d.Folders(t.Context(), prefix) {
				folders = err
			}
			if errors.Is(listing, tree.ErrNotRegular) != linked || errors.Is(folders, tree.ErrNotRegular) != linked || (listing == nil) == linked {
				t.Errorf("%s: listing ends with %v, folders with %v", prefix, listing, folders)
			}
		}
	})
}

func TestNothingIsWrittenThroughALink(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	plant(t, outside, "file", "folder/file")
	root := t.TempDir()
	plant(t, root, "in/file")
	for name, target := range map[string]string{"out": filepath.Join(outside, "folder"), "also-in": "in", "file": filepath.Join(outside, "file"), "up": ".."} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshot(t, outside)
	bothWays(t, root, func(t *testing.T, d *tree.Directory) {
		for _, name := range []string{"out/file", "out/new", "out/new/file", "also-in/file", "also-in/new", "up/x"} {
			if _, err := d.Put(t.Context(), name, tree.BytesContent([]byte("x"))); !errors.Is(err, tree.ErrNotRegular) || tree.IsFatal(err) {
				t.Errorf("put %s: %v", name, err)
			}
			if err := d.Remove(t.Context(), []string{name}); !errors.Is(err, tree.ErrNotRegular) {
				t.Errorf("remove %s: %v", name, err)
			}
		}
		if err := d.Remove(t.Context(), []string{"file"}); !errors.Is(err, tree.ErrNotRegular) {
			t.Errorf("remove a link: %v", err)
		}
	})
	d := openDirectory(t, root, tree.DirectoryOptions{})
	if _, err := d.Put(t.Context(), "file", tree.BytesContent([]byte("x"))); err != nil { // in place of the link
		t.Error(err)
	}
	if content, err := tree.ReadAll(t.Context(), d, "file", 100); string(content) != "x" {
		t.Errorf("read: %q, %v", content, err)
	}
	if after := snapshot(t, outside); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("outside, before: %v\nafter: %v", before, after)
	}
}

func TestFoldersMayVanishWhileTheyAreListed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "a", "b/1", "b/2", "b/c/3", "d/4", "e")
	d := openDirectory(t, root, tree.DirectoryOptions{})
	var names []string
	for o, err := range d.List(t.Context(), tree.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, o.Name)
		switch o.Name {
		case "a": // the root was read
			remove(t, root, "d")
			remove(t, root, "e")
			plant(t, root, "f") // may be listed or not
		case "b/1": // b was read
			remove(t, root, "b")
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "f" })
	if !slices.Equal(names, []string{"a", "b/1"}) {
		t.Errorf("listed %q", names)
	}
}

func remove(t *testing.T, root, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}

func TestImpliedFilesMayNotExist(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	hex := strings.Repeat("ab", 32)
	blob, layer, tag := layout.BlobPath("sha256", hex), layout.LayersFolder("app")+"sha256/"+hex+"/link", layout.TagsFolder("app")+"v1/current/link"
	history := layout.TagsFolder("app") + "v1/index/sha256/" + hex + "/link"
	for _, name := range []string{blob, layer, tag, history} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A file where a folder should be implies nothing.
	plant(t, root, filepath.Dir(filepath.Dir(blob))+"/"+strings.Repeat("ab", 31)+"ac", layout.TagsFolder("app")+"v2")
	d := openDirectory(t, root, tree.DirectoryOptions{})
	want := []string{blob, filepath.Dir(filepath.Dir(blob)) + "/" + strings.Repeat("ab", 31) + "ac", layer, tag, history, layout.TagsFolder("app") + "v2"}
	if got := listed(t, d, tree.ListOptions{Implied: true}); !slices.Equal(got, want) {
		t.Errorf("implied: %q, want %q", got, want)
	}
	for _, o := range []tree.ListOptions{{}, {Implied: true, Present: true}} {
		if got := listed(t, d, o); !slices.Equal(got, []string{want[1], want[5]}) {
			t.Errorf("%+v: %q", o, got)
		}
	}
	// A link in the place of a file is told of, and a file where a folder should be is none.
	if err := os.Symlink("nowhere", filepath.Join(root, blob)); err != nil {
		t.Fatal(err)
	}
	plant(t, root, layout.TagsFolder("app")+"v3/current")
	var linked error
	var got []string
	for o, err := range d.List(t.Context(), tree.ListOptions{Implied: true, Present: true, OnError: func(path string, err error) bool {
		linked = err
		return path == blob
	}}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Name)
	}
	if !errors.Is(linked, tree.ErrNotRegular) || !slices.Equal(got, []string{want[1], want[5]}) {
		t.Errorf("present: %q, then %v", got, linked)
	}
}

func TestUnfinishedFilesAreNotListed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "a/.lighterage-x", "a/b", ".lighterage-", ".lighterage/x")
	d := openDirectory(t, root, tree.DirectoryOptions{})
	for _, o := range []tree.ListOptions{{}, {Implied: true}, {Implied: true, Present: true}} {
		if got := listed(t, d, o); !slices.Equal(got, []string{".lighterage/x", "a/b"}) {
			t.Errorf("listed %q", got)
		}
	}
	if _, err := d.Stat(t.Context(), "a/.lighterage-x"); !errors.Is(err, tree.ErrName) {
		t.Errorf("stat: %v", err)
	}
	if _, err := d.Put(t.Context(), "a/.lighterage-y", tree.BytesContent(nil)); !errors.Is(err, tree.ErrName) {
		t.Errorf("put: %v", err)
	}
}

// benchmarkTree makes a registry of 10,000 blobs, which two repositories have layers
// of, and 1,000 tags: 32,000 files.
func benchmarkTree(b *testing.B) (d *tree.Directory, files int) {
	root := b.TempDir()
	put := func(name string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			b.Fatal(err)
		}
		files++
	}
	for i := range 10_000 {
		hex := fmt.Sprintf("%02x%062x", i%256, i)
		put(layout.BlobPath("sha256", hex))
		put(layout.LayersFolder("library/first") + "sha256/" + hex + "/link")
		put(layout.LayersFolder("library/second") + "sha256/" + hex + "/link")
		if i < 1000 {
			put(layout.TagsFolder("library/first") + fmt.Sprintf("v%d/current/link", i))
			put(layout.TagsFolder("library/first") + fmt.Sprintf("v%d/index/sha256/%s/link", i, hex))
		}
	}
	return openDirectory(b, root, tree.DirectoryOptions{}), files
}

func BenchmarkList(b *testing.B) {
	d, files := benchmarkTree(b)
	for _, kind := range []struct {
		name    string
		options tree.ListOptions
	}{{"implied", tree.ListOptions{Implied: true}}, {"present", tree.ListOptions{Implied: true, Present: true}}, {"exact", tree.ListOptions{}}} {
		b.Run(kind.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n := len(listed(b, d, kind.options)); n != files {
					b.Fatalf("%d of %d files are listed", n, files)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*files), "ns/file")
		})
	}
}
