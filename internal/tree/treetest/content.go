package treetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/tree"
)

// contents is about what Put makes of its content.
var contents = []promise{
	{"ContentOfAnotherDigestIsNotStored", contentWrong},
	{"ContentThatIsTooShortIsNotStored", contentShort},
	{"ContentThatIsTooLongIsNotStored", contentLong},
	{"ContentThatCannotBeReadIsNotStored", contentUnreadable},
	{"ContentIsHashedWithItsOwnAlgorithm", contentAlgorithms},
	{"ADigestThatIsNoneIsRefused", contentNoDigest},
	{"AContentCanBePutTwice", contentTwice},
	{"APutThatIsCancelledStoresNothing", contentCancelled},
}

// nothingStored calls test for sizes from an empty object to a large one, once for a
// name that is free and once for one that is taken, and fails the test if the name
// does not stay as it was.
func nothingStored(t *testing.T, tr tree.Tree, sizes []int, test func(name string, size int)) {
	t.Helper()
	old := []byte("old")
	for _, size := range sizes {
		test("new/object", size)
		lacks(t, tr, "new/object")
		put(t, tr, "old/object", old)
		test("old/object", size)
		holds(t, tr, "old/object", old)
		same(t, "list", list(t, tr, tree.ListOptions{}), []string{"old/object"})
	}
}

func contentWrong(t *testing.T, tr tree.Tree) {
	nothingStored(t, tr, []int{0, 1, 71, 100_000, 9 << 20}, func(name string, size int) {
		c := tree.BytesContent(text("right", size))
		c.Digest = digest.FromString("wrong")
		watch := watched(&c)
		if _, err := tr.Put(t.Context(), name, c); !errors.Is(err, tree.ErrDigest) || tree.IsFatal(err) {
			t.Errorf("put %d bytes of another digest under %s: %v; want %v", size, name, err, tree.ErrDigest)
		}
		watch.allClosed(t)
	})
}

func contentShort(t *testing.T, tr tree.Tree) {
	nothingStored(t, tr, []int{0, 71, 9 << 20}, func(name string, size int) {
		content := text("short", size)
		c := tree.BytesContent(content)
		c.Size += 10
		c.Open = func(_ context.Context, offset, size int64) (io.ReadCloser, error) {
			from := min(offset, int64(len(content)))
			return io.NopCloser(bytes.NewReader(content[from:min(offset+size, int64(len(content)))])), nil
		}
		watch := watched(&c)
		if _, err := tr.Put(t.Context(), name, c); err == nil || tree.IsFatal(err) {
			t.Errorf("put %d bytes that should be 10 more: %v", size, err)
		}
		watch.allClosed(t)
	})
}

// contentLong is a file that has grown: its digest is that of all of it, and only as
// many bytes as it had are read.
func contentLong(t *testing.T, tr tree.Tree) {
	nothingStored(t, tr, []int{1, 71, 9 << 20}, func(name string, size int) {
		c := tree.BytesContent(text("long", size))
		c.Size--
		if _, err := tr.Put(t.Context(), name, c); !errors.Is(err, tree.ErrDigest) || tree.IsFatal(err) {
			t.Errorf("put one byte less than %d: %v; want %v", size, err, tree.ErrDigest)
		}
	})
}

