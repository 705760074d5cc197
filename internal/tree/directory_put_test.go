//go:build unix

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// everything returns all files and folders below root, folders with a slash.
func everything(t *testing.T, root string) []string {
	t.Helper()
	all := []string{}
	for path := range snapshot(t, root) {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(root, path)
		if info.IsDir() {
			name += "/"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all[1:] // without the root
}

func TestAFailedPutLeavesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "old/file")
	d := openDirectory(t, root, tree.DirectoryOptions{})
	broken := errors.New("the source is broken")
	contents := map[string]tree.Content{
		"another digest": {Size: 3, Digest: digest.FromString("xyz"), Open: tree.BytesContent([]byte("abc")).Open},
		"no bytes": {Size: 3, Digest: digest.FromString("xyz"), Open: func(context.Context, int64, int64) (io.ReadCloser, error) {
			return nil, broken
		}},
		"too many bytes": {Size: 2, Digest: digest.FromString("abc"), Open: func(context.Context, int64, int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("abc")), nil
		}},
	}
	for what, content := range contents {
		for _, name := range []string{"old/file", "old/new", "old/a/b/c/new", "new/a/b/new", "new"} {
			if _, err := d.Put(t.Context(), name, content); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: %v", what, name, err)
			}
		}
	}
	if got := everything(t, root); !slices.Equal(got, []string{"old/", "old/file"}) {
		t.Errorf("there is %q", got)
	}
}

func TestAFileIsNoFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "file", "folder/file")
	d := openDirectory(t, root, tree.DirectoryOptions{})
	for _, name := range []string{"file/x", "file/x/y", "folder", "folder/file/x"} {
		if _, err := d.Put(t.Context(), name, tree.BytesContent(nil)); err == nil || tree.IsFatal(err) {
			t.Errorf("put %s: %v", name, err)
		}
	}
	if got := everything(t, root); !slices.Equal(got, []string{"file", "folder/", "folder/file"}) {
		t.Errorf("there is %q", got)
	}
}

func TestAFolderThatIsThereIsKeptWhenAPutFails(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := openDirectory(t, root, tree.DirectoryOptions{})
	content := tree.BytesContent([]byte("abc"))
	content.Digest = digest.FromString("xyz")
	if _, err := d.Put(t.Context(), "empty/a/b", content); !errors.Is(err, tree.ErrDigest) {
		t.Errorf("put: %v", err)
	}
	if got := everything(t, root); !slices.Equal(got, []string{"empty/"}) {
		t.Errorf("there is %q", got)
	}
}

// The umask is of the whole process, so what is asked for here differs from what any
// would leave of the usual modes.
func TestFilesAndFoldersHaveTheirModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		options      tree.DirectoryOptions
		file, folder fs.FileMode
	}{
		{tree.DirectoryOptions{}, 0o644, 0o755},
		{tree.DirectoryOptions{FileMode: 0o606, FolderMode: 0o707}, 0o606, 0o707},
		{tree.DirectoryOptions{FileMode: 0o666, FolderMode: 0o777 | fs.ModeSetgid}, 0o666, 0o777 | fs.ModeSetgid},
	}
	for _, tt := range tests {
		root := t.TempDir()
		d := openDirectory(t, root, tt.options)
		for range 2 { // new, and in place of the old
			if _, err := d.Put(t.Context(), "a/b/file", tree.BytesContent([]byte("x"))); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]fs.FileMode{"a": tt.folder | fs.ModeDir, "a/b": tt.folder | fs.ModeDir, "a/b/file": tt.file} {
				if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Mode() != want {
					t.Errorf("%s: %v, %v; want %s", name, info.Mode(), err, want)
				}
			}
		}
	}
}

