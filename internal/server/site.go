package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// site is the embedded registry as a migration sees it.
type site struct {
	*storageService
	id int64 // of the migration
}

// secretOf finds the secret of one end of the migration.
func (s *site) secretOf(ctx context.Context, p cutover.Place) (cutover.Secret, error) {
	secrets, err := s.book.Secrets(ctx, s.id)
	if err != nil {
		return cutover.Secret{}, err
	}
	state, err := s.book.Last(ctx)
	if err != nil {
		return cutover.Secret{}, err
	}
	if p.Same(state.Destination) {
		return secrets.Destination, nil
	}
	return secrets.Source, nil
}

// Open implements cutover.Site.
func (s *site) Open(ctx context.Context, p cutover.Place) (tree.Opened, error) {
	secret, err := s.secretOf(ctx, p)
	if err != nil {
		return nil, err
	}
	return opened(ctx, p, secret, tree.Open)
}

// OpenUntried implements cutover.Site.
func (s *site) OpenUntried(ctx context.Context, p cutover.Place) (tree.Opened, error) {
	secret, err := s.secretOf(ctx, p)
	if err != nil {
		return nil, err
	}
	return opened(ctx, p, secret, tree.OpenForTrials)
}

// Freeze implements cutover.Site.
func (s *site) Freeze(ctx context.Context) error {
	if err := s.book.SetFrozen(ctx, true); err != nil {
		return err
	}
	s.home.Freeze() // this server at once; the others when they look
	return nil
}

// Drain implements cutover.Site.
func (s *site) Drain(ctx context.Context) error { return s.allFollow(ctx) }

// Thaw implements cutover.Site. Servers that look later are read-only for that time.
func (s *site) Thaw(ctx context.Context) error {
	if err := s.book.SetFrozen(ctx, false); err != nil {
		return err
	}
	return s.follow(ctx)
}

// Serve implements cutover.Site.
func (s *site) Serve(ctx context.Context, p cutover.Place) error {
	if err := forgetMoved(p); err != nil {
		return err
	}
	if p.Same(s.commandLine) {
		if err := s.book.Move(ctx, nil, cutover.Secret{}, "", s.cli); err != nil {
			return err
		}
		return s.allFollow(ctx)
	}
	secret, err := s.secretOf(ctx, p)
	if err != nil {
		return err
	}
	if p, err = s.withRegion(ctx, p, secret); err != nil {
		return err
	}
	if err := s.book.Move(ctx, &p, secret, s.cli, p.String()); err != nil {
		return err
	}
	if err := s.allFollow(ctx); err != nil {
		return err
	}
	// Last: before that it would be told of what is not so yet.
	if err := leaveMoved(s.commandLine, p); err != nil {
		s.log.Warn("a server that loses its database would serve the old folder", "error", err)
	}
	return nil
}

// withRegion is a place with the region that its store has told: the registry's driver
// does not ask for it.
func (s *site) withRegion(ctx context.Context, p cutover.Place, secret cutover.Secret) (cutover.Place, error) {
	if p.Kind() != cutover.S3 || p.Region != "" {
		return p, nil
	}
	t, err := opened(ctx, p, secret, tree.Open)
	if err != nil {
		return p, err
	}
	defer func() { _ = t.Close() }()
	if store, ok := t.(interface{ Region() string }); ok {
		p.Region = store.Region()
	}
	return p, nil
}

// Contents implements cutover.Site.
func (s *site) Contents(ctx context.Context) iter.Seq2[cutover.Content, error] {
	return func(yield func(cutover.Content, error) bool) {
		for c, err := range s.index.Contents(ctx) {
			if !yield(cutover.Content{Repository: c.Repository, Digest: c.Digest, Tags: c.Tags, Blobs: c.Blobs}, err) {
				return
			}
		}
	}
}

