package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
)

// Request says what is to be copied where.
type Request struct {
	Source           *registry.Client
	SourceName       string // for messages; "": nothing is put before the repository
	SourceRepository string
	SourceReference  string // a tag or a digest
	// SourceDigest is what SourceReference stands for, if the caller knows: then the
	// source is not asked, and exactly this is copied.
	SourceDigest digest.Digest

	TargetRepository string
	TargetReference  string // a tag; "": the artifact is put under its digest only
	// Override: a tag that stands for something else at the destination is replaced.
	Override bool
	// Target is what a plan found at the destination. Unasked: Copy asks.
	Target TargetState

	// Platforms: of an index, only what is for these is copied, and an image for another
	// one is left out. None: everything. What has no platform is copied.
	Platforms oci.Platforms
	// Rewrite: an index of which something is left out is made into one that lists only the
	// rest. Otherwise it is put as it is, and what it lists is missing.
	Rewrite bool

	// Accessories: what refers to the artifact, and to the children of an index, is
	// copied after it: referrers, and tags as cosign makes them.
	Accessories bool
	// Thorough: an artifact that the destination has is not believed to be whole. Each of
	// its parts is looked for, what is missing is sent, and the manifests are put again.
	Thorough bool
	// AccessoriesOfUnchanged looks for accessories even when the artifact itself is
	// there already. It costs requests; without it an unchanged tag costs one or two.
	AccessoriesOfUnchanged bool
	// AsOf: accessories that were pushed to the source before this moment are not
	// missed. Copies of one run that share it share the listing of a repository's
	// tags. Zero: now.
	AsOf time.Time

	// Bandwidth bounds the bytes of blobs that move for this copy and all others that
	// share the limits. nil: no limit. A blob that another copy is moving already goes
	// within that one's limits.
	Bandwidth pace.Limits
	// Share, if set, lets this copy read from the source together with those that go to
	// other destinations.
	Share *Share
	// ByChunk: blobs larger than a chunk (10 MiB, or Options.ChunkSize if that is less)
	// are uploaded one chunk a request, for destinations behind something that bounds the
	// size of requests. One that takes no chunks gets them in one piece.
	ByChunk bool

	estimate *Estimate // nothing is written, see there

	Progress func(Progress)    // called about ten times a second at most, and at the end
	Log      func(text string) // one line for people each time
}

// Outcome is how a Copy ended.
type Outcome string

// The outcomes.
const (
	Copied    Outcome = "copied"
	Unchanged Outcome = "unchanged" // the destination had the same digest
	Kept      Outcome = "kept"      // the destination has something else and Override is not set
	LeftOut   Outcome = "left out"  // it is for none of the Platforms
)

// Placed is a reference at the destination, a tag or a digest, and what it stands for.
type Placed struct {
	Reference string
	Digest    digest.Digest
}

// Result is what a Copy did. It is valid beside an error too, as far as things went.
type Result struct {
	Outcome  Outcome
	Digest   digest.Digest // at the source
	Stored   digest.Digest // at the destination, if an index was rewritten; else ""
	Reason   string        // why it was left out
	Previous digest.Digest // what the destination's tag stood for before, "" if nothing
	// Bytes of blobs, the accessories' included.
	BytesSent, BytesMounted, BytesPresent int64
	// Placed is what now stands at the destination as it does at the source: the
	// artifact, copied or unchanged, and its accessories.
	Placed      []Placed
	Accessories []Placed
}

// Copy brings an artifact to the destination, with everything it consists of, and
// its tag last. Bytes and digests of manifests never change, unless Request.Rewrite asks
// for it. It may be called at any
// time by any number of goroutines; what one of them is moving the others wait for.
// The error wraps an *Error, unless the request itself is wrong or ctx ended.
func (e *Engine) Copy(ctx context.Context, r Request) (Result, error) {
	if err := r.check(); err != nil {
		return Result{}, err
	}
	c := newCopying(e, r)
	err := c.run(ctx)
	r.Share.done(r.SourceReference)
	c.closeLog()
	p := c.track.close()
	c.result.BytesSent, c.result.BytesMounted, c.result.BytesPresent = p.BytesSent, p.BytesMounted, p.BytesPresent
	if err != nil {
		return c.result, fmt.Errorf("copy %s to %s: %w", r.from(), r.to(e.o.Name), err)
	}
	return c.result, nil
}

func (r Request) check() error {
	switch {
	case r.Source == nil:
		return errors.New("copy: no source")
	case r.SourceRepository == "" || r.SourceReference == "" || r.TargetRepository == "":
		return problem.New(problem.BadRequest, "copy: a source repository, a source reference and a target repository are needed")
	case digest.Digest(r.TargetReference).Validate() == nil:
		return problem.New(problem.BadRequest, "copy: the target reference %q is a digest; the digest follows from the source", r.TargetReference)
	case r.SourceDigest != "" && r.SourceDigest.Validate() != nil:
		return problem.New(problem.BadRequest, "copy: invalid source digest %q", r.SourceDigest)
	}
	return nil
}

func (r Request) from() string {
	text := name(r.SourceRepository, r.SourceReference)
	if r.SourceName != "" {
		text = r.SourceName + "/" + text
	}
	return text
}

func (r Request) to(target string) string {
	if r.TargetReference == "" {
		return target + "/" + r.TargetRepository
	}
	return target + "/" + name(r.TargetRepository, r.TargetReference)
}