func TestFilesAndFoldersHaveTheirOwner(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	want := tree.Owner{UID: os.Getuid(), GID: os.Getgid()}
	options := []tree.DirectoryOptions{{}, {Owner: &want}}
	if os.Geteuid() == 0 {
		if err := os.Chown(root, 10000, 10001); err != nil {
			t.Fatal(err)
		}
		options = []tree.DirectoryOptions{{}, {Owner: &tree.Owner{UID: 10000, GID: 10001}}}
		want = *options[1].Owner
	}
	for i, o := range options {
		d := openDirectory(t, root, o)
		folder := fmt.Sprint(i)
		if _, err := d.Put(t.Context(), folder+"/a/file", tree.BytesContent(nil)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{folder, folder + "/a", folder + "/a/file"} {
			info, err := os.Stat(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Sys().(*syscall.Stat_t); int(got.Uid) != want.UID || int(got.Gid) != want.GID {
				t.Errorf("%s is of %d:%d, want %+v", name, got.Uid, got.Gid, want)
			}
		}
	}
	if os.Geteuid() == 0 { // a folder that is made, too
		made := filepath.Join(root, "made")
		openDirectory(t, made, tree.DirectoryOptions{Create: true, Owner: &want})
		info, err := os.Stat(made)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t); int(got.Uid) != want.UID || int(got.Gid) != want.GID {
			t.Errorf("the root is of %d:%d, want %+v", got.Uid, got.Gid, want)
		}
	}
}

// A process that is killed may leave a folder that it had just made, which the
// registry could not look into.
func TestAFolderThatWasLeftUnfinishedIsFinished(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"left/file", "left/a/file"} {
		root := t.TempDir()
		left, sticky := filepath.Join(root, "left"), filepath.Join(root, "sticky")
		if err := errors.Join(os.Mkdir(left, 0o700), os.Chmod(left, 0o700|fs.ModeSticky), os.Mkdir(sticky, 0o700), os.Chmod(sticky, 0o755|fs.ModeSticky)); err != nil {
			t.Fatal(err)
		}
		d := openDirectory(t, root, tree.DirectoryOptions{FolderMode: 0o750})
		for _, name := range []string{name, "sticky/file"} {
			if _, err := d.Put(t.Context(), name, tree.BytesContent(nil)); err != nil {
				t.Fatal(err)
			}
		}
		for path, want := range map[string]fs.FileMode{left: fs.ModeDir | 0o750, sticky: fs.ModeDir | fs.ModeSticky | 0o755} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v; want %s", path, info.Mode(), err, want)
			}
		}
	}
}

func TestLeftOversGoWithTheNextPut(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "a/.lighterage-dead", "a/.lighterage-alive", "a/file", "b/.lighterage-dead", "c/.lighterage-dead", "c/file")
	alive, err := os.Open(filepath.Join(root, "a/.lighterage-alive"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = alive.Close() }()
	if err := syscall.Flock(int(alive.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(root, "a/.lighterage-link")); err != nil {
		t.Fatal(err)
	}
	d := openDirectory(t, root, tree.DirectoryOptions{})
	if _, err := d.Put(t.Context(), "a/new", tree.BytesContent(nil)); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(t.Context(), []string{"b/file", "c/file"}); err != nil {
		t.Fatal(err)
	}
	if got := everything(t, root); !slices.Equal(got, []string{"a/", "a/.lighterage-alive", "a/.lighterage-link", "a/file", "a/new"}) {
		t.Errorf("there is %q", got)
	}
}

// Others of this process put into the same folder, and a second opening of the tree
// stands for another process.
func TestUnfinishedFilesOfOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "a/file")
	var all sync.WaitGroup
	for range 4 {
		d := openDirectory(t, root, tree.DirectoryOptions{})
		for range 4 {
			all.Go(func() {
				for i := range 10 {
					name := fmt.Sprintf("a/%d", i)
					content := tree.BytesContent([]byte(strings.Repeat(name, 20_000)))
					if _, err := d.Put(t.Context(), name, content); err != nil {
						t.Error(err)
					}
					if err := d.Remove(t.Context(), []string{"a/no", "b/no"}); err != nil { // looks for left-overs too
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	if got := everything(t, root); len(got) != 12 {
		t.Errorf("there is %q", got)
	}
}

func TestEmptyFoldersOfABrokenRemoveGo(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	name := layout.BlobPath("sha256", strings.Repeat("ab", 32))
	plant(t, root, "docker/other")
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	d := openDirectory(t, root, tree.DirectoryOptions{})
	if err := d.Remove(t.Context(), []string{name}); err != nil {
		t.Fatal(err)
	}
	if got := everything(t, root); !slices.Equal(got, []string{"docker/", "docker/other"}) {
		t.Errorf("there is %q", got)
	}
}

// Between the moment that a Put has its folder and the one that its file is in it,
// others find the folder empty.
func TestAFolderThatOthersRemoveIsMadeAgain(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDirectory(t, root, tree.DirectoryOptions{})
	done := make(chan struct{})
	var removers, putters sync.WaitGroup
	for range 2 {
		removers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := d.Remove(t.Context(), []string{"a/b/missing"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for w := range 4 {
		putters.Go(func() {
			for range 100 {
				name := fmt.Sprintf("a/b/%d", w)
				if _, err := d.Put(t.Context(), name, tree.BytesContent([]byte("x"))); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(filepath.Join(root, name)); err != nil {
					t.Error(err)
				}
				if err := d.Remove(t.Context(), []string{name}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	putters.Wait()
	close(done)
	removers.Wait()
	if got := everything(t, root); len(got) != 0 {
		t.Errorf("there is %q", got)
	}
}
