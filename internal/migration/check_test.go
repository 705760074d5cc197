package migration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// checked is what a check has found.
type checked struct {
	CheckReport
	lines []string // sign and name
}

func checkVolumes(t testing.TB, src, dst tree.Tree, o CheckOptions) checked {
	t.Helper()
	j, err := ReadJournal(t.Context(), dst, dst)
	if err != nil {
		t.Fatal(err)
	}
	var c checked
	o.OnDifference = func(d Difference) { c.lines = append(c.lines, fmt.Sprint(d.Sign, " ", d.Name)) }
	if c.CheckReport, err = Check(t.Context(), src, dst, j, o); err != nil {
		t.Fatal(err)
	}
	slices.Sort(c.lines)
	return c
}

func (c checked) want(t testing.TB, lines ...string) {
	t.Helper()
	slices.Sort(lines)
	if diff := cmp.Diff(lines, c.lines); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	if n := c.Differences(); n != int64(len(lines)) || c.Same+c.Missing+c.Different+c.Unreadable != c.Objects {
		t.Errorf("%d lines, report %+v", len(lines), c.CheckReport)
	}
}

func TestCheckOfACopyFindsNothingAndSaysHowItKnows(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	src.clutter()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	n := int64(len(src.files()))

	c := checkVolumes(t, src.tree(), dst.tree(), CheckOptions{})
	c.want(t)
	if c.Objects != n || c.Proofs[tree.Hashed.String()] != n || c.ReadBytes != 0 {
		t.Errorf("%d objects, report %+v", n, c.CheckReport)
	}
	c = checkVolumes(t, src.tree(), dst.tree(), CheckOptions{Deep: true})
	c.want(t)
	if c.Proofs[tree.ReadBack.String()] != n || c.ReadBytes == 0 {
		t.Errorf("%d objects, deep report %+v", n, c.CheckReport)
	}
}

func TestCheckOfWhatAnotherToolCopiedReadsIt(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	for name, content := range src.files() {
		dst.write(name, content)
	}
	c := checkVolumes(t, src.tree(), dst.tree(), CheckOptions{})
	c.want(t)
	if c.Proofs[tree.ReadBack.String()] != c.Objects {
		t.Errorf("report %+v", c.CheckReport)
	}
}

func TestCheckFindsEveryDifference(t *testing.T) {
	t.Parallel()
	base := blobName(digest.FromString("base"))
	for name, one := range map[string]struct {
		change func(src, dst *volume)
		want   []string
	}{
		"a blob is lost": {
			func(_, dst *volume) { dst.remove(base) },
			[]string{"+ " + base},
		},
		"a blob is cut off": {
			func(_, dst *volume) { dst.write(base, "bas") },
			[]string{"* " + base},
		},
		"a bit of a blob is flipped": {
			func(_, dst *volume) { dst.write(base, "basf") },
			[]string{"* " + base},
		},
		"a link is empty": {
			func(_, dst *volume) {
				dst.write(linkName(layout.LayerLink, "library/app", "", digest.FromString("base")), "")
			},
			[]string{"* " + linkName(layout.LayerLink, "library/app", "", digest.FromString("base"))},
		},
		"a tag stands for something else": {
			func(src, dst *volume) {
				dst.write(tagName("library/app", "v1"), src.files()[tagName("library/app", "v2")])
			},
			[]string{"* " + tagName("library/app", "v1")},
		},
		"a tag is moved in the source": {
			func(src, _ *volume) {
				src.write(tagName("library/app", "v1"), src.files()[tagName("library/app", "v2")])
			},
			[]string{"* " + tagName("library/app", "v1")},
		},
		"a tag is only in the copy": {
			func(_, dst *volume) { dst.write(tagName("library/app", "zz"), digest.FromString("x").String()) },
			[]string{"- " + tagName("library/app", "zz")},
		},
		"a repository is only in the source": {
			func(src, _ *volume) {
				src.write(tagName("library/zz", "v1"), digest.FromString("x").String())
			},
			[]string{"+ " + tagName("library/zz", "v1")},
		},
		"a file that no registry writes is in the copy": {
			func(_, dst *volume) { dst.write(layout.TagsFolder("library/app")+"x", "x") },
			[]string{"- " + layout.TagsFolder("library/app") + "x"},
		},
		"a manifest was deleted in the source, and its folder is there": {
			func(src, _ *volume) {
				src.deleteManifest("library/app", digest.Digest(src.files()[tagName("library/app", "v0")]))
			},
			nil, // filled in below: it depends on the digest
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := newVolume(t), newVolume(t)
			src.fill()
			copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
			if one.want == nil {
				one.want = []string{"- " + linkName(layout.RevisionLink, "library/app", "", digest.Digest(src.files()[tagName("library/app", "v0")]))}
			}
			one.change(src, dst)
			for _, deep := range []bool{false, true} {
				checkVolumes(t, src.tree(), dst.tree(), CheckOptions{Deep: deep}).want(t, one.want...)
			}
		})
	}
}

