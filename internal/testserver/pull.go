package testserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Pulled is what a repository has of an artifact. Every byte of it was read and
// hashed.
type Pulled struct {
	MediaType string
	Digest    digest.Digest
	Manifest  []byte
	Manifests map[digest.Digest]bool  // with this one and all children
	Blobs     map[digest.Digest]int64 // bytes, of children too; without foreign layers
}

// Pull reads an artifact, by tag or digest, with everything it needs.
func Pull(t testing.TB, r *Registry, repository, reference string) Pulled {
	t.Helper()
	p, err := TryPull(t.Context(), r, repository, reference)
	if err != nil {
		t.Fatalf("pull %s %s from %s: %v", repository, reference, r.URL, err)
	}
	return p
}

// TryPull is Pull for a test that expects an error or waits.
func TryPull(ctx context.Context, r *Registry, repository, reference string) (Pulled, error) {
	p := Pulled{Manifests: map[digest.Digest]bool{}, Blobs: map[digest.Digest]int64{}}
	ref, err := r.reference(repository, reference)
	if err != nil {
		return p, err
	}
	puller, err := remote.NewPuller(r.remoteOptions()...)
	if err != nil {
		return p, err
	}
	got, err := puller.Get(ctx, ref)
	if err != nil {
		return p, err
	}
	p.MediaType, p.Manifest, p.Digest = string(got.MediaType), got.Manifest, digest.FromBytes(got.Manifest)
	if said := got.Digest.String(); said != p.Digest.String() {
		return p, fmt.Errorf("the registry says that the manifest is %s, but it is %s", said, p.Digest)
	}
	return p, p.descend(ctx, r, puller, repository, p.Digest, p.Manifest)
}

// descend reads what a manifest needs.
func (p *Pulled) descend(ctx context.Context, r *Registry, puller *remote.Puller, repository string, d digest.Digest, manifest []byte) error {
	if p.Manifests[d] {
		return nil
	}
	p.Manifests[d] = true
	var m struct {
		Config    *ocispec.Descriptor  `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fmt.Errorf("read manifest %s: %w", d, err)
	}
	for _, child := range m.Manifests {
		ref, err := r.reference(repository, child.Digest.String())
		if err != nil {
			return err
		}
		got, err := puller.Get(ctx, ref) // checks the digest
		if err != nil {
			return fmt.Errorf("child %s: %w", child.Digest, err)
		}
		if err := p.descend(ctx, r, puller, repository, child.Digest, got.Manifest); err != nil {
			return err
		}
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, b := range blobs {
		if _, done := p.Blobs[b.Digest]; done || len(b.URLs) > 0 {
			continue
		}
		size, err := readBlob(ctx, r, puller, repository, b.Digest)
		if err != nil {
			return fmt.Errorf("blob %s: %w", b.Digest, err)
		}
		if size != b.Size {
			return fmt.Errorf("blob %s has %d bytes, %d expected", b.Digest, size, b.Size)
		}
		p.Blobs[b.Digest] = size
	}
	return nil
}

func readBlob(ctx context.Context, r *Registry, puller *remote.Puller, repository string, d digest.Digest) (int64, error) {
	repo, err := r.repository(repository)
	if err != nil {
		return 0, err
	}
	layer, err := puller.Layer(ctx, repo.Digest(d.String()))
	if err != nil {
		return 0, err
	}
	body, err := layer.Compressed()
	if err != nil {
		return 0, err
	}
	defer body.Close()
	verifier := d.Verifier()
	size, err := io.Copy(verifier, body)
	if err == nil && !verifier.Verified() {
		err = errors.New("its content has another digest")
	}
	return size, err
}

// Digest returns what a tag or digest stands for; ok is false if it is not there.
func Digest(t testing.TB, r *Registry, repository, reference string) (d digest.Digest, ok bool) {
	t.Helper()
	ref, err := r.reference(repository, reference)
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Head(ref, append(r.remoteOptions(), remote.WithContext(t.Context()))...)
	if isMissing(err) {
		return "", false
	}
	if err != nil {
		t.Fatalf("look up %s %s at %s: %v", repository, reference, r.URL, err)
	}
	return digest.Digest(got.Digest.String()), true
}

// Tags returns the tags of a repository in alphabetical order, none if there is no
// such repository.
func Tags(t testing.TB, r *Registry, repository string) []string {
	t.Helper()
	repo, err := r.repository(repository)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := remote.List(repo, append(r.remoteOptions(), remote.WithContext(t.Context()))...)
	if err != nil && !isMissing(err) {
		t.Fatalf("list the tags of %s at %s: %v", repository, r.URL, err)
	}
	slices.Sort(tags)
	return tags
}

// Repositories returns the catalog of a registry in alphabetical order.
func Repositories(t testing.TB, r *Registry) []string {
	t.Helper()
	repo, err := r.repository("any")
	if err != nil {
		t.Fatal(err)
	}
	names, err := remote.Catalog(t.Context(), repo.Registry, r.remoteOptions()...)
	if err != nil {
		t.Fatalf("list the repositories at %s: %v", r.URL, err)
	}
	slices.Sort(names)
	return names
}

// Referrers returns the digests of what refers to an artifact, by the API or by
// the tag that stands in for it.
func Referrers(t testing.TB, r *Registry, repository string, subject digest.Digest) []digest.Digest {
	t.Helper()
	repo, err := r.repository(repository)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(repo.Digest(subject.String()), append(r.remoteOptions(), remote.WithContext(t.Context()))...)
	if err != nil {
		t.Fatalf("list the referrers of %s@%s at %s: %v", repository, subject, r.URL, err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var all []digest.Digest
	for _, d := range m.Manifests {
		all = append(all, digest.Digest(d.Digest.String()))
	}
	slices.Sort(all)
	return all
}

func isMissing(err error) bool {
	failure, ok := errors.AsType[*transport.Error](err)
	return ok && failure.StatusCode == http.StatusNotFound
}

// LoseBlob removes the content of a blob from the files of a distribution registry,
// which goes on believing that it has it.
func (r *Registry) LoseBlob(t testing.TB, d digest.Digest) {
	t.Helper()
	if err := os.Remove(r.blobFile(d)); err != nil {
		t.Fatal(err)
	}
}

// DamageBlob changes one bit in the content of a blob in the files of a
// distribution registry.
func (r *Registry) DamageBlob(t testing.TB, d digest.Digest) {
	t.Helper()
	content, err := os.ReadFile(r.blobFile(d))
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(r.blobFile(d), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *Registry) blobFile(d digest.Digest) string {
	hex := d.Encoded()
	return filepath.Join(r.Root, "docker", "registry", "v2", "blobs", d.Algorithm().String(), strings.ToLower(hex[:2]), hex, "data")
}
