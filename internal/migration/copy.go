package migration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// CopyOptions say what Copy does. The zero value copies everything, live.
type CopyOptions struct {
	// Repositories selects repositories; nil is all of them. Of selected ones only the
	// blobs that they link to are copied.
	Repositories func(name string) bool
	// Shard selects a part of all blobs, and no links. A copy without one, after all shards
	// of a set, finds their blobs in the journal, copies what is missing, and then the links:
	// nothing depends on shards having come to their ends. It goes with neither Repositories
	// nor Final.
	Shard Shard
	// Final is for a source that does not change any more: after a copy like any other,
	// each file of the source is looked at, until such a look finds nothing new. Then the
	// copy removes from the
	// destination what the journal says that a copy put there and the source has no
	// longer.
	Final bool
	// DryRun finds out what would be copied and removed, and does neither.
	DryRun bool
	// Concurrency is the most objects on their way; 0 is DefaultConcurrency. How many
	// really are is for the trees to adapt.
	Concurrency int
	// MaxRemove is the most objects that Final removes; 0 is a tenth of what the
	// destination holds, but at least 1,000, and never more than half of it. When more
	// have vanished from the source it is more likely the wrong one, and nothing is removed.
	MaxRemove int
	// Bandwidth is what all content together may take; nil is no limit.
	Bandwidth *pace.Bandwidth
	// OnDamage is told of damage found in the source, from one goroutine at a time.
	OnDamage func(Damage)
	// OnFailure is told of each object that could not be copied, likewise.
	OnFailure func(name string, err error)
	// Progress counts what is done; it may be nil.
	Progress *Progress
}

// DefaultConcurrency is how many objects are on their way at most, unless told
// otherwise: enough to hide a round trip of 20 ms behind thousands of small objects
// a second.
const DefaultConcurrency = 64

// finalPasses is how often a final copy looks at the source before it says that the
// source is still changing.
const finalPasses = 5

// CopyReport is what a copy did.
type CopyReport struct {
	Source      string           `json:"source"`
	Destination string           `json:"destination"`
	Shard       string           `json:"shard,omitempty"` // I/N: only these blobs, and no links
	DryRun      bool             `json:"dry_run,omitempty"`
	Final       bool             `json:"final,omitempty"`
	Passes      int              `json:"passes"`              // looks at the whole source
	Found       int64            `json:"found"`               // objects in the source, in the last pass
	Known       int64            `json:"known"`               // of them, those that the destination had already
	Copied      int64            `json:"copied"`              // objects, in all passes
	Bytes       int64            `json:"bytes"`               // of what was copied
	Removed     int64            `json:"removed"`             // objects
	Repaired    int64            `json:"repaired"`            // links that are wrong in the source and right in the destination
	Postponed   int64            `json:"postponed,omitempty"` // objects that the source was changing, left for the next copy
	Failed      int64            `json:"failed"`              // objects that should have been copied and are not
	Damage      map[string]int64 `json:"damage,omitempty"`    // found in the source, by kind
	Proofs      map[string]int64 `json:"proofs,omitempty"`    // of what was copied: how it is known to be right
	Adopted     int64            `json:"adopted,omitempty"`   // objects that the destination held without a record, and that were found right
	Seconds     float64          `json:"seconds"`
}

// Complete reports whether everything that the source had is in the destination. A
// copy that was not the final one may have left to the next what was just changing.
func (r CopyReport) Complete() bool {
	return r.Failed == 0 && r.Lost() == 0 && (r.Postponed == 0 || !r.Final)
}

// Lost is the number of objects in the source that are damaged beyond repair: they
// are not in the destination.
func (r CopyReport) Lost() int64 {
	var n int64
	for kind, count := range r.Damage {
		switch DamageKind(kind) {
		case EmptyBlob, DigestMismatch, Unreadable, EmptyLink, MalformedLink, WrongLink:
			n += count
		}
	}
	return n - r.Repaired
}

// Copy brings the registry in src to dst. It may be repeated, and goes on where an
// earlier one was interrupted: what the journal knows of is not sent again. Blobs go
// first, then, repository by repository, layer links, manifests and tags, and no link
// goes before what it leads to: dst is at each moment a registry of its own, an older
// one, in which everything that has a tag is whole. Of the manifests of a repository an
// index may come before what it lists, so that those without a tag are whole when a
// copy has come to its end.
//
// One object's failure does not keep the others back; the report counts them. The
// error is for what ends the copy as a whole.
func Copy(ctx context.Context, src, dst tree.Tree, j *Journal, o CopyOptions) (CopyReport, error) {
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	if !o.Shard.all() && (o.Final || o.Repositories != nil) {
		return CopyReport{}, problem.New(problem.BadRequest, "a shard is of all blobs, and no copy that removes anything")
	}
	c := &copier{src: src, dst: dst, j: j, o: o, p: o.Progress, slots: make(chan struct{}, o.Concurrency), flights: map[string]*flight{}, damage: map[string]int64{}}
	began := time.Now()
	err := c.run(ctx)
	r := c.report()
	r.Seconds = time.Since(began).Seconds()
	if err != nil {
		return r, fmt.Errorf("copy %s to %s: %w", src, dst, err)
	}
	return r, nil
}

