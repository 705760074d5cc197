package treetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/tree"
)

var proving = []promise{
	{"RightBytesAreNeverDisproved", proveRight},
	{"WrongBytesAreNeverProved", proveWrong},
	{"ProvingEndsWithItsContext", proveCancelled},
}

// objects puts contents of all sizes and returns them as they are listed.
func objects(t *testing.T, tr tree.Tree) (all []tree.Object, contents map[string][]byte) {
	t.Helper()
	contents = map[string][]byte{}
	for _, size := range []int{0, 71, 100_000, 9 << 20} {
		name := fmt.Sprint(size)
		contents[name] = text(name, size)
		put(t, tr, name, contents[name])
	}
	for o, err := range tr.List(t.Context(), tree.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all, contents
}

func proveRight(t *testing.T, tr tree.Tree) {
	all, contents := objects(t, tr)
	for _, o := range all {
		for _, known := range [][]byte{nil, contents[o.Name]} {
			if proof, err := tr.Prove(t.Context(), o, digest.FromBytes(contents[o.Name]), known); err != nil {
				t.Errorf("prove %s, %d bytes known: %s, %v", o.Name, len(known), proof, err)
			}
		}
	}
}

func proveWrong(t *testing.T, tr tree.Tree) {
	all, contents := objects(t, tr)
	for _, o := range all {
		// Of the same size: the size alone proves nothing.
		for _, wrong := range [][]byte{text("wrong", len(contents[o.Name])), []byte("wrong")} {
			if len(wrong) == 0 {
				continue
			}
			for _, known := range [][]byte{nil, wrong} {
				proof, err := tr.Prove(t.Context(), o, digest.FromBytes(wrong), known)
				if proof != tree.Unproven || err != nil && !errors.Is(err, tree.ErrDigest) {
					t.Errorf("prove %s with %d wrong bytes, %d known: %s, %v; want unproven and no error but %v", o.Name, len(wrong), len(known), proof, err, tree.ErrDigest)
				}
			}
		}
	}
}

func proveCancelled(t *testing.T, tr tree.Tree) {
	put(t, tr, "a", []byte("a"))
	o, err := tr.Stat(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cause := cancelled(t)
	if proof, err := tr.Prove(ctx, o, digest.FromString("a"), nil); !errors.Is(err, cause) {
		t.Errorf("prove: %s, %v; want %v", proof, err, cause)
	}
}
