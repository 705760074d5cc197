package home

import (
	"encoding/json"
	"fmt"
	"math"
	"mime"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/problem"
)

// Manifest is what the index needs to know of a manifest's content.
type Manifest struct {
	MediaType    string // of the manifest itself
	ConfigType   string // Harbor's media_type: of the config, or the index's own
	ArtifactType string // as the referrers API has it: own, else the config's; "" for an index without one
	Type         string // IMAGE, CHART, ...
	Subject      digest.Digest
	Size         int64 // bytes of manifest, config and layers; without children
	ContentSize  int64 // bytes of the manifest alone
	Config       *ocispec.Descriptor
	Layers       []ocispec.Descriptor
	Children     []ocispec.Descriptor // of an index
	Annotations  map[string]string
}

// IsIndex reports whether media type is one of the two that list manifests.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == MediaTypeDockerManifestList
}

// content has the fields of all four manifest formats.
type content struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	ArtifactType  string               `json:"artifactType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	Annotations   map[string]string    `json:"annotations"`
}

// ParseManifest reads a docker schema 2 or OCI manifest, list or index. mediaType
// is what the client called it, "" when it said nothing; the content's own word
// counts then, and at last its fields. Errors are problem.BadRequest.
func ParseManifest(mediaType string, raw []byte) (Manifest, error) {
	var c content
	if err := json.Unmarshal(raw, &c); err != nil {
		return Manifest{}, problem.Wrap(problem.BadRequest, err, "the manifest is not valid JSON")
	}
	mediaType, err := manifestMediaType(mediaType, c)
	if err != nil {
		return Manifest{}, err
	}
	if c.SchemaVersion != 2 {
		return Manifest{}, problem.New(problem.BadRequest, "the manifest has schema version %d, want 2", c.SchemaVersion)
	}
	m := Manifest{
		MediaType:    mediaType,
		ArtifactType: c.ArtifactType,
		ContentSize:  int64(len(raw)),
		Size:         int64(len(raw)),
		Annotations:  c.Annotations,
	}
	if c.Subject != nil {
		if err := c.Subject.Digest.Validate(); err != nil {
			return Manifest{}, problem.Wrap(problem.BadRequest, err, "the manifest's subject %q", c.Subject.Digest)
		}
		m.Subject = c.Subject.Digest
	}
	if IsIndex(mediaType) {
		err = m.readIndex(c)
	} else {
		err = m.readImage(c)
	}
	if err != nil {
		return Manifest{}, err
	}
	if strings.ContainsRune(m.ArtifactType+m.ConfigType, 0) {
		return Manifest{}, problem.New(problem.BadRequest, "the manifest's media types must not contain NUL")
	}
	m.Type = oci.KindOf(m.ArtifactType, m.ConfigType)
	return m, nil
}

func manifestMediaType(said string, c content) (string, error) {
	if said != "" {
		parsed, _, err := mime.ParseMediaType(said)
		if err != nil {
			return "", problem.Wrap(problem.BadRequest, err, "the manifest's media type %q", said)
		}
		said = parsed
	}
	switch {
	case said == "" || said == "application/json" || said == "application/octet-stream":
		said = c.MediaType
	case c.MediaType != "" && c.MediaType != said:
		return "", problem.New(problem.BadRequest, "the manifest was sent as %s but says it is %s", said, c.MediaType)
	}
	if said == "" {
		said = ocispec.MediaTypeImageManifest
		if c.Manifests != nil && c.Config == nil {
			said = ocispec.MediaTypeImageIndex
		}
	}
	switch said {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, MediaTypeDockerManifest, MediaTypeDockerManifestList:
		return said, nil
	default:
		return "", problem.New(problem.BadRequest, "manifests of media type %s are not supported", said)
	}
}

func (m *Manifest) readIndex(c content) error {
	if c.Config != nil || c.Layers != nil {
		// What it is would depend on the header it is served with (CVE-2021-41190).
		return problem.New(problem.BadRequest, "the index has fields of an image manifest")
	}
	for _, child := range c.Manifests {
		if err := child.Digest.Validate(); err != nil {
			return problem.Wrap(problem.BadRequest, err, "the index's manifest %q", child.Digest)
		}
	}
	m.Children = c.Manifests
	m.ConfigType = m.MediaType
	// CNAB has no other way to say what it is.
	if said := c.Annotations["org.opencontainers.artifactType"]; said != "" {
		m.ConfigType = said
	}
	return nil
}

func (m *Manifest) readImage(c content) error {
	if c.Manifests != nil {
		return problem.New(problem.BadRequest, "the image manifest has fields of an index")
	}
	if c.Config == nil {
		return problem.New(problem.BadRequest, "the manifest has no config")
	}
	m.Config, m.Layers = c.Config, c.Layers
	for _, blob := range m.Blobs() {
		if err := blob.Digest.Validate(); err != nil {
			return problem.Wrap(problem.BadRequest, err, "the manifest's blob %q", blob.Digest)
		}
		if blob.Size < 0 || blob.Size > math.MaxInt64-m.Size {
			return problem.New(problem.BadRequest, "the manifest's blob %s cannot have a size of %d bytes", blob.Digest, blob.Size)
		}
		m.Size += blob.Size
	}
	m.ConfigType = c.Config.MediaType
	if c.Annotations["module.wasm.image/variant"] == "compat" || c.Annotations["run.oci.handler"] == "wasm" {
		m.ConfigType = mediaTypeWASM
	}
	if m.ArtifactType == "" {
		m.ArtifactType = c.Config.MediaType
	}
	return nil
}

// Blobs returns the config and the layers, in the order of the manifest.
func (m *Manifest) Blobs() []ocispec.Descriptor {
	if m.Config == nil {
		return nil
	}
	return append([]ocispec.Descriptor{*m.Config}, m.Layers...)
}

// accessory says whether an artifact with this manifest and this tag counts as an
// accessory of another one. Cosign before OCI 1.1 names what it signs in a tag.
func (m *Manifest) accessory(tags []string) (of digest.Digest, accessoryType string) {
	if m.Subject != "" {
		return m.Subject, accessoryTypeOf(m.ArtifactType, m.Layers)
	}
	signs := false
	for _, layer := range m.Layers {
		signs = signs || layer.MediaType == mediaTypeCosignLayer
	}
	if !signs {
		return "", ""
	}
	for _, tag := range tags {
		if of, ok := cosignSubject(tag); ok {
			return of, AccessoryCosign
		}
	}
	return "", ""
}

// cosignSubject reads a tag such as sha256-1b26...9792.sig.
func cosignSubject(tag string) (digest.Digest, bool) {
	name, ok := strings.CutSuffix(tag, ".sig")
	if !ok {
		return "", false
	}
	hex, ok := strings.CutPrefix(name, "sha256-")
	if !ok {
		return "", false
	}
	d := digest.NewDigestFromEncoded(digest.SHA256, hex)
	return d, d.Validate() == nil
}

// maxConfigSize bounds the configs that are read for extra attributes. Bytes.
const maxConfigSize = 8 << 20

// WantsConfig reports whether ExtraAttrs needs the content of the config blob.
func (m *Manifest) WantsConfig() bool {
	return m.Config != nil && m.Config.Size > 0 && m.Config.Size <= maxConfigSize &&
		m.Type != TypeUnknown && m.Type != TypeWASM
}

// ExtraAttrs returns what Harbor shows of an artifact's config. config is the
// content of the config blob, nil when there is none; a config that cannot be read
// has no attributes.
func (m *Manifest) ExtraAttrs(config []byte) map[string]any {
	if m.Type == TypeWASM {
		return m.wasmAttrs()
	}
	if config == nil || m.Config == nil {
		return nil
	}
	if m.Type == TypeImage {
		return imageAttrs(config)
	}
	var all map[string]any
	if json.Unmarshal(config, &all) != nil {
		return nil
	}
	return all
}

func (m *Manifest) wasmAttrs() map[string]any {
	attrs := map[string]any{"manifest.config.mediaType": mediaTypeWASM}
	if len(m.Layers) > 0 {
		attrs["manifest.layers.mediaType"] = m.Layers[0].MediaType
		attrs[ocispec.AnnotationTitle] = m.Layers[0].Annotations[ocispec.AnnotationTitle]
	}
	return attrs
}

func imageAttrs(config []byte) map[string]any {
	var image ocispec.Image
	if json.Unmarshal(config, &image) != nil {
		return nil
	}
	author := image.Author
	for _, label := range []string{ocispec.AnnotationAuthors, "maintainer"} {
		if author == "" {
			author = image.Config.Labels[label]
		}
	}
	return map[string]any{
		"architecture": image.Architecture,
		"author":       author,
		"config":       image.Config,
		"created":      image.Created,
		"os":           image.OS,
	}
}

// Project returns the project that a repository belongs to: what stands before
// the first slash of its name.
func Project(repository string) (string, error) {
	project, rest, found := strings.Cut(repository, "/")
	if !found || project == "" || rest == "" {
		return "", problem.New(problem.BadRequest, "repository %s has no project: its name must be <project>/<name>", fmt.Sprintf("%q", repository))
	}
	return project, nil
}