// copier is one call of Copy.
type copier struct {
	src, dst tree.Tree
	j        *Journal
	o        CopyOptions
	p        *Progress
	exact    bool // each file is looked at in this pass, see CopyOptions.Final
	passes   int
	adopted  int64

	pretended keySet // names of blobs that a dry run would have copied

	slots chan struct{} // a place for each object on its way

	mu      sync.Mutex
	flights map[string]*flight // blobs on their way because a link needs them
	damage  map[string]int64
	told    map[string]bool // paths of damage that were told of, over all passes
}

func (c *copier) run(ctx context.Context) error {
	if err := checkSource(ctx, c.src); err != nil {
		return err
	}
	if err := c.adopt(ctx); err != nil {
		return err
	}
	if !c.o.Shard.all() {
		return c.shard(ctx)
	}
	if !c.o.Final || !c.o.DryRun {
		if err := c.pass(ctx, false); err != nil || !c.o.Final {
			return err
		}
	}
	for {
		copied := c.p.copied.Load()
		if err := c.pass(ctx, true); err != nil {
			return err
		}
		if c.o.DryRun || c.p.copied.Load() == copied {
			break
		}
		if c.passes == finalPasses {
			return problem.New(problem.Conflict, "the source is still changing: %d looks at it each found something new. Is the registry read-only, and are garbage collection and replication paused?", finalPasses)
		}
	}
	if c.p.failed.Load() > 0 || c.p.postponed.Load() > 0 {
		return nil // the report tells; nothing is removed from a copy that is not whole
	}
	if err := c.j.lookBeside(ctx); err != nil {
		return err
	}
	if c.j.crossed {
		return problem.New(problem.Conflict, "another copy to this destination goes on at the same time: let it come to its end, and give the command again")
	}
	return c.prune(ctx)
}

// checkSource refuses a source that no registry has ever written to: the wrong
// volume, one that is not mounted.
func checkSource(ctx context.Context, src tree.Tree) error {
	for _, folder := range []string{layout.Blobs, layout.Repositories} {
		empty := true
		for _, err := range src.Folders(ctx, folder) {
			if err != nil {
				return err
			}
			empty = false
			break
		}
		if empty {
			return problem.New(problem.BadRequest, "%s holds no registry: there is nothing in %s. Is it the right volume, and mounted?", src, folder)
		}
	}
	return nil
}

// pass looks at the whole source once, and copies what the destination lacks.
func (c *copier) pass(ctx context.Context, exact bool) error {
	c.exact = exact
	c.passes++
	c.p.beginPass(c.passes)
	c.j.known.unmarkAll()
	if c.o.Repositories == nil {
		if err := c.blobs(ctx); err != nil {
			return err
		}
	}
	if c.o.Shard.all() {
		if err := c.repositories(ctx); err != nil {
			return err
		}
	}
	if c.o.DryRun {
		return nil
	}
	if err := c.j.endTags(ctx); err != nil || c.p.failed.Load() > 0 {
		return err // what a store has failed to answer may be there
	}
	if c.o.Shard.all() && c.o.Repositories == nil {
		if err := c.j.endShards(ctx); err != nil {
			return err
		}
	}
	return c.j.fulfilled(ctx)
}

// shard copies one shard, and keeps that it has come to its end.
func (c *copier) shard(ctx context.Context) error {
	if c.o.DryRun {
		return c.pass(ctx, false)
	}
	if err := c.j.shardBegins(ctx, c.o.Shard); err != nil {
		return err
	}
	if err := c.pass(ctx, false); err != nil || c.p.failed.Load() > 0 {
		return err
	}
	return c.j.shardEnds(ctx, c.o.Shard)
}

// blobs copies all blobs.
func (c *copier) blobs(ctx context.Context) error {
	parts, err := c.o.Shard.parts(ctx, c.src, c.listing(layout.Blobs))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		g.Go(func() error {
			b := c.batch(ctx)
			for o, err := range c.src.List(ctx, part) {
				if err != nil {
					return errors.Join(err, b.wait())
				}
				f := layout.Parse(o.Name)
				if f.Kind != layout.Blob || !c.o.Shard.has(f) {
					continue
				}
				if c.wanted(o.Name) && !b.intend(o.Name, func(ctx context.Context) error { return c.blob(ctx, f.Digest(), o.Size) }) {
					break
				}
			}
			return b.wait()
		})
	}
	return g.Wait()
}

// wanted counts an object of the source and reports whether the destination lacks it.
// Of tags it cannot tell.
func (c *copier) wanted(name string) bool {
	c.p.found.Add(1)
	k := c.j.of(name)
	if c.exact {
		c.j.known.mark(k)
	}
	if c.j.known.has(k) {
		c.p.known.Add(1)
		return false
	}
	return true
}

// report gathers what was done.
func (c *copier) report() CopyReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := CopyReport{
		Source: c.src.String(), Destination: c.dst.String(), DryRun: c.o.DryRun, Final: c.o.Final, Passes: c.passes,
		Found: c.p.found.Load(), Known: c.p.known.Load(), Copied: c.p.copied.Load(), Bytes: c.p.bytes.Load(),
		Removed: c.p.removed.Load(), Repaired: c.p.repaired.Load(), Postponed: c.p.postponed.Load(), Failed: c.p.failed.Load(),
		Adopted: c.adopted, Damage: c.damage, Proofs: c.p.Proofs(),
	}
	if !c.o.Shard.all() {
		r.Shard = c.o.Shard.String()
	}
	return r
}
