package oci

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationReference names, in an index, the manifest that an attestation of BuildKit is
// about. (BuildKit: docs/attestations/attestation-storage.md)
const annotationReference = "vnd.docker.reference.digest"

// Entries returns all that an index lists, in its order, with what is there twice: the
// same manifest may be listed for two platforms. A manifest that is no index has none.
func Entries(content []byte) ([]ocispec.Descriptor, error) {
	var doc struct {
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for _, d := range doc.Manifests {
		if err := CheckDescriptor("manifest", d); err != nil {
			return nil, err
		}
	}
	return doc.Manifests, nil
}

// AttestationOf returns the manifest that an entry of an index is an attestation of, ""
// if it is none.
func AttestationOf(d ocispec.Descriptor) digest.Digest {
	if _, made := PlatformOf(d.Platform); made {
		return ""
	}
	return digest.Digest(d.Annotations[annotationReference])
}

// Without returns an index that lists only those of its entries that keep says, in their
// order, and of some others in their place: an index within that has become another one.
// All else in it stays as it is. The same input gives the same bytes.
func Without(content []byte, keep []bool, instead map[digest.Digest]ocispec.Descriptor) ([]byte, error) {
	var fields map[string]json.RawMessage
	var entries []json.RawMessage
	if err := json.Unmarshal(content, &fields); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := json.Unmarshal(fields["manifests"], &entries); err != nil || len(entries) != len(keep) {
		// Some readers take a field of other capitals for the same one; which they mean is unclear.
		return nil, fmt.Errorf("%w: it cannot be told what the index lists", ErrMalformed)
	}
	kept := []json.RawMessage{}
	for i, raw := range entries {
		if !keep[i] {
			continue
		}
		changed, err := replaceEntry(raw, instead)
		if err != nil {
			return nil, err
		}
		kept = append(kept, changed)
	}
	manifests, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	fields["manifests"] = manifests
	return json.Marshal(fields) // in the order of the fields' names
}

// replaceEntry makes an entry speak of another manifest, if there is one for it.
func replaceEntry(raw json.RawMessage, instead map[digest.Digest]ocispec.Descriptor) (json.RawMessage, error) {
	var entry map[string]json.RawMessage
	var d digest.Digest
	if err := json.Unmarshal(raw, &entry); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := json.Unmarshal(entry["digest"], &d); err != nil {
		return nil, fmt.Errorf("%w: it cannot be told what the index lists", ErrMalformed)
	}
	other, ok := instead[d]
	if !ok {
		return raw, nil
	}
	var err error
	if entry["digest"], err = json.Marshal(other.Digest); err != nil {
		return nil, err
	}
	if entry["size"], err = json.Marshal(other.Size); err != nil {
		return nil, err
	}
	return json.Marshal(entry)
}

// IsImageConfig reports whether a config of the media type tells the platform of an image.
func IsImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == dockerConfig
}

// Artifact types of signatures.
const (
	notationSignature = "application/vnd.cncf.notary.signature"
	cosignSignature   = "application/vnd.dev.cosign.artifact.sig.v1+json"
	sigstoreBundle    = "application/vnd.dev.sigstore.bundle.v0.3+json"

	// A bundle holds a signature or another statement; this says which.
	annotationPredicate = "dev.sigstore.bundle.predicateType"
	cosignPredicate     = "https://sigstore.dev/cosign/sign/v1"
)

// IsSignature reports whether a referrer is a signature of its subject: one of cosign's
// or of notation's. It can be told of the descriptor alone.
func IsSignature(referrer ocispec.Descriptor) bool {
	if referrer.ArtifactType == sigstoreBundle {
		predicate := referrer.Annotations[annotationPredicate]
		return predicate == "" || predicate == cosignPredicate
	}
	return slices.Contains([]string{notationSignature, cosignSignature}, referrer.ArtifactType)
}
