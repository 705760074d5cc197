package oci

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A tombstone is a manifest that a tag is moved to for a moment, by whoever wants to
// remove that tag and nothing else from a registry that deletes only whole manifests. To
// anybody else it means that the tag is gone.
const (
	// TombstoneType is the artifact type of tombstones.
	TombstoneType = "application/vnd.lighterage.tombstone.v1+json"
	// TombstoneRemoves is the annotation that has the digest that the tag stood for.
	TombstoneRemoves = "io.lighterage.removes"
)

// Tombstone returns what the tag of a tombstone stood for. It reports false for every
// other manifest.
func Tombstone(content []byte) (removes digest.Digest, is bool) {
	var m ocispec.Manifest
	if json.Unmarshal(content, &m) != nil || m.ArtifactType != TombstoneType {
		return "", false
	}
	d := digest.Digest(m.Annotations[TombstoneRemoves])
	return d, d.Validate() == nil
}