// The acceptance test of a migration by rclone is a search for the words "0
// differences found" in its log. Each of these passes it.
func TestCheckSeesWhatRclonesAcceptanceTestPasses(t *testing.T) {
	t.Parallel()
	t.Run("10 differences are not 0 differences", func(t *testing.T) {
		t.Parallel()
		src, dst := newVolume(t), newVolume(t)
		for i := range 10 {
			src.image("library/app", fmt.Sprintf("v%d", i), fmt.Sprint(i))
		}
		copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
		d := src.image("library/app", "", "newer")
		for i := range 10 {
			src.write(tagName("library/app", fmt.Sprintf("v%d", i)), d.String())
		}
		copyVolume(t, src.tree(), &tampered{Tree: dst.tree(), beforePut: func(name string) error {
			if layout.Parse(name).Kind == layout.TagLink {
				return fmt.Errorf("refused")
			}
			return nil
		}}, CopyOptions{})
		if c := checkVolumes(t, src.tree(), dst.tree(), CheckOptions{}); c.Different != 10 || c.Differences() != 10 {
			t.Errorf("report %+v", c.CheckReport)
		}
	})
	t.Run("what cannot be read is not the same", func(t *testing.T) {
		t.Parallel()
		src, dst := newVolume(t), newVolume(t)
		src.fill()
		copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
		// Root may read everything, so a folder stands where a file should be.
		name := tagName("library/app", "v1")
		src.remove(name)
		src.must(os.MkdirAll(src.path(name), 0o755))
		if c := checkVolumes(t, src.tree(), dst.tree(), CheckOptions{}); c.Differences() == 0 {
			t.Errorf("report %+v", c.CheckReport)
		}
	})
	t.Run("damage in the source is not the same everywhere", func(t *testing.T) {
		t.Parallel()
		src, dst := newVolume(t), newVolume(t)
		src.fill()
		flipped, emptied := blobName(digest.FromString("base")), tagName("library/app", "v1")
		src.write(flipped, "basf")
		src.write(emptied, "")
		src.age()
		// A tool that copies bytes copies the damage too.
		for name, content := range src.files() {
			dst.write(name, content)
		}
		c := checkVolumes(t, src.tree(), dst.tree(), CheckOptions{})
		c.want(t, "* "+flipped, "! "+emptied)

		own := newVolume(t)
		copyVolume(t, src.tree(), own.tree(), CopyOptions{})
		c = checkVolumes(t, src.tree(), own.tree(), CheckOptions{})
		if !slices.Contains(c.lines, "! "+flipped) || !slices.Contains(c.lines, "! "+emptied) {
			t.Errorf("differences %v", c.lines)
		}
	})
	t.Run("an empty source is not the same as anything", func(t *testing.T) {
		t.Parallel()
		src, dst, empty := newVolume(t), newVolume(t), newVolume(t)
		src.fill()
		copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
		j, err := ReadJournal(t.Context(), dst.tree(), dst.tree())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Check(t.Context(), empty.tree(), dst.tree(), j, CheckOptions{}); !problem.Is(err, problem.BadRequest) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAfterACheckTheNextCopyMendsWhatWasFound(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	dst.remove(blobName(digest.FromString("base")))
	dst.write(tagName("library/app", "v1"), digest.FromString("x").String())
	dst.write(blobName(digest.FromString("config of library/app 0")), "")

	if copyVolume(t, src.tree(), dst.tree(), CopyOptions{}); len(dst.files()) == len(src.files()) {
		t.Fatal("a copy looks at what it has copied: the test below shows nothing")
	}
	j, err := OpenJournal(t.Context(), dst.tree(), dst.tree(), "here")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Check(t.Context(), src.tree(), dst.tree(), j, CheckOptions{Correct: true})
	if err != nil || r.Differences() != 3 {
		t.Fatalf("%v, report %+v", err, r)
	}
	if r := copyVolume(t, src.tree(), dst.tree(), CopyOptions{}); r.Copied != 3 {
		t.Errorf("report %+v", r)
	}
	src.equals(dst)
	checkVolumes(t, src.tree(), dst.tree(), CheckOptions{}).want(t)
}

func TestCheckOfSelectedRepositoriesLooksAtNothingElse(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	only := func(name string) bool { return strings.HasSuffix(name, "/tools") }
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{Repositories: only})
	checkVolumes(t, src.tree(), dst.tree(), CheckOptions{Repositories: only}).want(t)
	lost := blobName(digest.FromString("config of library/app/tools 1"))
	dst.remove(lost)
	checkVolumes(t, src.tree(), dst.tree(), CheckOptions{Repositories: only}).want(t, "+ "+lost)
}
