package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerGitLab = "gitlab"
	gitlabPage     = 100
)

// gitlab is the registry of a GitLab. Its token server is GitLab itself, whose API lists
// projects and their repositories (GitLab's REST API, version 4). The secret is an access
// token with the scopes read_api and read_registry, write_registry to push, api to remove.
type gitlab struct {
	*dockerRegistry

	mu  sync.Mutex
	api *api // nil until the token server is known
}

func gitlabProvider() provider {
	return provider{info: ProviderInfo{Type: providerGitLab}, open: func(e Endpoint, o Options) (Adapter, error) {
		c, err := NewClient(e, o)
		if err != nil {
			return nil, err
		}
		g := &gitlab{dockerRegistry: newDockerRegistry(c, providerGitLab)}
		g.check = someComponents("GitLab", "the group or user", "group/project")
		g.repositories, g.deleteTag = g.list, g.untag
		return g, nil
	}}
}

// server returns the API of the GitLab that gives the registry's tokens.
func (g *gitlab) server(ctx context.Context) (*api, error) {
	offer, err := g.client.auth.learn(ctx)
	if err != nil {
		return nil, err
	}
	realm, err := url.Parse(offer.params["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && realm.Scheme != g.client.base.Scheme {
		return nil, fmt.Errorf("%s does not say which GitLab it belongs to: check that the URL is that of GitLab's registry, such as https://registry.gitlab.com", g.client.Host())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.api == nil {
		path := strings.TrimSuffix(strings.TrimRight(realm.Path, "/"), "/jwt/auth") // GitLab may be below a path
		token := g.client.credential.AccessSecret
		g.api = &api{client: g.client.beside(&url.URL{Scheme: realm.Scheme, Host: realm.Host, Path: path}), authorize: func(_ context.Context, r *request) error {
			if token != "" {
				r.header.Set("PRIVATE-TOKEN", token)
			}
			return nil
		}}
	}
	return g.api, nil
}

// pages reads a list of the API page by page and gives each to take, until it returns
// false.
func (g *gitlab) pages(ctx context.Context, path string, query url.Values, take func(page json.RawMessage) (bool, error)) error {
	server, err := g.server(ctx)
	if err != nil {
		return err
	}
	for n := "1"; n != ""; {
		query.Set("page", n)
		query.Set("per_page", strconv.Itoa(gitlabPage))
		u := server.client.endpoint("api", "v4", path)
		u.RawQuery = query.Encode()
		var page json.RawMessage
		a, err := server.do(ctx, call{method: http.MethodGet, url: u, needs: "the access token needs the scope read_api; deploy tokens cannot list"}, &page)
		if err != nil {
			return err
		}
		if more, err := take(page); err != nil || !more {
			return err
		}
		if next := a.header.Get("X-Next-Page"); next != n {
			n = next
		} else {
			return fmt.Errorf("%s repeats its pages", server.client.Host())
		}
	}
	return nil
}

type gitlabRepository struct {
	ID   int64  `json:"id"`
	Path string `json:"path"`
}

// list yields the repositories of the wanted groups, or else of all projects that the
// token's user is a member of.
func (g *gitlab) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		wanted := map[string]bool{}
		namespaces, some := namespacesOf(m)
		for _, n := range namespaces {
			wanted[strings.ToLower(n)] = true
		}
		var projects []int64
		query := url.Values{"membership": {"true"}, "simple": {"true"}, "order_by": {"id"}, "sort": {"asc"}}
		err := g.pages(ctx, "projects", query, func(page json.RawMessage) (bool, error) {
			var list []struct {
				ID   int64  `json:"id"`
				Path string `json:"path_with_namespace"`
			}
			err := json.Unmarshal(page, &list)
			for _, p := range list {
				if group, _, _ := strings.Cut(strings.ToLower(p.Path), "/"); !some || wanted[group] {
					projects = append(projects, p.ID)
				}
			}
			return true, err
		})
		for _, project := range projects {
			if err != nil {
				break
			}
			stopped := false
			err = g.pages(ctx, fmt.Sprintf("projects/%d/registry/repositories", project), url.Values{}, func(page json.RawMessage) (bool, error) {
				var list []gitlabRepository
				if err := json.Unmarshal(page, &list); err != nil {
					return false, err
				}
				for _, r := range list {
					if stopped = !yield(r.Path, nil); stopped {
						return false, nil
					}
				}
				return true, nil
			})
			if stopped {
				return
			}
			if IsNotFound(err) || isForbidden(err) { // the project has no registry, or none for us
				err = nil
			}
		}
		if err != nil {
			yield("", listFailed(g.client, err))
		}
	}
}

// untag removes a tag by the API: it wants the numbers of project and repository.
func (g *gitlab) untag(ctx context.Context, repository, tag string) error {
	server, err := g.server(ctx)
	if err != nil {
		return err
	}
	// A repository is a project's, or below it: the longest path that is a project.
	for path := repository; strings.Contains(path, "/"); path = path[:strings.LastIndexByte(path, '/')] {
		var found *gitlabRepository
		project := "projects/" + url.PathEscape(path)
		err := g.pages(ctx, project+"/registry/repositories", url.Values{}, func(page json.RawMessage) (bool, error) {
			var list []gitlabRepository
			if err := json.Unmarshal(page, &list); err != nil {
				return false, err
			}
			for _, r := range list {
				if r.Path == repository {
					found = &r
					return false, nil
				}
			}
			return true, nil
		})
		if IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if found == nil {
			break
		}
		u := server.client.endpoint("api", "v4", fmt.Sprintf("%s/registry/repositories/%d/tags/%s", project, found.ID, tag))
		_, err = server.do(ctx, call{method: http.MethodDelete, url: u, needs: "the access token needs the scope api, and its user the role Developer"}, nil)
		return err
	}
	return &Error{Method: "find", Host: server.client.Host(), Path: "/" + repository, Status: http.StatusNotFound, hint: "no project of GitLab has this repository"}
}
