package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/registry"
)

// Pulled is one thing that was pulled and is what its digest says.
type Pulled struct {
	Kind   string // index, manifest, config, layer
	Note   string // the platform of a manifest
	Digest digest.Digest
	Bytes  int64
}

// Pull fetches an image for several platforms by digest, with all its manifests
// and blobs, and hashes every byte. Blobs that platforms share are fetched once.
func Pull(ctx context.Context, c *registry.Client, repository string, d digest.Digest) ([]Pulled, error) {
	p := puller{Client: c, repository: repository, seen: map[digest.Digest]bool{}}
	err := p.index(ctx, d)
	return p.pulled, err
}

type puller struct {
	*registry.Client
	repository string
	seen       map[digest.Digest]bool
	pulled     []Pulled
}

func (p *puller) index(ctx context.Context, d digest.Digest) error {
	var index ocispec.Index
	if err := p.manifest(ctx, "index", "", d, &index); err != nil {
		return err
	}
	for _, entry := range index.Manifests {
		var m ocispec.Manifest
		platform := ""
		if entry.Platform != nil {
			platform = entry.Platform.OS + "/" + entry.Platform.Architecture
		}
		if err := p.manifest(ctx, "manifest", platform, entry.Digest, &m); err != nil {
			return err
		}
		if err := p.blob(ctx, "config", m.Config); err != nil {
			return err
		}
		for _, layer := range m.Layers {
			if err := p.blob(ctx, "layer", layer); err != nil {
				return err
			}
		}
	}
	return nil
}

// manifest fetches a manifest; the client has hashed what it returns.
func (p *puller) manifest(ctx context.Context, kind, note string, d digest.Digest, into any) error {
	m, err := p.Manifest(ctx, p.repository, d.String())
	if err != nil {
		return fmt.Errorf("pull %s %s: %w", kind, d, err)
	}
	if err := json.Unmarshal(m.Content, into); err != nil {
		return fmt.Errorf("read %s %s: %w", kind, d, err)
	}
	p.pulled = append(p.pulled, Pulled{kind, note, d, int64(len(m.Content))})
	return nil
}

func (p *puller) blob(ctx context.Context, kind string, want ocispec.Descriptor) error {
	if p.seen[want.Digest] {
		return nil
	}
	p.seen[want.Digest] = true
	body, err := p.Blob(ctx, p.repository, want.Digest, 0, want.Size)
	if err != nil {
		return fmt.Errorf("pull %s %s: %w", kind, want.Digest, err)
	}
	defer func() { _ = body.Close() }() // everything that matters has been read by then
	verifier := want.Digest.Verifier()
	n, err := io.Copy(verifier, body)
	if err != nil {
		return fmt.Errorf("pull %s %s: %w", kind, want.Digest, err)
	}
	if !verifier.Verified() || n != want.Size {
		return fmt.Errorf("pull %s %s: %d bytes arrived that are something else", kind, want.Digest, n)
	}
	p.pulled = append(p.pulled, Pulled{kind, "", want.Digest, n})
	return nil
}
