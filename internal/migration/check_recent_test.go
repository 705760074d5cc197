package migration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// checkRecent checks what changed, with the journal of dst.
func checkRecent(t testing.TB, src, dst tree.Tree) (checked, error) {
	t.Helper()
	j, err := OpenJournal(t.Context(), dst, dst, "here")
	if err != nil {
		t.Fatal(err)
	}
	var c checked
	o := CheckOptions{Correct: true, OnDifference: func(d Difference) { c.lines = append(c.lines, fmt.Sprint(d.Sign, " ", d.Name)) }}
	c.CheckReport, err = CheckRecent(t.Context(), src, dst, j, o)
	slices.Sort(c.lines)
	return c, err
}

// checkFully is a check without differences, which is noted in the journal.
func checkFully(t testing.TB, src, dst tree.Tree) {
	t.Helper()
	j, err := OpenJournal(t.Context(), dst, dst, "here")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Check(t.Context(), src, dst, j, CheckOptions{Correct: true})
	if err != nil || r.Differences() > 0 {
		t.Fatalf("%v, %+v", err, r)
	}
}

// counting counts what is asked of a tree, beside its journal.
type counting struct {
	tree.Tree
	mu    sync.Mutex
	asked map[string]bool
}

func (c *counting) Stat(ctx context.Context, name string) (tree.Object, error) {
	c.mu.Lock()
	c.asked[name] = true
	c.mu.Unlock()
	return c.Tree.Stat(ctx, name)
}

func TestCheckOfWhatChangedAsksForNothingElse(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	if _, err := checkRecent(t, src.tree(), dst.tree()); !problem.Is(err, problem.Precondition) {
		t.Errorf("without a full check: %v", err)
	}
	checkFully(t, src.tree(), dst.tree())

	before := src.files()
	src.image("library/new", "v1", "new")
	src.tag("library/app", "v0", digest.Digest(before[tagName("library/app", "v1")]))
	gone := layout.TagsFolder("library/app") + "v2"
	src.remove(gone)
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{Final: true})

	asked := &counting{Tree: dst.tree(), asked: map[string]bool{}}
	c, err := checkRecent(t, src.tree(), asked)
	if err != nil {
		t.Fatal(err)
	}
	c.want(t)
	want := map[string]bool{}
	after := src.files()
	for name, content := range after {
		if before[name] != content {
			want[name] = true
		}
	}
	for name := range before {
		if _, there := after[name]; !there {
			want[name] = true
		}
	}
	delete(asked.asked, identityName)
	if diff := cmp.Diff(want, asked.asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if c.Objects != int64(len(after)) || c.Before == 0 || c.CheckedBefore.IsZero() {
		t.Errorf("%d files, report %+v", len(after), c.CheckReport)
	}
}

func TestCheckOfWhatChangedFindsWhatACopyLeftOut(t *testing.T) {
	t.Parallel()
	layer := blobName(digest.FromString("config of new"))
	tag := tagName("library/new", "v1")
	for name, one := range map[string]struct {
		change func(src, dst *volume)
		want   string
	}{
		"the store lost what it took":       {func(_, dst *volume) { dst.remove(layer) }, "+ " + layer},
		"the store holds other bytes":       {func(_, dst *volume) { dst.write(layer, "config of nev") }, "* " + layer},
		"a tag has moved since":             {func(src, _ *volume) { src.write(tag, digest.FromString("x").String()) }, "* " + tag},
		"a tag was overwritten in the copy": {func(_, dst *volume) { dst.write(tag, digest.FromString("y").String()) }, "* " + tag},
		"something is new in the source":    {func(src, _ *volume) { src.blob("new since") }, "+ " + blobName(digest.FromString("new since"))},
		"a tag has gone from the source":    {func(src, _ *volume) { src.remove(tag) }, "- " + tag},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := newVolume(t), newVolume(t)
			src.image("library/app", "v1", "app")
			copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
			checkFully(t, src.tree(), dst.tree())
			src.image("library/new", "v1", "new")
			copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
			one.change(src, dst)
			c, err := checkRecent(t, src.tree(), dst.tree())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{one.want}, c.lines); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
}
