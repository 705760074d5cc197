package home

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
)

// Media types that decide what kind of thing an artifact is.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaTypeDockerConfig       = "application/vnd.docker.container.image.v1+json"
	mediaTypeWASM               = "application/vnd.wasm.config.v1+json"
	mediaTypeHarborSBOM         = "application/vnd.goharbor.harbor.sbom.v1"
	mediaTypeNotation           = "application/vnd.cncf.notary.signature"
	mediaTypeCosignConfig       = "application/vnd.dev.cosign.artifact.sig.v1+json"
	mediaTypeCosignLayer        = "application/vnd.dev.cosign.simplesigning.v1+json"
	mediaTypeSigstoreBundle     = "application/vnd.dev.sigstore.bundle.v0.3+json"
	annotationNydus             = "containerd.io/snapshot/nydus-bootstrap"
)

// Types of artifacts, as Harbor names them.
const (
	TypeImage   = oci.KindImage
	TypeChart   = oci.KindChart
	TypeCNAB    = oci.KindCNAB
	TypeWASM    = oci.KindWASM
	TypeModel   = oci.KindModel
	TypeSBOM    = oci.KindSBOM
	TypeUnknown = oci.KindUnknown
)

// Types of accessories, as Harbor names them.
const (
	AccessoryCosign   = "signature.cosign"
	AccessoryNotation = "signature.notation"
	AccessoryNydus    = "accelerator.nydus"
	AccessorySBOM     = "sbom.harbor"
	AccessorySubject  = "subject.accessory"
)

// Icon returns the digest under which Harbor serves the icon of a type of artifact.
func Icon(artifactType string) string {
	switch artifactType {
	case TypeImage:
		return "sha256:0048162a053eef4d4ce3fe7518615bef084403614f8bca43b40ae2e762e11e06"
	case TypeChart:
		return "sha256:61cf3a178ff0f75bf08a25d96b75cf7355dc197749a9f128ed3ef34b0df05518"
	case TypeCNAB:
		return "sha256:089bdda265c14d8686111402c8ad629e8177a1ceb7dcd0f7f39b6480f623b3bd"
	case TypeWASM:
		return "sha256:badd7693bcaf115be202748241dd0ea6ee3b0524bfab9ac22d1e1c43721afec6"
	case TypeModel:
		return "sha256:1e1e5c5fdaf0931ec8655e835d1182f723a0c322a6760211622e1270f0193717"
	default:
		return "sha256:da834479c923584f4cbcdecc0dac61f32bef1d51e8aae598cf16bd154efab49f"
	}
}

// AccessoryIcon is Icon for types of accessories; "" where Harbor has none.
func AccessoryIcon(accessoryType string) string {
	switch accessoryType {
	case AccessoryCosign:
		return "sha256:20401d5b3a0f6dbc607c8d732eb08471af4ae6b19811a4efce8c6a724aed2882"
	case AccessoryNotation:
		return "sha256:3ac706e102bbe9362b400aa162df58135d35e66b9c3bee2165de92022d25fe34"
	case AccessoryNydus:
		return "sha256:dfcb6617cd9c144358dc1b305b87bbe34f0b619f1e329116e6aee2e41f2e34cf"
	case AccessorySBOM:
		return "sha256:c19f80c357cd7e90d2a01b9ae3e2eb62ce447a2662bb590a19177d72d550bdae"
	default:
		return ""
	}
}

// accessoryTypeOf names the kind of an artifact with a subject (Harbor:
// server/middleware/subject).
func accessoryTypeOf(artifactType string, layers []ocispec.Descriptor) string {
	switch artifactType {
	case ocispec.MediaTypeImageConfig, mediaTypeDockerConfig:
		if n := len(layers); n > 0 {
			if _, nydus := layers[n-1].Annotations[annotationNydus]; nydus {
				return AccessoryNydus
			}
		}
	case mediaTypeNotation:
		return AccessoryNotation
	case mediaTypeCosignConfig, mediaTypeSigstoreBundle:
		return AccessoryCosign
	case mediaTypeHarborSBOM:
		return AccessorySBOM
	}
	return AccessorySubject
}
