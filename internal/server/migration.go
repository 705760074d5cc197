package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// Served says where the content is.
func (s *storageService) Served(ctx context.Context) (cutover.Served, error) {
	servers, err := s.servers(ctx)
	if err != nil {
		return cutover.Served{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	served := cutover.Served{Place: s.place, Since: s.where.Since, Servers: len(servers)}
	if s.where.Place != nil && !s.commandLine.Same(s.place) {
		served.CommandLine = s.commandLine.String()
	}
	return served, nil
}

// Preflight tries out a place.
func (s *storageService) Preflight(ctx context.Context, p cutover.Place, secret cutover.Secret, rates bool) (cutover.Tried, error) {
	dst, err := opened(ctx, p, secret, tree.OpenForTrials)
	if err != nil {
		return cutover.Tried{}, err
	}
	defer func() { _ = dst.Close() }()
	report, err := migration.Preflight(ctx, dst, migration.PreflightOptions{Rates: rates, HandsOn: true})
	if err != nil {
		return cutover.Tried{}, err
	}
	tried := cutover.Tried{PreflightReport: report, Time: time.Now().UTC()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = &tried
	return tried, nil
}

// temporaryCA puts certificates into a file for as long as they are needed.
func temporaryCA(text string) (file string, remove func(), err error) {
	if text == "" {
		return "", func() {}, nil
	}
	f, err := os.CreateTemp("", "lighterage-ca-*.pem")
	if err != nil {
		return "", nil, fmt.Errorf("keep the certificates to trust: %w", err)
	}
	remove = func() { _ = os.Remove(f.Name()) }
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("keep the certificates to trust: %w", err)
	}
	return f.Name(), remove, nil
}

// LastPreflight is what was tried out last.
func (s *storageService) LastPreflight(context.Context) (cutover.Tried, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tried == nil {
		return cutover.Tried{}, problem.New(problem.NotFound, "nothing was tried out since the server was started")
	}
	return *s.tried, nil
}

// Start begins to move the content.
func (s *storageService) Start(ctx context.Context, operator string, p cutover.Place, secret cutover.Secret, o cutover.Options) (int64, error) {
	s.mu.Lock()
	source, sourceSecret := s.place, s.secret
	s.mu.Unlock()
	if p.Same(source) {
		return 0, problem.New(problem.Conflict, "%s is where the content is already", p)
	}
	if err := apart(source, p); err != nil {
		return 0, err
	}
	names, err := s.index.RepositoryNames(ctx, "", 1)
	if err != nil {
		return 0, err
	}
	if len(names) == 0 {
		return 0, problem.New(problem.Precondition, "nothing has been pushed yet, so there is nothing to move: name the bucket with --storage at the next start")
	}
	if err := s.together(ctx); err != nil {
		return 0, err
	}
	if err := notMending(ctx, s.looks); err != nil {
		return 0, err
	}
	if o.Target == 0 {
		o.Target = cutover.DefaultTarget
	}
	now := time.Now().UTC()
	id, err := s.book.Begin(ctx, cutover.State{
		Status: cutover.Running, Phase: cutover.Preflight, Direction: cutover.Forward, Source: source, Destination: p, Options: o,
		Operator: operator, Created: now, Updated: now, Progress: cutover.Progress{SecondsLeft: -1},
	}, cutover.Secrets{Source: sourceSecret, Destination: secret})
	if err != nil {
		return 0, err
	}
	s.nudge()
	return id, nil
}

// apart refuses a destination that is inside of the source, or around it: a copy would
// find what it has just put there.
func apart(source, destination cutover.Place) error {
	if source.Kind() != cutover.S3 || source.Bucket != destination.Bucket || source.Endpoint != destination.Endpoint {
		return nil
	}
	inside := func(outer, inner string) bool {
		return outer == "" || len(inner) > len(outer) && inner[:len(outer)+1] == outer+"/"
	}
	if inside(source.Prefix, destination.Prefix) || inside(destination.Prefix, source.Prefix) {
		return problem.New(problem.BadRequest, "%s and %s are one inside of the other: name a prefix beside it", destination, source)
	}
	return nil
}

// together refuses to begin while a server does not follow.
func (s *storageService) together(ctx context.Context) error {
	servers, err := s.servers(ctx)
	if err != nil {
		return err
	}
	for _, other := range servers {
		if other.Error != "" {
			return problem.New(problem.Precondition, "server %s cannot serve the storage as it is: %s. All servers have to follow a change: mend it or stop it first", other.Name, other.Error)
		}
	}
	return nil
}

// Migration is the newest migration.
func (s *storageService) Migration(ctx context.Context) (cutover.State, error) {
	return s.book.Last(ctx)
}

// Ask notes what somebody wants of the migration. Who works on it sees it at once, or, on
// another server, soon.
func (s *storageService) Ask(ctx context.Context, _ string, action cutover.Action, credential *cutover.Credential) error {
	if err := s.book.Ask(ctx, action, credential); err != nil {
		return err
	}
	s.nudge()
	return nil
}

// watchPause is how often who watches a migration is told of it.
const watchPause = 500 * time.Millisecond

// Watch yields the migration whenever it has changed.
func (s *storageService) Watch(ctx context.Context) iter.Seq2[*cutover.State, error] {
	return func(yield func(*cutover.State, error) bool) {
		ticker := time.NewTicker(watchPause)
		defer ticker.Stop()
		type version struct {
			id      int64
			updated time.Time
			status  cutover.Status
			wish    cutover.Wish
			asked   bool
		}
		var told version
		for first := true; ; first = false {
			state, err := s.book.Last(ctx)
			switch now := (version{state.ID, state.Updated, state.Status, state.Wish, state.Asked}); {
			case ctx.Err() != nil:
				return
			case problem.Is(err, problem.NotFound):
				if first && !yield(nil, nil) {
					return
				}
			case err != nil:
				s.log.Error("watch the storage migration", "error", err)
				yield(nil, err)
				return
			case first || now != told:
				told = now
				if !yield(&state, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}
}

// opened is a tree that was opened with a file which is needed no more.
func opened(ctx context.Context, p cutover.Place, secret cutover.Secret, open func(context.Context, tree.Location) (tree.Opened, error)) (tree.Opened, error) {
	file, remove, err := temporaryCA(p.CACertificate)
	if err != nil {
		return nil, err
	}
	defer remove()
	t, err := open(ctx, p.Location(secret, file))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p, err)
	}
	return t, nil
}

// openServed opens what is served now, beside the registry that serves it.
func (s *storageService) openServed(ctx context.Context) (tree.Opened, error) {
	s.mu.Lock()
	place, secret := s.place, s.secret
	s.mu.Unlock()
	return opened(ctx, place, secret, tree.Open)
}

var errNoServer = errors.New("this server does not count itself among those that serve the storage: is its clock right?")
