// Package treetest states what a tree.Tree promises as tests that every
// implementation passes. It knows no implementation, and only tests import it.
package treetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/tree"
)

// Run tests a kind of tree. open returns a new empty one each time; it and what it
// needs end with the test that it is given.
func Run(t *testing.T, open func(t *testing.T) tree.Tree) {
	for _, group := range [][]promise{listing, folders, reading, putting, contents, proving, removing} {
		for _, p := range group {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.test(t, open(t))
			})
		}
	}
}

// promise is one sentence about trees, as a test.
type promise struct {
	name string
	test func(t *testing.T, tr tree.Tree)
}

// hostile are texts that no tree takes as the name of an object.
var hostile = []string{
	"", "/", "/a", "a/", "a//b", "//a", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a/../../b", "a\x00b", "a/\x00",
}

// text is content that is not the same for two seeds.
func text(seed string, size int) []byte {
	var key [32]byte
	copy(key[:], seed)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func put(t *testing.T, tr tree.Tree, name string, content []byte) tree.Receipt {
	t.Helper()
	receipt, err := tr.Put(t.Context(), name, tree.BytesContent(content))
	if err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
	return receipt
}

// plant puts a little object under each name.
func plant(t *testing.T, tr tree.Tree, names ...string) {
	t.Helper()
	for _, name := range names {
		put(t, tr, name, []byte(name))
	}
}

func get(ctx context.Context, tr tree.Tree, name string, offset, size int64) ([]byte, error) {
	body, err := tr.Read(ctx, name, offset, size)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(body)
	return content, errors.Join(err, body.Close())
}

func holds(t *testing.T, tr tree.Tree, name string, want []byte) {
	t.Helper()
	got, err := get(t.Context(), tr, name, 0, -1)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes %.40q, want %d bytes %.40q", name, len(got), got, len(want), want)
	}
}

// lacks fails the test if an object of the name can be found in any way.
func lacks(t *testing.T, tr tree.Tree, name string) {
	t.Helper()
	if o, err := tr.Stat(t.Context(), name); !tree.IsNotExist(err) {
		t.Errorf("stat %s: %+v, %v; want fs.ErrNotExist", name, o, err)
	}
	if content, err := get(t.Context(), tr, name, 0, -1); !tree.IsNotExist(err) {
		t.Errorf("read %s: %.40q, %v; want fs.ErrNotExist", name, content, err)
	}
	if slices.Contains(list(t, tr, tree.ListOptions{Uploads: true}), name) {
		t.Errorf("%s is listed", name)
	}
}

func list(t *testing.T, tr tree.Tree, o tree.ListOptions) []string {
	t.Helper()
	return collect(t, tr.List(t.Context(), o), func(o tree.Object) string { return o.Name })
}

// collect returns what a listing yields and fails the test if that ends with an
// error.
func collect[T any](t *testing.T, all iter.Seq2[T, error], name func(T) string) []string {
	t.Helper()
	names := []string{}
	for item, err := range all {
		if err != nil {
			t.Fatalf("list, after %d: %v", len(names), err)
		}
		names = append(names, name(item))
	}
	return names
}

// same compares listings, and shows the whole of both.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %d:\n\t%s\nwant %d:\n\t%s", what, len(got), strings.Join(got, "\n\t"), len(want), strings.Join(want, "\n\t"))
	}
}

// cancelled returns a context that has ended, and why it has.
func cancelled(t *testing.T) (context.Context, error) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the test has seen enough")
	cancel(cause)
	return ctx, cause
}
