package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/trace"
	"github.com/lighterage/lighterage/internal/transfer"
)

// carry does what one item says.
func (c *carrier) carry(ctx context.Context, i int) error {
	item := &c.plan.Items[i]
	var err error
	switch item.Action {
	case ActionSkip, ActionConflict:
		if err = settle(item, c.Log, c.plan.DestinationRepository); err != nil {
			return err
		}
	default:
		spanned, span := trace.Start(ctx, "artifact", "reference", item.Reference, "repository", c.plan.DestinationRepository, "action", item.Action)
		err = c.follow(spanned, i)
		span.Set("outcome", item.Outcome, "digest", item.Digest, "bytes_sent", item.BytesSent)
		span.End(err)
	}
	if err != nil {
		item.Outcome, item.Reason = Lost, err.Error()
		if ctx.Err() == nil { // one that was stopped has not failed
			c.Log("ERROR", "%v", err)
		}
	}
	return err
}

// settle notes the outcome of an item that needs no work. The error is why it cannot be
// carried out: another repository has a claim to its name.
func settle(item *Item, log Logger, repository string) error {
	switch {
	case item.contested():
		item.Outcome = Lost
		log("ERROR", "%s: %s", item.Reference, item.Reason)
		return errors.New(item.Reason)
	case item.Action == ActionConflict:
		item.Outcome, item.Reason = Kept, "the destination has something else under this tag and the rule does not override"
		log("WARNING", "the artifact %s of %s is something else on the destination registry and the rule does not override it, skip", item.Reference, repository)
	case item.Reason != "":
		item.Outcome = Absent
		log("INFO", "%s of %s: %s, skip", item.Reference, repository, item.Reason)
	default:
		item.Outcome = Unchanged
		log("INFO", "the artifact %s of %s already exists on the destination registry, skip", item.Reference, repository)
	}
	return nil
}

func (c *carrier) source(item *Item) string {
	return name(c.Source, c.plan.SourceRepository, item.Reference)
}

func (c *carrier) target(item *Item) string {
	return name(c.Destination, c.plan.DestinationRepository, item.Reference)
}

// follow brings the destination to what the source says about an item. It looks at
// the source again after each change: what was pushed or deleted meanwhile, and
// perhaps was carried by somebody else before this change, must not be undone.
func (c *carrier) follow(ctx context.Context, i int) error {
	const rounds = 5 // what changes faster than it can be followed has newer work waiting
	item := &c.plan.Items[i]
	for range rounds {
		var done bool
		var err error
		if item.Action == ActionDelete {
			done, err = c.remove(ctx, i)
		} else {
			done, err = c.copy(ctx, i)
		}
		if err != nil || done {
			return err
		}
	}
	return fmt.Errorf("%s changed each time the destination had been brought up to date", c.source(item))
}

// copy brings an item to the destination. It is done unless the source has changed;
// the item then says what is to be done next.
func (c *carrier) copy(ctx context.Context, i int) (done bool, err error) {
	item := &c.plan.Items[i]
	if err := c.intend(ctx, item); err != nil {
		return false, err
	}
	result, err := c.Destination.Engine.Copy(c.allowed(ctx), c.request(i))
	item.found = transfer.Unasked // from now on only the destination knows
	item.BytesSent += result.BytesSent
	if err != nil {
		return c.copyFailed(ctx, item, err)
	}
	item.Digest, item.Stands = result.Digest.String(), result.Stored.String()
	if err := c.placed(ctx, item, result); err != nil {
		return false, err
	}
	if err := c.noteCopy(item, result); err != nil {
		return false, err
	}
	if item.pinned() {
		c.noteMoved(ctx, item)
		return true, nil
	}
	if !c.Source.home {
		return true, nil
	}
	now, err := c.Source.digest(ctx, c.plan.SourceRepository, item.Reference)
	switch {
	case err != nil:
		return false, fmt.Errorf("look at %s again: %w", c.source(item), err)
	case now == item.Digest:
		return true, nil
	case now != "":
		if wanted, err := c.stillWants(ctx, item); err != nil || !wanted {
			return err == nil, err
		}
		c.Log("INFO", "%s was pushed again meanwhile, copying it once more", c.source(item))
		item.Digest, item.Action, item.Reason = now, ActionCopy, ""
		return false, nil
	case c.repeatsDeletions():
		c.Log("INFO", "%s was deleted meanwhile", c.source(item))
		item.Action = ActionDelete
		return false, nil
	default:
		return true, nil
	}
}

