package registry

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/rule"
)

// Adapter is what a provider type adds to the protocol: listing what a rule may want,
// preparing a destination, and deleting a tag by the provider's own means.
type Adapter interface {
	// Client returns the client that all of the endpoint's requests go through.
	Client() *Client
	// Info returns what rules can do with the endpoint. It does no I/O.
	Info() Info
	// CheckRepository says as a problem.BadRequest why a name cannot be a destination.
	CheckRepository(name string) error
	// Artifacts lists the repositories that m's name filters select, one Listing each, in
	// no certain order; a nil m selects all. What is in a Listing is not filtered further,
	// except that tags may be left out which m cannot want. Types are told when m needs
	// them, labels when m has a label filter or is nil. A repository that cannot be
	// listed is yielded with its name and an error, and the listing goes on. A Listing
	// without a repository carries the error that ended it: what was listed until then is
	// not everything, and nothing may be concluded from what is missing.
	Artifacts(ctx context.Context, m *rule.Matcher) iter.Seq2[Listing, error]
	// Prepare makes what pushes to these repositories need, such as projects. public says
	// of a project to be made, or of a repository in it, that everybody may pull from it.
	// It may be repeated and run at the same time for the same names.
	Prepare(ctx context.Context, repositories []string, public map[string]bool) error
	// DeleteTag removes a tag and nothing else. IsNotFound when there is none;
	// ErrUnsupported when the registry cannot.
	DeleteTag(ctx context.Context, repository, tag string) error
}

// Publisher is an Adapter whose registry has projects that are public or not.
type Publisher interface {
	// Public reports whether everybody may pull from a repository. Of a project that is
	// not there, or not to be seen, nobody may.
	Public(ctx context.Context, repository string) (bool, error)
}

// BlobFinder is an Adapter whose registry knows where a blob is.
type BlobFinder interface {
	// FindBlob returns a repository that has a blob; "" if there is none to be seen.
	FindBlob(ctx context.Context, d digest.Digest) (repository string, err error)
}

// Listing is what one repository holds.
type Listing struct {
	Repository string
	Artifacts  []Artifact
}

// Artifact is a manifest with its tags; or where the registry tells only tags, one tag
// without a digest.
type Artifact struct {
	Digest    string // "" when not known
	Tags      []string
	Labels    []string // names
	Type      string   // "image", or another in small letters; "" when not known
	MediaType string   // the manifest's; "" when not known
	Size      int64    // bytes of manifest and layers as the registry counts them; 0 when not known
	// Types are the media type of its config and its artifactType, where they are known.
	Types []string
	// PushTime is when it was pushed last; zero when not known. TagTimes are when the tags
	// were put on it; nil when not known.
	PushTime time.Time
	TagTimes map[string]time.Time
	// Accessories are the digests of what refers to it, directly or through another
	// accessory, or to a child of it, where the listing tells it. An accessory with
	// tags has an Artifact of its own beside that, for the tags.
	Accessories []string
	// AccessoryTimes are when those were pushed, as far as it is known.
	AccessoryTimes map[string]time.Time
}

// NewAdapter makes the adapter for an endpoint's provider. It does no I/O.
func NewAdapter(e Endpoint, o Options) (Adapter, error) {
	p, err := findProvider(e.Provider)
	if err != nil {
		return nil, err
	}
	return p.open(e, o)
}

// listers is how many repositories are listed at a time; the gate decides how many
// requests that makes.
const listers = 64

// listEach lists every repository that names yields, many at a time, and yields each
// result as it comes. An error of names itself ends the listing.
func listEach(ctx context.Context, names iter.Seq2[string, error], list func(context.Context, string) (Listing, bool, error)) iter.Seq2[Listing, error] {
	type result struct {
		listing Listing
		err     error
	}
	return func(yield func(Listing, error) bool) {
		caller := ctx
		ctx, cancel := context.WithCancel(ctx)
		work, results := make(chan string), make(chan result)
		var workers, all sync.WaitGroup
		defer all.Wait()
		defer cancel()

		send := func(r result) bool {
			select {
			case results <- r:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for range listers {
			workers.Go(func() {
				for name := range work {
					listing, some, err := list(ctx, name)
					listing.Repository = name
					if (some || err != nil) && !send(result{listing, err}) {
						return
					}
				}
			})
		}
		all.Go(func() {
			defer close(results)
			defer workers.Wait()
			defer close(work)
			for name, err := range names {
				if err != nil {
					send(result{err: err})
					return
				}
				select {
				case work <- name:
				case <-ctx.Done():
					return
				}
			}
		})
		for r := range results {
			if !yield(r.listing, r.err) {
				return
			}
		}
		if caller.Err() != nil { // some results were dropped: this must not look complete
			yield(Listing{}, context.Cause(caller))
		}
	}
}

// wanted yields the names that m selects: those it spells out, or else those of all.
func wanted(m *rule.Matcher, all func() iter.Seq2[string, error]) (names iter.Seq2[string, error], literal bool) {
	if m != nil {
		if spelled, ok := m.Repositories(); ok {
			return func(yield func(string, error) bool) {
				for _, name := range spelled {
					if !yield(name, nil) {
						return
					}
				}
			}, true
		}
	}
	return func(yield func(string, error) bool) {
		for name, err := range all() {
			if err == nil && m != nil && !m.MatchRepository(name) {
				continue
			}
			if !yield(name, err) || err != nil {
				return
			}
		}
	}, false
}
