package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// Events come one wake-up after they were recorded; the interval only bounds how
// late those are that another process recorded.
const (
	dispatchInterval = time.Second
	eventsAtOnce     = 200
)

// settleTime is how long a push without a tag is left alone. Clients push the
// children of an index by digest just before the index, which then brings them
// along; only what no index has claimed by then is replicated for itself.
const settleTime = 3 * time.Second

// dispatchEvents turns recorded events into tasks until ctx ends.
func (s *Service) dispatchEvents(ctx context.Context) {
	ticker := time.NewTicker(dispatchInterval)
	defer ticker.Stop()
	for said := ""; ; {
		trouble := ""
		if err := s.dispatch(ctx); err != nil && ctx.Err() == nil {
			trouble = err.Error()
		}
		if trouble != said && trouble != "" { // the same trouble is told once, not every second
			s.log.Error("events of the home registry wait: they cannot be turned into tasks", "error", trouble)
		}
		said = trouble
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-ticker.C:
		}
	}
}

// dispatch takes all events that are due. Those that must settle, and those that
// fail, stay where they are and do not keep back what comes after them. The error
// is the first one.
func (s *Service) dispatch(ctx context.Context) error {
	var first error
	for last := int64(0); ; {
		events, err := s.o.Home.EventsAfter(ctx, last, eventsAtOnce)
		if err != nil {
			return err
		}
		rules, err := s.eventRules(ctx)
		if broken, ok := errors.AsType[*brokenRules](err); ok {
			first = cmp.Or(first, error(broken))
		} else if err != nil {
			return err
		}
		for _, e := range events {
			if err := s.dispatchEvent(ctx, e, rules); err != nil && first == nil {
				first = fmt.Errorf("event %d (%s of %s): %w", e.ID, e.Type, e.Repository, err)
			}
			if ctx.Err() != nil {
				return first
			}
		}
		if len(events) < eventsAtOnce {
			return first
		}
		last = events[len(events)-1].ID
	}
}

// eventRule is a rule that follows events, ready to match them.
type eventRule struct {
	Policy
	matcher *rule.Matcher
}

// brokenRules says that rules cannot be understood. Such a rule was written by another
// version, or by hand; what it would have done with events is not done.
type brokenRules struct{ error }

// eventRules returns the rules that follow events. The others are there also beside an
// error that is a *brokenRules.
func (s *Service) eventRules(ctx context.Context) ([]eventRule, error) {
	policies, err := s.selectPolicies(ctx, s.o.DB, selectPolicy+` WHERE enabled AND trigger_type = $1 AND src_registry_id = 0 ORDER BY id`,
		string(rule.EventBased))
	if err != nil {
		return nil, fmt.Errorf("list event rules: %w", err)
	}
	rules := make([]eventRule, 0, len(policies))
	var broken []error
	for _, p := range policies {
		matcher, err := rule.Compile(p.Rule)
		if err != nil {
			broken = append(broken, fmt.Errorf("replication policy %s cannot be understood, and takes no events: %w", p.Name, err))
			continue
		}
		rules = append(rules, eventRule{p, matcher})
	}
	if err := errors.Join(broken...); err != nil {
		return rules, &brokenRules{err}
	}
	return rules, nil
}

// followsEvents reports whether events make work for a rule; see eventRules.
func (p Policy) followsEvents() bool {
	return p.Enabled && p.Trigger == rule.EventBased && p.Push()
}

// dispatchEvent takes one event and adds the work that rules have with it, in
// one transaction: the event is in the database until the tasks are.
func (s *Service) dispatchEvent(ctx context.Context, e home.Event, rules []eventRule) error {
	// A home that is a Harbor may not tell what a tag stood for that is gone.
	if slices.Contains(e.Tags, "") || e.Digest == "" && (operationOf(e.Type) == Copy || len(e.Tags) == 0) {
		return errors.New("it names no artifact")
	}
	var owners []registry.Artifact
	if operationOf(e.Type) == Copy && len(rules) > 0 {
		if len(e.Tags) == 0 && s.settling(e) {
			return nil
		}
		var err error
		if owners, err = s.o.Home.Owners(ctx, e.Repository, e.Digest); err != nil {
			return err
		}
		if len(e.Tags) == 0 && len(owners) == 0 {
			child, err := s.o.Home.IsChild(ctx, e.Repository, e.Digest)
			if err != nil {
				return err
			}
			if child {
				rules = nil
			}
		}
		if rules, err = s.withoutOrphan(ctx, e, rules, owners); err != nil {
			return err
		}
	}
	types, err := s.eventTypes(ctx, e, rules)
	if err != nil {
		return err
	}
	const races = 5 // on PostgreSQL a job may begin to wait while another one is added
	for race := 1; ; race++ {
		err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
			taken, err := home.TakeEvent(ctx, tx, e.ID)
			if err != nil || !taken {
				return err
			}
			for _, r := range rules {
				if err := s.apply(ctx, tx, e, r, types, owners); err != nil {
					return fmt.Errorf("replication policy %s: %w", r.Name, err)
				}
			}
			return nil
		})
		if !errors.Is(err, errOvertaken) || race == races {
			return err
		}
	}
}

