package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

// dockerRegistry is any registry that speaks the distribution protocol, with the means
// its provider has beside it, if any.
type dockerRegistry struct {
	client *Client
	info   Info
	means

	mu       sync.Mutex
	prepared map[string]time.Time // repositories, and since when they have all they need
}

// means are what a provider does by ways of its own. What is nil the distribution
// protocol does, or nobody.
type means struct {
	// check says what a repository's name must be beyond the grammar.
	check func(name string) error
	// repositories yields those that m may want, or more; m may be nil.
	repositories func(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error]
	// prepare makes what a push to a repository needs. What passed is not asked again.
	prepare func(ctx context.Context, repository string, public bool) error
	// times tells when each tag of a repository was pushed last.
	times func(ctx context.Context, repository string) (map[string]time.Time, error)
	// deleteTag is Adapter.DeleteTag.
	deleteTag func(ctx context.Context, repository, tag string) error
}

func dockerRegistryProvider() provider {
	return provider{info: ProviderInfo{Type: ProviderDockerRegistry}, open: func(e Endpoint, o Options) (Adapter, error) {
		c, err := NewClient(e, o)
		if err != nil {
			return nil, err
		}
		r := newDockerRegistry(c, ProviderDockerRegistry)
		r.deleteTag = c.DeleteTag
		return r, nil
	}}
}

// newDockerRegistry makes an adapter without means of its own. A bare DELETE of a tag is
// none: some registries take the manifest and all its tags away.
func newDockerRegistry(c *Client, kind string) *dockerRegistry {
	r := &dockerRegistry{client: c, info: plainInfo(kind), prepared: map[string]time.Time{}}
	r.repositories = func(ctx context.Context, _ *rule.Matcher) iter.Seq2[string, error] { return r.catalog(ctx) }
	return r
}

// headedTags is up to how many tags that a rule spells out are asked for one by one
// instead of listing all of a repository's.
const headedTags = 16

// preparedFor is how long a repository is believed to have what it needs: somebody may
// delete it at the provider.
const preparedFor = 10 * time.Minute

func (r *dockerRegistry) Client() *Client { return r.client }

func (r *dockerRegistry) Info() Info { return r.info }

// CheckRepository asks for what the grammar wants, and what the provider wants beyond.
func (r *dockerRegistry) CheckRepository(name string) error {
	if err := checkRepository(name); err != nil || r.check == nil {
		return err
	}
	return r.check(name)
}

// Artifacts reads the catalog, or the provider's own list, unless the name filters spell
// the repositories out, and each repository's tags. Digests are not asked for: whoever
// compares will ask both sides at once. When the tag filters spell few tags out, those are asked for instead,
// and when the rule wants images only, each wanted tag is: then the digests are known.
func (r *dockerRegistry) Artifacts(ctx context.Context, m *rule.Matcher) iter.Seq2[Listing, error] {
	names, literal := wanted(m, func() iter.Seq2[string, error] { return withoutRepeats(r.repositories(ctx, m)) })
	return listEach(ctx, names, func(ctx context.Context, name string) (Listing, bool, error) {
		listing, some, err := r.list(ctx, name, literal, m)
		if err == nil && some && m != nil && m.NeedsTimes() && r.times != nil {
			err = r.addTimes(ctx, &listing, name)
		}
		return listing, some, err
	})
}

// addTimes puts to the tags of a repository when they were pushed.
func (r *dockerRegistry) addTimes(ctx context.Context, listing *Listing, name string) error {
	times, err := r.times(ctx, name)
	if err != nil {
		return fmt.Errorf("ask when the tags of %s were pushed: %w", name, err)
	}
	for i := range listing.Artifacts {
		a := &listing.Artifacts[i]
		a.TagTimes = map[string]time.Time{}
		for _, tag := range a.Tags {
			if at, ok := times[tag]; ok {
				a.TagTimes[tag] = at.UTC()
				if at.After(a.PushTime) {
					a.PushTime = at.UTC()
				}
			}
		}
	}
	return nil
}

// list looks into one repository. literal: its name was spelled out and not listed.
func (r *dockerRegistry) list(ctx context.Context, name string, literal bool, m *rule.Matcher) (Listing, bool, error) {
	if err := r.CheckRepository(name); err != nil {
		if literal {
			return Listing{}, false, err
		}
		return Listing{}, false, fmt.Errorf("the registry lists a repository that cannot be asked for: %w", err)
	}
	if m != nil {
		if tags, ok := m.LiteralTags(); ok && len(tags) <= headedTags {
			return r.resolveTags(ctx, name, tags, m)
		}
	}
	tags, err := r.client.Tags(ctx, name)
	if IsNotFound(err) {
		// Spelled out and not there is no failure. Listed by the catalog and not there
		// is an empty repository: some registries keep its name for ever.
		return Listing{}, !literal, nil
	}
	if err != nil {
		return Listing{}, false, fmt.Errorf("list tags of %s: %w", name, err)
	}
	var selected []string
	for _, tag := range tags {
		if err := checkTag(tag); err != nil {
			return Listing{}, false, fmt.Errorf("list tags of %s: the registry names a tag that cannot be asked for: %w", name, err)
		}
		if m != nil {
			if _, ok := m.MatchTags([]string{tag}); !ok {
				continue
			}
		}
		selected = append(selected, tag)
	}
	if m != nil && m.NeedsType() {
		listing, _, err := r.resolveTags(ctx, name, selected, m)
		return listing, err == nil, err
	}
	var listing Listing
	for _, tag := range selected {
		listing.Artifacts = append(listing.Artifacts, Artifact{Tags: []string{tag}})
	}
	return listing, true, nil
}

