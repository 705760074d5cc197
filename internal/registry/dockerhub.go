package registry

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

// Docker Hub has its images at one host and its API at another (docs.docker.com,
// "Docker Hub API"). The endpoint's URL is the API's, as in Harbor.
const (
	providerDockerHub = "docker-hub"
	hubAPI            = "hub.docker.com"
	hubRegistry       = "registry-1.docker.io"
	hubPage           = 100
	// A token of the API is good for ten minutes.
	hubTokenLife = 10 * time.Minute
)

type dockerHub struct {
	*dockerRegistry
	api *api
}

func dockerHubProvider() provider {
	return provider{
		info: ProviderInfo{
			Type:            providerDockerHub,
			EndpointPattern: listed("Fix", ProviderEndpoint{Key: hubAPI, Value: "https://" + hubAPI}),
		},
		open: openDockerHub,
	}
}

func openDockerHub(e Endpoint, o Options) (Adapter, error) {
	given, err := parseEndpoint(e)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{hubAPI, hubRegistry, "docker.io", "index.docker.io", "www.docker.com"}, given.Hostname()) {
		return nil, problem.New(problem.BadRequest, "the URL of a docker-hub registry is https://%s, not %s; for a mirror of it choose docker-registry", hubAPI, e.URL)
	}
	e.URL = "https://" + hubRegistry
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	h := &dockerHub{dockerRegistry: newDockerRegistry(c, providerDockerHub)}
	h.api = &api{client: c.beside(&url.URL{Scheme: "https", Host: hubAPI})}
	if !e.Credential.empty() {
		session := newIssuer(h.session)
		h.api.authorize = func(ctx context.Context, r *request) error {
			s, err := session.get(ctx)
			r.header.Set("Authorization", "Bearer "+s.AccessSecret)
			return err
		}
		c.probe = func(ctx context.Context) error {
			if _, err := session.get(ctx); err != nil {
				return h.api.explain(err)
			}
			return c.pingRegistry(ctx)
		}
		h.deleteTag = h.untag
	}
	h.check, h.repositories, h.prepare, h.times = twoComponents("Docker Hub", "library/alpine"), h.list, h.ready, h.pushed
	return h, nil
}

// session gets a token of the API for the account's password or access token.
func (h *dockerHub) session(ctx context.Context) (Credential, time.Time, error) {
	account := h.client.credential
	var got struct {
		AccessToken string `json:"access_token"`
	}
	login := api{client: h.api.client}
	_, err := login.do(ctx, call{
		method: http.MethodPost, url: h.api.client.endpoint("v2", "auth", "token"),
		in:    map[string]string{"identifier": account.AccessKey, "secret": account.AccessSecret},
		needs: fmt.Sprintf("the password or access token of %q is wrong, expired or disabled", account.AccessKey),
	}, &got)
	if err != nil {
		return Credential{}, time.Time{}, fmt.Errorf("log in to %s: %w", hubAPI, err)
	}
	if got.AccessToken == "" || strings.ContainsAny(got.AccessToken, "\r\n") {
		return Credential{}, time.Time{}, fmt.Errorf("log in to %s: the answer has no usable token", hubAPI)
	}
	return Credential{AccessSecret: got.AccessToken}, time.Now().Add(hubTokenLife), nil
}

// list yields the repositories of the wanted namespaces, or else of all that the account
// belongs to: Docker Hub has no catalog.
func (h *dockerHub) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		namespaces, err := h.namespaces(ctx, m)
		if err != nil {
			yield("", fmt.Errorf("list the namespaces at %s: %w", hubAPI, err))
			return
		}
		for _, namespace := range namespaces {
			for n, more := 1, true; more; n++ {
				var page struct {
					Next    string `json:"next"`
					Results []struct {
						Name      string `json:"name"`
						Namespace string `json:"namespace"`
					} `json:"results"`
				}
				u := h.api.client.endpoint("v2", "namespaces", url.PathEscape(namespace), "repositories")
				u.RawQuery = fmt.Sprintf("page=%d&page_size=%d", n, hubPage)
				_, err := h.api.do(ctx, call{method: http.MethodGet, url: u}, &page)
				if IsNotFound(err) {
					break // the rule may name what is not there
				}
				if err != nil {
					yield("", fmt.Errorf("list the repositories of %s at %s: %w", namespace, hubAPI, err))
					return
				}
				for _, r := range page.Results {
					if !yield(r.Namespace+"/"+r.Name, nil) {
						return
					}
				}
				more = page.Next != "" && len(page.Results) > 0
			}
		}
	}
}

func (h *dockerHub) namespaces(ctx context.Context, m *rule.Matcher) ([]string, error) {
	if names, ok := namespacesOf(m); ok {
		return names, nil
	}
	if h.client.credential.empty() {
		return nil, problem.New(problem.BadRequest, "without a credential it does not tell any: begin the name filter with a namespace, such as library/**")
	}
	var got struct {
		Namespaces []string `json:"namespaces"`
	}
	_, err := h.api.do(ctx, call{method: http.MethodGet, url: h.api.client.endpoint("v2", "repositories", "namespaces")}, &got)
	return got.Namespaces, err
}

// ready says before a push what its refusal would not: that the namespace is not the
// account's. Docker Hub makes repositories as they are pushed to; organizations it sells.
func (h *dockerHub) ready(ctx context.Context, repository string, _ bool) error {
	if h.client.credential.empty() {
		return problem.New(problem.BadRequest, "a push to Docker Hub needs an account and its access token")
	}
	namespace, name, _ := strings.Cut(repository, "/")
	own, err := h.namespaces(ctx, nil)
	if err != nil || slices.Contains(own, namespace) {
		// An access token of an organization may not list: the push will show.
		return keepTemporary(err)
	}
	u := h.api.client.endpoint("v2", "namespaces", url.PathEscape(namespace), "repositories", url.PathEscape(name))
	if _, err = h.api.do(ctx, call{method: http.MethodGet, url: u}, nil); err == nil || !IsNotFound(err) {
		return keepTemporary(err)
	}
	return problem.New(problem.Precondition, "%q is no namespace of the account %q (it has %s): make the organization at %s, or set a destination namespace",
		namespace, h.client.credential.AccessKey, strings.Join(own, ", "), hubAPI)
}

func (h *dockerHub) untag(ctx context.Context, repository, tag string) error {
	namespace, name, _ := strings.Cut(repository, "/")
	_, err := h.api.do(ctx, call{
		method: http.MethodDelete, url: h.api.client.endpoint("v2", "repositories", namespace, name, "tags", tag, ""),
		needs: "the access token needs the permission Read, Write, Delete",
	}, nil)
	return err
}

// pushed tells when the tags of a repository were pushed. The API counts no pulls.
func (h *dockerHub) pushed(ctx context.Context, repository string) (map[string]time.Time, error) {
	namespace, name, _ := strings.Cut(repository, "/")
	times := map[string]time.Time{}
	for n, more := 1, true; more; n++ {
		var page struct {
			Next    string `json:"next"`
			Results []struct {
				Name          string    `json:"name"`
				TagLastPushed time.Time `json:"tag_last_pushed"`
			} `json:"results"`
		}
		u := h.api.client.endpoint("v2", "namespaces", namespace, "repositories", name, "tags")
		u.RawQuery = fmt.Sprintf("page=%d&page_size=%d", n, hubPage)
		if _, err := h.api.do(ctx, call{method: http.MethodGet, url: u}, &page); err != nil {
			return nil, err
		}
		for _, t := range page.Results {
			times[t.Name] = t.TagLastPushed
		}
		more = page.Next != "" && len(page.Results) > 0
	}
	return times, nil
}
