package oci

import (
	_ "crypto/sha256" // digests of these algorithms
	_ "crypto/sha512" // are understood
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxBlobSize is the largest size that a manifest may claim, in bytes: 16 TiB. It is
// far above any honest blob and keeps sums of sizes from overflowing.
const MaxBlobSize = 1 << 44

// UnknownSize is the size of a blob whose manifest does not tell it (Docker schema 1).
const UnknownSize = -1

// ErrMalformed is that a manifest cannot be understood or claims what cannot be.
var ErrMalformed = errors.New("malformed manifest")

// Manifest is what a manifest refers to. No digest is among Blobs and Children twice.
type Manifest struct {
	MediaType    string // its own word; often ""
	ArtifactType string // as the referrers API reports it: its own, else the config's type
	Annotations  map[string]string
	Blobs        []Blob
	Children     []ocispec.Descriptor // manifests that an index lists
	Subject      *ocispec.Descriptor  // what it is a referrer of; nil: nothing
}

// Blob is a blob that a manifest needs.
type Blob struct {
	ocispec.Descriptor // Size may be UnknownSize
	Role               Role
	Foreign            bool // lives outside of registries by design, at its URLs
}

// Role is what a blob is to its manifest, in the words of messages.
type Role string

// The roles.
const (
	Config    Role = "config"
	Layer     Role = "layer"
	OtherBlob Role = "blob"  // of an artifact manifest
	Entry     Role = "entry" // of an index, and no manifest
)

// document has the fields of every manifest format that refer to something:
// image manifests and indexes (OCI image-spec 1.1, Docker schema 2), the withdrawn
// OCI artifact manifest, and Docker schema 1.
type document struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Blobs        []ocispec.Descriptor `json:"blobs"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	FSLayers     []struct {
		BlobSum digest.Digest `json:"blobSum"`
	} `json:"fsLayers"`
	Subject     *ocispec.Descriptor `json:"subject"`
	Annotations map[string]string   `json:"annotations"`
}

// Parse reads a manifest of any type. Types that are not known are read by the
// fields they share with the known ones; what has none of them refers to nothing.
// Errors wrap ErrMalformed.
func Parse(content []byte) (Manifest, error) {
	var doc document
	if err := json.Unmarshal(content, &doc); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	p := parser{seen: map[digest.Digest]bool{}}
	p.m = Manifest{MediaType: doc.MediaType, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations}
	if doc.Config != nil {
		if p.m.ArtifactType == "" {
			p.m.ArtifactType = doc.Config.MediaType
		}
		p.blob(Config, *doc.Config)
	}
	for _, d := range doc.Layers {
		p.blob(Layer, d)
	}
	for _, d := range doc.Blobs {
		p.blob(OtherBlob, d)
	}
	for _, l := range doc.FSLayers {
		p.layerOfSchema1(l.BlobSum)
	}
	for _, d := range doc.Manifests {
		if IsManifest(d.MediaType) {
			p.child(d)
		} else { // an index may list content that is not a manifest; build caches do
			p.blob(Entry, d)
		}
	}
	if doc.Subject != nil && p.fits("subject", *doc.Subject) {
		p.m.Subject = doc.Subject
	}
	if p.err != nil {
		return Manifest{}, p.err
	}
	return p.m, nil
}

// parser gathers what a manifest refers to, until something is wrong.
type parser struct {
	m    Manifest
	seen map[digest.Digest]bool
	err  error
}

func (p *parser) blob(role Role, d ocispec.Descriptor) {
	if p.fits(string(role), d) && p.isNew(d) {
		p.m.Blobs = append(p.m.Blobs, Blob{Descriptor: d, Role: role, Foreign: isForeign(d)})
	}
}

func (p *parser) layerOfSchema1(sum digest.Digest) {
	d := ocispec.Descriptor{Digest: sum}
	if p.fits(string(Layer), d) && p.isNew(d) {
		d.Size = UnknownSize
		p.m.Blobs = append(p.m.Blobs, Blob{Descriptor: d, Role: Layer})
	}
}

func (p *parser) child(d ocispec.Descriptor) {
	if p.fits("manifest", d) && p.isNew(d) {
		p.m.Children = append(p.m.Children, d)
	}
}

func (p *parser) isNew(d ocispec.Descriptor) bool {
	seen := p.seen[d.Digest]
	p.seen[d.Digest] = true
	return !seen
}

// fits reports whether a descriptor can be, and notes why it cannot.
func (p *parser) fits(role string, d ocispec.Descriptor) bool {
	if p.err == nil {
		p.err = CheckDescriptor(role, d)
	}
	return p.err == nil
}

// CheckDescriptor returns an error that wraps ErrMalformed for a descriptor that
// cannot be. role is what the error calls it.
func CheckDescriptor(role string, d ocispec.Descriptor) error {
	switch {
	case d.Digest.Validate() != nil:
		return fmt.Errorf("%w: %s has the invalid digest %.100q", ErrMalformed, role, string(d.Digest))
	case d.Size < 0:
		return fmt.Errorf("%w: %s %s has the negative size %d", ErrMalformed, role, d.Digest, d.Size)
	case d.Size > MaxBlobSize:
		return fmt.Errorf("%w: %s %s claims %d bytes; the limit is %d", ErrMalformed, role, d.Digest, d.Size, int64(MaxBlobSize))
	}
	return nil
}
