package oci

import (
	"regexp"

	"github.com/opencontainers/go-digest"
)

// cosignTag is a tag in which cosign keeps what belongs to an image: signatures,
// attestations and SBOMs (cosign: SIGNATURE_SPEC.md, "Tag-based discovery").
var cosignTag = regexp.MustCompile(`^sha256-([0-9a-f]{64})\.(?:sig|att|sbom)$`)

// CosignSubject returns what an artifact with these tags belongs to by cosign's
// convention, "" if it stands for itself.
func CosignSubject(tags []string) digest.Digest {
	for _, tag := range tags {
		if m := cosignTag.FindStringSubmatch(tag); m != nil {
			return digest.NewDigestFromEncoded(digest.SHA256, m[1])
		}
	}
	return ""
}
