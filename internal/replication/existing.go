package replication

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// An event rule stands for what is pushed since it follows events, as in Harbor, and for
// what it has put at a destination whenever that was. What was there before goes when
// somebody runs the rule, or when it says so (rule.Extras.IncludeExisting). When it is not
// known when something was pushed, the rule stands for it: nothing must be missed.

// clockSkew is how far the clocks of the source and of all servers may be apart: what was
// pushed shortly before the rule followed events counts as pushed after.
const clockSkew = 5 * time.Minute

// eventsSince is since when a rule follows events that is changed now. A pause changes
// nothing: what is pushed meanwhile is found by the next comparison.
func (p Policy) eventsSince(now time.Time) time.Time {
	switch {
	case p.Trigger != rule.EventBased:
		return time.Time{}
	case !p.EventsSince.IsZero():
		return p.EventsSince
	case p.followsEvents():
		return now
	default:
		return time.Time{} // it has never been enabled
	}
}

// bringExisting has a rule that begins to stand for everything compared now.
func (s *Service) bringExisting(ctx context.Context, tx *store.Tx, p, old Policy) error {
	if !p.followsEvents() || !p.IncludeExisting || old.followsEvents() && old.IncludeExisting {
		return nil
	}
	_, err := s.askForCheck(ctx, tx, p.ID, checkWish{Reconcile: true})
	return err
}

// pushedAt is when a reference came to stand for an artifact; zero when not known.
func pushedAt(a registry.Artifact, reference string) time.Time {
	if byDigest(reference) {
		return a.PushTime
	}
	return a.TagTimes[reference]
}

// wantedSince is since when a rule may have wanted what a reference stands for: since it was
// pushed, or, when the rule waits for a signature, since the last accessory came, which may
// be that; zero when not known.
func wantedSince(m *rule.Matcher, a registry.Artifact, reference string) time.Time {
	last := pushedAt(a, reference)
	if !m.SignedOnly() || last.IsZero() {
		return last
	}
	for _, accessory := range a.Accessories {
		at := a.AccessoryTimes[accessory]
		if at.IsZero() {
			return at
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}

// accessoryWantedSince is wantedSince for an accessory of an artifact that goes by some
// references. One of which no time is told came with what it belongs to. What waits for a
// signature goes with all that belongs to it, as when an event tells of the signature.
func accessoryWantedSince(m *rule.Matcher, a registry.Artifact, accessory string, references []string) time.Time {
	if m.SignedOnly() {
		return newest(references, func(reference string) time.Time { return wantedSince(m, a, reference) })
	}
	return cmp.Or(a.AccessoryTimes[accessory], newest(references, func(reference string) time.Time { return pushedAt(a, reference) }))
}

// newest is the last of the times of some references; zero when one of them is not known.
func newest(references []string, of func(reference string) time.Time) (last time.Time) {
	for _, reference := range references {
		at := of(reference)
		if at.IsZero() {
			return at
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}

// excuse takes out of drift what the rule does not stand for.
func (v *verification) excuse(ctx context.Context, d *RepositoryDrift) error {
	p := v.policy
	// When an artifact got its labels, nobody knows.
	if !p.followsEvents() || p.IncludeExisting || p.EventsSince.IsZero() || v.labels {
		return nil
	}
	var old []*DriftEntry
	for i := range d.Entries {
		e := &d.Entries[i]
		lacking := e.Drift && (e.State == Missing || e.State == Different)
		if lacking && !e.pushed.IsZero() && e.pushed.Before(p.EventsSince.Add(-clockSkew)) {
			old = append(old, e)
		}
	}
	if len(old) == 0 {
		return nil
	}
	put, err := putFrom(ctx, v.o.DB, p.ID, d.Plan.DestinationID, d.Plan.SourceRepository, d.Plan.DestinationRepository)
	if err != nil {
		return err
	}
	for _, e := range old {
		if !put[e.Reference] {
			e.Drift, e.Reason = false, "it was pushed before the rule followed events: it goes when the rule is run"
		}
	}
	return nil
}

// putFrom returns the references of a repository at a destination under which a rule has
// put something from a repository of the source.
func putFrom(ctx context.Context, q store.Querier, policy, registry int64, source, repository string) (map[string]bool, error) {
	rows, err := q.QueryContext(ctx, `SELECT reference FROM placements WHERE registry_id = $1 AND repository = $2 AND policy_id = $3
		AND source_repository IN ('', $4)`, registry, repository, policy, source)
	if err != nil {
		return nil, fmt.Errorf("look up what was put into %s: %w", repository, err)
	}
	put := map[string]bool{}
	_, err = collect(rows, func(row scanner) (reference string, err error) {
		err = row.Scan(&reference)
		put[reference] = true
		return reference, err
	})
	return put, err
}