func contentUnreadable(t *testing.T, tr tree.Tree) {
	broken := errors.New("the source is broken")
	nothingStored(t, tr, []int{71, 9 << 20}, func(name string, size int) {
		content := text("broken", size)
		c := tree.BytesContent(content)
		c.Open = func(context.Context, int64, int64) (io.ReadCloser, error) { return nil, broken }
		if _, err := tr.Put(t.Context(), name, c); !errors.Is(err, broken) || tree.IsFatal(err) {
			t.Errorf("put what cannot be opened: %v; want %v", err, broken)
		}
		c.Open = func(_ context.Context, offset, size int64) (io.ReadCloser, error) {
			half := bytes.NewReader(content[offset : offset+size/2])
			return io.NopCloser(io.MultiReader(half, failing{broken})), nil
		}
		watch := watched(&c)
		if _, err := tr.Put(t.Context(), name, c); err == nil || errors.Is(err, tree.ErrDigest) || tree.IsFatal(err) {
			t.Errorf("put what breaks off: %v; want an error about that", err)
		}
		watch.allClosed(t)
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func contentAlgorithms(t *testing.T, tr tree.Tree) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		content := text(algorithm.String(), 5000)
		c := tree.BytesContent(content)
		c.Digest = algorithm.FromBytes(content)
		name := algorithm.String() + "/data"
		if receipt, err := tr.Put(t.Context(), name, c); err != nil || receipt.Proof < tree.Hashed {
			t.Errorf("put: %+v, %v", receipt, err)
		}
		holds(t, tr, name, content)

		c.Digest = algorithm.FromString("something else")
		if _, err := tr.Put(t.Context(), name+"2", c); !errors.Is(err, tree.ErrDigest) {
			t.Errorf("put under another %s: %v; want %v", algorithm, err, tree.ErrDigest)
		}
		lacks(t, tr, name+"2")
	}
}

func contentNoDigest(t *testing.T, tr tree.Tree) {
	for _, d := range []digest.Digest{"", "sha256:", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "none"} {
		c := tree.BytesContent([]byte("x"))
		c.Digest = d
		if _, err := tr.Put(t.Context(), "a", c); err == nil || tree.IsFatal(err) {
			t.Errorf("put with digest %q: %v; want an error about that", d, err)
		}
	}
	c := tree.BytesContent(nil)
	c.Size = -1
	if _, err := tr.Put(t.Context(), "a", c); err == nil || tree.IsFatal(err) {
		t.Errorf("put of size -1: %v; want an error about that", err)
	}
	lacks(t, tr, "a")
}

func contentTwice(t *testing.T, tr tree.Tree) {
	for _, size := range []int{0, 71, 9 << 20} {
		content := text("twice", size)
		c := tree.BytesContent(content)
		watch := watched(&c)
		for _, name := range []string{"a", "b", "a"} {
			if _, err := tr.Put(t.Context(), name, c); err != nil {
				t.Fatal(err)
			}
			holds(t, tr, name, content)
		}
		watch.allClosed(t)
	}
}

func contentCancelled(t *testing.T, tr tree.Tree) {
	ended, cause := cancelled(t)
	nothingStored(t, tr, []int{0, 71, 9 << 20}, func(name string, size int) {
		c := tree.BytesContent(text("cancelled", size))
		if _, err := tr.Put(ended, name, c); !errors.Is(err, cause) {
			t.Errorf("put with a context that had ended: %v; want %v", err, cause)
		}
		if size == 0 {
			return
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		open := c.Open
		c.Open = func(ctx context.Context, offset, size int64) (io.ReadCloser, error) {
			body, err := open(ctx, offset, size)
			if err != nil {
				return nil, err
			}
			// The source notices too, and says so in its own words.
			return &interrupted{pausing{ReadCloser: body, pause: func() { cancel(cause); <-ctx.Done() }}}, nil
		}
		watch := watched(&c)
		if size > 1000 {
			if _, err := tr.Put(ctx, name, c); !errors.Is(err, cause) || tree.IsFatal(err) {
				t.Errorf("put that is cancelled on the way: %v; want %v", err, cause)
			}
			watch.allClosed(t)
		}
	})
}

// interrupted breaks off when it has paused.
type interrupted struct{ pausing }

func (r *interrupted) Read(b []byte) (int, error) {
	if n, err := r.pausing.Read(b); r.reads < 2 {
		return n, err
	}
	return 0, errors.New("the source was interrupted")
}

// watch counts the readers of a content.
type watch struct{ opened, closed atomic.Int64 }

// watched counts the readers of c from now on.
func watched(c *tree.Content) *watch {
	w := &watch{}
	open := c.Open
	c.Open = func(ctx context.Context, offset, size int64) (io.ReadCloser, error) {
		body, err := open(ctx, offset, size)
		if err != nil {
			return nil, err
		}
		w.opened.Add(1)
		return &watchedReader{ReadCloser: body, closed: sync.OnceFunc(func() { w.closed.Add(1) })}, nil
	}
	return w
}

// allClosed fails the test if a reader was left open. It has to be so when Put
// returns: the file may be deleted next.
func (w *watch) allClosed(t *testing.T) {
	t.Helper()
	if opened, closed := w.opened.Load(), w.closed.Load(); opened != closed || opened == 0 {
		t.Errorf("%d readers were opened and %d closed", opened, closed)
	}
}

type watchedReader struct {
	io.ReadCloser
	closed func()
}

func (r *watchedReader) Close() error {
	r.closed()
	return r.ReadCloser.Close()
}
