package registry

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/rule"
)

const providerArtifactory = "jfrog-artifactory"

// artifactory is JFrog's Artifactory with the repository path method: the first component
// of a name is the key of one of its repositories (Artifactory's REST API). The secret
// is a password, an API key or an access token.
type artifactory struct {
	*dockerRegistry
	api *api
}

func artifactoryProvider() provider {
	return provider{info: ProviderInfo{Type: providerArtifactory}, open: openArtifactory}
}

func openArtifactory(e Endpoint, o Options) (Adapter, error) {
	given, err := parseEndpoint(e)
	if err != nil {
		return nil, err
	}
	given.Path = strings.TrimSuffix(given.Path, "/artifactory") // people copy it from the browser
	e.URL = given.String()
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	a := &artifactory{dockerRegistry: newDockerRegistry(c, providerArtifactory)}
	a.api = &api{client: c, login: !e.Credential.empty()}
	a.check = someComponents("Artifactory", "the key of a repository", "docker-local/app")
	a.repositories, a.prepare = a.list, a.repository
	c.patches = true // Artifactory takes no blob with the closing PUT (RTFACT-19344)
	// Each tag is a folder of its own there, and a DELETE by tag removes that folder.
	a.deleteTag = c.DeleteTag
	return a, nil
}

// keys lists the repositories that hold images, of one type ("local") or all ("").
func (a *artifactory) keys(ctx context.Context, kind string) ([]string, error) {
	var keys []string
	for _, packages := range []string{"docker", "oci"} {
		query := url.Values{"packageType": {packages}}
		if kind != "" {
			query.Set("type", kind)
		}
		u := a.client.endpoint("artifactory", "api", "repositories")
		u.RawQuery = query.Encode()
		var list []struct {
			Key string `json:"key"`
		}
		if _, err := a.api.do(ctx, call{method: http.MethodGet, url: u, needs: "the account must be allowed to read the repositories"}, &list); err != nil {
			if packages == "oci" && !IsUnauthorized(err) && !IsTemporary(err) {
				break // older ones do not know the type
			}
			return nil, err
		}
		for _, r := range list {
			if !slices.Contains(keys, r.Key) {
				keys = append(keys, r.Key)
			}
		}
	}
	return keys, nil
}

// list yields what the catalogs of the repositories hold.
func (a *artifactory) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		keys, ok := namespacesOf(m)
		if !ok {
			var err error
			if keys, err = a.keys(ctx, ""); err != nil {
				yield("", listFailed(a.client, err))
				return
			}
		}
		for _, key := range keys {
			first := &request{
				url:      a.client.endpoint("artifactory", "api", "docker", url.PathEscape(key), "v2", "_catalog"),
				password: a.api.login, anonymous: !a.api.login,
			}
			for name, err := range a.client.pages(ctx, first, "repositories") {
				if IsNotFound(err) && ok {
					break // the rule names what is not there
				}
				if err != nil {
					yield("", fmt.Errorf("list the images of %s at %s: %w", key, a.client.Host(), err))
					return
				}
				if !yield(key+"/"+name, nil) {
					return
				}
			}
		}
	}
}

// repository makes the local repository that images go into, unless it is there.
func (a *artifactory) repository(ctx context.Context, repository string, _ bool) error {
	key, _, _ := strings.Cut(repository, "/")
	keys, err := a.keys(ctx, "")
	if err != nil || slices.Contains(keys, key) {
		return keepTemporary(err) // who may not list may still push
	}
	_, err = a.api.do(ctx, call{
		method: http.MethodPut, url: a.client.endpoint("artifactory", "api", "repositories", url.PathEscape(key)),
		in:    map[string]string{"key": key, "rclass": "local", "packageType": "docker"},
		needs: "an administrator must make the local Docker repository " + key + ", or the account needs the right to",
	}, nil)
	if err == nil {
		return nil
	}
	if again, listErr := a.keys(ctx, ""); listErr == nil && slices.Contains(again, key) {
		return nil // somebody else made it
	}
	return fmt.Errorf("make the repository %s: %w", key, err)
}
