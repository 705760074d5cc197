package registry

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerDTR = "dtr"
	dtrPage     = 100
)

// dtr is Mirantis Secure Registry, once Docker Trusted Registry (its API, version 0).
// Repositories do not come to be by a push.
type dtr struct {
	*dockerRegistry
	api *api
}

func dtrProvider() provider {
	return provider{info: ProviderInfo{Type: providerDTR}, open: func(e Endpoint, o Options) (Adapter, error) {
		c, err := NewClient(e, o)
		if err != nil {
			return nil, err
		}
		d := &dtr{dockerRegistry: newDockerRegistry(c, providerDTR), api: &api{client: c, login: !e.Credential.empty()}}
		d.check = twoComponents("Mirantis Secure Registry", "org/app")
		d.repositories, d.prepare, d.deleteTag = d.list, d.create, d.untag
		return d, nil
	}}
}

func (d *dtr) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		paths := []string{"repositories"}
		namespaces, some := namespacesOf(m)
		if some {
			paths = nil
			for _, n := range namespaces {
				paths = append(paths, "repositories/"+url.PathEscape(n))
			}
		}
		for _, path := range paths {
			for next := ""; ; {
				query := url.Values{"pageSize": {strconv.Itoa(dtrPage)}}
				if next != "" {
					query.Set("pageStart", next)
				}
				u := d.client.endpoint("api", "v0", path)
				u.RawQuery = query.Encode()
				var page struct {
					Repositories []struct {
						Namespace string `json:"namespace"`
						Name      string `json:"name"`
					} `json:"repositories"`
				}
				a, err := d.api.do(ctx, call{method: http.MethodGet, url: u}, &page)
				if some && IsNotFound(err) {
					break
				}
				if err != nil {
					yield("", listFailed(d.client, err))
					return
				}
				for _, r := range page.Repositories {
					if !yield(r.Namespace+"/"+r.Name, nil) {
						return
					}
				}
				if following := a.header.Get("X-Next-Page-Start"); following != "" && following != next {
					next = following
					continue
				}
				break
			}
		}
	}
}

// create makes the repository, and the organization that it is in.
func (d *dtr) create(ctx context.Context, repository string, public bool) error {
	namespace, name, _ := strings.Cut(repository, "/")
	at := func(path ...string) *url.URL {
		return d.client.endpoint(append([]string{"api", "v0", "repositories"}, path...)...)
	}
	if _, err := d.api.do(ctx, call{method: http.MethodGet, url: at(namespace, name)}, nil); err == nil || !IsNotFound(err) {
		return keepTemporary(err)
	}
	if _, err := d.api.do(ctx, call{method: http.MethodGet, url: d.client.endpoint("enzi", "v0", "accounts", namespace)}, nil); IsNotFound(err) {
		_, err = d.api.do(ctx, call{
			method: http.MethodPost, url: d.client.endpoint("enzi", "v0", "accounts"), in: map[string]any{"name": namespace, "isOrg": true},
			needs: "an administrator must make the organization " + namespace,
		}, nil)
		if err != nil && !isConflict(err) {
			return fmt.Errorf("make the organization %s: %w", namespace, err)
		}
	}
	visibility := "private"
	if public {
		visibility = "public"
	}
	_, err := d.api.do(ctx, call{
		method: http.MethodPost, url: at(namespace), in: map[string]any{"name": name, "visibility": visibility},
		needs: "the account must be an administrator of the organization " + namespace,
	}, nil)
	if err != nil && !isConflict(err) {
		return fmt.Errorf("make the repository: %w", err)
	}
	return nil
}

func (d *dtr) untag(ctx context.Context, repository, tag string) error {
	_, err := d.api.do(ctx, call{
		method: http.MethodDelete, url: d.client.endpoint("api", "v0", "repositories", repository, "tags", tag),
		needs: "the account needs the right to write to the repository",
	}, nil)
	return err
}
