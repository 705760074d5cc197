package demo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/registry"
)

// Image is an image for several platforms: an index, a manifest for each
// platform, and their blobs.
type Image struct {
	Index     registry.Manifest
	Manifests []registry.Manifest
	Platforms []string
	blobs     map[digest.Digest][]byte
}

// NewImage makes an image for linux/amd64 and linux/arm64. The platforms share
// their first layer, as platforms and versions of real images do. No program is
// in it: it is for being carried, not for being run.
func NewImage(version string) (*Image, error) {
	image := &Image{blobs: map[digest.Digest][]byte{}}
	base, err := layer("usr/share/demo/base.bin", noise(1, 512<<10))
	if err != nil {
		return nil, err
	}
	var entries []ocispec.Descriptor
	for i, architecture := range []string{"amd64", "arm64"} {
		text := fmt.Appendf(nil, "This is version %s of the demonstration for %s.\n", version, architecture)
		own, err := layer("usr/share/demo/"+architecture, append(text, noise(uint64(2+i), 128<<10)...))
		if err != nil {
			return nil, err
		}
		platform := ocispec.Platform{OS: "linux", Architecture: architecture}
		entry, err := image.add(platform, base, own)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
		image.Platforms = append(image.Platforms, "linux/"+architecture)
	}
	image.Index, err = manifest(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
		Annotations: map[string]string{ocispec.AnnotationVersion: version},
	})
	return image, err
}

// content is a layer: what is stored, and the digest of what it unpacks to.
type content struct {
	compressed   []byte
	uncompressed digest.Digest
}

// layer packs one file as image layers are packed. The same file gives the same
// bytes every time.
func layer(name string, body []byte) (content, error) {
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return content{}, fmt.Errorf("pack layer: %w", err)
	}
	z := gzip.NewWriter(&packed)
	if _, err = z.Write(plain.Bytes()); err == nil {
		err = z.Close()
	}
	if err != nil {
		return content{}, fmt.Errorf("compress layer: %w", err)
	}
	return content{packed.Bytes(), digest.FromBytes(plain.Bytes())}, nil
}

// noise is bytes that do not compress and are the same in every run.
func noise(seed uint64, size int) []byte {
	body := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = source.Read(body) // it never fails
	return body
}

// add makes the manifest of a platform and returns its entry for the index.
func (i *Image) add(platform ocispec.Platform, layers ...content) (ocispec.Descriptor, error) {
	config := ocispec.Image{
		Platform: platform,
		RootFS:   ocispec.RootFS{Type: "layers"},
		Config:   ocispec.ImageConfig{Labels: map[string]string{ocispec.AnnotationTitle: "lighterage demonstration"}},
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.uncompressed)
		m.Layers = append(m.Layers, i.blob(ocispec.MediaTypeImageLayerGzip, l.compressed))
	}
	text, err := json.Marshal(config)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("image config: %w", err)
	}
	m.Config = i.blob(ocispec.MediaTypeImageConfig, text)
	made, err := manifest(ocispec.MediaTypeImageManifest, m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	i.Manifests = append(i.Manifests, made)
	return ocispec.Descriptor{MediaType: made.MediaType, Digest: made.Digest, Size: int64(len(made.Content)), Platform: &platform}, nil
}

func (i *Image) blob(mediaType string, body []byte) ocispec.Descriptor {
	d := digest.FromBytes(body)
	i.blobs[d] = body
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
}

func manifest(mediaType string, value any) (registry.Manifest, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return registry.Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return registry.Manifest{MediaType: mediaType, Digest: digest.FromBytes(text), Content: text}, nil
}

// Size is how many bytes the image has, each blob counted once.
func (i *Image) Size() int64 {
	size := int64(len(i.Index.Content))
	for _, m := range i.Manifests {
		size += int64(len(m.Content))
	}
	for _, body := range i.blobs {
		size += int64(len(body))
	}
	return size
}

// Push sends the image to a registry, as every client does: blobs, then the
// manifests of the platforms, then the index under the tag.
func (i *Image) Push(ctx context.Context, c *registry.Client, repository, tag string) error {
	for d, body := range i.blobs {
		upload, err := c.StartUpload(ctx, repository)
		if err == nil {
			err = upload.Put(ctx, bytes.NewReader(body), int64(len(body)), d)
		}
		if err != nil {
			return fmt.Errorf("push blob %s: %w", d, err)
		}
	}
	for _, m := range i.Manifests {
		if _, err := c.PutManifest(ctx, repository, m.Digest.String(), m); err != nil {
			return fmt.Errorf("push manifest %s: %w", m.Digest, err)
		}
	}
	if _, err := c.PutManifest(ctx, repository, tag, i.Index); err != nil {
		return fmt.Errorf("push %s:%s: %w", repository, tag, err)
	}
	return nil
}