// withoutOrphan leaves out the rules that leave accessories behind when the event is of
// an accessory that was pushed before what it belongs to.
func (s *Service) withoutOrphan(ctx context.Context, e home.Event, rules []eventRule, owners []registry.Artifact) ([]eventRule, error) {
	leaves := func(r eventRule) bool { return r.matcher.LeavesAccessories() }
	if len(owners) > 0 || !slices.ContainsFunc(rules, leaves) {
		return rules, nil
	}
	orphan, err := s.o.Home.IsAccessory(ctx, e.Repository, e.Digest)
	if err != nil || !orphan {
		return rules, err
	}
	return slices.DeleteFunc(slices.Clone(rules), leaves), nil
}

// eventTypes are the media types of what was pushed, if a rule has to know them.
func (s *Service) eventTypes(ctx context.Context, e home.Event, rules []eventRule) ([]string, error) {
	needed := func(r eventRule) bool { return r.matcher.NeedsKind() }
	if operationOf(e.Type) != Copy || !slices.ContainsFunc(rules, needed) {
		return nil, nil
	}
	a, err := s.o.Home.Artifact(ctx, e.Repository, e.Digest)
	if problem.Is(err, problem.NotFound) {
		return nil, nil // it is gone, and there is nothing to be copied
	}
	return mediaTypes(a), err
}

// settling reports whether a push is too young to be looked at. One from the
// future is due: the clock was set back.
func (s *Service) settling(e home.Event) bool {
	age := s.now().Sub(e.Time)
	return age >= 0 && age < settleTime
}

// apply adds what a rule has to do because of an event: at each destination one task
// for the references that its filters let through, and for nothing else.
func (s *Service) apply(ctx context.Context, tx *store.Tx, e home.Event, r eventRule, types []string, owners []registry.Artifact) error {
	operation := operationOf(e.Type)
	var work []eventWork
	for _, to := range r.Destinations() {
		var items []Item
		var err error
		if operation == Copy {
			items = r.copies(e, types, owners)
		} else if r.Deletion {
			items, err = r.deletions(ctx, tx, e, to.ID)
		}
		if err != nil {
			return err
		}
		if len(items) > 0 {
			work = append(work, eventWork{to.ID, operation, items})
		}
	}
	return s.addEventTasks(ctx, tx, e, r.Policy, work)
}

func operationOf(eventType string) Operation {
	switch eventType {
	case home.DeleteArtifact:
		return Deletion
	case home.DeleteTag:
		return TagDeletion
	default:
		return Copy
	}
}

// copies are the references of a push, a new tag or a change of labels that the rule
// wants. An accessory is wanted when what it belongs to is, whatever tag it has itself,
// unless the rule leaves accessories behind.
func (r eventRule) copies(e home.Event, types []string, owners []registry.Artifact) []Item {
	if len(owners) > 0 && r.matcher.LeavesAccessories() {
		return nil
	}
	c := candidate(e)
	c.MediaTypes = types
	relabelled := e.Type == home.LabelArtifact
	if relabelled && !r.wantsSince(c, e.FormerLabels, owners) {
		return nil
	}
	tags, ok := r.matchItself(c, owners)
	subject := ""
	for _, owner := range owners {
		if _, wanted := r.matcher.Match(owned(e.Repository, owner)); wanted {
			tags, ok, subject = e.Tags, true, owner.Digest
			break
		}
	}
	if !ok || subject == "" && len(owners) > 0 && len(tags) == 0 {
		return nil
	}
	if len(tags) == 0 {
		tags = []string{e.Digest}
	}
	var items []Item
	if subject != "" && r.SignedOnly() {
		items = r.ownersOf(e, owners)
	}
	for _, tag := range tags {
		items = append(items, Item{Reference: tag, Digest: e.Digest, Action: ActionCopy, Subject: subject, Accessories: relabelled})
	}
	return items
}

