package server

import (
	"context"
	"fmt"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// storageService is the storage of the embedded registry as the API sees it.
type storageService struct {
	place cutover.Place

	mu    sync.Mutex
	tried *cutover.Tried
}

// Served says where the content is.
func (s *storageService) Served(context.Context) (cutover.Served, error) {
	return cutover.Served{Place: s.place, Servers: 1}, nil
}

// Preflight tries out a place.
func (s *storageService) Preflight(ctx context.Context, p cutover.Place, secret cutover.Secret, rates bool) (cutover.Tried, error) {
	file, remove, err := temporaryCA(p.CACertificate)
	if err != nil {
		return cutover.Tried{}, err
	}
	defer remove()
	dst, err := tree.OpenForTrials(ctx, p.Location(secret, file))
	if err != nil {
		return cutover.Tried{}, err
	}
	defer func() { _ = dst.Close() }()
	report, err := migration.Preflight(ctx, dst, migration.PreflightOptions{Rates: rates})
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

// Start begins a migration.
func (s *storageService) Start(context.Context, string, cutover.Place, cutover.Secret, cutover.Options) (int64, error) {
	return 0, problem.New(problem.NotImplemented, "this version cannot move the storage while it serves")
}

// Migration is the newest migration.
func (s *storageService) Migration(context.Context) (cutover.State, error) {
	return cutover.State{}, problem.New(problem.NotFound, "the storage was never moved")
}

// Ask wants something of the migration.
func (s *storageService) Ask(ctx context.Context, _ string, _ cutover.Action, _ *cutover.Credential) error {
	_, err := s.Migration(ctx)
	return err
}

// Watch tells of the migration.
func (s *storageService) Watch(ctx context.Context) iter.Seq2[*cutover.State, error] {
	return func(yield func(*cutover.State, error) bool) {
		if yield(nil, nil) {
			<-ctx.Done()
		}
	}
}
