package treetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

var putting = []promise{
	{"WhatIsPutIsThere", putThere},
	{"APutTakesThePlaceOfWhatWasThere", putOverwrites},
	{"OddNamesAreKept", putOddNames},
	{"NamesThatLeadElsewhereAreNotPut", putHostile},
	{"AReaderSeesTheOldOrTheNew", putAtomic},
	{"APutThatWasBegunDoesNotShow", putUnfinished},
	{"ManyCanUseATreeAtOnce", putMany},
	{"ManyCanPutTheSame", putSame},
}

func putThere(t *testing.T, tr tree.Tree) {
	for _, size := range []int{0, 1, 71, 64 << 10, 1<<20 + 1, 9 << 20} {
		name := fmt.Sprintf("blobs/%d", size)
		content := text(name, size)
		receipt := put(t, tr, name, content)
		if receipt.Proof < tree.Hashed {
			t.Errorf("%s is proven by %q only", name, receipt.Proof)
		}
		o, err := tr.Stat(t.Context(), name)
		if err != nil || o.Name != name || o.Size != int64(size) || o.ETag != receipt.ETag {
			t.Errorf("stat: %+v, %v; put under %s with %d bytes: %+v", o, err, name, size, receipt)
		}
		holds(t, tr, name, content)
	}
}

func putOverwrites(t *testing.T, tr tree.Tree) {
	for _, size := range []int{71, 1000, 0, 5, 5} {
		content := text(fmt.Sprint(size), size)
		put(t, tr, "a/current/link", content)
		holds(t, tr, "a/current/link", content)
	}
	same(t, "list", list(t, tr, tree.ListOptions{}), []string{"a/current/link"})
}

func putOddNames(t *testing.T, tr tree.Tree) {
	names := []string{
		"with space", "a+b", "a%20b", "100%", "a&b=c", "question?", "#hash", "ümläut/文件", "a:b@c", "~tilde", "...", "..a", ".hidden", "a../b",
		"(a)", "'quoted'", "a,b;c", "star*", "$dollar", layout.Repositories + "Mirror.Example:5000/lib/_uploads/1/data",
	}
	plant(t, tr, names...)
	for _, name := range names {
		holds(t, tr, name, []byte(name))
	}
	if got := list(t, tr, tree.ListOptions{Uploads: true}); len(got) != len(names) {
		t.Errorf("%d objects were put and %d are listed: %q", len(names), len(got), got)
	}
	if err := tr.Remove(t.Context(), names); err != nil {
		t.Error(err)
	}
	same(t, "list after removing", list(t, tr, tree.ListOptions{Uploads: true}), []string{})
}

func putHostile(t *testing.T, tr tree.Tree) {
	for _, name := range hostile {
		if _, err := tr.Put(t.Context(), name, tree.BytesContent([]byte("x"))); !errors.Is(err, tree.ErrName) {
			t.Errorf("put %q: %v; want %v", name, err, tree.ErrName)
		}
	}
	same(t, "list", list(t, tr, tree.ListOptions{}), []string{})
}

// putAtomic reads all the time while an object is put again and again.
func putAtomic(t *testing.T, tr tree.Tree) {
	contents := [][]byte{text("old", 300_000), text("new", 200_000)}
	put(t, tr, "a/b", contents[0])
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ended := false; !ended; {
				select {
				case <-done:
					ended = true // once more, all is quiet now
				default:
				}
				got, err := get(t.Context(), tr, "a/b", 0, -1)
				switch {
				case err != nil && !errors.Is(err, io.ErrUnexpectedEOF): // may end early, but not as if it were whole
					t.Errorf("read: %v", err)
					return
				case err == nil && !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]):
					t.Errorf("a reader got %d bytes that are neither the old content nor the new", len(got))
					return
				}
				if o, err := tr.Stat(t.Context(), "a/b"); err != nil || o.Size != 300_000 && o.Size != 200_000 {
					t.Errorf("stat: %+v, %v", o, err)
					return
				}
			}
		})
	}
	for i := range 20 {
		put(t, tr, "a/b", contents[(i+1)%2])
	}
	close(done)
	readers.Wait()
	holds(t, tr, "a/b", contents[0])
}

// putUnfinished looks at the tree while a Put is in the middle of its content.
func putUnfinished(t *testing.T, tr tree.Tree) {
	content := text("new", 9<<20)
	for _, old := range [][]byte{nil, []byte("old")} {
		name := fmt.Sprintf("a/%d", len(old))
		if old != nil {
			put(t, tr, name, old)
		}
		begun, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		slow := tree.BytesContent(content)
		open := slow.Open
		slow.Open = func(ctx context.Context, offset, size int64) (io.ReadCloser, error) {
			body, err := open(ctx, offset, size)
			if err != nil {
				return nil, err
			}
			return &pausing{ReadCloser: body, pause: func() { once.Do(func() { close(begun); <-goOn }) }}, nil
		}
		finished := make(chan error, 1)
		go func() {
			_, err := tr.Put(t.Context(), name, slow)
			finished <- err
		}()
		<-begun
		if old == nil {
			lacks(t, tr, name)
		} else {
			holds(t, tr, name, old)
		}
		close(goOn)
		if err := <-finished; err != nil {
			t.Fatal(err)
		}
		holds(t, tr, name, content)
	}
}

// pausing calls pause before the second read.
type pausing struct {
	io.ReadCloser
	reads int
	pause func()
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.reads++; p.reads == 2 {
		p.pause()
	}
	return p.ReadCloser.Read(b[:min(len(b), 1000)])
}

func putMany(t *testing.T, tr tree.Tree) {
	const workers, each = 12, 6
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				name := fmt.Sprintf("shared/%d/%d-%d", i, w, i)
				content := text(name, 1000*w+i)
				if _, err := tr.Put(t.Context(), name, tree.BytesContent(content)); err != nil {
					t.Errorf("put: %v", err)
					continue
				}
				if got, err := get(t.Context(), tr, name, 0, -1); err != nil || !bytes.Equal(got, content) {
					t.Errorf("read %s: %d bytes, %v", name, len(got), err)
				}
				for _, err := range tr.List(t.Context(), tree.ListOptions{Prefix: fmt.Sprintf("shared/%d/", i)}) {
					if err != nil {
						t.Errorf("list: %v", err)
					}
				}
				// Others are at work in the folders that become empty by this.
				if i%2 == 1 {
					if err := tr.Remove(t.Context(), []string{name}); err != nil {
						t.Errorf("remove: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
	if got := list(t, tr, tree.ListOptions{}); len(got) != workers*each/2 {
		t.Errorf("%d objects are left, want %d: %q", len(got), workers*each/2, got)
	}
}

func putSame(t *testing.T, tr tree.Tree) {
	content := text("same", 50_000)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for range 3 {
				if _, err := tr.Put(t.Context(), "a/same", tree.BytesContent(content)); err != nil {
					t.Errorf("put: %v", err)
				}
				if w%2 == 0 {
					continue
				}
				if got, err := get(t.Context(), tr, "a/same", 0, -1); err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Equal(got, content) {
					t.Errorf("read: %d bytes, %v", len(got), err)
				}
			}
		})
	}
	all.Wait()
	holds(t, tr, "a/same", content)
	same(t, "list", list(t, tr, tree.ListOptions{}), []string{"a/same"})
}
