package testserver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifest is any manifest that is not a list.
type manifest struct {
	specs.Versioned
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType,omitempty"`
	Config       ocispec.Descriptor   `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Subject      *ocispec.Descriptor  `json:"subject,omitempty"`
}

// imageOf makes an image of layers, with a config that fits them.
func imageOf(t testing.TB, architecture, mediaType string, layers ...Blob) *Artifact {
	t.Helper()
	config := ocispec.Image{
		Created:  &time.Time{},
		Platform: ocispec.Platform{OS: "linux", Architecture: architecture},
		Config:   ocispec.ImageConfig{Cmd: []string{"/file"}},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID(t, l))
		config.History = append(config.History, ocispec.History{Created: &time.Time{}, CreatedBy: "a test"})
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	configType := ocispec.MediaTypeImageConfig
	if mediaType == DockerManifest {
		configType = DockerConfig
	}
	return manifestOf(t, manifest{MediaType: mediaType}, blob(configType, text), layers)
}

// artifactOf makes an OCI artifact with an empty config.
func artifactOf(t testing.TB, artifactType string, subject *ocispec.Descriptor, layers ...Blob) *Artifact {
	t.Helper()
	m := manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Subject: subject}
	return manifestOf(t, m, blob(ocispec.MediaTypeEmptyJSON, []byte("{}")), layers)
}

func manifestOf(t testing.TB, m manifest, config Blob, layers []Blob) *Artifact {
	t.Helper()
	m.SchemaVersion = 2
	m.Config = config.Descriptor
	for _, l := range layers {
		m.Layers = append(m.Layers, l.Descriptor)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return &Artifact{
		MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.FromBytes(text), Manifest: text,
		Blobs: append([]Blob{config}, layers...),
	}
}

func listOf(t testing.TB, mediaType string, children []*Artifact) *Artifact {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType, Manifests: []ocispec.Descriptor{}}
	for _, c := range children {
		index.Manifests = append(index.Manifests, c.Descriptor())
	}
	text, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	return &Artifact{MediaType: mediaType, Digest: digest.FromBytes(text), Manifest: text, Children: children}
}

func blob(mediaType string, content []byte) Blob {
	return Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))},
		Content:    content,
	}
}

func seedLayers(t testing.TB, mediaType string, seed uint64, layers, layerBytes int) []Blob {
	t.Helper()
	all := make([]Blob, layers)
	for i := range all {
		all[i] = blob(mediaType, compress(t, tarOf(t, seed, uint64(i), layerBytes)))
	}
	return all
}

// tarOf makes a tar with one file of noise.
func tarOf(t testing.TB, seed, part uint64, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("file-%d-%d", seed, part), Mode: 0o644, Size: int64(size), Typeflag: tar.TypeReg})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(seed, part, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compress(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.NoCompression) // noise does not get smaller
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// diffID returns the digest of what a layer decompresses to.
func diffID(t testing.TB, layer Blob) digest.Digest {
	t.Helper()
	if len(layer.Content) < 2 || layer.Content[0] != 0x1f || layer.Content[1] != 0x8b {
		return layer.Digest // not gzip; nobody unpacks such a layer in tests
	}
	r, err := gzip.NewReader(bytes.NewReader(layer.Content))
	if err != nil {
		t.Fatal(err)
	}
	d, err := digest.Canonical.FromReader(r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// noise makes bytes that do not compress and that follow from the seed.
func noise(seed, part uint64, size int) []byte {
	key := sha256.Sum256(fmt.Appendf(nil, "%d/%d", seed, part))
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}
