package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// How a registry tells referrers, once known.
const (
	referrersUnknown int32 = iota
	referrersByAPI
	referrersByTag
)

// verdict says whether a registry has the referrers API.
type verdict int

const (
	yes verdict = iota
	no
	unclear // it knows no such repository: this tells nothing of other repositories
)

// Referrers lists the manifests that name d as their subject: signatures, SBOMs,
// attestations. A registry without the referrers API is read by the fallback tag
// (distribution-spec 1.1, "Referrers Tag Schema"); which of the two works is
// remembered. A subject without referrers, or that does not exist, has an empty list.
func (c *Client) Referrers(ctx context.Context, repo string, d digest.Digest) ([]ocispec.Descriptor, error) {
	return c.ReferrersOfType(ctx, repo, d, "")
}

// ReferrersOfType is Referrers for one artifact type; "" for all.
func (c *Client) ReferrersOfType(ctx context.Context, repo string, d digest.Digest, artifactType string) ([]ocispec.Descriptor, error) {
	if err := checkRepository(repo); err != nil {
		return nil, err
	}
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	var all []ocispec.Descriptor
	var err error
	byTag := c.referrersMode.Load() == referrersByTag
	if !byTag {
		var has verdict
		if all, has, err = c.referrersByAPI(ctx, repo, d, artifactType); err != nil {
			return nil, err
		}
		switch has {
		case yes:
			c.referrersMode.Store(referrersByAPI)
		case no:
			// A registry that has shown the API once does not lose it: then this is a
			// proxy's page, or a repository that is gone.
			byTag = c.referrersMode.CompareAndSwap(referrersUnknown, referrersByTag) || c.referrersMode.Load() == referrersByTag
		case unclear:
			byTag = c.referrersMode.Load() != referrersByAPI
		}
	}
	if byTag {
		if all, err = c.referrersByTag(ctx, repo, d); err != nil {
			return nil, err
		}
	}
	if artifactType != "" {
		all = slices.DeleteFunc(all, func(r ocispec.Descriptor) bool { return r.ArtifactType != artifactType })
	}
	return all, nil
}

// referrersByAPI walks the API's pages.
func (c *Client) referrersByAPI(ctx context.Context, repo string, d digest.Digest, artifactType string) (all []ocispec.Descriptor, has verdict, err error) {
	at := c.endpoint("v2", repo, "referrers", d.String())
	if artifactType != "" {
		at.RawQuery = "artifactType=" + url.QueryEscape(artifactType)
	}
	visited := map[string]bool{}
	for at != nil {
		if visited[at.String()] {
			return nil, yes, fmt.Errorf("list referrers of %s@%s: the registry's pages run in a circle", repo, d)
		}
		visited[at.String()] = true
		r := &request{
			method: http.MethodGet, url: at, header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}},
			limit: maxListBody, want: []int{http.StatusOK}, scopes: []scope{repositoryScope(repo, "pull")},
		}
		a, err := c.do(ctx, r)
		if e, ok := errors.AsType[*Error](err); ok {
			if e.has("NAME_UNKNOWN", "MANIFEST_UNKNOWN") || e.missing {
				return nil, unclear, nil
			}
			switch e.Status {
			case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusNotAcceptable:
				return nil, no, nil
			case http.StatusBadRequest:
				if e.has("UNSUPPORTED") || len(e.Codes) == 0 {
					return nil, no, nil
				}
			}
		}
		if err != nil {
			return nil, yes, err
		}
		page, ok := indexEntries(a.body)
		if !ok {
			if len(visited) == 1 {
				return nil, no, nil // a web page, answered to whatever is asked
			}
			return nil, yes, fmt.Errorf("list referrers of %s@%s: the answer is not an index", repo, d)
		}
		all = append(all, page...)
		if at, err = c.nextPage(a); err != nil {
			return nil, yes, fmt.Errorf("list referrers of %s@%s: the next page's link cannot be read: %w", repo, d, err)
		}
	}
	return distinct(all), yes, nil
}

// referrersByTag reads the index under the tag that stands for the subject. Anybody can
// push something else under that name; only an index counts.
func (c *Client) referrersByTag(ctx context.Context, repo string, d digest.Digest) ([]ocispec.Descriptor, error) {
	m, err := c.Manifest(ctx, repo, ReferrersTag(d))
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list referrers of %s@%s by tag: %w", repo, d, err)
	}
	entries, ok := indexEntries(m.Content)
	if !ok || m.MediaType != ocispec.MediaTypeImageIndex {
		return nil, nil
	}
	return distinct(entries), nil
}

// ReferrersTag returns the fallback tag under which a subject's referrers are listed.
func ReferrersTag(d digest.Digest) string {
	algorithm, encoded := d.Algorithm().String(), d.Encoded()
	return algorithm[:min(32, len(algorithm))] + "-" + encoded[:min(64, len(encoded))]
}

// indexEntries reads an image index. ok is false when the content is none.
func indexEntries(content []byte) (entries []ocispec.Descriptor, ok bool) {
	var index struct {
		MediaType string                `json:"mediaType"`
		Manifests *[]ocispec.Descriptor `json:"manifests"`
	}
	if json.Unmarshal(content, &index) != nil || index.Manifests == nil {
		// "manifests": null is how some write an empty list.
		return nil, index.MediaType == ocispec.MediaTypeImageIndex && json.Valid(content)
	}
	return *index.Manifests, index.MediaType == "" || strings.EqualFold(index.MediaType, ocispec.MediaTypeImageIndex)
}

// distinct drops repetitions and entries that describe nothing that could be fetched.
func distinct(all []ocispec.Descriptor) []ocispec.Descriptor {
	seen := map[digest.Digest]bool{}
	return slices.DeleteFunc(all, func(d ocispec.Descriptor) bool {
		if d.Digest.Validate() != nil || d.Size < 0 || seen[d.Digest] {
			return true
		}
		seen[d.Digest] = true
		return false
	})
}
