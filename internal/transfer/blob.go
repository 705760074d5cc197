package transfer

import (
	"context"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/trace"
)

// fate is how a blob came to be at the destination.
type fate uint8

const (
	fateSent    fate = iota // its bytes were sent
	fateMounted             // linked from another repository of the destination
	fatePresent             // there already, or brought by somebody else meanwhile
	fateSkipped             // left where it lives by design
)

// String names a fate in traces.
func (f fate) String() string {
	return [...]string{fateSent: "sent", fateMounted: "mounted", fatePresent: "present", fateSkipped: "skipped"}[f]
}

// effort is how hard a blob is looked for before it is sent.
type effort uint8

const (
	trusting effort = iota // believe the cache and every answer
	checking               // ask the destination itself
	forcing                // send it whatever the destination says it has
)

// endeavour is what callers share. Who sends by force must not be given the result of
// those who believe what the destination says it has.
type endeavour struct {
	place
	forced    bool
	platforms string // of an index of which something is left out
}

// blob is a blob to be brought into a repository of the destination.
type blob struct {
	source           *registry.Client
	sourceRepository string
	repository       string
	desc             ocispec.Descriptor // Size may be oci.UnknownSize
	role             string
	effort           effort
	content          []byte            // its bytes, when they are at hand
	bandwidth        pace.Limits       // that its bytes move within
	byChunk          bool              // see Request
	share            *Share            // see Request
	via              string            // the reference of the artifact, for share
	sent             func(n int64)     // bytes that left; never called with less than 1
	note             func(text string) // something worth a line in the log
}

// delivery is what became of a blob.
type delivery struct {
	how  fate
	from string // repository it was mounted from
	size int64
	took time.Duration
}

// ensure has the destination's repository hold the blob when it returns nil.
func (e *Engine) ensure(ctx context.Context, b blob) (delivery, error) {
	d := b.desc.Digest
	if b.effort == trusting && e.exists.holds(aBlob, b.repository, d) {
		return delivery{how: fatePresent, size: b.desc.Size}, nil
	}
	for {
		got, shared, err := e.blobs.do(ctx, endeavour{place: place{aBlob, b.repository, d}, forced: b.effort == forcing}, func(ctx context.Context) (delivery, error) {
			ctx, span := trace.Start(ctx, "blob", "digest", d, "repository", b.repository, "role", b.role)
			got, err := e.bring(ctx, b)
			span.Set("size", got.size, "outcome", got.how)
			span.End(err)
			return got, err
		})
		if !shared || ctx.Err() != nil {
			return got, err
		}
		if err != nil && !sparesOthers(err) {
			continue // another Copy's source may be at fault; ours may have the blob
		}
		got.how = fatePresent
		return got, err
	}
}

// bring is ensure for the one call that does the work for all who want the blob in
// this repository. It waits while another repository is being given the blob, so
// that it can be mounted from there.
func (e *Engine) bring(ctx context.Context, b blob) (delivery, error) {
	d := b.desc.Digest
	for {
		from := e.mountSource(b)
		if from != "" || e.mounts.hopeless() {
			return e.settle(ctx, b, from)
		}
		held, own := e.claims.take(d)
		if own {
			got, err := e.settle(ctx, b, "")
			e.claims.release(d, held, err)
			return got, err
		}
		select {
		case <-held.done:
		case <-ctx.Done():
			return delivery{}, context.Cause(ctx)
		}
		if sparesOthers(held.err) {
			return delivery{}, held.err
		}
	}
}

// mountSource returns a repository of the destination from which the blob can
// probably be mounted, "" if there is none.
func (e *Engine) mountSource(b blob) string {
	if e.mounts.hopeless() {
		return ""
	}
	if b.source != nil && b.source.URL() == e.target.URL() && b.sourceRepository != b.repository {
		return b.sourceRepository // a copy within one registry
	}
	return e.exists.home(b.desc.Digest, b.repository)
}

