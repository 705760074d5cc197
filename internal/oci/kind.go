package oci

import (
	"regexp"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kinds of artifacts, as Harbor names them. There are others: see KindOf.
const (
	KindImage   = "IMAGE"
	KindChart   = "CHART"
	KindCNAB    = "CNAB"
	KindWASM    = "WASM"
	KindModel   = "CNAI"
	KindSBOM    = "SBOM"
	KindUnknown = "UNKNOWN"
)

// Media types that decide what kind of thing an artifact is.
const (
	dockerConfig  = "application/vnd.docker.container.image.v1+json"
	helmConfig    = "application/vnd.cncf.helm.config.v1+json"
	cnabBundle    = "application/vnd.cnab.manifest.v1"
	wasmConfig    = "application/vnd.wasm.config.v1+json"
	modelManifest = "application/vnd.cncf.model.manifest.v1+json"
	harborSBOM    = "application/vnd.goharbor.harbor.sbom.v1"
)

// configType finds the type in media types such as
// application/vnd.caicloud.model.config.v1alpha1+json (MODEL).
var configType = regexp.MustCompile(`^application/vnd\.[^.]*\.(.*)\.config\.[^.]*\+json$`)

// KindOf names the kind of an artifact from its artifact type or, when it has none, from
// its media type, which is that of its config, of an index its own (Harbor:
// controller/artifact/processor).
func KindOf(artifactType, mediaType string) string {
	resolved := artifactType
	if resolved == "" {
		resolved = mediaType
	}
	switch resolved {
	case ocispec.MediaTypeImageConfig, dockerConfig, ocispec.MediaTypeImageIndex, DockerManifestList:
		return KindImage
	case helmConfig:
		return KindChart
	case cnabBundle:
		return KindCNAB
	case wasmConfig:
		return KindWASM
	case modelManifest:
		return KindModel
	case harborSBOM:
		return KindSBOM
	}
	if found := configType.FindStringSubmatch(mediaType); found != nil {
		return strings.ToUpper(found[1])
	}
	return KindUnknown
}
