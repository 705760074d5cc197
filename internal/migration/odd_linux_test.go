package migration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// onOwnThread calls test on a thread that ends with it.
func onOwnThread(test func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread is no good for others
		test()
	}()
	<-done
}

// onDisk calls test with an empty file system of its own, of some bytes, which only
// the calling goroutine sees; what is opened there others can use too.
func onDisk(t *testing.T, size string, test func(path string)) {
	t.Helper()
	path := t.TempDir()
	unavailable := ""
	onOwnThread(func() {
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", path, "tmpfs", 0, "size="+size)
		}
		if err != nil {
			unavailable = err.Error()
			return
		}
		test(path)
	})
	if unavailable != "" {
		ts.Unavailable(t, "no file system can be mounted: %s", unavailable)
	}
}

func TestADiskThatFillsUpEndsACopyThatGoesOnLater(t *testing.T) {
	t.Parallel()
	src := newMemoryVolume(t)
	src.fill()
	for i := range 20 {
		d := src.blob(strings.Repeat(fmt.Sprint(i), 100_000))
		src.write(linkName(layout.LayerLink, "library/large", "", d), d.String())
	}
	onDisk(t, "1500k", func(path string) {
		dst := openFolder(t, path)
		_, err := tryCopy(t, src.tree(), dst, CopyOptions{})
		if !errors.Is(err, unix.ENOSPC) || !tree.IsFatal(err) {
			t.Errorf("got %v", err)
		}
		for o, err := range dst.List(t.Context(), tree.ListOptions{Prefix: layout.Root}) {
			content, reading := tree.ReadAll(t.Context(), dst, o.Name, 1<<30)
			if err := errors.Join(err, reading); err != nil {
				t.Error(err)
			}
			if src.read(o.Name) != string(content) {
				t.Errorf("%s is wrong in the copy", o.Name)
			}
		}
		j, err := ReadJournal(t.Context(), dst, dst)
		if err != nil {
			t.Error(err)
			return
		}
		for name := range src.files() {
			if _, err := dst.Stat(t.Context(), name); j.has(name) && err != nil {
				t.Errorf("the journal knows of %s: %v", name, err)
			}
		}
		if err := unix.Mount("", path, "", unix.MS_REMOUNT, "size=20m"); err != nil {
			t.Error(err)
			return
		}
		if r, err := tryCopy(t, src.tree(), dst, CopyOptions{}); err != nil || !r.Complete() {
			t.Errorf("with more room: %v, %+v", err, r)
		}
		src.is(t, dst)
	})
}

func openFolder(t testing.TB, path string) *tree.Directory {
	t.Helper()
	d, err := tree.OpenDirectory(path, tree.DirectoryOptions{})
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// What may not be read is told of, and keeps nothing else back.
func TestWhatMayNotBeReadIsToldOf(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		ts.Unavailable(t, "only root can run a copy as somebody else")
	}
	src, store := newMemoryVolume(t), newStore(t)
	src.fill()
	src.must(os.Chmod(src.root, 0o755))
	e := errand{From: src.root, To: store.Location("")}
	program := filepath.Join(memoryFolder(t), "copy")
	text, err := os.ReadFile(e.command(t).Path)
	src.must(err)
	src.must(os.WriteFile(program, text, 0o755))
	src.must(os.Chmod(filepath.Dir(program), 0o755))
	asNobody := func() outcome {
		cmd := e.command(t)
		cmd.Path = program
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return parseOutcome(t, out)
	}

	link := linkName(layout.RevisionLink, "library/app-b", "", digest.Digest(src.read(tagName("library/app-b", "v1"))))
	for _, name := range []string{aBlob, aTag, link} {
		src.must(os.Chmod(src.path(name), 0))
	}
	o := asNobody()
	for _, name := range []string{aBlob, aTag, link} {
		if !slices.ContainsFunc(append(o.Damaged, o.Failed...), func(line string) bool {
			return strings.Contains(line, name) && strings.Contains(line, "permission denied")
		}) {
			t.Errorf("nobody tells of %s: %q", name, o.Damaged)
		}
	}
	if o.Error != "" || o.Report.Complete() || o.Report.Repaired != 1 { // the link follows from its path
		t.Errorf("got %+v", o)
	}
	if _, there := store.Get(tagName("library/app/tools", "v1")); !there {
		t.Error("another repository was kept back")
	}

	// A folder that cannot be looked into ends the copy: nobody knows what is in it.
	src.must(os.Chmod(src.path(layout.Repositories+"library/app-b"), 0))
	for _, e.Final = range []bool{false, true} {
		if o := asNobody(); !strings.Contains(o.Error, "library/app-b: permission denied") || o.Report.Removed > 0 {
			t.Errorf("final %t: %+v", e.Final, o)
		}
	}
	e.Final = false
	src.must(os.Chmod(src.path(layout.Repositories+"library/app-b"), 0o755))
	for _, name := range []string{aBlob, aTag, link} {
		src.must(os.Chmod(src.path(name), 0o644))
	}
	if o := asNobody(); !o.Report.Complete() {
		t.Errorf("when all may be read: %+v", o)
	}
	none(t, differencesPast(t, src, store, ""))
}