// settle looks whether the blob is there, mounts it, or sends it, with as few
// requests as what was learned about the destination allows.
func (e *Engine) settle(ctx context.Context, b blob, from string) (delivery, error) {
	start := time.Now()
	d, size := b.desc.Digest, b.desc.Size
	finish := func(how fate) (delivery, error) {
		e.exists.remember(aBlob, b.repository, d)
		e.learnFromItself(ctx, b)
		return delivery{how: how, from: from, size: size, took: time.Since(start)}, nil
	}

	if b.effort == trusting && (from == "" || !e.mounts.proven()) {
		e.mounts.await(ctx)
	}
	var session *registry.Upload
	absent := b.effort == forcing
	trial := from // the repository that is still to be tried
	if absent {
		trial = ""
	}
	if b.effort == trusting && from != "" && e.mounts.proven() {
		mounted, up, err := e.mount(ctx, b, from)
		switch {
		case err != nil:
			return delivery{}, failure(Destination, err, "mount %s %s from %s", b.role, short(d), from)
		case mounted:
			return finish(fateMounted)
		}
		session, trial = up, ""
	} else if b.effort == trusting && from == "" && e.mounts.fromItself() {
		mounted, up, err := e.target.Mount(ctx, b.repository, d, b.repository)
		switch {
		case err != nil:
			return delivery{}, failure(Destination, err, "look for %s %s", b.role, short(d))
		case mounted:
			return finish(fatePresent)
		}
		session, absent = up, true
	}
	if !absent {
		asked := time.Now()
		there, held, err := e.target.BlobExists(ctx, b.repository, d)
		if err != nil {
			e.abandon(ctx, session)
			return delivery{}, failure(Destination, err, "look for %s %s", b.role, short(d))
		}
		// A blob of another size than its manifest says cannot be the right one. The
		// destination gets to check its digest anew.
		if there && (held <= 0 || size < 0 || held == size) {
			e.abandon(ctx, session)
			if size < 0 {
				size = held
			}
			return finish(fatePresent)
		}
		e.exists.forget(aBlob, b.repository, d)
		e.mounts.missed(time.Since(asked))
	}
	if session == nil && from == "" && b.effort == trusting {
		from = e.holder(ctx, b)
		trial = from
	}
	if session == nil && trial != "" && !e.mounts.hopeless() {
		mounted, up, err := e.mount(ctx, b, trial)
		switch {
		case err != nil:
			return delivery{}, failure(Destination, err, "mount %s %s from %s", b.role, short(d), trial)
		case mounted:
			return finish(fateMounted)
		}
		session = up
	}
	sent, err := e.send(ctx, b, session)
	if err != nil {
		return delivery{}, err
	}
	size = sent
	return finish(fateSent)
}

// worthAskingFor is from which size on it is asked who else has a blob. Bytes.
const worthAskingFor = 1 << 20

// holder asks the destination which of its repositories has the blob. It is a favour:
// who gets no answer sends the blob.
func (e *Engine) holder(ctx context.Context, b blob) string {
	if e.o.Holder == nil || b.desc.Size < worthAskingFor || e.mounts.hopeless() {
		return ""
	}
	repository, err := e.o.Holder(ctx, b.desc.Digest)
	if err != nil || repository == b.repository {
		return ""
	}
	return repository
}

// mount tries to link the blob from another repository. A refusal for whatever
// reason is no failure: the blob is sent instead.
func (e *Engine) mount(ctx context.Context, b blob, from string) (bool, *registry.Upload, error) {
	mounted, session, err := e.target.Mount(ctx, b.repository, b.desc.Digest, from)
	switch {
	case err != nil && (ctx.Err() != nil || registry.IsTemporary(err)):
		return false, nil, err
	case mounted:
		e.mounts.accepted()
		return true, nil, nil
	}
	e.exists.forget(aBlob, from, b.desc.Digest)
	e.mounts.refused()
	return false, session, nil
}

// learnFromItself finds out, once and with a blob that is known to be there, whether
// a mount from the repository itself tells if a blob exists (see mounting).
func (e *Engine) learnFromItself(ctx context.Context, b blob) {
	if !e.mounts.ask() {
		return
	}
	mounted, session, err := e.target.Mount(ctx, b.repository, b.desc.Digest, b.repository)
	e.abandon(ctx, session)
	if err != nil && (ctx.Err() != nil || registry.IsTemporary(err)) {
		e.mounts.unanswered()
		return
	}
	e.mounts.learned(err == nil && mounted)
}
