package harbor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// Owners returns what an accessory belongs to in the end: the artifact it refers to,
// directly or through other accessories, and the indexes that contain that. There are
// none when the digest is no accessory, or one of something that is not there.
func (h *Home) Owners(ctx context.Context, repository, d string) ([]registry.Artifact, error) {
	if owners, known := h.foundOwners(repository, d); known {
		return owners, nil
	}
	a, err := h.api.Artifact(ctx, repository, d)
	if registry.IsGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return h.findOwners(ctx, repository, a)
}

func (h *Home) findOwners(ctx context.Context, repository string, a registry.HarborArtifact) ([]registry.Artifact, error) {
	seen := map[string]bool{}
	for first := true; ; first = false {
		if seen[a.Digest] {
			return nil, nil // they refer to each other, and to nothing else
		}
		seen[a.Digest] = true
		place, err := h.api.Place(ctx, repository, a.Digest)
		if err != nil {
			return nil, err
		}
		subject, err := h.subject(ctx, repository, a, place)
		if err != nil {
			return nil, err
		}
		if subject == "" {
			if first {
				return nil, nil
			}
			return h.withIndexes(ctx, repository, a, place)
		}
		a, err = h.api.Artifact(ctx, repository, subject.String())
		if registry.IsGone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// owned is an artifact whose owners were looked for.
type owned struct{ repository, digest string }

type ownersFound struct {
	owners []registry.Artifact
	at     time.Time
}

// ownersFor is how long owners that were looked for ahead count.
const ownersFor = 10 * time.Second

// findOwnersAhead looks for the owners of an event's artifact, so that many events do
// not wait for each other's answers. A failure is met again by who needs the answer.
func (h *Home) findOwnersAhead(ctx context.Context, repository string, a registry.HarborArtifact) {
	owners, err := h.findOwners(ctx, repository, a)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.owners) >= mostTold {
		clear(h.owners)
	}
	h.owners[owned{repository, a.Digest}] = ownersFound{owners, h.now()}
}

func (h *Home) foundOwners(repository, d string) ([]registry.Artifact, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, ok := h.owners[owned{repository, d}]
	if age := h.now().Sub(found.at); !ok || age < 0 || age > ownersFor {
		return nil, false
	}
	return found.owners, true
}

// subject is what an artifact refers to, "" if it stands for itself. Harbor's API says
// that something is an accessory, but not of what: its manifest does. What cosign keeps
// in tags Harbor takes for an accessory only if it is a signature.
func (h *Home) subject(ctx context.Context, repository string, a registry.HarborArtifact, place registry.Place) (digest.Digest, error) {
	if subject := oci.CosignSubject(a.Tags); subject != "" || place != registry.Accessory {
		return subject, nil
	}
	m, err := h.Client().Manifest(ctx, repository, a.Digest)
	if registry.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find out what %s of %s refers to: %w", a.Digest, repository, err)
	}
	var content struct {
		Subject struct {
			Digest digest.Digest `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(m.Content, &content); err != nil {
		return "", fmt.Errorf("find out what %s of %s refers to: %w", a.Digest, repository, err)
	}
	if content.Subject.Digest.Validate() != nil {
		return "", nil
	}
	return content.Subject.Digest, nil
}

// withIndexes returns a subject, or if it is a child, the indexes that contain it.
func (h *Home) withIndexes(ctx context.Context, repository string, a registry.HarborArtifact, place registry.Place) ([]registry.Artifact, error) {
	if place != registry.InAnIndex {
		return []registry.Artifact{a.Artifact}, nil
	}
	indexes, err := h.api.IndexesOf(ctx, repository, a.Digest)
	if err != nil {
		return nil, err
	}
	var owners []registry.Artifact
	for _, index := range indexes {
		owners = append(owners, index.Artifact)
	}
	return owners, nil
}
