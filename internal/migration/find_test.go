package migration

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func these(list ...Wanted) iter.Seq2[Wanted, error] {
	return func(yield func(Wanted, error) bool) {
		for _, w := range list {
			if !yield(w, nil) {
				return
			}
		}
	}
}

func TestArtifactsAreFoundWithAllThatBelongsToThem(t *testing.T) {
	t.Parallel()
	registry := ts.Distribution(t)
	image, index := ts.Image(t, 1, 2, 500), ts.IndexOf(t, ts.Image(t, 2, 1, 300), ts.Image(t, 3, 1, 300))
	one := Wanted{"library/app", ts.Push(t, registry, "library/app", "v1", image)}
	many := Wanted{"team/deep/tools", ts.Push(t, registry, "team/deep/tools", "v2", index)}
	elsewhere := Wanted{"library/other", one.Digest}
	registry.Stop()

	config, layer, child := image.Blobs[0].Digest, image.Blobs[2].Digest, index.Children[1]
	for name, c := range map[string]struct {
		damage func(root string) error
		deep   bool
		broken Wanted
		says   string
	}{
		"nothing is wrong": {damage: func(string) error { return nil }, deep: true},
		"no layer":         {damage: remove(blobPath(layer)), broken: one, says: "its layer: it is not there"},
		"a short config":   {damage: overwrite(blobPath(config), "x"), broken: one, says: "its config: it has 1 bytes, and should have"},
		"another layer": {damage: func(root string) error {
			text, err := os.ReadFile(filepath.Join(root, blobPath(layer)))
			if err != nil {
				return err
			}
			text[0] ^= 1
			return overwrite(blobPath(layer), string(text))(root)
		}, deep: true, broken: one, says: "its layer: it has not the bytes"},
		"no link of the layer":  {damage: remove(linkPath(layout.LayerLink, one.Repository, layer)), broken: one, says: "its layer: the repository does not have it"},
		"an empty link":         {damage: overwrite(linkPath(layout.RevisionLink, one.Repository, one.Digest), ""), broken: one, says: "the link is empty"},
		"no manifest":           {damage: remove(blobPath(one.Digest)), broken: one, says: "its manifest is not there"},
		"another manifest":      {damage: overwrite(blobPath(one.Digest), "{}"), broken: one, says: "not the bytes"},
		"no child":              {damage: remove(linkPath(layout.RevisionLink, many.Repository, child.Digest)), broken: many, says: "the repository does not have it"},
		"no layer of a child":   {damage: remove(blobPath(child.Blobs[1].Digest)), broken: many, says: child.Digest.String() + ": its layer: it is not there"},
		"in no such repository": {damage: func(string) error { return nil }, broken: elsewhere, says: "the repository does not have it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			if err := os.CopyFS(root, os.DirFS(registry.Root)); err != nil {
				t.Fatal(err)
			}
			if err := c.damage(root); err != nil {
				t.Fatal(err)
			}
			wanted := []Wanted{one, many}
			if c.broken == elsewhere {
				wanted = append(wanted, elsewhere)
			}
			var missing []string
			look := func(beside tree.Tree) FindReport {
				missing = nil
				report, err := Find(t.Context(), directory(t, root), these(wanted...), FindOptions{Deep: c.deep, Beside: beside, OnMissing: func(m NotWhole) { missing = append(missing, m.String()) }})
				if err != nil {
					t.Fatal(err)
				}
				return report
			}
			report := look(directory(t, registry.Root))
			if c.says == "" {
				if report.Whole != 2 || report.Missing != 0 || len(missing) > 0 || report.HashedBytes < image.BlobBytes() {
					t.Errorf("%+v, %q", report, missing)
				}
				return
			}
			if len(missing) != 1 || !strings.Contains(missing[0], c.broken.String()) || !strings.Contains(missing[0], c.says) {
				t.Errorf("%q, want %s", missing, c.says)
			}
			if broken := report.Missing + report.Before; broken != 1 || report.Whole != int64(len(wanted)-1) || (report.Before == 1) != (c.broken == elsewhere) {
				t.Errorf("%+v", report)
			}
			if report = look(directory(t, root)); report.Before != 1 || report.Missing != 0 {
				t.Errorf("broken before: %+v", report)
			}
		})
	}
}

