package oci

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types that the OCI packages do not know.
const (
	DockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerSchema1      = "application/vnd.docker.distribution.manifest.v1+json"
	DockerSchema1JWS   = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	ArtifactManifest   = "application/vnd.oci.artifact.manifest.v1+json" // withdrawn, but in use
)

// Media types of layers that live outside of registries.
const (
	dockerForeignLayer   = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	dockerForeignPlain   = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	nondistributableRoot = "application/vnd.oci.image.layer.nondistributable."
)

// IsManifest reports whether a descriptor of the media type is fetched from the
// manifests endpoint. Descriptors in an index without a type are.
func IsManifest(mediaType string) bool {
	switch mediaType {
	case "", ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, DockerManifest, DockerManifestList,
		DockerSchema1, DockerSchema1JWS, ArtifactManifest:
		return true
	}
	// Formats we have not met name themselves this way, and layers and configs do not.
	return strings.Contains(mediaType, ".manifest.") || strings.Contains(mediaType, ".index.")
}

// ListsNothing reports whether a manifest of the type is known not to list other
// manifests.
func ListsNothing(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, DockerManifest, DockerSchema1, DockerSchema1JWS, ArtifactManifest:
		return true
	}
	return false
}

// isForeign reports whether the layer is to be fetched from its own URLs and not
// from registries: Windows base layers.
func isForeign(d ocispec.Descriptor) bool {
	if len(d.URLs) == 0 {
		return false
	}
	return d.MediaType == dockerForeignLayer || d.MediaType == dockerForeignPlain ||
		strings.HasPrefix(d.MediaType, nondistributableRoot)
}
