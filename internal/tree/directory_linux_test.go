package tree_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// onOwnThread calls test on a thread that ends with it, for what changes the thread.
func onOwnThread(test func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread is no good for others
		test()
	}()
	<-done
}

// asNobody calls test with the permissions of an ordinary user, which no file here
// belongs to. Only the calling goroutine has them.
func asNobody(t *testing.T, test func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		testserver.Unavailable(t, "only root can become nobody")
	}
	onOwnThread(func() {
		// The user last: it takes the right to change the group along.
		if err := errors.Join(unix.Setfsgid(65534), unix.Setfsuid(65534)); err != nil {
			t.Error(err)
			return
		}
		test()
	})
}

// onDisk calls test with an empty file system of its own, within limits, which only
// the calling goroutine sees; what is opened there others can use too.
func onDisk(t *testing.T, limits string, test func(path string)) {
	t.Helper()
	path := t.TempDir()
	unavailable := ""
	onOwnThread(func() {
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", path, "tmpfs", 0, limits)
		}
		if err != nil {
			unavailable = err.Error()
			return
		}
		test(path)
	})
	if unavailable != "" {
		testserver.Unavailable(t, "no file system can be mounted: %s", unavailable)
	}
}

func chmod(t *testing.T, root, name string, mode fs.FileMode) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, 0o755) }) // so that it can be removed
}

func TestUnreadableFoldersAreReported(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "a/file", "b/locked/file", "b/open/file", "c/searched/file", "d/unsearched/file")
	chmod(t, root, "b/locked", 0)
	chmod(t, root, "c/searched", 0o711)
	chmod(t, root, "d/unsearched", 0o744)
	bothWays(t, root, func(t *testing.T, d *tree.Directory) {
		asNobody(t, func() {
			var names []string
			reported := map[string]error{}
			for o, err := range d.List(t.Context(), tree.ListOptions{OnError: func(path string, err error) bool {
				reported[path] = err
				return true
			}}) {
				if err != nil {
					t.Error(err)
				}
				names = append(names, o.Name)
			}
			if !slices.Equal(names, []string{"a/file", "b/open/file"}) {
				t.Errorf("listed %q", names)
			}
			for _, path := range []string{"b/locked/", "c/searched/", "d/unsearched/file"} {
				if err := reported[path]; !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), filepath.Join(root, path)) {
					t.Errorf("%s is reported with %v", path, err)
				}
			}
			if len(reported) != 3 {
				t.Errorf("reported %v", reported)
			}

			// Nobody asked: it is an error, after what came before.
			names = nil
			var end error
			for o, err := range d.List(t.Context(), tree.ListOptions{}) {
				if end = err; err == nil {
					names = append(names, o.Name)
				}
			}
			if !errors.Is(end, fs.ErrPermission) || !strings.Contains(end.Error(), filepath.Join(root, "b/locked")) || !slices.Equal(names, []string{"a/file"}) {
				t.Errorf("listed %q, then %v", names, end)
			}
			for name, err := range d.Folders(t.Context(), "b/locked/") {
				if !errors.Is(err, fs.ErrPermission) {
					t.Errorf("folder %s, %v", name, err)
				}
			}

			// To find a file it is enough that its folder can be searched.
			if o, err := d.Stat(t.Context(), "c/searched/file"); err != nil || o.Size == 0 {
				t.Errorf("stat: %+v, %v", o, err)
			}
			if content, err := tree.ReadAll(t.Context(), d, "c/searched/file", 100); err != nil || string(content) != "c/searched/file" {
				t.Errorf("read: %q, %v", content, err)
			}
			if _, err := d.Stat(t.Context(), "b/locked/file"); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("stat: %v", err)
			}
		})
	})
}

func TestListingReadsNoMoreFoldersThanItNeeds(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	hex := strings.Repeat("ab", 32)
	blob, layer, tag := layout.BlobPath("sha256", hex), layout.LayersFolder("app")+"sha256/"+hex+"/link", layout.TagsFolder("app")+"v1/current/link"
	history := layout.TagsFolder("app") + "v1/index/sha256/" + hex + "/link"
	upload := layout.Repositories + "app/_uploads/1/data"
	all := []string{blob, layer, tag, history}
	plant(t, root, append(all, "a/1", "b/2", "c/3", upload)...)
	for _, name := range all {
		chmod(t, root, filepath.Dir(name), 0)
	}
	chmod(t, root, filepath.Dir(filepath.Dir(upload)), 0)
	chmod(t, root, "a", 0)
	chmod(t, root, "c", 0)
	d := openDirectory(t, root, tree.DirectoryOptions{})
	asNobody(t, func() {
		// The folders that imply a file are not opened, nor are those of uploads.
		if got := listed(t, d, tree.ListOptions{Prefix: layout.Root, Implied: true}); !slices.Equal(got, all) {
			t.Errorf("implied: %q", got)
		}
		// Nor those that are out of bounds.
		if got := listed(t, d, tree.ListOptions{After: "a0", Until: "c"}); !slices.Equal(got, []string{"b/2"}) {
			t.Errorf("between a and c: %q", got)
		}
	})
}