func TestArtifactsAreFoundInABucket(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	registry := ts.Distribution(t, ts.WithStore(store, "/images"))
	base := ts.Image(t, 1, 3, 400)
	var wanted []Wanted
	for i := range 40 {
		d := ts.Push(t, registry, fmt.Sprintf("library/app%d", i%4), fmt.Sprintf("v%d", i), ts.ImageOn(t, base, uint64(i+10), 1, 200))
		wanted = append(wanted, Wanted{fmt.Sprintf("library/app%d", i%4), d})
	}
	bucket := at(t, store, "images")
	store.ResetRequests()
	report, err := Find(t.Context(), bucket, these(wanted...), FindOptions{})
	if err != nil || report.Whole != 40 || report.Missing != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	// Of each artifact its link, manifest, config and layer; what they share once a
	// repository, and its content once.
	if n := len(store.Requests()); n > 40*(2+2*2)+4*3+3+20 {
		t.Errorf("%d requests", n)
	}
	gone := wanted[7]
	store.Remove("images/" + linkPath(layout.RevisionLink, gone.Repository, gone.Digest))
	var missing []string
	report, err = Find(t.Context(), bucket, these(wanted...), FindOptions{OnMissing: func(m NotWhole) { missing = append(missing, m.Artifact) }})
	if err != nil || report.Missing != 1 || !slices.Equal(missing, []string{gone.String()}) {
		t.Errorf("%+v, %q, %v", report, missing, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if report, err := Find(ctx, bucket, these(wanted...), FindOptions{}); err == nil {
		t.Errorf("interrupted, and nothing said: %+v", report)
	}
}

func TestListsOfArtifactsAreRead(t *testing.T) {
	t.Parallel()
	d := digest.FromString("a").String()
	for text, want := range map[string]string{
		"":                               "",
		"a/b@" + d + "\n\n c@" + d:       "a/b c",
		"a/b@" + d + "\r\n":              "a/b",
		"a/b@" + d + "\na/b:v1":          "a/b line 2",
		"../../etc@" + d:                 "line 1",
		"a/b@sha256:../../../etc":        "line 1",
		"a@sha256:" + d[7:70] + "Z":      "line 1",
		"\n" + strings.Repeat("x", 5000): "line 2",
	} {
		var got []string
		for w, err := range ReadWanted(strings.NewReader(text)) {
			if err != nil {
				line, _, _ := strings.Cut(err.Error(), ":")
				got = append(got, line)
				break
			}
			got = append(got, w.Repository)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%.100q: %q, want %q", text, got, want)
		}
	}
}

func FuzzParseWanted(f *testing.F) {
	f.Add("a/b@" + digest.FromString("a").String())
	f.Add("a@sha512:" + strings.Repeat("a", 128))
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWanted(text)
		if err != nil {
			return
		}
		path := linkPath(layout.RevisionLink, w.Repository, w.Digest)
		if file := layout.Parse(path); w.String() != text || file.Kind != layout.RevisionLink || file.Repository != w.Repository || file.Digest() != w.Digest {
			t.Errorf("%q is %+v at %s", text, w, path)
		}
	})
}

func remove(name string) func(string) error {
	return func(root string) error { return os.Remove(filepath.Join(root, name)) }
}

func overwrite(name, content string) func(string) error {
	return func(root string) error { return os.WriteFile(filepath.Join(root, name), []byte(content), 0o644) }
}

func directory(t *testing.T, root string) tree.Tree { return (&volume{t, root}).tree() }
