package volume

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/layout"
)

func generate(t *testing.T, p Profile, seed uint64) *Volume {
	t.Helper()
	v, err := Generate(t.Context(), filepath.Join(t.TempDir(), "volume"), p, seed)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// contents are all files below a folder.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		all[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// isWhole fails the test if anything in a registry's folder is not as a registry
// would have written it.
func isWhole(t *testing.T, files map[string]string) (tags int) {
	t.Helper()
	has := func(name, needs string) {
		if _, there := files[needs]; !there {
			t.Errorf("%s is there, and %s is not", name, needs)
		}
	}
	for name, text := range files {
		f := layout.Parse(name)
		switch {
		case f.Kind == layout.Foreign || f.Kind == layout.Upload:
			t.Errorf("%s is no file of a registry", name)
			continue
		case f.Kind == layout.Blob:
			if digest.FromString(text) != f.Digest() {
				t.Errorf("%s holds something else", name)
			}
			continue
		}
		target, err := f.Target([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		has(name, layout.BlobPath("sha256", target.Encoded()))
		if f.Kind == layout.TagLink {
			tags++
			has(name, layout.File{Kind: layout.RevisionLink, Repository: f.Repository, Algorithm: "sha256", Hex: target.Encoded()}.Path())
			has(name, layout.File{Kind: layout.TagHistory, Repository: f.Repository, Tag: f.Tag, Algorithm: "sha256", Hex: target.Encoded()}.Path())
		}
		if f.Kind != layout.RevisionLink {
			continue
		}
		var m ocispec.Manifest
		if err := json.Unmarshal([]byte(files[layout.BlobPath("sha256", target.Encoded())]), &m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, d := range append(m.Layers, m.Config) {
			has(name, layout.File{Kind: layout.LayerLink, Repository: f.Repository, Algorithm: "sha256", Hex: d.Digest.Encoded()}.Path())
			if size := len(files[layout.BlobPath("sha256", d.Digest.Encoded())]); int64(size) != d.Size {
				t.Errorf("%s has %d bytes, and %s says %d", d.Digest, size, name, d.Size)
			}
		}
	}
	return tags
}

func sizes(files []File) map[string]int64 {
	all := map[string]int64{}
	for _, f := range files {
		all[f.Path] = f.Size
	}
	return all
}

func sizesOf(files map[string]string) map[string]int64 {
	all := map[string]int64{}
	for name, text := range files {
		all[name] = int64(len(text))
	}
	return all
}

func TestAVolumeIsOneThatARegistryCouldHaveWritten(t *testing.T) {
	t.Parallel()
	p := Profiles()["tiny"]
	v := generate(t, p, 1)
	files := contents(t, v.Root)
	if tags := isWhole(t, files); tags != p.Tags() {
		t.Errorf("%d tags, want %d", tags, p.Tags())
	}
	if diff := cmp.Diff(sizesOf(files), sizes(v.Files)); diff != "" {
		t.Errorf("what is said of it is not so (-there +said):\n%s", diff)
	}
	var bytes, shared int64
	uses := map[string]int{}
	for name, text := range files {
		bytes += int64(len(text))
		if f := layout.Parse(name); f.Kind == layout.LayerLink {
			uses[f.Hex]++
		}
	}
	for _, n := range uses {
		if n > 1 {
			shared++
		}
	}
	if bytes != v.Bytes || len(v.Files) != len(files) || v.Blobs == 0 || shared != int64(p.Bases*p.BaseLayers) {
		t.Errorf("%d bytes, %d said; %d files, %d said; %d layers are shared", bytes, v.Bytes, len(files), len(v.Files), shared)
	}
}

func TestTheSameSeedMakesTheSameVolume(t *testing.T) {
	t.Parallel()
	p := Profiles()["tiny"].Scaled(0.5)
	first, second, other := generate(t, p, 7), generate(t, p, 7), generate(t, p, 8)
	if diff := cmp.Diff(contents(t, first.Root), contents(t, second.Root)); diff != "" {
		t.Error("they differ")
	}
	if !slices.Equal(first.Files, second.Files) {
		t.Error("their files are told in another order")
	}
	names := maps.Keys(sizes(first.Files))
	common := 0
	for name := range names {
		if _, there := sizes(other.Files)[name]; there && layout.Parse(name).Kind == layout.Blob {
			common++
		}
	}
	if common > 0 {
		t.Errorf("%d blobs are those of another seed", common)
	}
}

func TestAVolumeIsAsBigAsItsProfileSays(t *testing.T) {
	t.Parallel()
	p := Profiles()["tiny"]
	p.Repositories, p.Layer, p.BaseLayer = 30, Range{100, 10_000}, Range{1000, 1000}
	v := generate(t, p, 3)
	if n := float64(len(v.Files)) / float64(p.Files()); n < 0.9 || n > 1.1 {
		t.Errorf("%d files, %d were expected", len(v.Files), p.Files())
	}
	if n := float64(v.Bytes) / float64(p.Bytes()); n < 0.7 || n > 1.4 {
		t.Errorf("%d bytes, %d were expected", v.Bytes, p.Bytes())
	}
}

func TestProfilesAreWhatTheBenchmarkIsJudgedOn(t *testing.T) {
	t.Parallel()
	all := Profiles()
	between := func(what string, got, least, most int64) {
		if got < least || got > most {
			t.Errorf("%s: %d, want %d to %d", what, got, least, most)
		}
	}
	between("tags of small", int64(all["small"].Tags()), 2_000, 2_000)
	between("files of small", all["small"].Files(), 30_000, 33_000)
	between("bytes of small", all["small"].Bytes(), 1.4e9, 1.7e9)
	between("tags of many", int64(all["many"].Tags()), 20_000, 20_000)
	between("files of many", all["many"].Files(), 250_001, 300_000)
	between("layers of large", int64(all["large"].Repositories*all["large"].Images)*all["large"].Own.To, 200, 200)
}

func TestAScaledProfileHasFewerImages(t *testing.T) {
	t.Parallel()
	large := Profiles()["large"]
	for scale, want := range map[float64]int{1: 100, 0.25: 25, 0.05: 5, 0.03: 3, 0.0001: 2, 2: 200} {
		p := large.Scaled(scale)
		if got := p.Repositories * p.Images; got != want {
			t.Errorf("%v: %d images in %d repositories, want %d", scale, got, p.Repositories, want)
		}
	}
}

func TestAChangedVolumeIsWholeAndCanBeChangedBack(t *testing.T) {
	t.Parallel()
	for _, repositories := range []int{3, 4, 5, 6, 7} {
		p := Profiles()["tiny"]
		p.Repositories, p.Images, p.Layer = repositories, 8, Range{100, 1000}
		v := generate(t, p, 4)
		before := contents(t, v.Root)
		c, err := v.Change(t.Context(), v.MostChanges())
		if err != nil {
			t.Fatal(err)
		}
		after := contents(t, v.Root)
		tags := isWhole(t, after)
		if want := p.Tags() + c.Pushed - c.Untagged - c.Deleted; tags != want {
			t.Errorf("%d tags, want %d: %+v", tags, want, c)
		}
		if diff := cmp.Diff(sizesOf(after), sizes(c.Files)); diff != "" {
			t.Errorf("what is said of it is not so (-there +said):\n%s", diff)
		}
		for _, tag := range c.Tags {
			if after[tag] == "" || after[tag] == before[tag] {
				t.Errorf("%s did not change", tag)
			}
		}
		if c.Pushed == 0 || c.Retagged == 0 || c.Untagged == 0 || c.Deleted == 0 || len(c.Tags) != c.Pushed+c.Retagged {
			t.Errorf("%+v", c)
		}
		if err := c.Undo(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, contents(t, v.Root)); diff != "" {
			t.Errorf("it is not what it was (-before +now):\n%s", diff)
		}
		if _, err := os.Stat(c.beside); err == nil {
			t.Error("something is left beside it")
		}
	}
}

func TestMoreChangesThanTagsAreRefused(t *testing.T) {
	t.Parallel()
	v := generate(t, Profiles()["tiny"].Scaled(0.1), 5)
	if _, err := v.Change(t.Context(), v.MostChanges()+1); err == nil {
		t.Error("it was changed")
	}
}
