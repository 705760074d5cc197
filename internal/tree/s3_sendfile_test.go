//go:build unix

package tree_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// fileContent is a file of a directory as content, and where the file is.
func fileContent(t *testing.T, b []byte) (tree.Content, string) {
	t.Helper()
	folder := t.TempDir()
	directory, err := tree.OpenDirectory(folder, tree.DirectoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = directory.Close() })
	path := filepath.Join(folder, "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return tree.ObjectContent(directory, tree.Object{Name: "file", Size: int64(len(b))}, digest.FromBytes(b)), path
}

func TestAFileIsSentWhole(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]ts.Option{"by the kernel": nil, "with TLS": {ts.WithTLS()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t, options...)
			s := probed(t, store, trusting(t, store))
			for _, size := range []int{1, 4000, 65_536, 100_000, 1 << 20, 5<<20 + 1} {
				b := content(size)
				c, _ := fileContent(t, b)
				store.Faults.Add(ts.Fault{Class: "PUT object", Times: 1, Do: ts.ResetRequest(int64(size / 2))})
				if receipt, err := s.Put(t.Context(), "a/data", c); err != nil || receipt.Proof != tree.Accepted {
					t.Errorf("%d bytes: %+v, %v", size, receipt, err)
				}
				mustHold(t, store, "root/a/data", b)
			}
		})
	}
}

func TestAFileThatChangesWhileItIsSentIsNotStored(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store)
	b := content(30 << 20)
	for name, tc := range map[string]struct {
		change func(path string) error
		want   error
	}{
		"shorter": {func(path string) error { return os.Truncate(path, 25<<20) }, io.ErrUnexpectedEOF},
		"other": {func(path string) error {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteAt([]byte("other"), 29<<20)
			return errors.Join(err, file.Close())
		}, tree.ErrDigest},
	} {
		c, path := fileContent(t, b)
		hold := ts.NewHold()
		active := store.Faults.Add(ts.Fault{Class: "PUT object", Times: 1, Do: hold.Request(1 << 20)})
		ended := make(chan error, 1)
		go func() {
			_, err := s.Put(t.Context(), "a/data", c)
			ended <- err
		}()
		ts.Eventually(t, "the file is being sent", func() bool { return hold.Waiting() == 1 })
		if err := tc.change(path); err != nil {
			t.Error(err)
		}
		hold.Release()
		if err := <-ended; !errors.Is(err, tc.want) || tree.IsFatal(err) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if keys := store.Keys(""); len(keys) != 0 {
			t.Errorf("%s: left behind: %q", name, keys)
		}
		active.Remove()
	}
}

func TestSendingAFileEndsWithItsContext(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store)
	c, _ := fileContent(t, content(30<<20))
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	store.Faults.Add(ts.Fault{Class: "PUT object", Do: hold.Request(1 << 20)})
	cause := errors.New("the test has seen enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Put(ctx, "a/data", c)
		ended <- err
	}()
	ts.Eventually(t, "the file is being sent", func() bool { return hold.Waiting() == 1 })
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}
