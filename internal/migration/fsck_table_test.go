package migration

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/opencontainers/go-digest"
)

func TestTheTableOfBlobsFindsThemAll(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(blobEntry{}); size != 24 {
		t.Errorf("an entry takes %d bytes", size)
	}
	var table blobTable
	const n = 20_000
	name := func(i int) digest.Digest {
		if i%10 == 0 {
			return digest.SHA512.FromString(fmt.Sprint(i))
		}
		return digest.FromString(fmt.Sprint(i))
	}
	for i := range n {
		table.add(idOf(name(i)), blobState(i))
	}
	table.seal()
	for i := range n {
		entry, at := table.find(idOf(name(i)))
		if entry == nil || entry.load().size() != int64(i) || &table.shards[idOf(name(i))[0]].entries[at] != entry {
			t.Fatalf("%d: %v at %d", i, entry, at)
		}
		if missing, _ := table.find(idOf(name(n + i))); missing != nil {
			t.Fatalf("%d is there, and should not be", n+i)
		}
	}
	entry, _ := table.find(idOf(name(7)))
	entry.mark(blobNeeded)
	entry.mark(blobHashed)
	if s := entry.load(); s != 7|blobNeeded|blobHashed || s.size() != 7 {
		t.Errorf("%x", s)
	}
	seen := 0
	table.all(func(_, _ int, _ blobState) { seen++ })
	if seen != n {
		t.Errorf("%d seen", seen)
	}
}

func TestAnIDIsTheDigest(t *testing.T) {
	t.Parallel()
	d := digest.FromString("x")
	if got := idOf(d).sha256(); got != d {
		t.Errorf("%s, want %s", got, d)
	}
	if idOf(d) == idOf(digest.SHA512.FromString("x")) || idOf(digest.FromBytes(nil)) != emptyID {
		t.Error("ids are mixed up")
	}
}
