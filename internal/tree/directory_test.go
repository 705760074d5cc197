//go:build unix

package tree_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
	"github.com/lighterage/lighterage/internal/tree/treetest"
)

// openDirectory opens a directory for a test.
func openDirectory(t testing.TB, path string, o tree.DirectoryOptions) *tree.Directory {
	t.Helper()
	d, err := tree.OpenDirectory(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// bothWays opens a directory twice: as the system can best, and as every system can.
func bothWays(t *testing.T, path string, test func(t *testing.T, d *tree.Directory)) {
	t.Run("best", func(t *testing.T) { test(t, openDirectory(t, path, tree.DirectoryOptions{})) })
	t.Run("stepwise", func(t *testing.T) {
		d := openDirectory(t, path, tree.DirectoryOptions{})
		d.Stepwise()
		test(t, d)
	})
}

func TestDirectoryKeepsThePromises(t *testing.T) {
	t.Parallel()
	treetest.Run(t, func(t *testing.T) tree.Tree { return openDirectory(t, t.TempDir(), tree.DirectoryOptions{}) })
}

func TestDirectoryKeepsThePromisesStepwise(t *testing.T) {
	t.Parallel()
	treetest.Run(t, func(t *testing.T) tree.Tree {
		d := openDirectory(t, t.TempDir(), tree.DirectoryOptions{})
		d.Stepwise()
		return d
	})
}

func TestADirectoryMustBeThere(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, "file")
	write(t, file, "x")
	if d, err := tree.OpenDirectory(filepath.Join(root, "missing"), tree.DirectoryOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v, %v", d, err)
	}
	for _, o := range []tree.DirectoryOptions{{}, {Create: true}} {
		if d, err := tree.OpenDirectory(file, o); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), file) {
			t.Errorf("a file: %v, %v", d, err)
		}
	}

	made := filepath.Join(root, "new", "registry")
	for range 2 { // and once it is there
		d := openDirectory(t, made, tree.DirectoryOptions{Create: true, FolderMode: 0o750})
		if info, err := os.Stat(made); err != nil || info.Mode() != fs.ModeDir|0o750 || d.String() != made {
			t.Errorf("%s was made: %v, %v", d, info, err)
		}
	}
}

func TestAClosedDirectoryIsNotUsed(t *testing.T) {
	t.Parallel()
	d, err := tree.OpenDirectory(t.TempDir(), tree.DirectoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Stat(t.Context(), "a"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("stat: %v", err)
	}
	if _, err := d.Put(t.Context(), "a", tree.BytesContent(nil)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("put: %v", err)
	}
}

func TestReadingADirectoryChangesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "a/b", "c", layout.TagsFolder("app")+"v1/current/link", "old/.lighterage-left-over")
	before := snapshot(t, root)
	bothWays(t, root, func(t *testing.T, d *tree.Directory) {
		for _, o := range []tree.ListOptions{{}, {Implied: true, Uploads: true}} {
			for _, err := range d.List(t.Context(), o) {
				if err != nil {
					t.Error(err)
				}
			}
		}
		for _, err := range d.Folders(t.Context(), "a/") {
			t.Errorf("a folder in a: %v", err)
		}
		if content, err := tree.ReadAll(t.Context(), d, "a/b", 100); err != nil || string(content) != "a/b" {
			t.Errorf("read: %q, %v", content, err)
		}
		if o, err := d.Stat(t.Context(), "c"); err != nil || o.Size != 1 {
			t.Errorf("stat: %+v, %v", o, err)
		}
		if _, err := d.Stat(t.Context(), "missing/file"); !tree.IsNotExist(err) {
			t.Errorf("stat: %v", err)
		}
	})
	if after := snapshot(t, root); !maps.Equal(before, after) {
		t.Errorf("before: %v\nafter: %v", before, after)
	}
}

func TestAFileThatShrinksWhileItIsReadIsNotWhole(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, "data")
	write(t, file, strings.Repeat("x", 300_000))
	d := openDirectory(t, root, tree.DirectoryOptions{})

	for _, tt := range []struct {
		name         string
		offset, size int64
		become       int
		want         int64
		err          error
	}{
		{"to the end", 0, -1, 200_000, 200_000, io.ErrUnexpectedEOF},
		{"a range", 100_000, 150_000, 200_000, 100_000, io.ErrUnexpectedEOF},
		{"a range that is still there", 100_000, 50_000, 200_000, 50_000, nil},
		{"from behind the end", 100_000, -1, 50_000, 0, io.ErrUnexpectedEOF},
		{"more than there was", 0, -1, 400_000, 300_000, nil},
	} {
		write(t, file, strings.Repeat("x", 300_000))
		body, err := d.Read(t.Context(), "data", tt.offset, tt.size)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, int64(tt.become)); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		if n != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d bytes, %v; want %d, %v", tt.name, n, err, tt.want, tt.err)
		}
		_ = body.Close()
	}
}

func TestADirectoryKnowsOnlySizes(t *testing.T) {
	t.Parallel()
	d := openDirectory(t, t.TempDir(), tree.DirectoryOptions{})
	o := tree.Object{Name: "a", Size: 3}
	if proof, err := d.Prove(t.Context(), o, digest.FromString("abcd"), []byte("abcd")); proof != tree.Unproven || !errors.Is(err, tree.ErrDigest) {
		t.Errorf("another size: %s, %v", proof, err)
	}
	o.Size = -1
	if proof, err := d.Prove(t.Context(), o, digest.FromString("abcd"), []byte("abcd")); proof != tree.Unproven || err != nil {
		t.Errorf("a size that was not looked at: %s, %v", proof, err)
	}
}

// The ETag is what tells one version of a file from the next.
func TestTheETagOfAFileChangesWithIt(t *testing.T) {
	t.Parallel()
	d := openDirectory(t, t.TempDir(), tree.DirectoryOptions{})
	seen := map[string]bool{}
	for _, content := range []string{"one", "two", "two", "three"} {
		receipt, err := d.Put(t.Context(), "tag", tree.BytesContent([]byte(content)))
		if err != nil {
			t.Fatal(err)
		}
		o, err := d.Stat(t.Context(), "tag")
		if err != nil || o.ETag != receipt.ETag || receipt.ETag == "" || receipt.Proof != tree.Hashed {
			t.Errorf("stat: %+v, %v; put: %+v", o, err, receipt)
		}
		seen[o.ETag] = true
	}
	if len(seen) != 4 {
		t.Errorf("four writes have the ETags %v", slices.Collect(maps.Keys(seen)))
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// plant writes files that hold their names.
func plant(t testing.TB, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		write(t, filepath.Join(root, name), name)
	}
}

// snapshot tells all that can be seen of a folder's files and folders, but when
// they were read.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all[path] = info.Mode().String() + " " + info.ModTime().String()
		if !d.IsDir() {
			content, err := os.ReadFile(path)
			all[path] += " " + string(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
