package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/rule"
)

const mediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json"

// indexDepth is how deep indexes of indexes are looked into.
const indexDepth = 3

// ResourceType tells container images, and indexes of them, from other artifacts:
// rule.ResourceImage or rule.ResourceArtifact. Docker's media types tell it by
// themselves; for OCI's the manifest is read.
func (c *Client) ResourceType(ctx context.Context, repo string, d ocispec.Descriptor) (string, error) {
	return c.resourceType(ctx, repo, d, indexDepth)
}

func (c *Client) resourceType(ctx context.Context, repo string, d ocispec.Descriptor, depth int) (string, error) {
	switch d.MediaType {
	case MediaTypeDockerManifest, MediaTypeDockerManifestList, MediaTypeDockerSchema1, MediaTypeDockerSchema1JWS:
		return rule.ResourceImage, nil
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex:
	default:
		return rule.ResourceArtifact, nil
	}
	m, err := c.Manifest(ctx, repo, d.Digest.String())
	if err != nil {
		return "", err
	}
	content, err := readKind(m.Content)
	if err != nil {
		return "", fmt.Errorf("read manifest %s@%s: %w", repo, d.Digest, err)
	}
	if d.MediaType == ocispec.MediaTypeImageManifest {
		if content.Config.MediaType == ocispec.MediaTypeImageConfig || content.Config.MediaType == mediaTypeDockerConfig {
			return rule.ResourceImage, nil
		}
		return rule.ResourceArtifact, nil
	}
	if content.ArtifactType != "" {
		return rule.ResourceArtifact, nil
	}
	if content.hasPlatforms() {
		return rule.ResourceImage, nil
	}
	// No platforms: the first child decides, since tools make indexes of one kind of thing.
	if len(content.Manifests) == 0 || depth == 0 {
		return rule.ResourceArtifact, nil
	}
	if err := checkDigest(content.Manifests[0].Digest); err != nil {
		return "", fmt.Errorf("read index %s@%s: %w", repo, d.Digest, err)
	}
	kind, err := c.resourceType(ctx, repo, content.Manifests[0], depth-1)
	if IsNotFound(err) { // an index may be sparse
		return rule.ResourceArtifact, nil
	}
	return kind, err
}

// kindContent is what a manifest says about its kind.
type kindContent struct {
	ArtifactType string               `json:"artifactType"`
	Config       ocispec.Descriptor   `json:"config"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Annotations  map[string]string    `json:"annotations"`
}

func readKind(content []byte) (k kindContent, err error) { return k, json.Unmarshal(content, &k) }

// hasPlatforms reports whether an index is one of images: only they are made for a
// platform.
func (k kindContent) hasPlatforms() bool {
	for _, child := range k.Manifests {
		if p := child.Platform; p != nil && p.OS != "" && p.OS != "unknown" {
			return true
		}
	}
	return false
}

// Kind tells more than ResourceType: Harbor's word for what an artifact is (image, chart,
// ...) in small letters, and the media type of its config and its artifactType. It reads
// the manifest, and of an index that does not say what it is one of, the first child's.
func (c *Client) Kind(ctx context.Context, repo string, d ocispec.Descriptor) (word string, types []string, err error) {
	return c.kind(ctx, repo, d, indexDepth)
}

func (c *Client) kind(ctx context.Context, repo string, d ocispec.Descriptor, depth int) (word string, types []string, err error) {
	m, err := c.Manifest(ctx, repo, d.Digest.String())
	if err != nil {
		return "", nil, err
	}
	content, err := readKind(m.Content)
	if err != nil {
		return "", nil, fmt.Errorf("read manifest %s@%s: %w", repo, d.Digest, err)
	}
	switch d.MediaType {
	case MediaTypeDockerSchema1, MediaTypeDockerSchema1JWS:
		return rule.ResourceImage, nil, nil // they know nothing else
	case ocispec.MediaTypeImageIndex, MediaTypeDockerManifestList:
	default:
		if content.ArtifactType == "" {
			content.ArtifactType = content.Config.MediaType
		}
		return strings.ToLower(oci.KindOf(content.ArtifactType, content.Config.MediaType)), []string{content.Config.MediaType, content.ArtifactType}, nil
	}
	media := d.MediaType
	if said := content.Annotations["org.opencontainers.artifactType"]; said != "" { // CNAB
		media = said
	}
	types = []string{media, content.ArtifactType}
	kind := oci.KindOf(content.ArtifactType, media)
	if kind != oci.KindImage || content.hasPlatforms() {
		return strings.ToLower(kind), types, nil
	}
	unknown := strings.ToLower(oci.KindUnknown)
	if len(content.Manifests) == 0 || depth == 0 {
		return unknown, types, nil
	}
	if err := checkDigest(content.Manifests[0].Digest); err != nil {
		return "", nil, fmt.Errorf("read index %s@%s: %w", repo, d.Digest, err)
	}
	word, _, err = c.kind(ctx, repo, content.Manifests[0], depth-1)
	if IsNotFound(err) { // an index may be sparse
		return unknown, types, nil
	}
	return word, types, err
}
