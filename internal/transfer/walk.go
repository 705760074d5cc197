package transfer

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// How much of one manifest is worked on at the same time. The engine's streams and
// the clients' gates bound what is in flight; these bound what waits.
const (
	blobsAtOnce    = 32
	childrenAtOnce = 8
)

// copying is one call of Copy.
type copying struct {
	e      *Engine
	r      Request
	track  *tracker
	start  time.Time
	result Result

	manifests, blobs, bytes atomic.Int64 // met so far, against the limits; bytes of manifests

	mu        sync.Mutex
	counted   map[digest.Digest]bool // blobs in the progress
	children  map[digest.Digest][]ocispec.Descriptor
	portions  map[digest.Digest]*portion // indexes of which something is left out
	announced map[digest.Digest]bool     // referrers that the destination is known to list

	logging sync.Mutex
	closed  bool // nobody listens to the log any more
}

func newCopying(e *Engine, r Request) *copying {
	return &copying{
		e: e, r: r, track: &tracker{report: r.Progress}, start: time.Now(),
		counted: map[digest.Digest]bool{}, children: map[digest.Digest][]ocispec.Descriptor{},
		announced: map[digest.Digest]bool{}, portions: map[digest.Digest]*portion{},
	}
}

// say writes a line to the request's log. Lines come one at a time, and none after
// Copy has returned.
func (c *copying) say(format string, args ...any) {
	c.logging.Lock()
	defer c.logging.Unlock()
	if c.r.Log != nil && !c.closed {
		c.r.Log(fmt.Sprintf(format, args...))
	}
}

func (c *copying) closeLog() {
	c.logging.Lock()
	defer c.logging.Unlock()
	c.closed = true
}

// top puts the artifact's own manifest under reference. moved says that the tag
// stood for something else, and that children are likely to be there already.
func (c *copying) top(ctx context.Context, m registry.Manifest, reference string, moved bool) error {
	n, err := c.read(m, 0)
	if err != nil {
		return err
	}
	if len(n.Children) == 0 {
		return c.topParts(ctx, m, n, reference, moved)
	}
	return c.noting(ctx, m.Digest, nil, false, func() error { return c.topParts(ctx, m, n, reference, moved) })
}

// topParts brings what an artifact consists of, and then its own manifest.
func (c *copying) topParts(ctx context.Context, m registry.Manifest, n oci.Manifest, reference string, moved bool) error {
	if c.r.Thorough {
		if err := c.parts(ctx, n, 0, checking, true, nil); err != nil {
			return err
		}
		return c.store(ctx, m, n, reference, 0)
	}
	there := c.e.exists.holds(aManifest, c.r.TargetRepository, m.Digest) || c.r.estimate.has(place{aManifest, c.r.TargetRepository, m.Digest})
	// An index that is there under another tag needs one request instead of many. When
	// a run finds again and again that it is not, it stops asking.
	if !there && len(n.Children) > 0 && reference != string(m.Digest) && c.e.misses.worthLooking() {
		state, err := c.e.Inspect(ctx, c.r.TargetRepository, string(m.Digest))
		if err != nil {
			return err
		}
		there = !state.Absent()
		c.e.misses.note(there)
	}
	if there {
		believed, err := c.believes(ctx, m.Digest, m.MediaType)
		if err != nil {
			return err
		}
		there, moved = believed, moved || !believed // then much of it may be there
	}
	if there {
		c.say("%s: the destination has %s already; only the tag is set", name(c.r.SourceRepository, c.r.SourceReference), short(m.Digest))
	} else if err := c.parts(ctx, n, 0, trusting, moved, nil); err != nil {
		return err
	}
	return c.store(ctx, m, n, reference, 0)
}