// intend notes what is about to be put under a tag that may have to be deleted again. A
// server that is killed between the copy and its note has put there what no books tell
// of, and when the tag is pushed again and deleted meanwhile nobody else knows of it.
func (c *carrier) intend(ctx context.Context, item *Item) error {
	d := digest.Digest(item.Digest)
	if !c.repeatsDeletions() || byDigest(item.Reference) || d.Validate() != nil {
		return nil
	}
	if c.Rule.RewritesIndexes() && c.narrows(item) {
		p, err := transfer.ReadPortion(ctx, c.Source.Adapter.Client(), c.plan.SourceRepository, item.Digest, c.wanted, true)
		if err != nil || p.Nothing != "" {
			return nil // nothing is going to be put, and the copy says why
		}
		d = p.Digest
	}
	if err := c.Intended(ctx, c.plan.DestinationRepository, item.Reference, d); err != nil {
		return fmt.Errorf("note what is going to be at %s: %w", c.target(item), err)
	}
	return nil
}

func (c *carrier) placed(ctx context.Context, item *Item, result transfer.Result) error {
	for _, placed := range result.Placed {
		if err := c.Placed(ctx, c.plan.DestinationRepository, placed.Reference, placed.Digest); err != nil {
			return fmt.Errorf("note what is at %s: %w", c.target(item), err)
		}
	}
	return nil
}

// copyFailed finds out whether a copy failed because the source has changed. What is
// gone cannot be copied, and need not be.
func (c *carrier) copyFailed(ctx context.Context, item *Item, failure error) (done bool, err error) {
	if item.pinned() {
		return false, c.pinnedFailure(ctx, item, failure)
	}
	if !c.Source.home || ctx.Err() != nil {
		return false, failure
	}
	now, err := c.Source.digest(ctx, c.plan.SourceRepository, item.Reference)
	switch {
	case err != nil || now == item.Digest:
		return false, failure
	case now != "":
		c.Log("INFO", "%s was pushed again meanwhile (%v)", c.source(item), failure)
		wanted, err := c.stillWants(ctx, item)
		if err == nil && !wanted {
			item.Action, item.Reason = ActionSkip, unwanted
			return true, settle(item, c.Log, c.plan.DestinationRepository)
		}
		item.Digest, item.Action = now, ActionCopy
		return false, err
	case c.repeatsDeletions():
		c.Log("INFO", "%s was deleted meanwhile (%v)", c.source(item), failure)
		item.Action = ActionDelete
		return false, nil
	default:
		item.Action, item.Reason = ActionSkip, goneFromSource
		return true, settle(item, c.Log, c.plan.DestinationRepository)
	}
}

// unwanted is why a copy was left out that the rule had wanted.
const unwanted = "the rule does not want it any more"

// stillWants reports whether the rule wants what a reference of home is now, which is
// something else than it was: a tag that was moved has other labels.
func (c *carrier) stillWants(ctx context.Context, item *Item) (bool, error) {
	if item.Subject != "" || !c.matcher.HasLabelFilter() && !c.matcher.NeedsType() {
		return true, nil
	}
	now, found, err := c.Source.current(ctx, c.plan.SourceRepository, item.Reference)
	if err != nil {
		return false, fmt.Errorf("look at %s again: %w", c.source(item), err)
	}
	wanted := !found || wants(c.matcher, c.plan.SourceRepository, item.Reference, now)
	if !wanted {
		c.Log("INFO", "%s is something else now, and the rule does not want it", c.source(item))
	}
	return wanted, nil
}

