package harbor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/registry"
)

const (
	asksAtOnce = 32
	mostTold   = 8192
	// askAgainAfter is when the Harbor is asked again about an event that it refused to
	// say anything about.
	askAgainAfter = 30 * time.Second
)

// telling is an event with what the Harbor said about its artifact.
type telling struct {
	event home.Event
	err   error
	until time.Time // the error counts until then
}

// EventsAfter returns recorded changes that no rule has taken yet, oldest first. What
// Harbor's messages leave out, the artifact's digest, type and labels, is asked of it
// now. An event that it refuses to say anything about is left out and stays recorded;
// an error means that it cannot be asked at all.
func (h *Home) EventsAfter(ctx context.Context, id int64, limit int) ([]home.Event, error) {
	var all []home.Event
	for len(all) < limit {
		page, err := home.EventsAfter(ctx, h.db, id, limit)
		if err != nil {
			return nil, err
		}
		complete, err := h.completeAll(ctx, page)
		all = append(all, complete...)
		if err != nil && len(all) == 0 {
			return nil, err
		}
		if err != nil || len(page) < limit {
			break
		}
		id = page[len(page)-1].ID
	}
	return all[:min(len(all), limit)], nil
}

// completeAll completes events. The error is one that speaks of all of them.
func (h *Home) completeAll(ctx context.Context, events []home.Event) ([]home.Event, error) {
	results := make([]telling, len(events))
	var group errgroup.Group
	group.SetLimit(asksAtOnce)
	for i, e := range events {
		group.Go(func() error {
			results[i] = h.complete(ctx, e)
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var complete []home.Event
	var whole error
	for _, r := range results {
		switch {
		case r.err == nil:
			complete = append(complete, r.event)
		case registry.IsTemporary(r.err) && whole == nil:
			whole = r.err
		}
	}
	return complete, whole
}

// complete asks the Harbor about one event, once.
func (h *Home) complete(ctx context.Context, e home.Event) telling {
	h.mu.Lock()
	known, ok := h.told[e.ID]
	h.mu.Unlock()
	if ok && (known.err == nil || h.now().Before(known.until)) {
		return known
	}
	result := telling{event: e}
	if e.Type == home.PushArtifact || e.Type == home.CreateTag {
		result.event, result.err = h.ask(ctx, e)
	}
	if registry.IsTemporary(result.err) || ctx.Err() != nil {
		return result // nothing to be remembered
	}
	if result.err != nil {
		result.until = h.now().Add(askAgainAfter)
		if known.err == nil || known.err.Error() != result.err.Error() {
			h.log.Warn("an event waits: the Harbor says nothing about the artifact", "event", e.ID,
				"repository", e.Repository, "reference", reference(e), "error", result.err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.told) >= mostTold {
		clear(h.told)
	}
	h.told[e.ID] = result
	return result
}

func reference(e home.Event) string {
	if len(e.Tags) > 0 {
		return e.Tags[0]
	}
	return e.Digest
}

// ask fills in what an event lacks. A push of something that is gone by now tells that
// it is gone.
func (h *Home) ask(ctx context.Context, e home.Event) (home.Event, error) {
	a, err := h.api.Artifact(ctx, e.Repository, reference(e))
	if registry.IsGone(err) {
		if len(e.Tags) > 0 {
			e.Type = home.DeleteTag
		} else {
			e.Type = home.DeleteArtifact
		}
		return e, nil
	}
	if err != nil {
		return e, fmt.Errorf("look at %s %s: %w", e.Repository, reference(e), err)
	}
	if a.Digest == "" {
		return e, errors.New("the Harbor tells no digest")
	}
	// What is pushed without a tag may be a child of an index that is still to come:
	// what it is will be asked when it has settled.
	if len(e.Tags) > 0 {
		h.findOwnersAhead(ctx, e.Repository, a)
	}
	e.Digest, e.Artifact, e.Labels = a.Digest, a.Type, slices.Clone(a.Labels)
	if e.Labels == nil {
		e.Labels = []string{}
	}
	return e, nil
}