// read parses a manifest and counts it.
func (c *copying) read(m registry.Manifest, depth int) (oci.Manifest, error) {
	n, err := oci.Parse(m.Content)
	switch {
	case err != nil:
	case depth > maxDepth:
		err = fmt.Errorf("%w: indexes are nested more than %d deep", oci.ErrMalformed, maxDepth)
	case c.manifests.Add(1) > maxManifests:
		err = fmt.Errorf("%w: the artifact has more than %d manifests", oci.ErrMalformed, maxManifests)
	case c.bytes.Add(int64(len(m.Content))) > maxManifestBytes:
		err = fmt.Errorf("%w: the artifact's manifests have more than %s in all", oci.ErrMalformed, bytesText(maxManifestBytes))
	case c.blobs.Add(int64(len(n.Blobs))) > maxBlobs:
		err = fmt.Errorf("%w: the artifact has more than %d blobs", oci.ErrMalformed, maxBlobs)
	}
	if err != nil {
		return oci.Manifest{}, fault(Source, err, "read manifest %s", name(c.r.SourceRepository, string(m.Digest)))
	}
	c.mu.Lock()
	c.children[m.Digest] = n.Children
	c.mu.Unlock()
	return n, nil
}

// parts brings everything that a manifest refers to. look says that children are
// looked up at the destination before they are fetched from the source. named are
// the digests that the destination said it lacks; nil: any may be missing.
func (c *copying) parts(ctx context.Context, n oci.Manifest, depth int, how effort, look bool, named map[digest.Digest]bool) error {
	type part struct {
		blob  *oci.Blob
		child *ocispec.Descriptor
	}
	var blobs, children []part
	for i := range n.Blobs {
		ref := &n.Blobs[i]
		if ref.Foreign && !named[ref.Digest] && (how != forcing || named != nil) {
			c.count(ref.Descriptor, func() { c.track.done(fateSkipped, ref.Size) })
			c.say("%s %s lives outside of registries (%s); it is not copied", ref.Role, short(ref.Digest), ref.URLs[0])
			continue
		}
		if how == forcing && named != nil && !named[ref.Digest] {
			continue
		}
		blobs = append(blobs, part{blob: ref})
	}
	for i := range n.Children {
		if how == forcing && named != nil && !named[n.Children[i].Digest] {
			continue
		}
		children = append(children, part{child: &n.Children[i]})
	}
	run := func(ctx context.Context, p part) error {
		if p.child != nil {
			return c.child(ctx, *p.child, depth+1, how, look)
		}
		err := c.blob(ctx, *p.blob, how)
		if p.blob.Role == oci.Entry && registry.IsNotFound(err) && ctx.Err() == nil {
			// An entry of an index whose type nobody knows may be a manifest after all.
			return c.child(ctx, p.blob.Descriptor, depth+1, how, look)
		}
		return err
	}
	// An index that lists blobs too is rare; it need not be fast.
	if err := each(ctx, childrenAtOnce, children, run); err != nil {
		return err
	}
	return each(ctx, blobsAtOnce, blobs, run)
}

// count adds a blob to the progress when it is met for the first time, and then
// calls first.
func (c *copying) count(d ocispec.Descriptor, first func()) bool {
	c.mu.Lock()
	seen := c.counted[d.Digest]
	c.counted[d.Digest] = true
	c.mu.Unlock()
	if seen {
		return false
	}
	c.track.found(max(d.Size, 0))
	if first != nil {
		first()
	}
	return true
}

