package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// portion is an artifact as it is with some platforms only.
type portion struct {
	source   digest.Digest     // of the manifest that it was made from
	manifest registry.Manifest // to be put: the same, unless an index was rewritten
	parsed   oci.Manifest      // what of it is wanted
	left     []digest.Digest   // what it lists and is not wanted
	within   []*portion        // the indexes within of which not all is wanted
	verdict  verdictOnPlatform
	has      oci.Platforms // the platforms that it is for
}

// verdictOnPlatform says whether something is for one of the platforms that are wanted.
type verdictOnPlatform uint8

const (
	noPlatform verdictOnPlatform = iota // it is for none, as a chart is: it is wanted whatever the platforms
	chosen
	notChosen
)

// whole reports whether nothing of it is left out.
func (p *portion) whole() bool { return len(p.left) == 0 && len(p.within) == 0 }

// rewritten reports whether it has another digest at the destination.
func (p *portion) rewritten() bool { return p.manifest.Digest != p.source }

// each calls f for the portion and all within it.
func (p *portion) each(f func(*portion)) {
	f(p)
	for _, inner := range p.within {
		inner.each(f)
	}
}

// why says in words why nothing of it is wanted.
func (p *portion) why(wanted oci.Platforms) string {
	return fmt.Sprintf("it is not for the platforms that the rule wants (%s) but for %s", wanted.InWords(), p.has.InWords())
}

// narrower finds out what of artifacts is for some platforms.
type narrower struct {
	read    func(ctx context.Context, d digest.Digest) (registry.Manifest, error)
	config  func(ctx context.Context, b oci.Blob) ([]byte, error)
	wanted  oci.Platforms
	rewrite bool

	manifests, bytes int
}

// largestConfig is up to which size a config is read to know the platform of an image.
const largestConfig = 4 << 20

// readsFrom makes a narrower of what a registry has.
func readsFrom(c *registry.Client, repository string, wanted oci.Platforms, rewrite bool) *narrower {
	return &narrower{
		wanted: wanted, rewrite: rewrite,
		read: func(ctx context.Context, d digest.Digest) (registry.Manifest, error) {
			return c.Manifest(ctx, repository, string(d))
		},
		config: func(ctx context.Context, b oci.Blob) ([]byte, error) {
			body, err := c.Blob(ctx, repository, b.Digest, 0, b.Size)
			if err != nil {
				return nil, err
			}
			defer func() { _ = body.Close() }()
			return io.ReadAll(io.LimitReader(body, largestConfig))
		},
	}
}

// artifact finds out what of an artifact is wanted. Errors of reading are those of the
// registry; oci.ErrMalformed is that it cannot be understood.
func (n *narrower) artifact(ctx context.Context, m registry.Manifest, depth int) (*portion, error) {
	n.manifests++
	n.bytes += len(m.Content)
	switch {
	case depth > maxDepth:
		return nil, fmt.Errorf("%w: indexes are nested more than %d deep", oci.ErrMalformed, maxDepth)
	case n.manifests > maxManifests || n.bytes > maxManifestBytes:
		return nil, fmt.Errorf("%w: the artifact has more than %d manifests, or more than %s of them", oci.ErrMalformed, maxManifests, bytesText(maxManifestBytes))
	}
	parsed, err := oci.Parse(m.Content)
	if err != nil {
		return nil, err
	}
	entries, err := oci.Entries(m.Content)
	if err != nil {
		return nil, err
	}
	p := &portion{source: m.Digest, manifest: m, parsed: parsed}
	if len(entries) > 0 {
		return p, n.index(ctx, p, entries, depth)
	}
	platform, known, err := n.platformOf(ctx, parsed)
	if err != nil || !known {
		return p, err
	}
	p.has, p.verdict = oci.Platforms{platform}, notChosen
	if n.wanted.Has(platform) {
		p.verdict = chosen
	}
	return p, nil
}

// platformOf reads the config of an image. What is no image has no platform.
func (n *narrower) platformOf(ctx context.Context, m oci.Manifest) (oci.Platform, bool, error) {
	i := slices.IndexFunc(m.Blobs, func(b oci.Blob) bool { return b.Role == oci.Config && oci.IsImageConfig(b.MediaType) })
	if i < 0 || m.Blobs[i].Size > largestConfig {
		return oci.Platform{}, false, nil
	}
	content := m.Blobs[i].Data
	if m.Blobs[i].Digest.Algorithm().FromBytes(content) != m.Blobs[i].Digest {
		var err error
		if content, err = n.config(ctx, m.Blobs[i]); err != nil {
			return oci.Platform{}, false, fmt.Errorf("read the config %s, which tells the platform: %w", short(m.Blobs[i].Digest), err)
		}
	}
	var said ocispec.Platform
	if json.Unmarshal(content, &said) != nil {
		return oci.Platform{}, false, nil
	}
	platform, known := oci.PlatformOf(&said)
	return platform, known, nil
}

