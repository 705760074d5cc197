package testserver

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// Push puts an artifact with all it needs into a repository, as an ordinary client
// does: blobs, then children, then the manifest under a tag; an empty tag means by
// digest. Where a registry has no referrers API it keeps the list of an artifact's
// referrers under a tag.
func Push(t testing.TB, r *Registry, repository, tag string, a *Artifact) digest.Digest {
	t.Helper()
	if err := TryPush(t.Context(), r, repository, tag, a); err != nil {
		t.Fatalf("push %s:%s to %s: %v", repository, tag, r.URL, err)
	}
	return a.Digest
}

// TryPush is Push for a test that expects an error.
func TryPush(ctx context.Context, r *Registry, repository, tag string, a *Artifact) error {
	p, err := newPlacer(r, repository)
	if err != nil {
		return err
	}
	return p.place(ctx, tag, a)
}

// Placing is one push of PushMany.
type Placing struct {
	Repository, Tag string
	Artifact        *Artifact
}

// PushMany is Push for thousands of tags: repositories are filled side by side, and
// no blob is offered twice to one of them.
func PushMany(t testing.TB, r *Registry, list ...Placing) {
	t.Helper()
	byRepository := map[string][]Placing{}
	for _, one := range list {
		byRepository[one.Repository] = append(byRepository[one.Repository], one)
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for repository, list := range byRepository {
		group.Go(func() error {
			p, err := newPlacer(r, repository)
			if err != nil {
				return err
			}
			for _, one := range list {
				if err := p.place(ctx, one.Tag, one.Artifact); err != nil {
					return fmt.Errorf("push %s:%s to %s: %w", repository, one.Tag, r.URL, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// placer pushes into one repository.
type placer struct {
	repo   name.Repository
	pusher *remote.Pusher
	there  map[digest.Digest]bool // blobs and children that it pushed
}

func newPlacer(r *Registry, repository string) (*placer, error) {
	repo, err := r.repository(repository)
	if err != nil {
		return nil, err
	}
	pusher, err := remote.NewPusher(r.remoteOptions()...)
	if err != nil {
		return nil, err
	}
	return &placer{repo: repo, pusher: pusher, there: map[digest.Digest]bool{}}, nil
}

func (p *placer) place(ctx context.Context, tag string, a *Artifact) error {
	for _, one := range a.All() {
		for _, b := range one.Blobs {
			if b.Content == nil || p.there[b.Digest] {
				continue
			}
			if err := p.pusher.Upload(ctx, p.repo, static.NewLayer(b.Content, types.MediaType(b.MediaType))); err != nil {
				return fmt.Errorf("upload blob %s: %w", b.Digest, err)
			}
			p.there[b.Digest] = true
		}
		ref := name.Reference(p.repo.Digest(one.Digest.String()))
		if one == a && tag != "" {
			ref = p.repo.Tag(tag)
		} else if p.there[one.Digest] {
			continue
		}
		if err := p.pusher.Push(ctx, ref, raw{one}); err != nil {
			return fmt.Errorf("put manifest %s: %w", ref, err)
		}
		p.there[one.Digest] = true
	}
	return nil
}

// raw is what go-containerregistry needs to put a manifest.
type raw struct{ artifact *Artifact }

func (r raw) RawManifest() ([]byte, error) { return r.artifact.Manifest, nil }

func (r raw) MediaType() (types.MediaType, error) { return types.MediaType(r.artifact.MediaType), nil }

// PutTag makes a tag stand for an artifact that is in the repository already.
func PutTag(t testing.TB, r *Registry, repository, tag string, a *Artifact) {
	t.Helper()
	repo, err := r.repository(repository)
	if err == nil {
		err = remote.Put(repo.Tag(tag), raw{a}, append(r.remoteOptions(), remote.WithContext(t.Context()))...)
	}
	if err != nil {
		t.Fatalf("tag %s:%s at %s: %v", repository, tag, r.URL, err)
	}
}

// Delete deletes a manifest by its digest, or a tag where the registry can.
func Delete(t testing.TB, r *Registry, repository, reference string) {
	t.Helper()
	ref, err := r.reference(repository, reference)
	if err == nil {
		err = remote.Delete(ref, append(r.remoteOptions(), remote.WithContext(t.Context()))...)
	}
	if err != nil {
		t.Fatalf("delete %s %s at %s: %v", repository, reference, r.URL, err)
	}
}

func (r *Registry) repository(repository string) (name.Repository, error) {
	options := []name.Option{name.StrictValidation}
	if r.CA == "" {
		options = append(options, name.Insecure)
	}
	return name.NewRepository(r.Host+"/"+repository, options...)
}

// reference takes a tag or a digest.
func (r *Registry) reference(repository, reference string) (name.Reference, error) {
	repo, err := r.repository(repository)
	if err != nil {
		return nil, err
	}
	if _, err := digest.Parse(reference); err == nil {
		return repo.Digest(reference), nil
	}
	return repo.Tag(reference), nil
}

func (r *Registry) remoteOptions() []remote.Option {
	return []remote.Option{remote.WithTransport(r.transport), remote.WithAuth(r.authenticator())}
}

func (r *Registry) authenticator() authn.Authenticator {
	if r.Username == "" {
		return authn.Anonymous
	}
	return &authn.Basic{Username: r.Username, Password: r.Password}
}
