package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

const listPage = 1000 // entries asked for at a time; registries cap it as they like

// Catalog lists the repositories, page by page as they are consumed. An error ends it.
// Names come as the registry tells them: those that the grammar refuses too.
func (c *Client) Catalog(ctx context.Context) iter.Seq2[string, error] {
	return c.pages(ctx, &request{
		url: c.endpoint("v2", "_catalog"), scopes: []scope{{resource: "registry:catalog", actions: []string{"*"}}},
	}, "repositories")
}

// Tags lists a repository's tags in the registry's order. IsNotFound when there is no
// such repository.
func (c *Client) Tags(ctx context.Context, repo string) ([]string, error) {
	if err := checkRepository(repo); err != nil {
		return nil, err
	}
	actions := c.list
	if actions == nil {
		actions = []string{"pull"}
	}
	var tags []string
	first := &request{url: c.endpoint("v2", repo, "tags", "list"), scopes: []scope{repositoryScope(repo, actions...)}}
	for tag, err := range c.pages(ctx, first, "tags") {
		if err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// pages walks a list by its Link headers, or where they are missing after a full page
// by n and last. Every entry is yielded once, and a list that runs in circles ends.
func (c *Client) pages(ctx context.Context, first *request, field string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		at := first.url
		at.RawQuery = "n=" + strconv.Itoa(listPage)
		visited := map[string]bool{}
		seen := map[string]bool{}
		for linked := false; at != nil; { // linked: the registry uses Link, so its absence means the end
			if visited[at.String()] {
				yield("", fmt.Errorf("list %s at %s: the registry's pages run in a circle", field, c.Host()))
				return
			}
			visited[at.String()] = true
			r := *first
			r.method, r.url, r.header = http.MethodGet, at, http.Header{"Accept": {"application/json"}}
			r.limit, r.want = maxListBody, []int{http.StatusOK}
			a, err := c.do(ctx, &r)
			if err != nil {
				yield("", err)
				return
			}
			page, err := listEntries(a.body, field)
			if err != nil {
				yield("", fmt.Errorf("GET %s%s: %w", at.Host, at.Path, err))
				return
			}
			fresh := 0
			for _, name := range page {
				if seen[name] {
					continue
				}
				seen[name] = true
				fresh++
				if !yield(name, nil) {
					return
				}
			}
			next, err := c.nextPage(a)
			switch {
			case err != nil:
				yield("", fmt.Errorf("list %s at %s: the next page's link cannot be read: %w", field, c.Host(), err))
				return
			case next != nil && fresh == 0 && len(page) > 0:
				yield("", fmt.Errorf("list %s at %s: the registry repeats its pages", field, c.Host()))
				return
			case next != nil:
				linked = true
			case !linked && len(page) >= listPage && fresh > 0:
				// A full page and no word about another: ask, and believe a page without news.
				following := *at
				following.RawQuery = url.Values{"n": {strconv.Itoa(listPage)}, "last": {page[len(page)-1]}}.Encode()
				next = &following
			}
			at = next
		}
	}
}

// listEntries reads {"tags": [...]} and {"repositories": [...]}; null is an empty list.
func listEntries(body []byte, field string) ([]string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, fmt.Errorf("the answer is not a list of %s: %w", field, err)
	}
	raw, ok := object[field]
	if _, named := object["name"]; !ok && named {
		return nil, nil // some leave an empty list out
	}
	if !ok {
		return nil, fmt.Errorf("the answer has no list of %s", field)
	}
	var names []string
	if err := json.Unmarshal(raw, &names); err != nil {
		return nil, fmt.Errorf("the answer is not a list of %s: %w", field, err)
	}
	return names, nil
}
