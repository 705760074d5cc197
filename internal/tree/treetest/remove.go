package treetest

import (
	"errors"
	"testing"

	"github.com/lighterage/lighterage/internal/tree"
)

var removing = []promise{
	{"OnlyWhatIsNamedIsRemoved", removeNamed},
	{"EmptyFoldersGoWithTheirLastFile", removeFolders},
	{"WhatIsMissingIsRemovedAlready", removeMissing},
	{"AFolderIsNotRemovedAsAFile", removeFolder},
	{"NamesThatLeadElsewhereAreNotRemoved", removeHostile},
	{"RemovingEndsWithItsContext", removeCancelled},
}

func removeNamed(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a-b/x", "a/x", "a/x-y", "a/x.y", "a/y", "b/c/d", "b/c/e")
	if err := tr.Remove(t.Context(), []string{"a/x", "b/c/d"}); err != nil {
		t.Fatal(err)
	}
	lacks(t, tr, "a/x")
	lacks(t, tr, "b/c/d")
	left := []string{"a-b/x", "a/x-y", "a/x.y", "a/y", "b/c/e"}
	same(t, "left", list(t, tr, tree.ListOptions{}), left)
	for _, name := range left {
		holds(t, tr, name, []byte(name))
	}
}

func removeFolders(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a/b/c/d", "a/b/e", "f/g")
	steps := []struct {
		remove    []string
		top, in   []string
		someBelow string
	}{
		{[]string{"a/b/c/d"}, []string{"a", "f"}, []string{"b"}, "a/"},
		{[]string{"a/b/e"}, []string{"f"}, []string{}, "a/"},
		{[]string{"f/g"}, []string{}, []string{}, "f/"},
	}
	for _, step := range steps {
		if err := tr.Remove(t.Context(), step.remove); err != nil {
			t.Fatal(err)
		}
		same(t, "top folders", collect(t, tr.Folders(t.Context(), ""), itself), step.top)
		same(t, "folders in "+step.someBelow, collect(t, tr.Folders(t.Context(), step.someBelow), itself), step.in)
	}
	// The root stays, and is used again.
	plant(t, tr, "a/b/c/d")
	same(t, "list", list(t, tr, tree.ListOptions{}), []string{"a/b/c/d"})
}

func removeMissing(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a/b")
	for _, names := range [][]string{nil, {}, {"x"}, {"a/x"}, {"no/such/thing"}, {"a/b/c"}, {"x", "y", "a/b0"}} {
		if err := tr.Remove(t.Context(), names); err != nil {
			t.Errorf("remove %q: %v", names, err)
		}
	}
	holds(t, tr, "a/b", []byte("a/b"))
	if err := tr.Remove(t.Context(), []string{"x", "a/b", "a/b", "y"}); err != nil {
		t.Error(err)
	}
	lacks(t, tr, "a/b")
}

// removeFolder names what is a folder, which is no object.
func removeFolder(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a/b/c")
	for _, name := range []string{"a", "a/b"} {
		if err := tr.Remove(t.Context(), []string{name}); err != nil {
			t.Errorf("remove %s: %v", name, err)
		}
	}
	holds(t, tr, "a/b/c", []byte("a/b/c"))
}

func removeHostile(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a", "b", "c/a")
	for _, name := range []string{"", "/a", "..", "../a", "./a", "c/../a", "c/../../a", "a\x00b"} {
		if err := tr.Remove(t.Context(), []string{name}); !errors.Is(err, tree.ErrName) {
			t.Errorf("remove %q: %v; want %v", name, err, tree.ErrName)
		}
	}
	same(t, "left", list(t, tr, tree.ListOptions{}), []string{"a", "b", "c/a"})
}

func removeCancelled(t *testing.T, tr tree.Tree) {
	plant(t, tr, "a")
	ctx, cause := cancelled(t)
	if err := tr.Remove(ctx, []string{"a"}); !errors.Is(err, cause) {
		t.Errorf("remove: %v; want %v", err, cause)
	}
	holds(t, tr, "a", []byte("a"))
}
