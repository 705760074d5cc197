package transfer

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// Signed reports whether a source has a signature of a manifest, of cosign's or of
// notation's: under cosign's tag, or as a referrer. Whether it is a good one is not looked at.
// Signatures that were pushed before asOf are not missed; calls that share it share the
// listing of a repository's tags.
func (e *Engine) Signed(ctx context.Context, source *registry.Client, repository string, d digest.Digest, asOf time.Time) (bool, error) {
	list, err := e.accessoryTags(ctx, source, repository, asOf)
	if err != nil {
		return false, failure(Source, err, "list tags of %s", repository)
	}
	tag := registry.ReferrersTag(d) + ".sig"
	if list.tags[tag] {
		return true, nil
	}
	if list.unreadable {
		if _, err := source.Resolve(ctx, repository, tag); err == nil || !registry.IsNotFound(err) {
			return err == nil, failure(Source, err, "look for %s", name(repository, tag))
		}
	}
	referrers, err := e.referrersOf(ctx, source, repository, d, asOf)
	return slices.ContainsFunc(referrers, oci.IsSignature), err
}

// referrersOf lists what names a manifest as its subject at a source. Where that has no
// referrers API the repository's tags, which are listed once, tell whether there is a
// fallback tag to be read.
func (e *Engine) referrersOf(ctx context.Context, source *registry.Client, repository string, subject digest.Digest, asOf time.Time) ([]ocispec.Descriptor, error) {
	if source.ReferrersByTag() {
		list, err := e.accessoryTags(ctx, source, repository, asOf)
		if err != nil {
			return nil, failure(Source, err, "list tags of %s", repository)
		}
		if !list.unreadable && !list.tags[registry.ReferrersTag(subject)] {
			return nil, nil
		}
	}
	found, err := source.Referrers(ctx, repository, subject)
	if err != nil {
		return nil, failure(Source, err, "list referrers of %s", short(subject))
	}
	for _, desc := range found {
		if err := oci.CheckDescriptor("referrer", desc); err != nil {
			return nil, fault(Source, err, "list referrers of %s", short(subject))
		}
	}
	return found, nil
}
