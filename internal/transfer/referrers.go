package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// A destination without the referrers API knows what refers to a manifest only by an
// index under the fallback tag, which whoever pushes has to keep
// (distribution-spec 1.1, "Pushing Manifests with Subject").

// referrersSupport is whether the destination keeps referrers itself.
type referrersSupport struct {
	api atomic.Bool // it has said so
}

func (s *referrersSupport) learn(accepted bool) { s.api.Store(accepted) }

// refererOf describes a manifest as the referrers of its subject list it.
func refererOf(m registry.Manifest, n oci.Manifest) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Content)),
		ArtifactType: n.ArtifactType, Annotations: n.Annotations,
	}
}

// announce tells the destination that a manifest that was stored refers to subject,
// unless the destination has noticed itself.
func (c *copying) announce(ctx context.Context, subject digest.Digest, referrer ocispec.Descriptor, accepted bool) error {
	if !accepted {
		if err := c.e.board.announce(ctx, c.e.target, c.r.TargetRepository, subject, referrer); err != nil {
			return c.announceFailure(err, subject)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.announced[referrer.Digest] = true
	return nil
}

// confirmAnnounced makes sure of referrers that were at the destination already:
// whoever put them there may have been interrupted before announcing them.
func (c *copying) confirmAnnounced(ctx context.Context, subject digest.Digest, referrers []ocispec.Descriptor) error {
	if c.e.referrers.api.Load() || c.r.estimate != nil {
		return nil
	}
	var doubtful []ocispec.Descriptor
	c.mu.Lock()
	for _, desc := range referrers {
		if !c.announced[desc.Digest] {
			doubtful = append(doubtful, desc)
		}
	}
	c.mu.Unlock()
	if len(doubtful) == 0 {
		return nil
	}
	known, err := c.e.target.Referrers(ctx, c.r.TargetRepository, subject)
	if err != nil {
		return failure(Destination, err, "list referrers of %s", short(subject))
	}
	if !c.e.target.ReferrersByTag() {
		return nil
	}
	listed := map[digest.Digest]bool{}
	for _, desc := range known {
		listed[desc.Digest] = true
	}
	for _, desc := range doubtful {
		if listed[desc.Digest] {
			continue
		}
		if err := c.e.board.announce(ctx, c.e.target, c.r.TargetRepository, subject, desc); err != nil {
			return c.announceFailure(err, subject)
		}
	}
	return nil
}

func (c *copying) announceFailure(err error, subject digest.Digest) error {
	return failure(Destination, err, "list referrers of %s under the tag %s", short(subject), registry.ReferrersTag(subject))
}

// board writes fallback indexes: one writer for each at a time, who takes along what
// others want to have written meanwhile.
type board struct {
	mu      sync.Mutex
	writing map[place]bool
	waiting map[place][]*entry
}

type entry struct {
	desc ocispec.Descriptor
	done chan struct{}
	err  error
	cut  bool // the writer gave up; nothing is wrong with the entry
}

func (b *board) announce(ctx context.Context, target *registry.Client, repository string, subject digest.Digest, desc ocispec.Descriptor) error {
	at := place{aManifest, repository, subject}
	mine := &entry{desc: desc, done: make(chan struct{})}
	b.mu.Lock()
	if b.waiting == nil {
		b.waiting, b.writing = map[place][]*entry{}, map[place]bool{}
	}
	b.waiting[at] = append(b.waiting[at], mine)
	lead := !b.writing[at]
	b.writing[at] = true
	b.mu.Unlock()
	if !lead {
		select {
		case <-mine.done:
			if mine.cut && ctx.Err() == nil {
				return b.announce(ctx, target, repository, subject, desc)
			}
			return mine.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		b.mu.Lock()
		batch := b.waiting[at]
		delete(b.waiting, at)
		if len(batch) == 0 {
			delete(b.writing, at)
			b.mu.Unlock()
			return mine.err
		}
		b.mu.Unlock()
		add := make([]ocispec.Descriptor, len(batch))
		for i, e := range batch {
			add[i] = e.desc
		}
		err := addReferrers(ctx, target, repository, subject, add)
		for _, e := range batch {
			e.err, e.cut = err, err != nil && ctx.Err() != nil
			close(e.done)
		}
	}
}

// conflicts is how often the index is written again because somebody else wrote it
// at the same time.
const conflicts = 5

// addReferrers adds entries to the index under subject's fallback tag and keeps all
// others, whatever they are. The registry cannot compare and swap, so the index is
// read again after it was written.
func addReferrers(ctx context.Context, target *registry.Client, repository string, subject digest.Digest, add []ocispec.Descriptor) error {
	tag := registry.ReferrersTag(subject)
	gone := map[digest.Digest]bool{}
	for range conflicts {
		index, err := readIndex(ctx, target, repository, tag)
		if err != nil {
			return err
		}
		if !index.merge(add, gone) {
			return nil
		}
		m, err := index.manifest()
		if err != nil {
			return err
		}
		_, err = target.PutManifest(ctx, repository, tag, m)
		if err != nil && !lacksParts(err) {
			return err
		}
		if err != nil && !index.dropGone(ctx, target, repository, add, gone) {
			return err
		}
	}
	return fmt.Errorf("%s is being changed by others all the time", name(repository, tag))
}

// rawIndex is an image index whose entries and fields are kept as they are.
type rawIndex struct {
	fields  map[string]json.RawMessage
	entries []json.RawMessage
}

func readIndex(ctx context.Context, target *registry.Client, repository, tag string) (*rawIndex, error) {
	m, err := target.Manifest(ctx, repository, tag)
	if registry.IsNotFound(err) {
		return &rawIndex{fields: map[string]json.RawMessage{"schemaVersion": json.RawMessage("2")}}, nil
	}
	if err != nil {
		return nil, err
	}
	index, err := parseIndex(m.MediaType, m.Content)
	if err != nil {
		return nil, fmt.Errorf("%s is left alone: %w", name(repository, tag), err)
	}
	return index, nil
}

func parseIndex(mediaType string, content []byte) (*rawIndex, error) {
	index := &rawIndex{}
	if err := json.Unmarshal(content, &index.fields); err != nil || index.fields == nil || !isIndex(mediaType) {
		return nil, fmt.Errorf("it is not an index of referrers but %s", mediaType)
	}
	if raw, ok := index.fields["manifests"]; ok {
		if err := json.Unmarshal(raw, &index.entries); err != nil {
			return nil, fmt.Errorf("it is not an index of referrers: %w", err)
		}
	}
	return index, nil
}

func entryDigest(raw json.RawMessage) digest.Digest {
	var d struct {
		Digest digest.Digest `json:"digest"`
	}
	_ = json.Unmarshal(raw, &d) // what is no descriptor has no digest and stays as it is
	return d.Digest
}

// merge adds what is not listed yet and leaves out what is gone. It reports whether
// anything changed.
func (x *rawIndex) merge(add []ocispec.Descriptor, gone map[digest.Digest]bool) bool {
	listed := map[digest.Digest]bool{}
	kept := x.entries[:0:0]
	for _, raw := range x.entries {
		if d := entryDigest(raw); !gone[d] {
			listed[d] = true
			kept = append(kept, raw)
		}
	}
	changed := len(kept) != len(x.entries)
	for _, desc := range add {
		if listed[desc.Digest] {
			continue
		}
		listed[desc.Digest] = true
		raw, err := json.Marshal(desc)
		if err == nil { // a descriptor always has a JSON form
			kept = append(kept, raw)
			changed = true
		}
	}
	x.entries = kept
	return changed
}

func (x *rawIndex) manifest() (registry.Manifest, error) {
	entries, err := json.Marshal(x.entries)
	if err != nil {
		return registry.Manifest{}, err
	}
	x.fields["manifests"] = entries
	x.fields["mediaType"] = json.RawMessage(`"` + ocispec.MediaTypeImageIndex + `"`)
	content, err := json.Marshal(x.fields)
	if err != nil {
		return registry.Manifest{}, err
	}
	return registry.Manifest{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(content), Content: content}, nil
}

// dropGone marks entries of others that no longer exist: a registry that checks
// indexes would refuse ours for them. It reports whether it found any.
func (x *rawIndex) dropGone(ctx context.Context, target *registry.Client, repository string, add []ocispec.Descriptor, gone map[digest.Digest]bool) bool {
	ours := map[digest.Digest]bool{}
	for _, desc := range add {
		ours[desc.Digest] = true
	}
	found := false
	for _, raw := range x.entries {
		d := entryDigest(raw)
		if d.Validate() != nil || ours[d] || gone[d] {
			continue
		}
		if _, err := target.Resolve(ctx, repository, string(d)); registry.IsNotFound(err) {
			gone[d] = true
			found = true
		}
	}
	return found
}
