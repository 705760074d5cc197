package testserver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of Docker, which the OCI packages do not know.
const (
	DockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig       = "application/vnd.docker.container.image.v1+json"
	DockerLayer        = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	DockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// Artifact is a manifest with everything it needs. It must not be changed: many
// tests may push one.
type Artifact struct {
	MediaType    string
	ArtifactType string
	Digest       digest.Digest
	Manifest     []byte
	Blobs        []Blob            // config and layers in the manifest's order
	Children     []*Artifact       // of an index
	Platform     *ocispec.Platform // as a child
	Annotations  map[string]string // as a child
}

// Blob is the content of a config or layer.
type Blob struct {
	ocispec.Descriptor
	Content []byte // nil: a foreign layer, which is not in the registry
}

// Descriptor returns how a parent or referrer speaks of the artifact.
func (a *Artifact) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: a.MediaType, Digest: a.Digest, Size: int64(len(a.Manifest)),
		Platform: a.Platform, Annotations: a.Annotations,
	}
}

// All returns the artifact and its children, at any depth, each once, children first.
func (a *Artifact) All() []*Artifact {
	var all []*Artifact
	seen := map[digest.Digest]bool{}
	var walk func(*Artifact)
	walk = func(a *Artifact) {
		if seen[a.Digest] {
			return
		}
		seen[a.Digest] = true
		for _, child := range a.Children {
			walk(child)
		}
		all = append(all, a)
	}
	walk(a)
	return all
}

// BlobBytes returns the sum of the sizes of all different blobs that are in the
// registry, of children too.
func (a *Artifact) BlobBytes() (sum int64) {
	seen := map[digest.Digest]bool{}
	for _, one := range a.All() {
		for _, b := range one.Blobs {
			if b.Content != nil && !seen[b.Digest] {
				seen[b.Digest] = true
				sum += b.Size
			}
		}
	}
	return sum
}

// Image makes an OCI image for linux/amd64 with gzipped layers. Each layer has
// about layerBytes bytes that do not compress, and is real: a tar with one file.
func Image(t testing.TB, seed uint64, layers, layerBytes int) *Artifact {
	t.Helper()
	return imageOf(t, "amd64", ocispec.MediaTypeImageManifest, seedLayers(t, ocispec.MediaTypeImageLayerGzip, seed, layers, layerBytes)...)
}

// ImageOn makes an image with all layers of base and some of its own.
func ImageOn(t testing.TB, base *Artifact, seed uint64, layers, layerBytes int) *Artifact {
	t.Helper()
	all := append([]Blob(nil), base.Blobs[1:]...)
	all = append(all, seedLayers(t, ocispec.MediaTypeImageLayerGzip, seed, layers, layerBytes)...)
	return imageOf(t, "amd64", ocispec.MediaTypeImageManifest, all...)
}

// DockerImage makes a schema 2 image with one layer.
func DockerImage(t testing.TB, seed uint64) *Artifact {
	t.Helper()
	return imageOf(t, "amd64", DockerManifest, seedLayers(t, DockerLayer, seed, 1, 1000)...)
}

// ForeignLayerImage makes a schema 2 image whose first layer is elsewhere.
func ForeignLayerImage(t testing.TB, seed uint64) *Artifact {
	t.Helper()
	layers := seedLayers(t, DockerForeignLayer, seed, 1, 1000)
	layers[0].URLs = []string{"https://layers.example/" + layers[0].Digest.String()}
	layers[0].Content = nil
	layers = append(layers, seedLayers(t, DockerLayer, seed+1, 1, 1000)...)
	return imageOf(t, "amd64", DockerManifest, layers...)
}

// EmptyLayerImage makes an image that has the same empty layer twice.
func EmptyLayerImage(t testing.TB) *Artifact {
	t.Helper()
	empty := blob(ocispec.MediaTypeImageLayerGzip, compress(t, make([]byte, 1024))) // the end of a tar
	return imageOf(t, "amd64", ocispec.MediaTypeImageManifest, empty, empty)
}

// ZstdImage makes an image with a layer that is compressed with zstd.
func ZstdImage(t testing.TB, seed uint64) *Artifact {
	t.Helper()
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	content := encoder.EncodeAll(tarOf(t, seed, 0, 1000), nil)
	return imageOf(t, "amd64", ocispec.MediaTypeImageManifest, blob(ocispec.MediaTypeImageLayerZstd, content))
}

