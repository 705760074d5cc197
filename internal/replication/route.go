package replication

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/transfer"
)

// Route is a rule between two registries. It needs no database: a server keeps
// books about what a Route does, a one-shot command prints it.
type Route struct {
	Rule        rule.Rule
	Source      *Side
	Destination *Side
	More        []*Side          // further destinations of a Plan; Carry goes to Destination
	Now         func() time.Time // nil: time.Now
	// Bandwidth bounds the bytes of all that Carry copies with it. nil: no limit.
	Bandwidth pace.Limits
	// Share, if set, lets Carry read the source together with other routes, see Join.
	Share *transfer.Share
	// Census is what a Plan counts in, once it has ended; nil if nobody wants to know.
	Census *rule.Census
}

func (r Route) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// Bounds on the work that a plan has under way. The clients' own limits for
// their hosts are the ones that usually count; these bound memory.
const (
	repositoriesAtOnce = 32   // for one destination
	questionsAtOnce    = 128  // for one destination
	repositoriesAhead  = 4096 // that wait for a slow one of several destinations
)

// room is what planning for one destination may have under way: a destination that
// does not answer takes none of the others'.
type room struct{ repositories, questions chan struct{} }

func newRoom() room {
	return room{make(chan struct{}, repositoriesAtOnce), make(chan struct{}, questionsAtOnce)}
}