// blob brings one blob.
func (c *copying) blob(ctx context.Context, ref oci.Blob, how effort) error {
	first := c.count(ref.Descriptor, nil)
	b := blob{
		source: c.r.Source, sourceRepository: c.r.SourceRepository, repository: c.r.TargetRepository,
		desc: ref.Descriptor, role: string(ref.Role), effort: how, note: func(text string) { c.say("%s", text) },
		bandwidth: c.r.Bandwidth, byChunk: c.r.ByChunk, share: c.r.Share, via: c.r.SourceReference,
	}
	if data := ref.Data; len(data) > 0 && int64(len(data)) == ref.Size && ref.Digest.Algorithm().FromBytes(data) == ref.Digest {
		b.content = data
	}
	if first {
		b.sent = c.track.sent
	}
	ensure := c.e.ensure
	if c.r.estimate != nil {
		ensure = c.r.estimate.blob
	}
	got, err := ensure(ctx, b)
	b.share.pass(b.desc.Digest)
	if err != nil {
		return err
	}
	if first {
		if ref.Size < 0 && got.size > 0 {
			c.track.grew(got.size)
		}
		c.track.done(got.how, max(got.size, 0))
	}
	switch got.how {
	case fateSent:
		c.say("%s %s: sent %s in %s", ref.Role, short(ref.Digest), bytesText(got.size), got.took.Round(time.Millisecond))
	case fateMounted:
		c.say("%s %s: mounted from %s (%s)", ref.Role, short(ref.Digest), got.from, bytesText(got.size))
	case fatePresent:
		c.say("%s %s: the destination has it already (%s)", ref.Role, short(ref.Digest), bytesText(got.size))
	}
	return nil
}

// child brings a manifest that an index refers to, under its digest.
func (c *copying) child(ctx context.Context, desc ocispec.Descriptor, depth int, how effort, look bool) error {
	at := place{aManifest, c.r.TargetRepository, desc.Digest}
	key := endeavour{place: at, forced: how == forcing}
	if c.portionOf(desc.Digest) != nil {
		key.platforms = c.r.Platforms.String()
	}
	for {
		if how == trusting && c.e.exists.holds(aManifest, at.repository, at.digest) {
			if there, err := c.believes(ctx, desc.Digest, desc.MediaType); err != nil || there {
				return err
			}
		}
		if c.r.estimate != nil {
			return c.r.estimate.child(ctx, at, func(ctx context.Context) error { return c.bringChild(ctx, desc, depth, how, look) })
		}
		_, shared, err := c.e.manifests.do(ctx, key, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, c.bringChild(ctx, desc, depth, how, look)
		})
		if err == nil || !shared || ctx.Err() != nil || sparesOthers(err) {
			return err
		}
		// Another Copy's source or manifest was at fault; ours may be right.
	}
}

func (c *copying) bringChild(ctx context.Context, desc ocispec.Descriptor, depth int, how effort, look bool) error {
	absent := false
	if (look && how == trusting || how == checking) && !c.r.Thorough {
		state, err := c.e.Inspect(ctx, c.r.TargetRepository, string(desc.Digest))
		if err != nil {
			return err
		}
		if !state.Absent() {
			if there, err := c.believes(ctx, desc.Digest, desc.MediaType); err != nil || there {
				return err
			}
		}
		absent = state.Absent()
	}
	if p := c.portionOf(desc.Digest); p != nil {
		return c.noting(ctx, desc.Digest, p, absent, func() error { return c.putChild(ctx, p.manifest, p.parsed, depth, how, look) })
	}
	m, err := c.sourceManifest(ctx, string(desc.Digest))
	if err != nil {
		return c.sourceFailure(err, string(desc.Digest))
	}
	if desc.Size > 0 && desc.Size != int64(len(m.Content)) {
		return fault(Source, fmt.Errorf("%w: it has %d bytes, but the index that lists it says %d", oci.ErrMalformed, len(m.Content), desc.Size),
			"read manifest %s", name(c.r.SourceRepository, string(desc.Digest)))
	}
	n, err := c.read(m, depth)
	if err != nil {
		return err
	}
	if len(n.Children) == 0 {
		return c.putChild(ctx, m, n, depth, how, look)
	}
	return c.noting(ctx, m.Digest, nil, false, func() error { return c.putChild(ctx, m, n, depth, how, look) })
}

func (c *copying) putChild(ctx context.Context, m registry.Manifest, n oci.Manifest, depth int, how effort, look bool) error {
	// Even when the child is put again by force, its parts are looked for first.
	if err := c.parts(ctx, n, depth, min(how, checking), look, nil); err != nil {
		return err
	}
	return c.store(ctx, m, n, string(m.Digest), depth)
}

