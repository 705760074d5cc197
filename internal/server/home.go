package server

import (
	"context"
	"iter"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/home/embedded"
	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// homeRegistry is the embedded registry as replication sees it.
type homeRegistry struct {
	index    *home.Index
	client   *registry.Client
	accounts *account.Service
	db       *store.DB
	readOnly func() bool
}

func (h *homeRegistry) Client() *registry.Client { return h.client }

// Artifacts lists what the index holds, one repository at a time.
func (h *homeRegistry) Artifacts(ctx context.Context, m *rule.Matcher) iter.Seq2[registry.Listing, error] {
	return func(yield func(registry.Listing, error) bool) {
		for name, err := range h.repositories(ctx, m) {
			if err != nil {
				yield(registry.Listing{}, err)
				return
			}
			var all []home.Listing
			for a, err := range h.index.Artifacts(ctx, name) {
				if err != nil {
					yield(registry.Listing{}, err)
					return
				}
				if a.ArtifactType != oci.TombstoneType {
					all = append(all, a)
				}
			}
			if len(all) == 0 {
				continue
			}
			listing, err := h.listing(ctx, all, m.LeavesAccessories())
			if !yield(listing, err) {
				return
			}
		}
	}
}

// repositories yields the names that m selects.
func (h *homeRegistry) repositories(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	const page = 500
	return func(yield func(string, error) bool) {
		if names, literal := m.Repositories(); literal {
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
			return
		}
		for after := ""; ; {
			names, err := h.index.RepositoryNames(ctx, after, page)
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range names {
				if m.MatchRepository(name) && !yield(name, nil) {
					return
				}
			}
			if len(names) < page {
				return
			}
			after = names[len(names)-1]
		}
	}
}

// listing gathers what belongs together: accessories go with what they refer to,
// those of an index's child with the index; children of an index go with it unless
// they have tags. An accessory of something that is not there is like any artifact, but
// for rules that leave accessories behind (bare).
func (h *homeRegistry) listing(ctx context.Context, all []home.Listing, bare bool) (registry.Listing, error) {
	there := make(map[string]*home.Listing, len(all))
	for i := range all {
		there[all[i].Digest.String()] = &all[i]
	}
	repository := all[0].Repository
	accessories := map[string][]string{} // by what they belong to
	isAccessory := map[string]bool{}
	for _, a := range all {
		subject, ok := there[accessoryOf(a).String()]
		if !ok {
			continue
		}
		isAccessory[a.Digest.String()] = true
		owners := []string{subject.Digest.String()}
		if subject.Child && len(subject.Tags) == 0 {
			indexes, err := h.indexesOf(ctx, repository, subject.Digest.String())
			if err != nil {
				return registry.Listing{Repository: repository}, err
			}
			owners = append(owners, indexes...)
		}
		for _, owner := range owners {
			accessories[owner] = append(accessories[owner], a.Digest.String())
		}
	}
	listing := registry.Listing{Repository: repository}
	for _, a := range all {
		if len(a.Tags) == 0 && (a.Child || isAccessory[a.Digest.String()] || bare && accessoryOf(a) != "") {
			continue
		}
		one := artifact(a)
		one.Accessories = closure(accessories, one.Digest)
		one.AccessoryTimes = make(map[string]time.Time, len(one.Accessories))
		for _, accessory := range one.Accessories {
			one.AccessoryTimes[accessory] = there[accessory].PushTime
		}
		listing.Artifacts = append(listing.Artifacts, one)
	}
	return listing, nil
}

// accessoryOf is what an artifact belongs to, "" if it stands for itself. Of what
// cosign keeps in tags the index, like Harbor, takes only signatures for accessories.
func accessoryOf(a home.Listing) digest.Digest {
	if a.AccessoryOf != "" {
		return a.AccessoryOf
	}
	return oci.CosignSubject(a.Tags)
}

// indexesOf returns the indexes that contain a manifest, directly or not.
func (h *homeRegistry) indexesOf(ctx context.Context, repository, d string) ([]string, error) {
	seen := map[string]bool{d: true}
	var all []string
	for open := []string{d}; len(open) > 0; open = open[1:] {
		parents, err := h.index.Parents(ctx, repository, open[0])
		if err != nil {
			return nil, err
		}
		for _, p := range parents {
			if !seen[p] {
				seen[p] = true
				all, open = append(all, p), append(open, p)
			}
		}
	}
	return all, nil
}

// Owners returns what an accessory belongs to in the end.
func (h *homeRegistry) Owners(ctx context.Context, repository, d string) ([]registry.Artifact, error) {
	a, err := h.index.Listing(ctx, repository, d)
	if problem.Is(err, problem.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	seen := map[digest.Digest]bool{a.Digest: true}
	for subject := accessoryOf(a); subject != ""; subject = accessoryOf(a) {
		if seen[subject] {
			return nil, nil // they refer to each other, and to nothing else
		}
		seen[subject] = true
		if a, err = h.index.Listing(ctx, repository, subject.String()); problem.Is(err, problem.NotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if a.Digest.String() == d {
		return nil, nil
	}
	indexes, err := h.indexesOf(ctx, repository, a.Digest.String())
	if err != nil {
		return nil, err
	}
	var owners []registry.Artifact
	for _, owner := range append([]string{a.Digest.String()}, indexes...) {
		l, err := h.index.Listing(ctx, repository, owner)
		if problem.Is(err, problem.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(l.Tags) > 0 || !l.Child {
			owners = append(owners, artifact(l))
		}
	}
	return owners, nil
}

// closure is everything that refers to a digest, also through another accessory.
func closure(accessories map[string][]string, d string) []string {
	var all []string
	seen := map[string]bool{d: true}
	for open := []string{d}; len(open) > 0; open = open[1:] {
		for _, a := range accessories[open[0]] {
			if !seen[a] {
				seen[a] = true
				all, open = append(all, a), append(open, a)
			}
		}
	}
	return all
}

// Artifact says what a reference is now.
func (h *homeRegistry) Artifact(ctx context.Context, repository, reference string) (registry.Artifact, error) {
	a, err := h.index.Listing(ctx, repository, reference)
	if err != nil {
		return registry.Artifact{}, err
	}
	if a.ArtifactType == oci.TombstoneType {
		return registry.Artifact{}, problem.New(problem.NotFound, "artifact %s of %s is being deleted", reference, repository)
	}
	return artifact(a), nil
}

// Digest says what a reference is now, "" if it is nothing.
func (h *homeRegistry) Digest(ctx context.Context, repository, reference string) (string, error) {
	if !strings.Contains(reference, ":") {
		return h.index.Standing(ctx, repository, reference)
	}
	a, err := h.Artifact(ctx, repository, reference)
	if problem.Is(err, problem.NotFound) {
		return "", nil
	}
	return a.Digest, err
}

func artifact(a home.Listing) registry.Artifact {
	out := registry.Artifact{
		Digest: a.Digest.String(), Tags: a.Tags, Labels: a.Labels, Type: a.Type, MediaType: a.MediaType, Size: a.Size, PushTime: a.PushTime,
		Types: []string{a.ConfigType, a.ArtifactType}, TagTimes: make(map[string]time.Time, len(a.Tags)),
	}
	for i, tag := range a.Tags {
		out.TagTimes[tag] = a.TagTimes[i]
	}
	return out
}

// AllowSparse lets requests push indexes of which something is left out.
func (h *homeRegistry) AllowSparse(ctx context.Context) context.Context {
	return embedded.AllowSparse(ctx)
}

// IsChild reports whether an index of the repository contains the digest.
func (h *homeRegistry) IsChild(ctx context.Context, repository, digest string) (bool, error) {
	a, err := h.index.Listing(ctx, repository, digest)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return a.Child, err
}

// IsAccessory reports whether the digest refers to another artifact, there or not.
func (h *homeRegistry) IsAccessory(ctx context.Context, repository, digest string) (bool, error) {
	a, err := h.index.Listing(ctx, repository, digest)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return accessoryOf(a) != "", err
}

// Public reports whether everybody may pull from a repository.
func (h *homeRegistry) Public(ctx context.Context, repository string) (bool, error) {
	name, _, _ := strings.Cut(repository, "/")
	p, err := h.accounts.ProjectByName(ctx, name)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return p.Public, err
}

// Prepare makes the projects of the repositories.
func (h *homeRegistry) Prepare(ctx context.Context, repositories []string) error {
	if h.readOnly() {
		return problem.New(problem.Denied, "this registry is in read-only mode and takes no pushes, of pull rules neither")
	}
	for _, repository := range repositories {
		project, _, _ := strings.Cut(repository, "/")
		err := h.db.InTx(ctx, func(tx *store.Tx) error {
			_, err := h.accounts.EnsureProject(ctx, tx, project)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// EventsAfter returns recorded changes that no rule has taken yet.
func (h *homeRegistry) EventsAfter(ctx context.Context, id int64, limit int) ([]home.Event, error) {
	return h.index.EventsAfter(ctx, id, limit)
}

// homeEndpoint is how the API shows registry 0, as Harbor shows its own.
func homeEndpoint(externalURL string) replication.Endpoint {
	return replication.Endpoint{
		ID: replication.HomeID, Name: "Local", Type: registry.ProviderHarbor, URL: externalURL, Insecure: true, Status: replication.Healthy,
		Credential: registry.Credential{Type: "secret", AccessSecret: replication.MaskedSecret},
	}
}

// shownStorage is a storage address without its secrets.
func shownStorage(storage string) string {
	u, err := url.Parse(storage)
	if err != nil || u.Scheme == "" {
		return storage
	}
	q := u.Query()
	for _, secret := range []string{"access_key", "secret_key", "session_token"} {
		q.Del(secret)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// storageName tells storages apart, across moves of the data folder as a whole.
func (c Config) storageName() string {
	if inside, err := filepath.Rel(c.DataDir, c.Storage); err == nil && filepath.IsLocal(inside) {
		return inside
	}
	return shownStorage(c.Storage)
}