// ownersOf are the references of what an accessory belongs to that the rule wants: when the
// accessory is a signature, what was left out until now is to be copied.
func (r eventRule) ownersOf(e home.Event, owners []registry.Artifact) (items []Item) {
	for _, owner := range owners {
		tags, wanted := r.matcher.Match(owned(e.Repository, owner))
		if !wanted {
			continue
		}
		if len(tags) == 0 {
			tags = []string{owner.Digest}
		}
		for _, tag := range tags {
			items = append(items, Item{Reference: tag, Digest: owner.Digest, Action: ActionCopy, Accessories: true})
		}
	}
	return items
}

// wantsSince reports whether a change of labels made the rule want an artifact. Labels of
// accessories mean nothing: they follow what they belong to.
func (r eventRule) wantsSince(c rule.Candidate, former []string, owners []registry.Artifact) bool {
	if len(owners) > 0 {
		return false
	}
	c.Labels = former
	_, wanted := r.matcher.Match(c)
	return !wanted
}

// matchItself applies the filters to the artifact of an event alone, but for the labels
// of an accessory, which are those of what it belongs to.
func (r eventRule) matchItself(c rule.Candidate, owners []registry.Artifact) (tags []string, ok bool) {
	if len(owners) == 0 {
		return r.matcher.Match(c)
	}
	for _, owner := range owners {
		c.Labels = owner.Labels
		if tags, ok = r.matcher.Match(c); ok {
			return tags, true
		}
	}
	return nil, false
}

func candidate(e home.Event) rule.Candidate {
	return rule.Candidate{Repository: e.Repository, Digest: e.Digest, Tags: e.Tags, Labels: e.Labels, ResourceType: strings.ToLower(e.Artifact)}
}

func owned(repository string, a registry.Artifact) rule.Candidate {
	return rule.Candidate{
		Repository: repository, Digest: a.Digest, Tags: a.Tags, Labels: a.Labels, ResourceType: strings.ToLower(a.Type),
		MediaTypes: mediaTypes(a), PushTime: a.PushTime, TagTimes: a.TagTimes,
	}
}

func mediaTypes(a registry.Artifact) []string { return append([]string{a.MediaType}, a.Types...) }

// deletions are the references of a deletion that are the rule's concern: those
// its filters let through and those it has put at the destination registry itself, such as
// accessories, whose subject is gone too by now. The artifact comes after its tags.
func (r eventRule) deletions(ctx context.Context, tx *store.Tx, e home.Event, registry int64) ([]Item, error) {
	references, ok := r.matcher.Match(candidate(e))
	if r.matcher.NeedsTimes() || r.matcher.NeedsKind() {
		references, ok = nil, false // what is gone cannot be asked any more: the books tell
	}
	references = slices.Clone(references)
	all := e.Tags
	if e.Type == home.DeleteArtifact {
		all = slices.Clone(e.Tags)
		if e.Digest != "" {
			all = append(all, e.Digest)
		}
		if ok && e.Digest != "" {
			references = append(references, e.Digest)
		}
	}
	if r.matcher.MatchRepository(e.Repository) {
		destination, err := r.DestinationRepository(e.Repository)
		if err == nil { // else nothing can have been put there
			if e.Type == home.DeleteArtifact && e.Digest != "" {
				// A Harbor that is home names one of the tags at most that went with it.
				tags, err := tagsPlaced(ctx, tx, r.ID, registry, e.Repository, destination, e.Digest)
				if err != nil {
					return nil, err
				}
				all = append(tags, all...)
			}
			for _, reference := range all {
				placed, err := isPlaced(ctx, tx, r.ID, registry, e.Repository, destination, reference)
				if err != nil {
					return nil, err
				}
				if placed && !slices.Contains(references, reference) {
					references = append(references, reference)
				}
			}
		}
	}
	// The artifact comes after its tags.
	slices.SortStableFunc(references, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	items := make([]Item, len(references))
	for i, reference := range references {
		items[i] = Item{Reference: reference, Digest: e.Digest, Action: ActionDelete}
	}
	return items, nil
}

func rank(reference string) int {
	if byDigest(reference) {
		return 1
	}
	return 0
}