// store puts a manifest whose parts are there. When the destination says that some
// are not, what was believed about them is forgotten, they are looked for once more,
// and at last sent whatever the destination says.
func (c *copying) store(ctx context.Context, m registry.Manifest, n oci.Manifest, reference string, depth int) error {
	if c.r.estimate != nil {
		c.r.estimate.note(place{aManifest, c.r.TargetRepository, m.Digest})
		return nil
	}
	for how := trusting; ; how++ {
		put, err := c.e.target.PutManifest(ctx, c.r.TargetRepository, reference, m)
		if err == nil {
			if put.Digest != "" && put.Digest != m.Digest {
				return fault(Destination, fmt.Errorf("the destination stored %s as %s", m.Digest, put.Digest), "store manifest %s", short(m.Digest))
			}
			c.e.exists.remember(aManifest, c.r.TargetRepository, m.Digest)
			c.e.exists.rememberTag(c.r.TargetRepository, reference)
			if n.Subject == nil {
				return nil
			}
			c.e.referrers.learn(put.SubjectAccepted)
			return c.announce(ctx, n.Subject.Digest, refererOf(m, n), put.SubjectAccepted)
		}
		sparse := c.portionOf(m.Digest)
		if sparse != nil && len(sparse.left) > 0 && !sparse.rewritten() && mayRefuseSparse(err) && (!lacksParts(err) || how == forcing || refusesSparse(sparse, namedIn(err))) {
			return storeFailure(ctx, sparseHint(err), m, reference)
		}
		if !lacksParts(err) || how == forcing || ctx.Err() != nil {
			return storeFailure(ctx, err, m, reference)
		}
		c.say("manifest %s: the destination lacks something it was believed to have; looking again (%v)", short(m.Digest), err)
		for _, b := range n.Blobs {
			c.e.exists.forget(aBlob, c.r.TargetRepository, b.Digest)
		}
		for _, child := range n.Children {
			c.e.exists.forget(aManifest, c.r.TargetRepository, child.Digest)
		}
		if err := c.parts(ctx, n, depth, how+1, true, namedIn(err)); err != nil {
			return err
		}
	}
}

func storeFailure(ctx context.Context, err error, m registry.Manifest, reference string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, registry.ErrDigestMismatch) {
		return fault(Destination, fmt.Errorf("the destination stored something else: %w", err), "store manifest %s", short(m.Digest))
	}
	if digest.Digest(reference).Validate() == nil {
		return failure(Destination, err, "store manifest %s", short(m.Digest))
	}
	return failure(Destination, err, "store manifest %s as %s", short(m.Digest), reference)
}

// lacksParts reports whether the destination refused a manifest because something
// that it refers to is not there.
func lacksParts(err error) bool {
	return hasCode(err, "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN")
}

var anyDigest = regexp.MustCompile(`sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})\b`)

// namedIn returns the digests that a refusal names, nil if it names none.
func namedIn(err error) map[digest.Digest]bool {
	e, ok := errors.AsType[*registry.Error](err)
	if !ok {
		return nil
	}
	var text strings.Builder
	for _, code := range e.Codes {
		text.WriteString(code.Message + " " + code.Detail + " ")
	}
	var named map[digest.Digest]bool
	for _, d := range anyDigest.FindAllString(text.String(), -1) {
		if named == nil {
			named = map[digest.Digest]bool{}
		}
		named[digest.Digest(d)] = true
	}
	return named
}

// missStreak remembers whether looking for whole artifacts under another tag has
// been in vain lately.
type missStreak struct {
	mu    sync.Mutex
	count int
	last  time.Time
}

const (
	enoughMisses = 2
	missMemory   = 10 * time.Second
)

func (s *missStreak) worthLooking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count < enoughMisses || time.Since(s.last) > missMemory
}

func (s *missStreak) note(found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
	s.count++
	if found {
		s.count = 0
	}
}
