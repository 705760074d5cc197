package replication

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/transfer"
)

// RepositoryDrift is how a repository of the source stands at one destination.
type RepositoryDrift struct {
	Plan    RepositoryPlan // what running the rule now would do
	Entries []DriftEntry   // in the order of the plan's items; without times
}

// Drift compares the source with each destination, one repository at a time, and
// changes nothing. Deep looks for every blob of what is there. It is Plan in other
// words: what a run would copy is missing, what it would overwrite is different. What
// is extra it cannot tell, since it does not know what the rule put there. An error
// beside an entry ends it, and what was not told until then is not known.
func (r Route) Drift(ctx context.Context, deep bool) iter.Seq2[RepositoryDrift, error] {
	return func(yield func(RepositoryDrift, error) bool) {
		looks := map[int64]deepLook{}
		for _, to := range r.each() {
			looks[to.Destination.ID] = deepLook{to.Destination.Engine.NewVerification()}
		}
		for plan, err := range r.Plan(ctx) {
			if err != nil {
				yield(RepositoryDrift{}, err)
				return
			}
			var wanted [][]digest.Digest // of each entry
			d := RepositoryDrift{Plan: plan, Entries: make([]DriftEntry, 0, len(plan.Items))}
			for i := range plan.Items {
				item := &plan.Items[i]
				if item.Action == ActionSkip && item.Reason != "" {
					continue // left out, or deleted while it was looked at: no business of the rule's
				}
				d.Entries = append(d.Entries, driftOfItem(plan, item))
				wanted = append(wanted, item.wholeOf())
			}
			if deep {
				looks[plan.DestinationID].look(ctx, d.Entries, wanted)
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// driftOfItem puts a comparison into the words of drift.
func driftOfItem(plan RepositoryPlan, item *Item) DriftEntry {
	e := DriftEntry{
		DestinationID: plan.DestinationID, SourceRepository: plan.SourceRepository, DestinationRepository: plan.DestinationRepository,
		Reference: item.Reference, SourceDigest: item.Digest, DestinationDigest: item.found.Digest().String(), Reason: item.Reason,
		pushed: item.pushed,
	}
	switch item.Action {
	case ActionSkip:
		e.State, e.DestinationDigest = InSync, item.standsFor()
	case ActionCopy:
		e.State, e.Drift = Missing, true
		if e.DestinationDigest != "" {
			e.Reason = "not all of what the rule wants of the index is at the destination"
		}
	case ActionOverwrite:
		e.State, e.Drift = Different, true
	case ActionConflict:
		e.State, e.Drift = Different, true
		if e.Reason == "" {
			e.Reason = "the rule does not override"
		}
	default:
		e.State, e.Drift = NotVerified, true
		if plan.Err != nil {
			e.Reason = plan.Err.Error()
		}
	}
	return e
}

// deepLook looks for all that artifacts consist of.
type deepLook struct{ *transfer.Verification }

// looksAtOnce bounds the artifacts that are looked through at the same time.
const looksAtOnce = 16

// look goes through what is in sync as far as tags tell.
func (l deepLook) look(ctx context.Context, entries []DriftEntry, wanted [][]digest.Digest) {
	var group errgroup.Group
	group.SetLimit(looksAtOnce)
	for i := range entries {
		e := &entries[i]
		if e.State != InSync || e.DestinationDigest == "" {
			continue
		}
		group.Go(func() error {
			lacks, err := l.Lacks(ctx, e.DestinationRepository, digest.Digest(e.DestinationDigest), wanted[i]...)
			switch {
			case err != nil:
				e.State, e.Drift, e.Reason = NotVerified, true, err.Error()
			case len(lacks) > 0:
				e.State, e.Drift, e.Reason = Missing, true, lacksText(lacks)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
}

func lacksText(lacks []transfer.Lack) string {
	text := lacks[0].String()
	if len(lacks) > 1 {
		text += ", and more"
	}
	return text
}

// broken reports whether the destination has the artifact by name but not as a whole.
func (e DriftEntry) broken() bool { return e.State == Missing && e.DestinationDigest != "" }

// Mend turns entries that are drift into the items that make it good. What is extra is
// deleted, what is different only when override is set.
func (e DriftEntry) Mend(override bool) (Item, bool) {
	item := Item{Reference: e.Reference, Digest: e.SourceDigest, Thorough: e.broken()}
	switch {
	case !e.Drift:
		return Item{}, false
	case e.State == Missing:
		item.Action = ActionCopy
	case e.State == Different && override:
		item.Action = ActionOverwrite
	case e.State == Extra:
		item.Action, item.Digest = ActionDelete, e.DestinationDigest
	default:
		return Item{}, false
	}
	return item, true
}