// mostRepeats is how many names in a row may be told again before a list is taken to run
// in circles.
const mostRepeats = 10_000

// withoutRepeats leaves names out that came before: a list read by page numbers moves while it is
// read.
func withoutRepeats(names iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen, repeats := map[string]bool{}, 0
		for name, err := range names {
			switch {
			case err == nil && seen[name]:
				if repeats++; repeats > mostRepeats {
					yield("", errors.New("the registry's list of repositories runs in a circle"))
					return
				}
				continue
			case err == nil:
				seen[name], repeats = true, 0
			}
			if !yield(name, err) || err != nil {
				return
			}
		}
	}
}

// catalog is the client's, with what to do when there is none.
func (r *dockerRegistry) catalog(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range r.client.Catalog(ctx) {
			// An error of the token server is no answer about the catalog.
			if e, ok := errors.AsType[*Error](err); ok && strings.HasSuffix(e.Path, "/_catalog") {
				switch e.Status {
				case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusUnauthorized, http.StatusForbidden:
					err = fmt.Errorf("list the repositories of %s: it does not tell them to us; name the wanted ones in the name filter, such as {team/app,team/web}: %w", r.client.Host(), err)
				}
			}
			if !yield(name, err) {
				return
			}
		}
	}
}

// resolveTags asks for each of some tags, and what each is if the rule has to know it.
// Tags that are not there are left out.
func (r *dockerRegistry) resolveTags(ctx context.Context, name string, tags []string, m *rule.Matcher) (listing Listing, some bool, err error) {
	found := make([]Artifact, len(tags))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listers)
	for i, tag := range tags {
		group.Go(func() error {
			d, err := r.client.Resolve(ctx, name, tag)
			a := Artifact{Tags: []string{tag}}
			switch {
			case err != nil:
			case m.NeedsKind():
				a.Type, a.Types, err = r.client.Kind(ctx, name, d)
			case m.NeedsType():
				a.Type, err = r.client.ResourceType(ctx, name, d)
			}
			if IsNotFound(err) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("look at %s:%s: %w", name, tag, err)
			}
			a.Digest, a.MediaType = d.Digest.String(), d.MediaType
			found[i] = a
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Listing{}, false, err
	}
	listing.Artifacts = slices.DeleteFunc(found, func(a Artifact) bool { return a.Digest == "" })
	return listing, len(listing.Artifacts) > 0, nil
}

// Prepare checks the names and makes what the provider needs: a plain registry makes
// repositories as they are pushed to.
func (r *dockerRegistry) Prepare(ctx context.Context, repositories []string, public map[string]bool) error {
	var failures []error
	for _, name := range repositories {
		if err := r.CheckRepository(name); err != nil {
			return problem.Wrap(problem.KindOf(err), err, "prepare %s", r.client.Host())
		}
		r.mu.Lock()
		known := r.prepare == nil || time.Since(r.prepared[name]) < preparedFor
		r.mu.Unlock()
		if known {
			continue
		}
		project, _, _ := strings.Cut(name, "/")
		if err := r.prepare(ctx, name, public[name] || public[project]); err != nil {
			failures = append(failures, fmt.Errorf("prepare %s at %s: %w", name, r.client.Host(), err))
			continue
		}
		r.mu.Lock()
		r.prepared[name] = time.Now()
		r.mu.Unlock()
	}
	return errors.Join(failures...)
}

// DeleteTag uses the provider's own way; ErrUnsupported when it has none.
func (r *dockerRegistry) DeleteTag(ctx context.Context, repository, tag string) error {
	if err := r.CheckRepository(repository); err != nil {
		return err
	}
	if err := checkTag(tag); err != nil {
		return err
	}
	if r.deleteTag == nil {
		return fmt.Errorf("delete tag %s:%s: %s has no way of its own: %w", repository, tag, r.info.Type, ErrUnsupported)
	}
	if err := r.deleteTag(ctx, repository, tag); err != nil {
		return fmt.Errorf("delete tag %s:%s: %w", repository, tag, err)
	}
	return nil
}