// run copies the artifact and then its accessories.
func (c *copying) run(ctx context.Context) error {
	r := c.r
	known := r.SourceDigest
	if d := digest.Digest(r.SourceReference); d.Validate() == nil {
		known = d
	}
	top := link{source: r.SourceReference, digest: known, target: r.TargetReference, state: r.Target, override: r.Override}
	var got carried
	var err error
	if len(r.Platforms) > 0 {
		got, err = c.carryPortion(ctx, top)
	} else {
		got, err = c.carryWhole(ctx, top)
	}
	c.result.Outcome, c.result.Digest, c.result.Previous, c.result.Reason = got.outcome, got.digest, got.previous, got.reason
	if got.stored != got.digest {
		c.result.Stored = got.stored
	}
	if err != nil || got.outcome == Kept || got.outcome == LeftOut {
		return err
	}
	placed := Placed{Reference: r.TargetReference, Digest: got.at()}
	if placed.Reference == "" {
		placed.Reference = string(got.at())
	}
	c.result.Placed = append(c.result.Placed, placed)
	if !r.Accessories || got.outcome == Unchanged && !r.AccessoriesOfUnchanged {
		return nil
	}
	return c.accessories(ctx, got)
}

// link is one reference to be carried over.
type link struct {
	source   string        // tag or digest at the source
	digest   digest.Digest // what it stands for, "" if not known
	target   string        // tag at the destination, "" for none
	state    TargetState
	override bool
}

// carried is what became of a link.
type carried struct {
	outcome  Outcome
	digest   digest.Digest
	previous digest.Digest
	media    string
	stored   digest.Digest // at the destination; "": the same
	reason   string        // why it was left out
}

// at is the digest at the destination.
func (got carried) at() digest.Digest {
	if got.stored != "" {
		return got.stored
	}
	return got.digest
}

// carryWhole brings one reference to the destination. The destination is asked first and
// the source only as far as the answer calls for: a tag that is new at the
// destination is fetched from the source without asking what it is.
func (c *copying) carryWhole(ctx context.Context, l link) (carried, error) {
	state := l.state
	var err error
	switch {
	case state.Absent() && l.target != "":
		c.e.exists.missing(c.r.TargetRepository, l.target)
	case state.Absent():
		c.e.exists.missing(c.r.TargetRepository, string(l.digest))
	case !state.Asked():
		switch {
		case l.target != "":
			state, err = c.e.Inspect(ctx, c.r.TargetRepository, l.target)
		case l.digest != "" && c.e.exists.holds(aManifest, c.r.TargetRepository, l.digest):
			state = Holding(l.digest)
		case l.digest != "":
			state, err = c.e.Inspect(ctx, c.r.TargetRepository, string(l.digest))
		}
		if err != nil {
			return carried{digest: l.digest}, err
		}
	}
	got := carried{digest: l.digest, previous: state.Digest()}
	if got.digest == "" && state.Digest() != "" {
		desc, err := c.r.Source.Resolve(ctx, c.r.SourceRepository, l.source)
		if err != nil {
			return got, c.sourceFailure(err, l.source)
		}
		got.digest = desc.Digest
	}
	whole := true
	if state.Digest() == got.digest && got.digest != "" && !c.r.Thorough {
		lacks, err := c.e.lacks(ctx, c.r.TargetRepository, nil, got.digest)
		if err != nil {
			return got, err
		}
		whole = !lacks
	}
	switch {
	case state.Digest() == "":
	case state.Digest() == got.digest && (c.r.Thorough || !whole): // as if it were not there
	case state.Digest() == got.digest:
		c.e.exists.remember(aManifest, c.r.TargetRepository, got.digest)
		got.outcome = Unchanged
		c.say("%s: the destination has it already (%s)", c.what(l), short(got.digest))
		return got, nil
	case !l.override:
		got.outcome = Kept
		c.say("%s: the destination has something else (%s) under this tag; it is kept", c.what(l), short(state.Digest()))
		return got, nil
	}

	reference := l.source
	if got.digest != "" {
		reference = string(got.digest)
	}
	m, err := c.sourceManifest(ctx, reference)
	if err != nil {
		return got, c.sourceFailure(err, reference)
	}
	got.digest, got.media = m.Digest, m.MediaType
	if l.target == "" {
		l.target = string(m.Digest)
	}
	start := time.Now()
	if err := c.top(ctx, m, l.target, got.previous != ""); err != nil {
		return got, err
	}
	got.outcome = Copied
	c.say("%s: copied %s in %s", c.what(l), short(m.Digest), since(start))
	return got, nil
}

// sourceManifest reads a manifest of the artifact, or of what belongs to it.
func (c *copying) sourceManifest(ctx context.Context, reference string) (registry.Manifest, error) {
	return c.r.Share.manifest(ctx, c.r.Source, c.r.SourceRepository, reference, c.r.SourceReference)
}

func (c *copying) what(l link) string { return name(c.r.SourceRepository, l.source) }

func (c *copying) sourceFailure(err error, reference string) error {
	if registry.IsNotFound(err) {
		return fault(Source, fmt.Errorf("the source does not have it: %w", err), "read manifest %s", name(c.r.SourceRepository, reference))
	}
	return failure(Source, err, "read manifest %s", name(c.r.SourceRepository, reference))
}
