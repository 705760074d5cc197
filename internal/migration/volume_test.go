package migration

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// volume is a registry's folder that a test writes to as the registry would.
type volume struct {
	t    testing.TB
	root string
}

// newVolume makes an empty one, in memory where that can be: the tests of package
// tree see to it that files survive a crash, here waiting for a disk shows nothing.
func newVolume(t testing.TB) *volume {
	t.Helper()
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err != nil || !info.IsDir() {
		return &volume{t, t.TempDir()}
	}
	folder, err := os.MkdirTemp(memory, "lighterage-test-")
	if err != nil {
		return &volume{t, t.TempDir()}
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return &volume{t, folder}
}

func (v *volume) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume) path(name string) string { return filepath.Join(v.root, filepath.FromSlash(name)) }

func (v *volume) write(name, content string) {
	v.t.Helper()
	v.must(os.MkdirAll(filepath.Dir(v.path(name)), 0o755))
	v.must(os.WriteFile(v.path(name), []byte(content), 0o644))
}

func (v *volume) remove(name string) {
	v.t.Helper()
	v.must(os.RemoveAll(v.path(name)))
}

// blob stores a blob and returns its digest.
func (v *volume) blob(content string) digest.Digest {
	v.t.Helper()
	d := digest.FromString(content)
	v.write(blobName(d), content)
	return d
}

func blobName(d digest.Digest) string { return layout.BlobPath(d.Algorithm().String(), d.Encoded()) }

func linkName(kind layout.Kind, repository, tag string, d digest.Digest) string {
	return layout.File{Kind: kind, Repository: repository, Tag: tag, Algorithm: d.Algorithm().String(), Hex: d.Encoded()}.Path()
}

func tagName(repository, tag string) string {
	return layout.File{Kind: layout.TagLink, Repository: repository, Tag: tag}.Path()
}

// image pushes an image with two layers, of which one is the same for all images of
// a volume, and returns its digest.
func (v *volume) image(repository, tag, seed string) digest.Digest {
	v.t.Helper()
	var descriptors []ocispec.Descriptor
	for _, content := range []string{"config of " + seed, "base", strings.Repeat("layer of "+seed+"\n", 100)} {
		d := v.blob(content)
		v.write(linkName(layout.LayerLink, repository, "", d), d.String())
		descriptors = append(descriptors, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(len(content))})
	}
	descriptors[0].MediaType = ocispec.MediaTypeImageConfig
	text, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: descriptors[0], Layers: descriptors[1:],
	})
	v.must(err)
	d := v.blob(string(text))
	v.write(linkName(layout.RevisionLink, repository, "", d), d.String())
	if tag != "" {
		v.tag(repository, tag, d)
	}
	return d
}

func (v *volume) tag(repository, tag string, d digest.Digest) {
	v.t.Helper()
	v.write(linkName(layout.TagHistory, repository, tag, d), d.String())
	v.write(tagName(repository, tag), d.String())
}

// deleteManifest does what the registry does: the folder of the link stays.
func (v *volume) deleteManifest(repository string, d digest.Digest) {
	v.t.Helper()
	v.must(os.Remove(v.path(linkName(layout.RevisionLink, repository, "", d))))
}

// clutter is what is on volumes besides.
func (v *volume) clutter() {
	v.t.Helper()
	v.write(layout.Repositories+"library/app/_uploads/5d1f/data", "half")
	v.write(layout.Repositories+"library/app/_uploads/5d1f/startedat", "2026-01-01T00:00:00Z")
	v.write("lost+found/#12", "x")
	v.write(layout.Blobs+"sha256/ab/data.tmp", "x")
}

// fill makes a registry of three repositories, one below another.
func (v *volume) fill() {
	v.t.Helper()
	for _, repository := range []string{"library/app", "library/app/tools", "library/app-b"} {
		for i := range 3 {
			v.image(repository, fmt.Sprintf("v%d", i), fmt.Sprintf("%s %d", repository, i))
		}
		v.image(repository, "", repository+" without a tag")
	}
	v.tag("library/app", "latest", v.image("library/app", "v2", "library/app 2"))
}

func (v *volume) tree() *tree.Directory {
	v.t.Helper()
	d, err := tree.OpenDirectory(v.root, tree.DirectoryOptions{})
	v.must(err)
	v.t.Cleanup(func() { _ = d.Close() })
	return d
}

// files are all files of the layout, with their contents.
func (v *volume) files() map[string]string {
	v.t.Helper()
	all := map[string]string{}
	v.must(filepath.WalkDir(v.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(v.root, path)
		if err != nil {
			return err
		}
		if f := layout.Parse(filepath.ToSlash(name)); f.Kind != layout.Foreign && f.Kind != layout.Upload {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[filepath.ToSlash(name)] = string(text)
		}
		return nil
	}))
	return all
}

// equals fails the test unless both hold the same files of the layout.
func (v *volume) equals(other *volume) {
	v.t.Helper()
	if diff := cmp.Diff(v.files(), other.files()); diff != "" {
		v.t.Errorf("the copy differs (-source +copy):\n%s", diff)
	}
}

// whole fails the test if a link leads to something that is not there, or an image
// lacks a layer.
func (v *volume) whole() {
	v.t.Helper()
	files := v.files()
	lacks := func(name, needs string) {
		if _, there := files[needs]; !there {
			v.t.Errorf("%s is there, and %s is not", name, needs)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := layout.Parse(name)
		switch f.Kind {
		case layout.LayerLink, layout.TagHistory:
			lacks(name, blobName(digest.Digest(files[name])))
		case layout.TagLink:
			lacks(name, linkName(layout.RevisionLink, f.Repository, "", digest.Digest(files[name])))
		case layout.RevisionLink:
			lacks(name, blobName(f.Digest()))
			var m ocispec.Manifest
			if err := json.Unmarshal([]byte(files[blobName(f.Digest())]), &m); err != nil {
				v.t.Errorf("%s: %v", name, err)
			}
			for _, needed := range append(m.Layers, m.Config) {
				lacks(name, blobName(needed.Digest))
				lacks(name, linkName(layout.LayerLink, f.Repository, "", needed.Digest))
			}
		}
	}
}

// age makes all files old enough not to be in the middle of being written.
func (v *volume) age() {
	v.t.Helper()
	long := time.Now().Add(-time.Hour)
	for name := range v.files() {
		v.must(os.Chtimes(v.path(name), long, long))
	}
}
