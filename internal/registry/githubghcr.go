package registry

import (
	"context"
	"iter"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

// GitHub's container registry is a plain one without a catalog. A token may list the
// packages of one owner through GitHub's own API, but not those of all that it may pull,
// so that a list would look complete and not be.
func githubGHCRProvider() provider {
	const kind = "github-ghcr"
	return provider{
		info: ProviderInfo{Type: kind, EndpointPattern: listed("Fix", ProviderEndpoint{Key: "ghcr.io", Value: "https://ghcr.io"})},
		open: func(e Endpoint, o Options) (Adapter, error) {
			c, err := NewClient(e, o)
			if err != nil {
				return nil, err
			}
			r := newDockerRegistry(c, kind)
			r.check = someComponents("GitHub's registry", "the owner", "octo-org/app")
			r.repositories = func(context.Context, *rule.Matcher) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					yield("", problem.New(problem.BadRequest,
						"%s has no list of repositories: name them in the name filter without * or ?, such as {octo-org/app,octo-org/web}", c.Host()))
				}
			}
			return r, nil
		},
	}
}