// UnknownArtifact makes an artifact that is no image, of types nobody knows.
func UnknownArtifact(t testing.TB, seed uint64) *Artifact {
	t.Helper()
	return artifactOf(t, "application/vnd.example.thing.v1", nil, blob("application/vnd.example.data.v7", noise(seed, 0, 500)))
}

// Referrer makes an artifact whose subject is another one.
func Referrer(t testing.TB, subject *Artifact, artifactType string, seed uint64) *Artifact {
	t.Helper()
	of := ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: int64(len(subject.Manifest))}
	return artifactOf(t, artifactType, &of, blob("application/octet-stream", noise(seed, 0, 300)))
}

// CosignTag is the tag under which cosign keeps the signature of an artifact.
func CosignTag(d digest.Digest) string { return ReferrersTag(d) + ".sig" }

// ReferrersTag is the tag of an index of referrers, where a registry has no API
// for them (distribution-spec, "Referrers tag schema").
func ReferrersTag(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// CosignSignature makes a signature as cosign does, to be pushed under CosignTag.
func CosignSignature(t testing.TB, signed *Artifact) *Artifact {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"critical": map[string]any{
		"image": map[string]string{"docker-manifest-digest": signed.Digest.String()}, "type": "cosign container image signature",
	}})
	if err != nil {
		t.Fatal(err)
	}
	layer := blob("application/vnd.dev.cosign.simplesigning.v1+json", payload)
	layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": "MEUCIQDsignature"}
	return imageOf(t, "amd64", ocispec.MediaTypeImageManifest, layer)
}

// Index makes an OCI index of one small image per platform ("linux/arm64"; none
// named: linux/amd64 and linux/arm64) and an attestation of the first, as
// buildkit makes one: a child of the platform unknown/unknown.
func Index(t testing.TB, seed uint64, platforms ...string) *Artifact {
	t.Helper()
	children := platformImages(t, ocispec.MediaTypeImageManifest, seed, platforms)
	return IndexOf(t, append(children, attestation(t, children[0], seed))...)
}

// ManifestList makes a schema 2 manifest list of schema 2 images.
func ManifestList(t testing.TB, seed uint64, platforms ...string) *Artifact {
	t.Helper()
	return listOf(t, DockerManifestList, platformImages(t, DockerManifest, seed, platforms))
}

// NestedIndex makes an index of an index and an image.
func NestedIndex(t testing.TB, seed uint64) *Artifact {
	t.Helper()
	return IndexOf(t, Index(t, seed), Image(t, seed+1000, 1, 1000))
}

// IndexOf makes an OCI index of artifacts.
func IndexOf(t testing.TB, children ...*Artifact) *Artifact {
	t.Helper()
	return listOf(t, ocispec.MediaTypeImageIndex, children)
}

func platformImages(t testing.TB, mediaType string, seed uint64, platforms []string) []*Artifact {
	t.Helper()
	if len(platforms) == 0 {
		platforms = []string{"linux/amd64", "linux/arm64"}
	}
	layerType := ocispec.MediaTypeImageLayerGzip
	if mediaType == DockerManifest {
		layerType = DockerLayer
	}
	images := make([]*Artifact, len(platforms))
	for i, name := range platforms {
		var p ocispec.Platform
		if err := parsePlatform(name, &p); err != nil {
			t.Fatal(err)
		}
		images[i] = imageOf(t, p.Architecture, mediaType, seedLayers(t, layerType, seed+uint64(i)*1_000_003, 2, 2000)...)
		images[i].Platform = &p
	}
	return images
}

func parsePlatform(name string, p *ocispec.Platform) error {
	for i, part := range strings.Split(name, "/") {
		switch i {
		case 0:
			p.OS = part
		case 1:
			p.Architecture = part
		case 2:
			p.Variant = part
		}
	}
	if p.OS == "" || p.Architecture == "" {
		return fmt.Errorf("%q is no platform", name)
	}
	return nil
}

func attestation(t testing.TB, of *Artifact, seed uint64) *Artifact {
	t.Helper()
	layer := blob("application/vnd.in-toto+json", fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v0.1","seed":%d}`, seed))
	layer.Annotations = map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
	a := imageOf(t, "unknown", ocispec.MediaTypeImageManifest, layer)
	a.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	a.Annotations = map[string]string{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of.Digest.String(),
	}
	return a
}
