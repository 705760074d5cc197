package treetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/lighterage/lighterage/internal/tree"
)

var reading = []promise{
	{"ReadingTakesOffsetAndSize", readRanges},
	{"ALargeObjectIsReadWhole", readLarge},
	{"AnEmptyObjectIsAnObject", readEmpty},
	{"WhatIsMissingDoesNotExist", readMissing},
	{"NamesThatLeadElsewhereAreNotLookedUp", readHostile},
	{"ReadingEndsWithItsContext", readCancelled},
	{"AReaderCanBeLeft", readLeft},
}

func readRanges(t *testing.T, tr tree.Tree) {
	content := []byte("0123456789")
	put(t, tr, "digits", content)
	tests := []struct {
		offset, size int64
		want         string
	}{
		{0, -1, "0123456789"},
		{0, 10, "0123456789"},
		{0, 4, "0123"},
		{3, 4, "3456"},
		{3, -1, "3456789"},
		{9, 1, "9"},
		{0, 0, ""},
		{5, 0, ""},
		{6, 100, "6789"},
		{10, -1, ""},
		{10, 0, ""},
		{10, 5, ""},
		{11, -1, ""},
		{1000, 5, ""},
	}
	for _, tt := range tests {
		got, err := get(t.Context(), tr, "digits", tt.offset, tt.size)
		if err != nil || string(got) != tt.want {
			t.Errorf("%d bytes from %d: %q, %v; want %q", tt.size, tt.offset, got, err, tt.want)
		}
	}
	if got, err := get(t.Context(), tr, "digits", -1, 5); err == nil {
		t.Errorf("5 bytes from -1: %q; want an error", got)
	}
	holds(t, tr, "digits", content)
}

func readLarge(t *testing.T, tr tree.Tree) {
	content := text("large", 9<<20+1)
	put(t, tr, "large", content)
	holds(t, tr, "large", content)
	const offset, size = 5<<20 - 3, 3 << 20
	got, err := get(t.Context(), tr, "large", offset, size)
	if err != nil || !bytes.Equal(got, content[offset:offset+size]) {
		t.Errorf("a range of %d bytes: %d bytes, %v", size, len(got), err)
	}
}

func readEmpty(t *testing.T, tr tree.Tree) {
	put(t, tr, "a/empty", nil)
	if o, err := tr.Stat(t.Context(), "a/empty"); err != nil || o.Size != 0 {
		t.Errorf("stat: %+v, %v", o, err)
	}
	for _, size := range []int64{-1, 0, 5} {
		if got, err := get(t.Context(), tr, "a/empty", 0, size); err != nil || len(got) != 0 {
			t.Errorf("read %d: %q, %v", size, got, err)
		}
	}
	same(t, "list", list(t, tr, tree.ListOptions{}), []string{"a/empty"})
}

func readMissing(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a/b/c")
	for _, name := range []string{"x", "a", "a/b", "a/b/x", "a/x/c", "a/b/c0", "a/b/c/d", "no/such/thing"} {
		lacks(t, tr, name)
		// Nor where nothing of it would be read anyway.
		for _, size := range []int64{0, 1} {
			if _, err := get(t.Context(), tr, name, 5, size); !tree.IsNotExist(err) {
				t.Errorf("read %d bytes from 5 of %s: %v; want fs.ErrNotExist", size, name, err)
			}
		}
	}
}

func readHostile(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a", "b", "c/a")
	for _, name := range hostile {
		if o, err := tr.Stat(t.Context(), name); !errors.Is(err, tree.ErrName) {
			t.Errorf("stat %q: %+v, %v; want %v", name, o, err, tree.ErrName)
		}
		if content, err := get(t.Context(), tr, name, 0, -1); !errors.Is(err, tree.ErrName) {
			t.Errorf("read %q: %q, %v; want %v", name, content, err, tree.ErrName)
		}
	}
}

func readCancelled(t *testing.T, tr tree.Tree) {
	put(t, tr, "large", text("large", 9<<20))
	ctx, cause := cancelled(t)
	if o, err := tr.Stat(ctx, "large"); !errors.Is(err, cause) {
		t.Errorf("stat: %+v, %v; want %v", o, err, cause)
	}
	if _, err := get(ctx, tr, "large", 0, -1); !errors.Is(err, cause) {
		t.Errorf("read: %v; want %v", err, cause)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	body, err := tr.Read(ctx, "large", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel(cause)
	if n, err := io.Copy(io.Discard, body); !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
		t.Errorf("after the context had ended %d bytes were read, then: %v", n, err)
	}
}

func readLeft(t *testing.T, tr tree.Tree) {
	content := text("large", 9<<20)
	put(t, tr, "large", content)
	for i := range 20 {
		body, err := tr.Read(t.Context(), "large", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadFull(body, make([]byte, i*1000))
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(fmt.Errorf("leave a reader after %d bytes: %w", i*1000, err))
		}
	}
	holds(t, tr, "large", content)
}
