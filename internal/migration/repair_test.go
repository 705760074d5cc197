package migration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// spoilLinks spoils links in every way. mended are the names of those that follow from
// their paths or from the history of their tag.
func spoilLinks(p place, w *world) (mended map[string]string) {
	mended = map[string]string{
		linkName(layout.LayerLink, "library/app", "", w.base.Blobs[1].Digest):   "",
		linkName(layout.RevisionLink, "library/app", "", w.base.Digest):         w.base.Digest.String() + "\n",
		linkName(layout.LayerLink, "library/app-b", "", w.base.Blobs[2].Digest): w.base.Blobs[1].Digest.String(),
		linkName(layout.TagHistory, "multi/index", "v1", w.index.Digest):        "sha256:",
		tagName("alone", "v1"):      "",
		tagName("multi/list", "v1"): "v1",
	}
	for name, content := range mended {
		p.write(name, content)
	}
	p.write(tagName("library/app", "latest"), "") // could be two things
	p.write(tagName("multi/nested", "v1"), "")
	p.remove(linkName(layout.TagHistory, "multi/nested", "v1", w.nested.Digest)) // could be anything
	p.write(tagName("signed/app", "v1"), digest.FromString("gone").String())     // leads nowhere
	p.remove(linkName(layout.LayerLink, "signed/app", "", w.subject.Blobs[1].Digest))
	p.write(blobName(w.docker.Blobs[1].Digest), "")
	return mended
}

// wantRemaining is the damage to links that spoilLinks leaves and Repair cannot mend.
var wantRemaining = []string{
	"broken empty-link library/app:latest " + rest(tagName("library/app", "latest")),
	"broken empty-link multi/nested:v1 " + rest(tagName("multi/nested", "v1")),
}

func TestRepairMendsWhatFollowsFromThePathAndNothingElse(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		whole := w.files()
		mended := spoilLinks(w, w)
		w.age()
		spoilt := w.files()

		w.repairs(t, w.open(), true, mended)
		if diff := cmp.Diff(spoilt, w.files()); diff != "" {
			t.Fatalf("a dry run changed something:\n%s", diff)
		}
		w.repairs(t, w.open(), false, mended)
		for name := range mended {
			spoilt[name] = whole[name]
		}
		if diff := cmp.Diff(spoilt, w.files()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		w.repairs(t, w.open(), false, nil)
	})
}

// repairs fails the test unless Repair mends, or would, exactly these links.
func (w *world) repairs(t *testing.T, tr tree.Tree, dryRun bool, mended map[string]string) {
	t.Helper()
	var repaired, remaining []string
	report, err := Repair(t.Context(), tr, RepairOptions{
		DryRun: dryRun,
		OnRepair: func(d Damage, target digest.Digest) {
			repaired = append(repaired, d.Path)
			if want, ok := mended[d.Path]; !ok || d.Severity() != Damaged || want == target.String() || target.Validate() != nil {
				t.Errorf("%s, now %s", d, target)
			}
		},
		OnDamage: func(d Damage) { remaining = append(remaining, found(d)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	differ(t, wantRemaining, sorted(remaining))
	if len(repaired) != len(mended) || report.Repaired != int64(len(mended)) || report.Remaining != 2 || report.Incomplete || report.DryRun != dryRun {
		t.Errorf("repaired %s, %+v", strings.Join(repaired, ", "), report)
	}
}

func TestRepairedLinksServe(t *testing.T) {
	t.Parallel()
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := pushWorld(t, start)
			for name, content := range w.files() {
				if f := layout.Parse(name); f.IsLink() && f.Kind != layout.TagLink || name == tagName("library/app", "v1") {
					w.write(name, content[:len(content)-1])
				}
			}
			w.age()
			if _, err := Repair(t.Context(), w.open(), RepairOptions{}); err != nil {
				t.Fatal(err)
			}
			r := start(t, ts.WithRoot(w.root))
			for _, repository := range ts.Repositories(t, r) {
				for _, tag := range ts.Tags(t, r, repository) {
					ts.Pull(t, r, repository, tag)
				}
			}
		})
	}
}

// A push in the moment of the repair writes the tag's history and then its link, and
// the repair overwrites the link: the push counts.
func TestRepairDoesNotUndoAPushOfTheSameMoment(t *testing.T) {
	t.Parallel()
	for _, seen := range []bool{false, true} {
		v := newVolume(t)
		first, second := v.image("library/app", "v1", "first"), v.image("library/app", "", "second")
		if seen { // the second was there before, and its manifest was deleted
			v.tag("library/app", "v1", second)
			v.deleteManifest("library/app", second)
		}
		v.write(tagName("library/app", "v1"), "")
		v.age()
		pushed := false
		tr := &hooked{Tree: v.open(), put: func(name string) {
			if name == tagName("library/app", "v1") && !pushed {
				pushed = true
				v.write(linkName(layout.RevisionLink, "library/app", "", second), second.String())
				v.tag("library/app", "v1", second)
			}
		}}
		var target digest.Digest
		r, err := Repair(t.Context(), tr, RepairOptions{OnRepair: func(_ Damage, d digest.Digest) { target = d }})
		if err != nil || !pushed || r.Repaired != 1 || target != second || v.read(tagName("library/app", "v1")) != second.String() {
			t.Errorf("%v, %+v, pushed %t: the tag is %s, first %s, second %s", err, r, pushed, v.read(tagName("library/app", "v1")), first, second)
		}
	}
}

// A push before the repair mends the tag itself.
func TestRepairLeavesWhatHasBeenMendedMeanwhile(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.image("library/app", "v1", "first")
	second := v.image("library/app", "", "second")
	v.write(tagName("library/app", "v1"), "")
	v.age()
	reads := 0
	tr := &hooked{Tree: v.open(), read: func(name string) error {
		if name == tagName("library/app", "v1") {
			if reads++; reads == 2 {
				v.tag("library/app", "v1", second)
			}
		}
		return nil
	}}
	r, err := Repair(t.Context(), tr, RepairOptions{})
	if err != nil || reads < 2 || r.Repaired != 0 || v.read(tagName("library/app", "v1")) != second.String() {
		t.Errorf("%v, %+v after %d reads: %s", err, r, reads, v.read(tagName("library/app", "v1")))
	}
}
