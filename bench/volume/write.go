package volume

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/layout"
)

// writer writes files of a volume, one after another.
type writer struct {
	root    string
	written time.Time // when the files say they were written; zero: now
	files   []File
}

// noise stores a blob of random bytes: a layer is compressed, and looks like them.
func (w *writer) noise(from io.Reader, size int64) (ocispec.Descriptor, error) {
	unfinished, d, err := w.unfinished(from, size)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	path := layout.BlobPath("sha256", d.Encoded())
	err = os.MkdirAll(w.folder(path), 0o755)
	if err == nil {
		err = os.Rename(unfinished, w.local(path))
	}
	if err != nil {
		return ocispec.Descriptor{}, errors.Join(err, os.Remove(unfinished))
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: d, Size: size}, w.wrote(path, size)
}

// unfinished writes a file for which the name is not known before.
func (w *writer) unfinished(from io.Reader, size int64) (name string, d digest.Digest, err error) {
	file, err := os.CreateTemp(w.root, "unfinished-*")
	if err != nil {
		return "", "", err
	}
	hash := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(file, hash), io.LimitReader(from, size), make([]byte, max(1, min(size, 1<<20))))
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err != nil {
		return "", "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), digest.NewDigest(digest.SHA256, hash), nil
}

// config stores a config like those of real images.
func (w *writer) config(name string, layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	image := ocispec.Image{
		Created: &created, Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		Config: ocispec.ImageConfig{
			Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, Entrypoint: []string{"/app"},
			Labels: map[string]string{"org.opencontainers.image.title": name},
		},
		RootFS: ocispec.RootFS{Type: "layers"},
	}
	for _, layer := range layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, digest.FromString("content of "+layer.Digest.String()))
		image.History = append(image.History, ocispec.History{Created: &created, CreatedBy: "COPY . /app # " + layer.Digest.Encoded()[:12]})
	}
	return w.document(ocispec.MediaTypeImageConfig, image)
}

// manifest stores a manifest and the repository's link to it.
func (w *writer) manifest(repository string, config ocispec.Descriptor, layers []ocispec.Descriptor) (digest.Digest, error) {
	d, err := w.document(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
	})
	if err != nil {
		return "", err
	}
	return d.Digest, w.link(layout.RevisionLink, repository, "", d.Digest)
}

func (w *writer) document(mediaType string, content any) (ocispec.Descriptor, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := digest.FromBytes(text)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(text))}, w.file(layout.BlobPath("sha256", d.Encoded()), text)
}

// tag makes a tag stand for a digest.
func (w *writer) tag(repository, tag string, d digest.Digest) error {
	if err := w.link(layout.TagHistory, repository, tag, d); err != nil {
		return err
	}
	return w.link(layout.TagLink, repository, tag, d)
}

func (w *writer) link(kind layout.Kind, repository, tag string, d digest.Digest) error {
	f := layout.File{Kind: kind, Repository: repository, Tag: tag, Algorithm: d.Algorithm().String(), Hex: d.Encoded()}
	return w.file(f.Path(), []byte(d))
}

func (w *writer) file(path string, content []byte) error {
	if err := os.MkdirAll(w.folder(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(w.local(path), content, 0o644); err != nil {
		return err
	}
	return w.wrote(path, int64(len(content)))
}

func (w *writer) wrote(path string, size int64) error {
	w.files = append(w.files, File{path, size})
	if w.written.IsZero() {
		return nil
	}
	return os.Chtimes(w.local(path), w.written, w.written)
}

func (w *writer) local(path string) string { return filepath.Join(w.root, filepath.FromSlash(path)) }

func (w *writer) folder(path string) string { return filepath.Dir(w.local(path)) }
