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
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerQuay = "quay"
	quayKeyName  = "json_file"
)

// quay is Red Hat's Quay, at quay.io or elsewhere (its API reference, version 1). The
// credential is a robot account or a user's encrypted password; or, as in Harbor, the
// access ID json_file with a JSON secret that may hold a token of the API too. Only with
// that token organizations are made and tags removed by the API.
type quay struct {
	*dockerRegistry
	api *api
}

func quayProvider() provider {
	return provider{
		info: ProviderInfo{
			Type: providerQuay, EndpointPattern: &EndpointPattern{EndpointType: "EndpointPatternTypeStandard", Endpoints: []ProviderEndpoint{}},
			CredentialPattern: &CredentialPattern{
				AccessKeyType: "AccessKeyTypeFix", AccessKeyData: quayKeyName, AccessSecretType: "AccessSecretTypeFile",
			},
		},
		open: openQuay,
	}
}

func openQuay(e Endpoint, o Options) (Adapter, error) {
	login, token, err := quayCredential(e.Credential)
	if err != nil {
		return nil, err
	}
	e.Credential = login
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	q := &quay{dockerRegistry: newDockerRegistry(c, providerQuay)}
	q.check = someComponents("Quay", "the organization", "org/app")
	if token != "" {
		q.api = &api{client: c, authorize: func(_ context.Context, r *request) error {
			r.header.Set("Authorization", "Bearer "+token)
			return nil
		}}
		q.repositories, q.prepare, q.deleteTag, q.times = q.list, q.organization, q.untag, q.pushed
		c.probe = func(ctx context.Context) error {
			if err := c.pingRegistry(ctx); err != nil {
				return err
			}
			return q.do(ctx, http.MethodGet, "user/", nil, nil, nil, `"Read User Information"`)
		}
	}
	return q, nil
}

// quayCredential reads the two forms of a credential.
func quayCredential(c Credential) (login Credential, token string, err error) {
	if !strings.HasPrefix(strings.TrimSpace(c.AccessSecret), "{") {
		if c.AccessKey == quayKeyName && c.AccessSecret != "" {
			return c, "", problem.New(problem.BadRequest, "the secret of %s must be JSON: account_name, docker_cli_password and, to make organizations, oauth2_token", quayKeyName)
		}
		return c, "", nil
	}
	var text struct {
		Account  string `json:"account_name"`
		Password string `json:"docker_cli_password"`
		Token    string `json:"oauth2_token"`
	}
	if err := json.Unmarshal([]byte(c.AccessSecret), &text); err != nil {
		return c, "", problem.New(problem.BadRequest, "the secret is no JSON of account_name, docker_cli_password and oauth2_token")
	}
	if (text.Account == "") != (text.Password == "") || text.Account+text.Token == "" {
		return c, "", problem.New(problem.BadRequest, "the JSON secret needs account_name and docker_cli_password")
	}
	return Credential{AccessKey: text.Account, AccessSecret: text.Password}, text.Token, nil
}

// do makes a call below /api/v1/; needs is the scope that a refusal should name.
func (q *quay) do(ctx context.Context, method, path string, query url.Values, in, out any, needs string) error {
	u := q.client.endpoint("api", "v1", path)
	u.RawQuery = query.Encode()
	if needs != "" {
		needs = "the OAuth token needs the scope " + needs
	}
	_, err := q.api.do(ctx, call{method: method, url: u, in: in, needs: needs}, out)
	return err
}

// list yields the repositories of the wanted namespaces, or else of the user and all
// organizations that the token's user is in.
func (q *quay) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		namespaces, ok := namespacesOf(m)
		if !ok {
			var user struct {
				Username      string `json:"username"`
				Organizations []struct {
					Name string `json:"name"`
				} `json:"organizations"`
			}
			if err := q.do(ctx, http.MethodGet, "user/", nil, nil, &user, `"Read User Information"`); err != nil {
				yield("", listFailed(q.client, err))
				return
			}
			namespaces = append(namespaces, user.Username)
			for _, o := range user.Organizations {
				namespaces = append(namespaces, o.Name)
			}
		}
		for _, namespace := range namespaces {
			for next := ""; ; {
				query := url.Values{"namespace": {namespace}}
				if next != "" {
					query.Set("next_page", next)
				}
				var page struct {
					Repositories []struct {
						Namespace string `json:"namespace"`
						Name      string `json:"name"`
					} `json:"repositories"`
					NextPage string `json:"next_page"`
				}
				err := q.do(ctx, http.MethodGet, "repository", query, nil, &page, `"View all visible repositories"`)
				if IsNotFound(err) {
					break
				}
				if err != nil {
					yield("", fmt.Errorf("list the repositories of %s at %s: %w", namespace, q.client.Host(), err))
					return
				}
				for _, r := range page.Repositories {
					if !yield(r.Namespace+"/"+r.Name, nil) {
						return
					}
				}
				if page.NextPage == "" || page.NextPage == next {
					break
				}
				next = page.NextPage
			}
		}
	}
}

// organization makes the organization that a repository is in, unless it is there or is
// a user.
func (q *quay) organization(ctx context.Context, repository string, _ bool) error {
	namespace, _, _ := strings.Cut(repository, "/")
	for _, kind := range []string{"organization/", "users/"} {
		err := q.do(ctx, http.MethodGet, kind+url.PathEscape(namespace), nil, nil, nil, "")
		if err == nil || !IsNotFound(err) {
			return keepTemporary(err) // who may not look may still push
		}
	}
	organization := map[string]string{"name": namespace, "email": namespace + "@" + q.client.base.Hostname()}
	err := q.do(ctx, http.MethodPost, "organization/", nil, organization, nil, `"Administer Organization"; or make the organization `+namespace+" there")
	if err != nil && !isConflict(err) {
		return fmt.Errorf("make the organization %s: %w", namespace, err)
	}
	return nil
}

func (q *quay) untag(ctx context.Context, repository, tag string) error {
	return q.do(ctx, http.MethodDelete, "repository/"+repository+"/tag/"+tag, nil, nil, nil, `"Read/Write to any accessible repositories"`)
}

// pushed tells since when tags stand for what they stand for.
func (q *quay) pushed(ctx context.Context, repository string) (map[string]time.Time, error) {
	times := map[string]time.Time{}
	for n, more := 1, true; more; n++ {
		var page struct {
			Tags []struct {
				Name    string `json:"name"`
				StartTS int64  `json:"start_ts"`
			} `json:"tags"`
			HasAdditional bool `json:"has_additional"`
		}
		query := url.Values{"onlyActiveTags": {"true"}, "limit": {"100"}, "page": {strconv.Itoa(n)}}
		if err := q.do(ctx, http.MethodGet, "repository/"+repository+"/tag/", query, nil, &page, `"View all visible repositories"`); err != nil {
			return nil, err
		}
		for _, t := range page.Tags {
			times[t.Name] = time.Unix(t.StartTS, 0)
		}
		more = page.HasAdditional && len(page.Tags) > 0
	}
	return times, nil
}