// Plan says what running the rule now would do, repository by repository, in
// the order in which answers come, and for each destination by itself. A rule that may
// give two repositories one name tells its plans only when it knows all of them.
// Nothing is changed at either side. A repository that cannot be replicated is yielded
// with its Err and does not disturb the others; an error beside a plan ends it.
func (r Route) Plan(ctx context.Context) iter.Seq2[RepositoryPlan, error] {
	return func(yield func(RepositoryPlan, error) bool) {
		matcher, err := rule.Compile(r.Rule)
		if err != nil {
			yield(RepositoryPlan{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		plans := make(chan RepositoryPlan)
		result := make(chan error, 1)
		go func() {
			result <- r.planAll(ctx, matcher, plans)
			close(plans)
		}()
		going := true
		for plan := range plans {
			if going && !yield(plan, nil) {
				going = false
				cancel() // and go on reading until everything has ended
			}
		}
		if err := <-result; err != nil && going {
			yield(RepositoryPlan{}, err)
		}
	}
}

// planAll lists and compares at the same time: the destination is asked about
// the first repositories while the source is still listing.
func (r Route) planAll(ctx context.Context, matcher *rule.Matcher, plans chan<- RepositoryPlan) error {
	send := func(plan RepositoryPlan) error {
		select {
		case plans <- plan:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	var held heldPlans
	deliver := send
	if r.Rule.NamesCollide() {
		deliver = held.add
	}
	var group errgroup.Group
	// The source's list takes a few round trips: one with the destination fits in.
	var greeting sync.WaitGroup
	routes := r.each()
	rooms := make([]room, len(routes))
	for i := range rooms {
		rooms[i] = newRoom()
	}
	group.SetLimit(repositoriesAtOnce)
	if len(routes) > 1 {
		group.SetLimit(repositoriesAhead)
	}
	deliver = gather(ctx, len(routes), deliver)
	for _, to := range routes {
		greeting.Go(func() { to.Destination.Adapter.Client().Greet(ctx) })
	}
	defer greeting.Wait()
	census := r.Census
	if census == nil {
		census = &rule.Census{}
	}
	// refuse says that a repository cannot be replicated.
	refuse := func(repository string, err error) {
		for _, to := range routes {
			plan := RepositoryPlan{SourceRepository: repository, DestinationID: to.Destination.ID, Err: err}
			if name, err := to.destinationRepository(repository); err == nil {
				plan.DestinationRepository = name
			}
			group.Go(func() error { return deliver(plan) })
		}
	}
	var fatal error
	for listing, err := range r.Source.Adapter.Artifacts(ctx, matcher) {
		if err != nil && listing.Repository == "" {
			fatal = fmt.Errorf("list %s: %w", r.Source.Name, err)
			break
		}
		if err != nil {
			refuse(listing.Repository, fmt.Errorf("list %s/%s: %w", r.Source.Name, listing.Repository, err))
			continue
		}
		selected, err := selectItems(listing, matcher, r.now(), census)
		if err != nil {
			refuse(listing.Repository, err)
			continue
		}
		if len(selected.Items) == 0 {
			continue
		}
		for i, to := range routes {
			plan := selected
			plan.Items = slices.Clone(selected.Items)
			plan.DestinationID = to.Destination.ID
			group.Go(func() error {
				select {
				case rooms[i].repositories <- struct{}{}:
					defer func() { <-rooms[i].repositories }()
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if plan.DestinationRepository, plan.Err = to.destinationRepository(plan.SourceRepository); plan.Err == nil {
					plan.Err = to.compare(ctx, plan.SourceRepository, plan.DestinationRepository, pointers(plan.Items), rooms[i].questions)
				}
				return deliver(plan)
			})
		}
	}
	if err := errors.Join(fatal, group.Wait()); err != nil {
		return err // what is not known may have the same names as what is
	}
	for _, plan := range held.plans() {
		if err := send(plan); err != nil {
			return err
		}
	}
	return nil
}

// To returns the route to one of the destinations alone, by its side's id.
func (r Route) To(destination int64) Route {
	for _, one := range r.each() {
		if one.Destination.ID == destination {
			return one
		}
	}
	return r
}

// each returns the route to each destination by itself.
func (r Route) each() []Route {
	routes := make([]Route, 0, 1+len(r.More))
	for _, side := range append([]*Side{r.Destination}, r.More...) {
		one := r
		one.Destination, one.More = side, nil
		routes = append(routes, one)
	}
	return routes
}

// destinationRepository names a repository at the destination.
func (r Route) destinationRepository(source string) (string, error) {
	name, err := r.Rule.DestinationRepository(source)
	if err != nil {
		return "", err
	}
	if err := r.Destination.Adapter.CheckRepository(name); err != nil {
		return name, fmt.Errorf("destination of %s: %w", source, err)
	}
	return name, nil
}

func pointers(items []Item) []*Item {
	all := make([]*Item, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}

// compare asks the destination about items of one repository and sets their actions.
//
// One question an item is enough, and a new repository costs two for all its
// tags: when the first item is absent, the destination's list of tags tells
// which others need a question at all.
func (r Route) compare(ctx context.Context, source, destination string, items []*Item, questions chan struct{}) error {
	const worthListing = 3
	items, err := r.leaveOut(ctx, source, items, questions)
	if err != nil || len(items) == 0 {
		return err
	}
	first, rest := items[0], items[1:]
	if err := r.compareItem(ctx, source, destination, first, questions, false); err != nil {
		return err
	}
	absent := func(*Item) bool { return false }
	if first.Action == ActionCopy && len(rest) >= worthListing {
		tags, err := r.Destination.Adapter.Client().Tags(ctx, destination)
		switch {
		case registry.IsNotFound(err):
			absent = func(*Item) bool { return true }
		case err != nil:
			return fmt.Errorf("list tags of %s/%s: %w", r.Destination.Name, destination, err)
		default:
			slices.Sort(tags)
			absent = func(item *Item) bool {
				_, listed := slices.BinarySearch(tags, item.Reference)
				return !listed && !byDigest(item.Reference)
			}
		}
	}
	group, compared := errgroup.WithContext(ctx)
	for _, item := range rest {
		if absent(item) {
			item.Action, item.found = ActionCopy, transfer.Absent
			continue
		}
		// Where one tag is there, the others most likely are too.
		likely := first.Action != ActionCopy
		group.Go(func() error { return r.compareItem(compared, source, destination, item, questions, likely) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return r.doubt(ctx, destination, items)
}

// compareItem asks the destination about one item, and the source if it has not told
// the digest: at the same time when the destination is likely to have the item,
// otherwise only if it turns out to have it.
func (r Route) compareItem(ctx context.Context, source, destination string, item *Item, questions chan struct{}, likely bool) error {
	select {
	case questions <- struct{}{}:
		defer func() { <-questions }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	now := sync.OnceValues(func() (registry.Artifact, error) {
		a, _, err := r.Source.current(ctx, source, item.Reference)
		if err != nil {
			return a, fmt.Errorf("look at %s: %w", name(r.Source, source, item.Reference), err)
		}
		return a, nil
	})
	var early sync.WaitGroup
	defer early.Wait()
	if likely && item.Digest == "" {
		early.Go(func() { _, _ = now() }) // its result is kept
	}
	reference := item.Reference
	if byDigest(reference) && item.Stands != "" {
		reference = item.Stands
	}
	state, err := r.Destination.Engine.Inspect(ctx, destination, reference)
	if err != nil {
		return err
	}
	if !state.Absent() && item.Digest == "" {
		a, err := now()
		if err != nil {
			return err
		}
		if a.Digest == "" {
			item.Action, item.Reason = ActionSkip, goneFromSource
			return nil
		}
		item.Digest = a.Digest
	}
	item.found = state
	item.Action = decide(digest.Digest(item.wanted()), state, r.Rule.Override)
	return nil
}

// goneFromSource is why a copy was left out.
const goneFromSource = "it is gone from the source"

// decide says what is to be done with a reference that is d at the source.
func decide(d digest.Digest, state transfer.TargetState, override bool) Action {
	switch {
	case state.Absent():
		return ActionCopy
	case state.Digest() == d:
		return ActionSkip
	case override:
		return ActionOverwrite
	default:
		return ActionConflict
	}
}

// name writes a reference for people.
func name(side *Side, repository, reference string) string {
	separator := ":"
	if byDigest(reference) {
		separator = "@"
	}
	return side.Name + "/" + repository + separator + reference
}

// Hooks let the caller of Carry keep books. Each may be called at any time and
// from several goroutines, until Carry returns.
type Hooks struct {
	Log Logger
	// Progress tells bytes that the destination lacked when they were found
	// missing, and bytes sent, as running totals.
	Progress func(total, sent int64)
	// Placed is told what was put at the destination, or was there already as it is at
	// the source, before an item counts as done.
	Placed func(ctx context.Context, repository, reference string, d digest.Digest) error
	// Intended is told what is about to be put under a tag whose deletion may have to be
	// repeated.
	Intended func(ctx context.Context, repository, reference string, d digest.Digest) error
	// Expected says what was put under a reference, or may have been, and from which
	// repository of the source, for deletions; none and "" for what is not known.
	Expected func(ctx context.Context, repository, reference string) (put []digest.Digest, source string, err error)
	// Removed is told what is no longer at the destination.
	Removed func(ctx context.Context, repository, reference string) error
}

// Logger writes a line of a log that users read.
type Logger func(level, format string, args ...any)

// itemsAtOnce bounds the artifacts of one repository that are carried at the same time.
const itemsAtOnce = 32

// Carry does what a plan says and notes the outcome of each item in it. One
// item's failure does not keep the others back; the error is that of the first
// one that failed, with how many did.
func (r Route) Carry(ctx context.Context, plan *RepositoryPlan, h Hooks) error {
	r.Share.Expect(toCopy(plan.Items))
	if slices.ContainsFunc(plan.Items, func(i Item) bool { return i.Action == ActionCopy || i.Action == ActionOverwrite }) {
		public := map[string]bool{plan.DestinationRepository: r.isPublic(ctx, plan.SourceRepository, h.Log)}
		if err := r.Destination.Adapter.Prepare(ctx, []string{plan.DestinationRepository}, public); err != nil {
			return fmt.Errorf("prepare %s/%s: %w", r.Destination.Name, plan.DestinationRepository, err)
		}
	}
	matcher, err := rule.Compile(r.Rule)
	if err != nil {
		return err
	}
	platforms, err := r.platforms()
	if err != nil {
		return err
	}
	c := carrier{Route: r, Hooks: h, plan: plan, matcher: matcher, wanted: platforms, start: time.Now(), bytes: make([]transfer.Progress, len(plan.Items))}
	failures := make([]error, len(plan.Items))
	waits := make([]bool, len(plan.Items))
	for i, item := range plan.Items {
		waits[i] = comesLast(item)
	}
	for _, last := range []bool{false, true} {
		var group errgroup.Group
		group.SetLimit(itemsAtOnce)
		for i := range plan.Items {
			if waits[i] == last && !plan.Items[i].done() {
				group.Go(func() error {
					failures[i] = c.carry(ctx, i)
					return nil
				})
			}
		}
		_ = group.Wait() // its functions return nil
	}
	var first error
	failed := 0
	for _, err := range failures {
		if err != nil {
			failed++
			if first == nil {
				first = err
			}
		}
	}
	if failed > 1 {
		return fmt.Errorf("%w (and %d more of %d failed)", first, failed-1, len(plan.Items))
	}
	return first
}

// repeatsDeletions reports whether what was deleted at the source is to be deleted
// at the destination.
func (r Route) repeatsDeletions() bool {
	return r.Rule.Deletion && r.Rule.Trigger == rule.EventBased && r.Source.home
}

// isPublic reports whether everybody may pull a repository from the source, where that
// is told: then a project that is made for it at the destination is public too. What
// is not known is not.
func (r Route) isPublic(ctx context.Context, repository string, log Logger) bool {
	tells, ok := r.Source.Adapter.(registry.Publisher)
	if _, wants := r.Destination.Adapter.(registry.Publisher); !ok || !wants {
		return false
	}
	public, err := tells.Public(ctx, repository)
	if err != nil {
		log("WARNING", "whether everybody may pull %s is not known, so a project that is made for it is private: %v", repository, err)
	}
	return public && err == nil
}

// comesLast reports whether an item has to wait for the others: an accessory for
// what it belongs to, the deletion of a manifest for that of its tags.
func comesLast(item Item) bool {
	return item.Subject != "" || item.Action == ActionDelete && byDigest(item.Reference)
}

// carrier is one call of Carry.
type carrier struct {
	Route
	Hooks
	plan    *RepositoryPlan
	matcher *rule.Matcher
	wanted  oci.Platforms // none: all
	start   time.Time

	mu          sync.Mutex
	bytes       []transfer.Progress // by item
	total, sent int64               // what they say together
}

// progress adds what is known about one item to the whole.
func (c *carrier) progress(i int, p transfer.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += lacking(p) - lacking(c.bytes[i])
	c.sent += p.BytesSent - c.bytes[i].BytesSent
	c.bytes[i] = p
	c.Progress(c.total, c.sent)
}

// lacking is what the destination lacked of an item, as far as it is known.
func lacking(p transfer.Progress) int64 { return p.BytesTotal - p.BytesMounted - p.BytesPresent }
