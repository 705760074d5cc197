//go:build unix

package tree_test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// putsUntilKilledVariable tells the test binary to put objects into a folder.
const putsUntilKilledVariable = "LIGHTERAGE_TEST_PUTS_UNTIL_KILLED"

// The objects of a crash test: blobs, whose content follows from their number, and a
// tag that stands for each in turn.
func crashBlob(i int) (name string, content []byte) {
	var key [32]byte
	copy(key[:], fmt.Sprint(i))
	content = make([]byte, i*7919%100_000)
	_, _ = rand.NewChaCha8(key).Read(content) // never fails
	return layout.BlobPath("sha256", digest.FromBytes(content).Encoded()), content
}

const crashTag = layout.Repositories + "app/_manifests/tags/latest/current/link"

// putUntilKilled puts blobs and tags, several at a time, and prints the number of a
// blob when both are stored.
func putUntilKilled(root string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	d, err := tree.OpenDirectory(root, tree.DirectoryOptions{Create: true})
	for worker := range 4 {
		all.Go(func() {
			for i := worker; err == nil; i += 4 {
				name, content := crashBlob(i)
				_, err := d.Put(context.Background(), name, tree.BytesContent(content))
				if err == nil {
					_, err = d.Put(context.Background(), crashTag, tree.BytesContent([]byte(digest.FromBytes(content))))
				}
				mu.Lock()
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				fmt.Println(i)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	fmt.Println(err)
}

func TestAKilledProcessLeavesOnlyWholeObjects(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "registry")
	stored := map[int]bool{}
	leftOver := 0
	for range 10 {
		killWhilePutting(t, root, stored)
		leftOver += checkAfterCrash(t, root, stored)
	}
	t.Logf("%d objects were stored; %d unfinished files were left over", len(stored), leftOver)

	// What was left over goes when the objects are put again: those that were stored,
	// and of each worker the one it had begun.
	d := openDirectory(t, root, tree.DirectoryOptions{})
	for i := range slices.Max(slices.Collect(maps.Keys(stored))) + 5 {
		name, content := crashBlob(i)
		if _, err := d.Put(t.Context(), name, tree.BytesContent(content)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Put(t.Context(), crashTag, tree.BytesContent(nil)); err != nil {
		t.Fatal(err)
	}
	if left := checkAfterCrash(t, root, nil); left > 0 {
		t.Errorf("%d unfinished files are left over", left)
	}
}

// killWhilePutting runs a process that puts objects, kills it at some moment, and
// adds what it said that it had stored.
func killWhilePutting(t *testing.T, root string, stored map[int]bool) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), putsUntilKilledVariable+"="+root)
	cmd.Stderr = t.Output()
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error is that it was killed
	}()
	lines := bufio.NewScanner(output)
	for n := 1 + rand.IntN(30); lines.Scan(); n-- {
		var i int
		if _, err := fmt.Sscan(lines.Text(), &i); err != nil {
			t.Fatalf("the process says: %s", lines.Text())
		}
		stored[i] = true
		if n == 0 {
			_ = cmd.Process.Kill() // and read what it has said meanwhile
		}
	}
}

// checkAfterCrash fails the test if there is an object that is not whole, or not one
// of those that were stored. It returns how many unfinished files there are.
func checkAfterCrash(t *testing.T, root string, stored map[int]bool) (unfinished int) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasPrefix(d.Name(), ".lighterage-") {
			unfinished++
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch f := layout.Parse(name); {
		case f.Kind == layout.Blob && f.Digest() == digest.FromBytes(content):
		case f.Kind == layout.TagLink && (len(content) == 0 && stored == nil || digest.Digest(content).Validate() == nil):
		default:
			t.Errorf("%s holds %d bytes that are not its own", name, len(content))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range stored {
		name, _ := crashBlob(i)
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("it was said that %d was stored: %v", i, err)
		}
	}
	return unfinished
}