// allowed lets home take indexes of which something is left out.
func (c *carrier) allowed(ctx context.Context) context.Context {
	if c.Destination.sparse == nil || len(c.wanted) == 0 {
		return ctx
	}
	return c.Destination.sparse(ctx)
}

func (c *carrier) request(i int) transfer.Request {
	item := c.plan.Items[i]
	var platforms oci.Platforms
	if c.narrows(&item) {
		platforms = c.wanted
	}
	target := item.Reference
	if byDigest(target) {
		target = "" // an untagged artifact stays untagged
	}
	return transfer.Request{
		Source:           c.Source.Adapter.Client(),
		SourceName:       c.Source.Name,
		SourceRepository: c.plan.SourceRepository,
		SourceReference:  item.Reference,
		SourceDigest:     digest.Digest(item.Digest),
		TargetRepository: c.plan.DestinationRepository,
		TargetReference:  target,
		Override:         c.Rule.Override,
		Target:           item.found,
		Platforms:        platforms,
		Rewrite:          c.Rule.RewritesIndexes(),
		Accessories:      c.Rule.Accessories != rule.AccessoriesNone,
		Bandwidth:        c.Bandwidth,
		Share:            c.Share,
		ByChunk:          c.Rule.CopyByChunk,

		Thorough:               item.Thorough,
		AccessoriesOfUnchanged: item.Accessories,
		AsOf:                   c.start,
		Progress:               func(p transfer.Progress) { c.progress(i, p) },
		Log:                    func(text string) { c.Log("INFO", "%s", text) },
	}
}

func (c *carrier) noteCopy(item *Item, result transfer.Result) error {
	switch result.Outcome {
	case transfer.Unchanged:
		item.Action = ActionSkip
		return settle(item, c.Log, c.plan.DestinationRepository)
	case transfer.LeftOut:
		item.skip(result.Reason)
		return settle(item, c.Log, c.plan.DestinationRepository)
	case transfer.Kept:
		item.Action = ActionConflict
		return settle(item, c.Log, c.plan.DestinationRepository)
	default:
		item.Outcome = Copied
		c.Log("INFO", "copied %s to %s: %s", c.source(item), c.target(item), result.Digest)
		return nil
	}
}

// remove deletes an item at the destination if it is what the rule put there, and
// if the source still does not have it. Like copy, it is done unless the source has
// changed.
func (c *carrier) remove(ctx context.Context, i int) (done bool, err error) {
	item := &c.plan.Items[i]
	now, err := c.Source.digest(ctx, c.plan.SourceRepository, item.Reference)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", c.source(item), err)
	}
	if now != "" {
		item.Outcome, item.Reason = Kept, "the source has it again"
		c.Log("INFO", "%s is there again, nothing is deleted", c.source(item))
		return true, nil
	}
	removal, err := c.removeAt(ctx, item)
	if err != nil {
		return false, fmt.Errorf("delete %s: %w", c.target(item), err)
	}
	switch removal {
	case transfer.Foreign:
		item.Outcome, item.Reason = Foreign, "what is at the destination now was not put there by this rule, or from another repository"
		c.Log("WARNING", "%s is not what was put there: it is left alone", c.target(item))
		return true, nil
	case transfer.InUse:
		item.Outcome, item.Reason = Kept, "other tags or indexes at the destination still use it"
		c.Log("INFO", "%s is still used at the destination, its manifest stays", c.target(item))
	case transfer.NotThere:
		item.Outcome = Absent
		c.Log("INFO", "%s is not at the destination, nothing is to be deleted", c.target(item))
	default:
		item.Outcome = Deleted
		c.Log("INFO", "%s is deleted", c.target(item))
	}
	if err := c.Removed(ctx, c.plan.DestinationRepository, item.Reference); err != nil {
		return false, fmt.Errorf("note that %s is gone: %w", c.target(item), err)
	}
	if removal != transfer.Removed {
		return true, nil
	}
	return c.stillGone(ctx, i)
}

