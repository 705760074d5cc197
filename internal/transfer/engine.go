package transfer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
)

// Options tune an engine. The zero value is good.
type Options struct {
	// Name is what the destination is called in messages. "": its host.
	Name string
	// Streams is how many blobs are on their way at the same time. 0: 64. What is
	// really in flight adapts to the hosts below that, see registry.Options.
	Streams int
	// Attempts is how many times in a row a stream may fail without having come any
	// further. 0: 8. Requests without a body are repeated by the client.
	Attempts int
	// Backoff is the wait after a first failure, and MaxBackoff the longest. 0: 250 ms, 15 s.
	Backoff, MaxBackoff time.Duration
	// Validity is how long an answer about what the destination holds is believed.
	// 0: 10 minutes.
	Validity time.Duration
	// Remembered is how many such answers are kept at most. 0: 100,000 (about 20 MB).
	Remembered int
	// VerifySource hashes every blob on its way, for destinations that cannot be
	// trusted to do it. Blobs of up to 256 KiB are always hashed.
	VerifySource bool
	// Checkpoints, if set, keeps the place of large uploads over a restart.
	Checkpoints Checkpoints
	// CheckpointSize is the least size of a blob that is uploaded in parts with
	// checkpoints. 0: 16 MiB.
	CheckpointSize int64
	// ChunkSize is the size of such parts. 0: 16 MiB.
	ChunkSize int64
	// DeleteTag, if set, removes a tag and nothing else, whatever other tags there are:
	// a provider's own API. It answers registry.ErrUnsupported when it cannot. A bare
	// DELETE of /manifests/<tag> is no such thing: some registries take the manifest
	// and all its tags away. The engine tries that one itself, carefully.
	DeleteTag func(ctx context.Context, repository, tag string) error
	// Holder, if set, names a repository of the destination that has a blob, "" if there
	// is none: for what others have put there, which this engine has not seen.
	Holder func(ctx context.Context, d digest.Digest) (repository string, err error)
	// Portions, if set, remembers over a restart which indexes are there without some of
	// what they list.
	Portions Portions
	Log      *slog.Logger // nil: none
}

// Checkpoints stores small texts that outlive the process. It is called now and
// then during an upload, by several goroutines. What it loses costs bytes, never
// correctness: its failures are told to Request.Log and do not end a copy.
type Checkpoints interface {
	Load(ctx context.Context, name string) (value string, found bool, err error)
	Save(ctx context.Context, name, value string) error
	Delete(ctx context.Context, name string) error
}

// Engine copies artifacts to one destination registry and removes them there. It is
// safe for concurrent use and meant to be shared by all who write to the
// destination, since it knows what is already there and on its way.
type Engine struct {
	target *registry.Client
	o      Options
	log    *slog.Logger

	exists    *existence
	mounts    *mounting
	blobs     flights[endeavour, delivery]
	manifests flights[endeavour, struct{}]
	listings  flights[listingKey, tagList]
	tags      tagLists
	portions  Portions
	board     board
	claims    claims
	streams   chan struct{}
	referrers referrersSupport
	removal   removalHabits
	misses    missStreak

	refusesParts atomic.Bool  // the destination takes blobs only in one piece
	largest      atomic.Int64 // most bytes of a request that are tried, since larger ones were refused; 0: any

	// background holds the clean-up that nobody waits for.
	background sync.WaitGroup
}

// NewEngine makes the engine of a destination. It does no I/O.
func NewEngine(target *registry.Client, o Options) *Engine {
	setDefault(&o.Name, target.Host())
	setDefault(&o.Streams, 64)
	setDefault(&o.Attempts, 8)
	setDefault(&o.Backoff, 250*time.Millisecond)
	setDefault(&o.MaxBackoff, 15*time.Second)
	setDefault(&o.Validity, 10*time.Minute)
	setDefault(&o.Remembered, 100_000)
	setDefault(&o.CheckpointSize, 16<<20)
	setDefault(&o.ChunkSize, 16<<20)
	setDefault(&o.Log, slog.New(slog.DiscardHandler))
	if o.Portions == nil {
		o.Portions = &ownPortions{}
	}
	return &Engine{
		target: target, o: o, log: o.Log, portions: o.Portions,
		exists: newExistence(o.Validity, o.Remembered), mounts: newMounting(),
		streams: make(chan struct{}, o.Streams),
	}
}

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// Wait returns when clean-up that was left behind by ended calls is done, which
// takes a few seconds at most. Call it when no other call is running; the engine
// stays usable.
func (e *Engine) Wait() { e.background.Wait() }

// cleanUpTime is how long best-effort clean-up may take.
const cleanUpTime = 10 * time.Second

// abandon cancels an upload session so that it does not lie about at the
// destination. It is a courtesy: registries purge old sessions by themselves.
func (e *Engine) abandon(ctx context.Context, session *registry.Upload) {
	if session == nil {
		return
	}
	e.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		if err := session.Cancel(ctx); err != nil {
			e.log.DebugContext(ctx, "upload session was not cancelled", "destination", e.o.Name, "error", err)
		}
	})
}

// TargetState is what is known about a reference at the destination: nothing
// (Unasked, the zero value), that it is not there (Absent), or its digest.
type TargetState string

// States without a digest; see Holding for the others.
const (
	Unasked TargetState = ""
	Absent  TargetState = "absent"
)

// Holding is the state of a reference that has digest d.
func Holding(d digest.Digest) TargetState { return TargetState(d) }

// Asked reports whether the destination was asked at all.
func (s TargetState) Asked() bool { return s != Unasked }

// Absent reports whether the destination is known not to have the reference.
func (s TargetState) Absent() bool { return s == Absent }

// Digest returns the digest that the reference has, "" when absent or unasked.
func (s TargetState) Digest() digest.Digest {
	if s == Unasked || s == Absent {
		return ""
	}
	return digest.Digest(s)
}

// Inspect asks the destination for a reference, a tag or a digest, with one HEAD.
func (e *Engine) Inspect(ctx context.Context, repository, reference string) (TargetState, error) {
	desc, err := e.target.Resolve(ctx, repository, reference)
	switch {
	case registry.IsNotFound(err):
		e.exists.missing(repository, reference)
		return Absent, nil
	case err != nil:
		return Unasked, failure(Destination, err, "look up %s at %s", name(repository, reference), e.o.Name)
	}
	e.exists.remember(aManifest, repository, desc.Digest)
	e.exists.rememberTag(repository, reference)
	return Holding(desc.Digest), nil
}

// name writes a reference as people do: repository:tag or repository@digest.
func name(repository, reference string) string {
	if digest.Digest(reference).Validate() == nil {
		return repository + "@" + reference
	}
	return repository + ":" + reference
}