// index finds out which entries of an index are wanted. An entry that names no platform is
// read; attestations go with what they are about.
func (n *narrower) index(ctx context.Context, p *portion, entries []ocispec.Descriptor, depth int) error {
	verdicts := make([]verdictOnPlatform, len(entries))
	inner := map[digest.Digest]*portion{}
	wanted := map[digest.Digest]bool{}
	met := map[verdictOnPlatform]bool{}
	var missing error // why an entry that names no platform could not be read
	for i, d := range entries {
		if oci.AttestationOf(d) != "" {
			continue
		}
		if err := n.entry(ctx, p, d, depth, &verdicts[i], &missing, inner); err != nil {
			return err
		}
		met[verdicts[i]] = true
		wanted[d.Digest] = wanted[d.Digest] || verdicts[i] != notChosen
	}
	p.has = p.has.Distinct()
	switch {
	case met[chosen]:
		p.verdict = chosen
	case missing != nil:
		return fmt.Errorf("read what names no platform: %w", missing)
	case met[notChosen]:
		p.verdict = notChosen
		return nil
	default:
		return nil // of no platform at all
	}
	keep := make([]bool, len(entries))
	for i, d := range entries {
		keep[i] = verdicts[i] != notChosen
		if about := oci.AttestationOf(d); about != "" {
			keep[i] = wanted[about]
			wanted[d.Digest] = wanted[d.Digest] || keep[i]
		}
	}
	instead := map[digest.Digest]ocispec.Descriptor{}
	for _, d := range entries {
		in := inner[d.Digest]
		if in == nil || !wanted[d.Digest] || in.whole() || slices.Contains(p.within, in) {
			continue
		}
		p.within = append(p.within, in)
		if in.rewritten() {
			instead[d.Digest] = ocispec.Descriptor{Digest: in.manifest.Digest, Size: int64(len(in.manifest.Content))}
		}
	}
	seen := map[digest.Digest]bool{}
	for _, d := range entries {
		if !wanted[d.Digest] && !seen[d.Digest] {
			p.left = append(p.left, d.Digest)
		}
		seen[d.Digest] = true
	}
	if n.rewrite && (len(instead) > 0 || slices.Contains(keep, false)) {
		return p.shrink(keep, instead)
	}
	p.parsed.Children = slices.DeleteFunc(p.parsed.Children, func(d ocispec.Descriptor) bool { return !wanted[d.Digest] })
	p.parsed.Blobs = slices.DeleteFunc(p.parsed.Blobs, func(b oci.Blob) bool { return !wanted[b.Digest] })
	return nil
}

// entry finds out whether one entry of an index is wanted.
func (n *narrower) entry(ctx context.Context, p *portion, d ocispec.Descriptor, depth int, verdict *verdictOnPlatform, missing *error, inner map[digest.Digest]*portion) error {
	if platform, said := oci.PlatformOf(d.Platform); said {
		p.has = append(p.has, platform)
		*verdict = notChosen
		if n.wanted.Has(platform) {
			*verdict = chosen
		}
		return nil
	}
	if !oci.IsManifest(d.MediaType) {
		return nil
	}
	in, met := inner[d.Digest]
	if !met {
		m, err := n.read(ctx, d.Digest)
		if registry.IsNotFound(err) { // the source may be sparse itself
			*verdict, *missing = notChosen, err
			return nil
		}
		if err != nil {
			return fmt.Errorf("read manifest %s, which names no platform: %w", short(d.Digest), err)
		}
		if in, err = n.artifact(ctx, m, depth+1); err != nil {
			return err
		}
		inner[d.Digest] = in
	}
	*verdict = in.verdict
	p.has = append(p.has, in.has...)
	return nil
}

// shrink makes the index one of what is wanted only.
func (p *portion) shrink(keep []bool, instead map[digest.Digest]ocispec.Descriptor) error {
	content, err := oci.Without(p.manifest.Content, keep, instead)
	if err != nil {
		return err
	}
	parsed, err := oci.Parse(content)
	if err != nil {
		return err
	}
	d := p.source.Algorithm().FromBytes(content)
	p.manifest, p.parsed = registry.Manifest{MediaType: p.manifest.MediaType, Digest: d, Content: content}, parsed
	return nil
}

// Portion is what of an artifact is for some platforms.
type Portion struct {
	Source digest.Digest // at the source
	Digest digest.Digest // at the destination: another one where the index is rewritten
	// Nothing is why nothing of it is wanted, "" if something is.
	Nothing string
	// Partial: it is an index of which something is left out, and keeps its digest.
	Partial bool
	// Wanted are the manifests within that are wanted, with their digests at the source;
	// Left are those that are not, and Rewritten those that become others.
	Wanted, Left, Rewritten []digest.Digest
}

// ReadPortion finds out what of an artifact of a registry is for some platforms. It reads the
// manifest, and the config of an image. IsNotFound when there is no such artifact.
func ReadPortion(ctx context.Context, source *registry.Client, repository, reference string, platforms oci.Platforms, rewrite bool) (Portion, error) {
	m, err := source.Manifest(ctx, repository, reference)
	if err != nil {
		return Portion{}, failure(Source, err, "read manifest %s", name(repository, reference))
	}
	p, err := readsFrom(source, repository, platforms, rewrite).artifact(ctx, m, 0)
	if err != nil {
		return Portion{}, narrowFailure(Source, err, "read manifest %s", name(repository, reference))
	}
	out := Portion{Source: p.source, Digest: p.manifest.Digest}
	if p.verdict == notChosen {
		out.Nothing = p.why(platforms)
		return out, nil
	}
	p.each(func(p *portion) {
		out.Left = append(out.Left, p.left...)
		if p.rewritten() {
			out.Rewritten = append(out.Rewritten, p.source)
		} else {
			out.Wanted = append(out.Wanted, p.source)
			out.Partial = out.Partial || len(p.left) > 0
		}
		for _, child := range p.parsed.Children {
			out.Wanted = append(out.Wanted, child.Digest)
		}
	})
	return out, nil
}

// narrowFailure is failure, or fault where the content is what is wrong.
func narrowFailure(side Side, err error, format string, args ...any) error {
	if errors.Is(err, oci.ErrMalformed) {
		return fault(side, err, format, args...)
	}
	return failure(side, err, format, args...)
}
