package replication

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/transfer"
)

// Side is one registry of a route, ready to be worked with. Routes that share a
// registry should share its Side, and with it connections, tokens, the limits of
// the host and the knowledge of what the destination holds.
type Side struct {
	ID      int64  // of the registry in the server's database, 0 elsewhere
	Name    string // for messages
	Adapter registry.Adapter
	Engine  *transfer.Engine // copies to this side
	// current says what a reference is now; found is false when it is gone. A remote
	// registry tells no more than the digest.
	current func(ctx context.Context, repository, reference string) (a registry.Artifact, found bool, err error)
	// digest is current without all else, "" when the reference is gone.
	digest func(ctx context.Context, repository, reference string) (string, error)
	home   bool
	books  bool // it is on record which indexes are here for some platforms only
	// sparse lets requests put indexes of which something is missing; nil: it is up to the
	// registry.
	sparse func(context.Context) context.Context
}

// Books is what a server remembers of a registry over a restart. The zero value is nothing.
type Books struct {
	Checkpoints transfer.Checkpoints
	Portions    transfer.Portions
}

// NewSide prepares a remote registry; it makes no request.
func NewSide(name string, e registry.Endpoint, o registry.Options, books Books) (*Side, error) {
	adapter, err := registry.NewAdapter(e, o)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", name, err)
	}
	current := func(ctx context.Context, repository, reference string) (registry.Artifact, bool, error) {
		desc, err := adapter.Client().Resolve(ctx, repository, reference)
		if registry.IsNotFound(err) {
			return registry.Artifact{}, false, nil
		}
		return registry.Artifact{Digest: desc.Digest.String()}, err == nil, err
	}
	digest := func(ctx context.Context, repository, reference string) (string, error) {
		a, _, err := current(ctx, repository, reference)
		return a.Digest, err
	}
	tuning := transfer.Options{Name: name, Checkpoints: books.Checkpoints, Portions: books.Portions}
	if e.Provider != registry.ProviderDockerRegistry {
		tuning.DeleteTag = adapter.DeleteTag // a plain registry has no means of its own: the engine knows what is safe there
	}
	if finder, ok := adapter.(registry.BlobFinder); ok {
		tuning.Holder = finder.FindBlob
	}
	return &Side{
		Name: name, Adapter: adapter, Engine: transfer.NewEngine(adapter.Client(), tuning), current: current, digest: digest,
		books: books.Portions != nil,
	}, nil
}

// homeSide prepares the home registry.
func homeSide(h Home, books transfer.Portions) *Side {
	current := func(ctx context.Context, repository, reference string) (registry.Artifact, bool, error) {
		a, err := h.Artifact(ctx, repository, reference)
		if problem.Is(err, problem.NotFound) {
			return registry.Artifact{}, false, nil
		}
		return a, err == nil, err
	}
	adapter := homeAdapter{h}
	engine := transfer.NewEngine(adapter.Client(), transfer.Options{Name: "home", DeleteTag: adapter.DeleteTag, Portions: books})
	side := &Side{Name: "home", Adapter: adapter, Engine: engine, current: current, digest: h.Digest, home: true, books: true}
	if own, ok := h.(interface {
		AllowSparse(ctx context.Context) context.Context
	}); ok {
		side.sparse = own.AllowSparse
	}
	return side
}

// homeAdapter lets the home registry be a side like any other.
type homeAdapter struct{ home Home }

func (h homeAdapter) Client() *registry.Client { return h.home.Client() }
func (h homeAdapter) Info() registry.Info      { return registry.HomeInfo() }

// CheckRepository wants a project, as every repository of home is in one.
func (h homeAdapter) CheckRepository(name string) error {
	if !strings.Contains(name, "/") {
		return problem.New(problem.BadRequest, "repository %q is in no project: set a destination namespace", name)
	}
	return nil
}

func (h homeAdapter) Artifacts(ctx context.Context, m *rule.Matcher) iter.Seq2[registry.Listing, error] {
	return h.home.Artifacts(ctx, m)
}

func (h homeAdapter) Prepare(ctx context.Context, repositories []string, _ map[string]bool) error {
	return h.home.Prepare(ctx, repositories)
}

// Public reports whether everybody may pull a repository, where home tells it.
func (h homeAdapter) Public(ctx context.Context, repository string) (bool, error) {
	if home, ok := h.home.(registry.Publisher); ok {
		return home.Public(ctx, repository)
	}
	return false, nil
}

func (h homeAdapter) DeleteTag(ctx context.Context, repository, tag string) error {
	if own, ok := h.home.(interface {
		DeleteTag(ctx context.Context, repository, tag string) error
	}); ok { // a Harbor deletes tags by its API only
		return own.DeleteTag(ctx, repository, tag)
	}
	return h.home.Client().DeleteTag(ctx, repository, tag)
}

// side returns the shared Side of a registry; it is made anew when its endpoint
// was changed, by this process or by another one.
func (s *Service) side(ctx context.Context, id int64) (*Side, error) {
	endpoint, err := s.GetEndpoint(ctx, id)
	if err != nil {
		return nil, err
	}
	if endpoint.locked != nil {
		return nil, endpoint.locked
	}
	access := fmt.Sprintf("%s %+v", endpoint.Name, endpoint.remote())
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.sides[id]; ok && (id == HomeID || known.access == access) {
		return known.Side, nil
	}
	side := homeSide(s.o.Home, portions{s.o.DB, id})
	if id != HomeID {
		if side, err = NewSide(endpoint.Name, endpoint.remote(), s.o.Remote, Books{checkpoints{s.o.DB, s.now}, portions{s.o.DB, id}}); err != nil {
			return nil, err
		}
	}
	if old, ok := s.sides[id]; ok {
		old.Adapter.Client().Close() // running tasks go on with it
	}
	side.ID = id
	s.sides[id] = sharedSide{side, access}
	return side, nil
}

// dropSide forgets the Side of a registry that was deleted.
func (s *Service) dropSide(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.sides[id]; ok {
		old.Adapter.Client().Close()
		delete(s.sides, id)
	}
}

// sharedSide is a Side with what it was made from.
type sharedSide struct {
	*Side
	access string
}

// close ends what a side does by itself. A side of home has no connections.
func (side *Side) close() {
	side.Engine.Wait()
	if !side.home {
		side.Adapter.Client().Close()
	}
}

// route joins the source of a rule and one of its destinations.
func (s *Service) route(ctx context.Context, p Policy, destination int64) (Route, error) {
	source, err := s.side(ctx, p.Source.ID)
	if err != nil {
		return Route{}, err
	}
	to, err := s.side(ctx, destination)
	return Route{Rule: p.Rule, Source: source, Destination: to, Now: s.now}, err
}

// routes joins the source of a rule and all its destinations.
func (s *Service) routes(ctx context.Context, p Policy) (Route, error) {
	route, err := s.route(ctx, p, p.Destination.ID)
	for _, e := range p.MoreDestinations {
		if err != nil {
			break
		}
		var side *Side
		side, err = s.side(ctx, e.ID)
		route.More = append(route.More, side)
	}
	return route, err
}