func TestNotBeingAllowedToWriteIsFatal(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root, "a/file")
	d := openDirectory(t, root, tree.DirectoryOptions{Owner: &tree.Owner{UID: 65534, GID: 65534}})
	asNobody(t, func() {
		for _, name := range []string{"new", "a/file", "b/new"} {
			if _, err := d.Put(t.Context(), name, tree.BytesContent(nil)); !tree.IsFatal(err) || !errors.Is(err, fs.ErrPermission) {
				t.Errorf("put %s: %v", name, err)
			}
		}
		if err := d.Remove(t.Context(), []string{"a/file"}); !tree.IsFatal(err) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("remove: %v", err)
		}
	})
	// Nor is it possible to give files to somebody else.
	open := t.TempDir()
	chmod(t, open, "", 0o777)
	d = openDirectory(t, open, tree.DirectoryOptions{Owner: &tree.Owner{UID: 10000, GID: 10000}})
	asNobody(t, func() {
		for _, name := range []string{"new", "b/new"} {
			if _, err := d.Put(t.Context(), name, tree.BytesContent(nil)); !tree.IsFatal(err) || !errors.Is(err, fs.ErrPermission) {
				t.Errorf("put %s: %v", name, err)
			}
		}
	})
	if got := everything(t, open); len(got) != 0 {
		t.Errorf("there is %q", got)
	}
}

func TestAFullDiskIsFatalAndLeavesNothing(t *testing.T) {
	t.Parallel()
	onDisk(t, "size=1m", func(path string) {
		d, err := tree.OpenDirectory(path, tree.DirectoryOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = d.Close() }()
		small, large := tree.BytesContent([]byte("small")), tree.BytesContent(make([]byte, 2<<20))
		if _, err := d.Put(t.Context(), "small", small); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"small", "a/b/large"} {
			if _, err := d.Put(t.Context(), name, large); !tree.IsFatal(err) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), name) {
				t.Errorf("put more than there is room for: %v", err)
			}
		}
		if content, err := tree.ReadAll(t.Context(), d, "small", 100); string(content) != "small" {
			t.Errorf("read: %q, %v", content, err)
		}
		if entries, err := os.ReadDir(path); err != nil || len(entries) != 1 {
			t.Errorf("there is %v, %v", entries, err)
		}
		// The room is free again.
		if _, err := d.Put(t.Context(), "a/b/half", tree.BytesContent(make([]byte, 1<<19))); err != nil {
			t.Error(err)
		}
	})
}

func TestADiskThatIsFullOfFilesIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	for inodes := 2; inodes < 6; inodes++ { // the root, and some of the folders
		onDisk(t, fmt.Sprintf("size=1m,nr_inodes=%d", inodes), func(path string) {
			d, err := tree.OpenDirectory(path, tree.DirectoryOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = d.Close() }()
			if _, err := d.Put(t.Context(), "a/b/c/d/file", tree.BytesContent(nil)); !tree.IsFatal(err) || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("put: %v", err)
			}
			if entries, err := os.ReadDir(path); err != nil || len(entries) != 0 {
				t.Errorf("there is %v, %v", entries, err)
			}
		})
	}
}

func TestAReadOnlyFileSystemIsReadAndNotWritten(t *testing.T) {
	t.Parallel()
	onDisk(t, "size=1m", func(path string) {
		if err := os.WriteFile(filepath.Join(path, "file"), []byte("x"), 0o644); err != nil {
			t.Error(err)
		}
		if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Error(err)
			return
		}
		d, err := tree.OpenDirectory(path, tree.DirectoryOptions{Create: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = d.Close() }()
		if got := listed(t, d, tree.ListOptions{}); !slices.Equal(got, []string{"file"}) {
			t.Errorf("listed %q", got)
		}
		if content, err := tree.ReadAll(t.Context(), d, "file", 100); string(content) != "x" {
			t.Errorf("read: %q, %v", content, err)
		}
		for _, name := range []string{"file", "new", "a/new"} {
			if _, err := d.Put(t.Context(), name, tree.BytesContent(nil)); !tree.IsFatal(err) || !errors.Is(err, syscall.EROFS) {
				t.Errorf("put %s: %v", name, err)
			}
		}
		if err := d.Remove(t.Context(), []string{"file"}); !tree.IsFatal(err) || !errors.Is(err, syscall.EROFS) {
			t.Errorf("remove: %v", err)
		}
	})
}

// A file system that is mounted below the root is part of the tree, and its folder
// stays when it is empty.
func TestAnotherFileSystemBelowTheRootIsPartOfTheTree(t *testing.T) {
	t.Parallel()
	onDisk(t, "size=1m", func(path string) {
		inner := filepath.Join(path, "a", "inner")
		if err := errors.Join(os.MkdirAll(inner, 0o755), unix.Mount("tmpfs", inner, "tmpfs", 0, "size=1m")); err != nil {
			t.Error(err)
			return
		}
		d, err := tree.OpenDirectory(path, tree.DirectoryOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = d.Close() }()
		if _, err := d.Put(t.Context(), "a/inner/b/file", tree.BytesContent([]byte("x"))); err != nil {
			t.Error(err)
		}
		if got := listed(t, d, tree.ListOptions{}); !slices.Equal(got, []string{"a/inner/b/file"}) {
			t.Errorf("listed %q", got)
		}
		if err := d.Remove(t.Context(), []string{"a/inner/b/file"}); err != nil {
			t.Error(err)
		}
		if entries, err := os.ReadDir(inner); err != nil || len(entries) != 0 {
			t.Errorf("there is %v, %v", entries, err)
		}
	})
}