// removeAt deletes what the rule put there: what the books say, or what the source
// had when it was deleted, in case the books were not written any more. What was put
// there since from another repository, which may have the same name at the
// destination, is not this one's to delete.
func (c *carrier) removeAt(ctx context.Context, item *Item) (transfer.Removal, error) {
	if byDigest(item.Reference) {
		return c.removeArtifact(ctx, digest.Digest(item.Reference))
	}
	expect, source, err := c.Expected(ctx, c.plan.DestinationRepository, item.Reference)
	if err != nil {
		return "", fmt.Errorf("look up what was put there: %w", err)
	}
	if source != "" && source != c.plan.SourceRepository {
		c.Log("INFO", "%s was put there from %s", c.target(item), source)
		return transfer.Foreign, nil
	}
	had := digest.Digest(item.Digest)
	if item.Only {
		expect = slices.DeleteFunc(expect, func(d digest.Digest) bool { return d != had })
	} else if had.Validate() == nil && !slices.Contains(expect, had) {
		expect = append(expect, had)
	}
	removal := transfer.Foreign // nothing was put there, as far as anybody knows
	for _, d := range expect {
		removal, err = c.Destination.Engine.RemoveTag(ctx, c.plan.DestinationRepository, item.Reference, d)
		if err != nil || removal != transfer.Foreign {
			break
		}
	}
	return removal, err
}

// removeArtifact deletes a manifest by its digest, and what the rule has made of it.
func (c *carrier) removeArtifact(ctx context.Context, d digest.Digest) (transfer.Removal, error) {
	removal, err := c.Destination.Engine.RemoveArtifact(ctx, c.plan.DestinationRepository, d)
	if err != nil || !c.Rule.RewritesIndexes() {
		return removal, err
	}
	made, err := c.Destination.Engine.RemoveMade(ctx, c.plan.DestinationRepository, d, c.wanted)
	if made != transfer.NotThere && removal != transfer.Removed {
		removal = made
	}
	return removal, err
}

// stillGone looks at the source after a deletion. What is there again may have been
// copied before the deletion took it away, so it is copied now; with a manifest all
// its tags are lost.
func (c *carrier) stillGone(ctx context.Context, i int) (bool, error) {
	item := &c.plan.Items[i]
	now, found, err := c.Source.current(ctx, c.plan.SourceRepository, item.Reference)
	if err != nil {
		return false, fmt.Errorf("look at %s again: %w", c.source(item), err)
	}
	if !found {
		return true, nil
	}
	c.Log("INFO", "%s was pushed again meanwhile, copying it", c.source(item))
	item.Digest, item.Action, item.found = now.Digest, ActionCopy, transfer.Unasked
	if !byDigest(item.Reference) {
		return false, nil
	}
	tags, err := c.wantedTags(ctx, now)
	if err != nil {
		return false, err
	}
	for _, tag := range tags {
		if _, owner, err := c.Expected(ctx, c.plan.DestinationRepository, tag); err != nil {
			return false, fmt.Errorf("look up what was put there: %w", err)
		} else if owner != "" && owner != c.plan.SourceRepository {
			c.Log("INFO", "%s is left to %s, which has it at the destination", tag, owner)
			continue
		}
		request := c.request(i)
		request.SourceReference, request.TargetReference = tag, tag
		result, err := c.Destination.Engine.Copy(c.allowed(ctx), request)
		if err != nil {
			return false, err
		}
		if err := c.placed(ctx, item, result); err != nil {
			return false, err
		}
	}
	return false, nil
}

// byDigest tells a digest from a tag.
func byDigest(reference string) bool { return strings.Contains(reference, ":") }
