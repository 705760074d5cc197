package migration

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// CheckOptions say how thoroughly Check looks. The zero value is the ordinary check.
type CheckOptions struct {
	// Repositories selects repositories; nil is all of them. Of selected ones only the
	// blobs that they link to are checked.
	Repositories func(name string) bool
	// Deep reads every object back from the destination and hashes it.
	Deep bool
	// Concurrency is the most objects looked at at a time; 0 is DefaultConcurrency.
	Concurrency int
	// Correct records in the journal what the destination turned out to hold and not
	// to hold, so that the next copy sends what is missing. A destination that no copy
	// has ever gone to has no journal to record it in.
	Correct bool
	// OnDifference is told of each difference, from one goroutine at a time.
	OnDifference func(Difference)
	Progress     *Progress // may be nil
}

// Sign is how two trees differ in an object. The signs are those of rclone's
// combined reports.
type Sign string

// The signs.
const (
	Missing     Sign = "+" // only in the source
	Extra       Sign = "-" // only in the destination
	Different   Sign = "*" // in both, and not the same
	NotReadable Sign = "!" // could not be read, or is damaged in the source
)

// Difference is an object in which source and destination are not the same.
type Difference struct {
	Sign   Sign   `json:"sign"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// String is the line of a report.
func (d Difference) String() string {
	return fmt.Sprintf("%s %s: %s", d.Sign, printable(d.Name), d.Reason)
}

// CheckReport says whether everything in the source is in the destination, and how
// that is known.
type CheckReport struct {
	Source      string           `json:"source"`
	Destination string           `json:"destination"`
	Deep        bool             `json:"deep,omitempty"`
	Objects     int64            `json:"objects"` // in the source
	Same        int64            `json:"same"`    // of them, those that the destination holds with the right bytes
	Missing     int64            `json:"missing"`
	Different   int64            `json:"different"`
	Extra       int64            `json:"extra"`
	Unreadable  int64            `json:"unreadable"`   // or damaged in the source
	Proofs      map[string]int64 `json:"proofs"`       // of the same objects: how it is known
	ProvenBytes map[string]int64 `json:"proven_bytes"` // their bytes, likewise
	ReadBytes   int64            `json:"read_bytes"`   // read back from the destination
	// Before is how many of the same objects a full check has found right, which ended
	// at CheckedBefore. See CheckRecent.
	Before        int64     `json:"before,omitempty"`
	CheckedBefore time.Time `json:"checked_before,omitzero"`
	// JournalError is why what was found could not be recorded, see CheckOptions.Correct.
	// It does not make the check less true.
	JournalError string  `json:"journal_error,omitempty"`
	Seconds      float64 `json:"seconds"`
}

// Differences is the number of objects that are not the same.
func (r CheckReport) Differences() int64 { return r.Missing + r.Different + r.Extra + r.Unreadable }

// Check compares every object of src with dst. An object is the same only if its
// bytes in dst are known to be right; what is not known yet is found out, by reading
// it back where nothing else helps. The error is for what ends the check before it
// has seen everything: then nothing can be said.
func Check(ctx context.Context, src, dst tree.Tree, j *Journal, o CheckOptions) (CheckReport, error) {
	c := newChecker(src, dst, j, o)
	began := time.Now()
	err := c.run(ctx)
	c.r.Seconds = time.Since(began).Seconds()
	if err != nil {
		return c.r, fmt.Errorf("check %s against %s: %w", dst, src, err)
	}
	return c.r, nil
}

// checker is one call of Check.
type checker struct {
	src, dst tree.Tree
	j        *Journal
	o        CheckOptions
	versions keySet  // what the journal recorded: name, size, ETag and proof together
	needed   *keySet // names of the blobs of selected repositories; nil: all

	slots chan struct{}
	wg    sync.WaitGroup

	mu sync.Mutex
	r  CheckReport
}

func newChecker(src, dst tree.Tree, j *Journal, o CheckOptions) *checker {
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	o.Correct = o.Correct && j.writable()
	return &checker{
		src: src, dst: dst, j: j, o: o, slots: make(chan struct{}, o.Concurrency),
		r: CheckReport{Source: src.String(), Destination: dst.String(), Deep: o.Deep, Proofs: map[string]int64{}, ProvenBytes: map[string]int64{}},
	}
}

func (c *checker) run(ctx context.Context) error {
	if err := checkSource(ctx, c.src); err != nil {
		return err
	}
	if err := c.loadVersions(ctx); err != nil {
		return err
	}
	if c.o.Repositories != nil {
		var err error
		if c.needed, err = neededBlobs(ctx, c.src, &c.j.keyer, c.o.Repositories); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := compare(ctx, c.src, c.dst, c.j.Len(), func(p pair) error { return c.look(ctx, cancel, p) }); err != nil {
		cancel(err)
	}
	c.wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	c.correct(func() error {
		if c.o.Repositories == nil && c.r.Differences() == 0 {
			return c.j.checked(ctx)
		}
		return c.j.flush(ctx)
	})
	return nil
}

// correct writes into the journal, as long as that succeeds.
func (c *checker) correct(write func() error) {
	c.mu.Lock()
	able := c.o.Correct && c.r.JournalError == ""
	c.mu.Unlock()
	if !able {
		return
	}
	if err := write(); err != nil {
		c.mu.Lock()
		c.r.JournalError = err.Error()
		c.mu.Unlock()
	}
}

// loadVersions gathers which versions of objects the journal has a proof of.
func (c *checker) loadVersions(ctx context.Context) error {
	if c.o.Deep {
		return nil
	}
	return c.j.read(ctx, func(_ segmentHead, r record) {
		if (r.op == opStored || r.op == opTag) && r.proof > tree.Sized {
			c.versions.add(c.version(r.name, r.size, r.etag, r.proof))
		}
	})
}

func (c *checker) version(name string, size int64, etag string, proof tree.Proof) key {
	return c.j.of(name, fmt.Sprint(size), etag, string(rune('0'+proof)))
}

// recorded is the proof that the journal has of this very version of an object.
func (c *checker) recorded(o tree.Object) tree.Proof {
	if o.ETag == "" {
		return tree.Unproven
	}
	for proof := tree.ReadBack; proof > tree.Sized; proof-- {
		if c.versions.has(c.version(o.Name, o.Size, o.ETag, proof)) {
			return proof
		}
	}
	return tree.Unproven
}

// neededBlobs finds the blobs that selected repositories link to.
func neededBlobs(ctx context.Context, src tree.Tree, k *keyer, selected func(name string) bool) (*keySet, error) {
	needed := &keySet{}
	err := eachRepository(ctx, src, func(name string) error {
		if !selected(name) {
			return nil
		}
		for _, folder := range []string{layout.LayersFolder(name), layout.RevisionsFolder(name)} {
			for o, err := range src.List(ctx, tree.ListOptions{Prefix: folder}) {
				if err != nil {
					return err
				}
				if f := layout.Parse(o.Name); f.IsLink() {
					needed.add(k.of(layout.BlobPath(f.Algorithm, f.Hex)))
				}
			}
		}
		return nil
	})
	return needed, err
}

// look sorts a pair into the report. What takes a request goes on while the listing
// does.
func (c *checker) look(ctx context.Context, end context.CancelCauseFunc, p pair) error {
	f := layout.Parse(p.name)
	if c.leftOut(f, p) {
		return nil
	}
	if p.src != nil {
		c.o.Progress.found.Add(1)
	}
	switch {
	case p.src == nil:
		c.differ(Difference{Extra, p.name, extraReason(f)})
		return nil
	case p.dst != nil && f.Kind == layout.Blob && !c.o.Deep:
		if proof := c.recorded(*p.dst); proof > tree.Unproven {
			c.same(proof, p.dst.Size)
			return nil
		}
	}
	if !c.start(ctx, func() error { return c.examine(ctx, f, p) }, end) {
		return context.Cause(ctx)
	}
	return nil
}

// start does work when a slot is free, and returns before it is done; false when the
// check is to end. An error of work ends it.
func (c *checker) start(ctx context.Context, work func() error, end context.CancelCauseFunc) bool {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	c.wg.Go(func() {
		defer func() { <-c.slots }()
		if err := work(); err != nil {
			end(err)
		}
	})
	return true
}

// leftOut reports whether a name is none that is copied.
func (c *checker) leftOut(f layout.File, p pair) bool {
	switch {
	case f.Kind == layout.Upload:
		return true
	case f.Kind == layout.Foreign:
		// Foreign files are not copied. In the destination they are seen, since some of
		// them make a registry fail.
		return p.dst == nil || c.o.Repositories != nil
	case c.o.Repositories == nil:
		return false
	case f.Kind == layout.Blob:
		return !c.needed.has(c.j.of(p.name))
	default:
		return !c.o.Repositories(f.Repository)
	}
}

func extraReason(f layout.File) string {
	if f.Kind == layout.Foreign {
		return "no registry writes a file like this, and it is not in the source"
	}
	return "it is in the destination only"
}

// examine finds out about an object that is in the source.
func (c *checker) examine(ctx context.Context, f layout.File, p pair) error {
	if f.Kind == layout.Foreign {
		c.differ(Difference{Extra, p.name, extraReason(f)})
		return nil
	}
	want, content, err := c.wanted(ctx, f, p.src)
	switch {
	case tree.IsNotExist(err):
		return nil // it has gone from the source meanwhile
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case tree.IsFatal(err):
		return err
	case err != nil:
		c.differ(Difference{NotReadable, p.name, "in the source: " + err.Error()})
		return nil
	case p.dst == nil:
		return c.missing(ctx, f, p)
	}
	proof, err := c.prove(ctx, f, *p.dst, want, content)
	switch {
	case err == nil:
		c.same(proof, p.dst.Size)
		if !f.Mutable() && !c.j.has(p.name) {
			c.correct(func() error {
				return c.j.stored(ctx, p.name, p.dst.Size, tree.Receipt{Proof: proof, ETag: p.dst.ETag})
			})
		}
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case tree.IsNotExist(err):
		return c.missing(ctx, f, p)
	case tree.IsFatal(err):
		return err
	case errors.Is(err, tree.ErrDigest):
		c.wrong(ctx, Difference{Different, p.name, c.explain(f, *p.dst, content)})
		return nil
	default:
		c.differ(Difference{NotReadable, p.name, "in the destination: " + err.Error()})
		return nil
	}
}

// wanted is what an object must hash to, and its content if it is a link. The source
// is read for what the path does not tell.
func (c *checker) wanted(ctx context.Context, f layout.File, src *tree.Object) (want digest.Digest, content []byte, err error) {
	if f.Kind == layout.Blob {
		return f.Digest(), nil, nil
	}
	if text, known := f.LinkContent(); known {
		return digest.FromString(text), []byte(text), nil
	}
	content, err = tree.ReadAll(ctx, c.src, src.Name, maxLink)
	if err != nil {
		return "", nil, err
	}
	if _, err := f.Target(content); err != nil {
		return "", nil, err
	}
	return digest.FromBytes(content), content, nil
}

// prove finds out whether an object of the destination has the right bytes. The error
// is tree.ErrDigest when it has others.
func (c *checker) prove(ctx context.Context, f layout.File, o tree.Object, want digest.Digest, content []byte) (tree.Proof, error) {
	if content != nil && o.Size != int64(len(content)) {
		return tree.Unproven, tree.ErrDigest
	}
	if !c.o.Deep {
		if proof := c.recorded(o); proof > tree.Unproven && (f.Kind != layout.TagLink || c.j.hasTag(o.Name, string(content))) {
			return proof, nil
		}
		proof, err := c.dst.Prove(ctx, o, want, content)
		if proof > tree.Sized || err != nil && !errors.Is(err, tree.ErrDigest) {
			return proof, err
		}
		// What a store says against an object is looked into: there are some whose
		// checksums are of something else.
	}
	return tree.ReadBack, c.readBack(ctx, o, want)
}

// readBack reads an object of the destination and hashes it.
func (c *checker) readBack(ctx context.Context, o tree.Object, want digest.Digest) error {
	n, err := hashObject(ctx, c.dst, o.Name, want)
	c.o.Progress.bytes.Add(n)
	c.mu.Lock()
	c.r.ReadBytes += n
	c.mu.Unlock()
	return err
}

// hashObject reads an object and returns tree.ErrDigest if it is not what it should be.
func hashObject(ctx context.Context, t tree.Tree, name string, want digest.Digest) (int64, error) {
	body, err := t.Read(ctx, name, 0, -1)
	if err != nil {
		return 0, err
	}
	h := want.Algorithm().Hash()
	n, err := io.Copy(h, body)
	if closing := body.Close(); err == nil {
		err = closing
	}
	if err == nil && hex.EncodeToString(h.Sum(nil)) != want.Encoded() {
		err = tree.ErrDigest
	}
	return n, err
}

// missing sorts out why an object is not in the destination: one that is damaged in
// the source is never copied.
func (c *checker) missing(ctx context.Context, f layout.File, p pair) error {
	if f.Kind == layout.Blob {
		_, err := hashObject(ctx, c.src, p.name, f.Digest())
		switch {
		case errors.Is(err, tree.ErrDigest):
			c.differ(Difference{NotReadable, p.name, "it is damaged in the source and was not copied: " + blobDamage(p.name, f.Digest(), p.src.Size).String()})
			return nil
		case tree.IsNotExist(err):
			return nil // garbage collection was quicker
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			c.differ(Difference{NotReadable, p.name, "in the source: " + err.Error()})
			return nil
		}
	}
	c.wrong(ctx, Difference{Missing, p.name, "it is not in the destination"})
	return nil
}

// wrong reports a difference that another copy can mend.
func (c *checker) wrong(ctx context.Context, d Difference) {
	c.differ(d)
	c.correct(func() error { return c.j.forget(ctx, d.Name) })
}

func (c *checker) explain(f layout.File, o tree.Object, content []byte) string {
	switch {
	case f.Kind == layout.TagLink:
		return fmt.Sprintf("the tag stands for something else than %s in the source", content)
	case content != nil && o.Size != int64(len(content)):
		return fmt.Sprintf("it has %d bytes and must have %d", o.Size, len(content))
	default:
		return "its bytes are not those that its path says"
	}
}

func (c *checker) same(proof tree.Proof, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Objects++
	c.r.Same++
	c.r.Proofs[proof.String()]++
	c.r.ProvenBytes[proof.String()] += size
}

func (c *checker) differ(d Difference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.Sign != Extra {
		c.r.Objects++
	}
	switch d.Sign {
	case Missing:
		c.r.Missing++
	case Extra:
		c.r.Extra++
	case Different:
		c.r.Different++
	default:
		c.r.Unreadable++
	}
	if c.o.OnDifference != nil {
		c.o.OnDifference(d)
	}
}