// Knows implements cutover.Site.
func (s *site) Knows(ctx context.Context, repository, reference string) (bool, error) {
	_, err := s.index.GetArtifact(ctx, repository, reference)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// What is pulled to try out a storage: in the window everybody waits for it.
const (
	mostPulls     = 10
	mostPullBytes = 64 << 20
	mostPullTime  = 10 * time.Second
)

// Try implements cutover.Site.
func (s *site) Try(ctx context.Context, from, to tree.Tree) ([]cutover.Pull, error) {
	samples, err := s.samples(ctx)
	if err != nil {
		return nil, err
	}
	var pulls []cutover.Pull
	var bytes int64
	began := time.Now()
	for _, c := range samples {
		if len(pulls) > 0 && (bytes > mostPullBytes || time.Since(began) > mostPullTime) {
			break
		}
		p := s.pull(ctx, c, from, mostPullBytes)
		bytes += p.Bytes
		pulls = append(pulls, p)
		if ctx.Err() != nil {
			return pulls, context.Cause(ctx)
		}
	}
	pushed, err := s.push(ctx, to)
	return append(pulls, pushed), err
}

// samples are artifacts that are spread over all there are.
func (s *site) samples(ctx context.Context) ([]cutover.Content, error) {
	var all []cutover.Content
	every, n := 1, 0
	for c, err := range s.Contents(ctx) {
		if err != nil {
			return nil, err
		}
		if n++; n%every != 0 {
			continue
		}
		all = append(all, c)
		if len(all) == 2*mostPulls { // keep every other one, and take half as many from now on
			for i := range mostPulls {
				all[i] = all[2*i+1]
			}
			all, every = all[:mostPulls], every*2
		}
	}
	return all, nil
}

// pull pulls an artifact through the registry's handlers, and hashes what comes. Of large
// ones not more than most bytes are pulled. What is not there is no error if it is not in
// from either: layers that are kept elsewhere, and what was broken before, which was told.
func (s *site) pull(ctx context.Context, c cutover.Content, from tree.Tree, most int64) cutover.Pull {
	p := cutover.Pull{Repository: c.Repository, Reference: c.Digest, Digest: c.Digest}
	if len(c.Tags) > 0 {
		p.Reference = c.Tags[0]
	}
	began := time.Now()
	get := func(kind layout.Kind, path, digest string) error {
		n, err := s.get(ctx, c.Repository+path, digest, most-p.Bytes)
		p.Bytes += n
		if !errors.Is(err, errNotThere) {
			return err
		}
		had, looked := holds(ctx, from, kind, c.Repository, digest)
		if looked != nil {
			return looked
		}
		if had {
			return err
		}
		return errNeverThere
	}
	err := get(layout.RevisionLink, "/manifests/"+p.Reference, c.Digest)
	for _, blob := range c.Blobs {
		if err != nil || p.Bytes >= most {
			break
		}
		if blob == c.Digest {
			continue
		}
		if err = get(layout.LayerLink, "/blobs/"+blob, blob); err == nil {
			p.Blobs++
		} else if errors.Is(err, errNeverThere) {
			err = nil
		}
	}
	p.Seconds = time.Since(began).Seconds()
	if err != nil && !errors.Is(err, errNeverThere) {
		p.Error = err.Error()
	}
	return p
}

// holds reports whether a tree has what a repository calls by a digest.
func holds(ctx context.Context, t tree.Tree, kind layout.Kind, repository, digest string) (bool, error) {
	algorithm, hex, _ := strings.Cut(digest, ":")
	names := []string{layout.File{Kind: kind, Repository: repository, Algorithm: algorithm, Hex: hex}.Path()}
	if algorithm == "sha256" { // of others the link leads to one of these
		names = append(names, layout.BlobPath(algorithm, hex))
	}
	for _, name := range names {
		if _, err := t.Stat(ctx, name); tree.IsNotExist(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

var (
	errNotThere   = errors.New("the registry does not have it")
	errNeverThere = errors.New("it was not there before either")
)

// get reads something through the registry's handlers and compares its digest. Of what is
// larger than most bytes only the beginning is read: everybody waits for it.
func (s *site) get(ctx context.Context, path, digest string, most int64) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://registry/v2/"+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "*/*")
	answer, err := s.home.Transport().RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return 0, fmt.Errorf("%s: %w", path, errNotThere)
	default:
		return 0, fmt.Errorf("%s: the registry answered %s", path, answer.Status)
	}
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(answer.Body, most+1))
	if err != nil {
		return n, fmt.Errorf("%s: %w", path, err)
	}
	if n > most {
		return n, nil
	}
	if got := "sha256:" + hex.EncodeToString(hash.Sum(nil)); len(digest) == len(got) && digest[:7] == "sha256:" && got != digest {
		return n, fmt.Errorf("%s: what was pulled has the digest %s", path, got)
	}
	return n, nil
}

// push pushes an image, looks for it in t, and deletes it.
func (s *site) push(ctx context.Context, t tree.Tree) (cutover.Pull, error) {
	began := time.Now()
	c, err := s.home.PushCanary(ctx)
	p := cutover.Pull{Repository: c.Repository, Reference: c.Tag, Digest: c.Digest.String(), New: true, Bytes: c.Bytes, Blobs: 2}
	for _, name := range c.Objects {
		if err == nil {
			if _, missing := t.Stat(ctx, name); missing != nil {
				err = fmt.Errorf("what was pushed is not in %s: %s: %w", t, name, missing)
			}
		}
	}
	if err == nil {
		err = s.home.DeleteCanary(ctx, c)
	}
	p.Seconds = time.Since(began).Seconds()
	if err != nil {
		p.Error = err.Error()
	}
	return p, nil
}
