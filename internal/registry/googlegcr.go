package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerGoogleGCR = "google-gcr"
	gcrKeyName        = "_json_key"
)

// gcr is Google's Container Registry or Artifact Registry. The access ID is _json_key
// and the secret a service account's key file; or oauth2accesstoken and an access token.
// Their tag lists name the repositories below one, which is how what the catalog does
// not tell is found.
type gcr struct {
	*dockerRegistry
}

func googleGCRProvider() provider {
	var endpoints []ProviderEndpoint
	for _, host := range []string{"gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io"} {
		endpoints = append(endpoints, ProviderEndpoint{Key: host, Value: "https://" + host})
	}
	return provider{
		info: ProviderInfo{
			Type: providerGoogleGCR, EndpointPattern: listed("List", endpoints...),
			CredentialPattern: &CredentialPattern{
				AccessKeyType: "AccessKeyTypeFix", AccessKeyData: gcrKeyName,
				AccessSecretType: "AccessSecretTypeFile", AccessSecretData: "No Change",
			},
		},
		open: openGCR,
	}
}

func openGCR(e Endpoint, o Options) (Adapter, error) {
	if e.Credential.AccessKey == gcrKeyName {
		if err := checkServiceAccount(e.Credential.AccessSecret); err != nil {
			return nil, err
		}
	}
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	g := &gcr{newDockerRegistry(c, providerGoogleGCR)}
	g.check = someComponents("Google's registries", "the project", "my-project/app")
	g.repositories, g.times = g.list, g.pushed
	g.deleteTag = g.untag
	return g, nil
}

// checkServiceAccount wants a key file, and says so before Google says "denied".
func checkServiceAccount(secret string) error {
	if secret == "" { // not shown, or not set yet: the registry will say so
		return nil
	}
	var key struct {
		Type       string `json:"type"`
		PrivateKey string `json:"private_key"`
	}
	if json.Unmarshal([]byte(secret), &key) != nil || key.Type != "service_account" || key.PrivateKey == "" {
		return problem.New(problem.BadRequest, "the secret of %s must be the JSON key file of a service account", gcrKeyName)
	}
	return nil
}

// list reads the catalog; where there is none, what is below the namespaces that the
// name filter begins with.
func (g *gcr) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range g.client.Catalog(ctx) {
			if e, ok := errors.AsType[*Error](err); ok && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests {
				if namespaces, ok := namespacesOf(m); ok {
					g.below(ctx, namespaces, yield)
					return
				}
				err = problem.Wrap(problem.BadRequest, err, "begin the name filter with a project, such as my-project/**, or give the account the right to list")
			}
			if err != nil {
				yield("", listFailed(g.client, err))
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

// below yields the repositories under some paths, found level by level.
func (g *gcr) below(ctx context.Context, paths []string, yield func(string, error) bool) {
	seen := map[string]bool{}
	for len(paths) > 0 {
		path := paths[0]
		paths = paths[1:]
		if seen[path] || checkRepository(path) != nil {
			continue
		}
		seen[path] = true
		got, err := g.look(ctx, path)
		if IsNotFound(err) {
			continue
		}
		if err != nil {
			yield("", listFailed(g.client, err))
			return
		}
		if strings.Contains(path, "/") && len(got.Manifest)+len(got.Tags) > 0 && !yield(path, nil) {
			return
		}
		for _, child := range got.Child {
			paths = append(paths, path+"/"+child)
		}
	}
}

// gcrListing is a tag list with what Google adds to it.
type gcrListing struct {
	Child    []string `json:"child"` // names of what is below
	Tags     []string `json:"tags"`
	Manifest map[string]struct {
		Tag            []string `json:"tag"`
		TimeUploadedMs string   `json:"timeUploadedMs"`
	} `json:"manifest"`
}

func (g *gcr) look(ctx context.Context, path string) (got gcrListing, err error) {
	a, err := g.client.do(ctx, &request{
		method: http.MethodGet, url: g.client.endpoint("v2", path, "tags", "list"), limit: maxListBody, want: []int{http.StatusOK},
		header: http.Header{"Accept": {"application/json"}}, scopes: []scope{repositoryScope(path, "pull")},
	})
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return got, fmt.Errorf("GET %s%s: the answer is no list of tags: %w", a.request.url.Host, a.request.url.Path, err)
	}
	return got, nil
}

// pushed tells when the manifests that have tags were uploaded. That of a tag is not told.
func (g *gcr) pushed(ctx context.Context, repository string) (map[string]time.Time, error) {
	got, err := g.look(ctx, repository)
	if err != nil {
		return nil, err
	}
	times := map[string]time.Time{}
	for _, m := range got.Manifest {
		if ms, err := strconv.ParseInt(m.TimeUploadedMs, 10, 64); err == nil && ms > 0 {
			for _, tag := range m.Tag {
				times[tag] = time.UnixMilli(ms)
			}
		}
	}
	return times, nil
}

// untag: at Google a DELETE of a tag takes only the tag away.
func (g *gcr) untag(ctx context.Context, repository, tag string) error {
	return g.client.DeleteTag(ctx, repository, tag)
}
