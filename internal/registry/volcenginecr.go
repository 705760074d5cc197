package registry

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/cloudsign"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerVolcengineCR = "volcengine-cr"
	volcPage             = 100
)

var volcHost = regexp.MustCompile(`^([a-z0-9-]+?)-((?:cn|ap|us|eu)-[a-z]+(?:-\d)?)\.cr\.i?volces\.com$`)

// volcengine is an instance of Volcengine's container registry (its API, version
// 2022-05-12). The access ID is that of an access key; logins are got with it.
type volcengine struct {
	*dockerRegistry
	api    *api
	name   string // of the instance
	region string
}

func volcengineCRProvider() provider {
	return provider{info: ProviderInfo{Type: providerVolcengineCR, Described: true}, open: openVolcengine}
}

func openVolcengine(e Endpoint, o Options) (Adapter, error) {
	given, err := parseEndpoint(e)
	if err != nil {
		return nil, err
	}
	parts := volcHost.FindStringSubmatch(strings.ToLower(given.Host))
	if parts == nil || given.Scheme != "https" {
		return nil, problem.New(problem.BadRequest, "the URL of a volcengine-cr registry is https://INSTANCE-REGION.cr.volces.com, such as https://ours-cn-beijing.cr.volces.com, not %s", given)
	}
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	v := &volcengine{dockerRegistry: newDockerRegistry(c, providerVolcengineCR), name: parts[1], region: parts[2]}
	v.check = someComponents("Volcengine's registry", "the namespace", "team/app")
	if e.Credential.empty() {
		return v, nil
	}
	v.api = &api{client: c.beside(&url.URL{Scheme: "https", Host: "cr." + v.region + ".volcengineapi.com"}), authorize: v.sign}
	c.auth.issuer = newIssuer(v.login)
	c.probe = issuedProbe(c, v.api)
	v.repositories, v.prepare, v.deleteTag, v.times = v.list, v.create, v.untag, v.pushed
	return v, nil
}

func (v *volcengine) call(ctx context.Context, action string, in map[string]any, out any) error {
	in["Registry"] = v.name
	u := v.api.client.endpoint("")
	u.RawQuery = cloudsign.Query(url.Values{"Action": {action}, "Version": {"2022-05-12"}})
	wrapped := struct{ Result any }{out}
	_, err := v.api.do(ctx, call{
		method: http.MethodPost, url: u, in: in, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		needs: fmt.Sprintf("the permission cr:%s is needed, and the key of %s has not got it or is wrong", action, v.client.auth.account()),
	}, &wrapped)
	return err
}

func (v *volcengine) sign(_ context.Context, r *request) error {
	key := cloudsign.Key{ID: v.client.credential.AccessKey, Secret: v.client.credential.AccessSecret}
	for name, value := range cloudsign.Volcengine(cloudsign.Request{
		Method: r.method, Host: r.url.Host, Path: r.url.EscapedPath(), Query: r.url.Query(), Body: r.body,
		Header: map[string]string{"content-type": r.header.Get("Content-Type")},
	}, key, v.region, "cr", time.Now()) {
		r.header.Set(name, value)
	}
	return nil
}

func (v *volcengine) login(ctx context.Context) (Credential, time.Time, error) {
	var got struct{ Username, Token, ExpireTime string }
	if err := v.call(ctx, "GetAuthorizationToken", map[string]any{}, &got); err != nil {
		return Credential{}, time.Time{}, err
	}
	if got.Token == "" {
		return Credential{}, time.Time{}, fmt.Errorf("GetAuthorizationToken at %s: the answer has no token", v.api.client.Host())
	}
	expires, err := time.Parse(time.RFC3339, got.ExpireTime)
	if err != nil {
		expires = time.Now().Add(time.Hour) // less than it is ever good for
	}
	return Credential{AccessKey: got.Username, AccessSecret: got.Token}, expires, nil
}

func (v *volcengine) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		in := map[string]any{"PageSize": volcPage}
		if namespaces, some := namespacesOf(m); some {
			in["Filter"] = map[string]any{"Namespaces": namespaces}
		}
		for n, seen := 1, 0; ; n++ {
			in["PageNumber"] = n
			var page struct {
				Items      []struct{ Name, Namespace string }
				TotalCount int
			}
			if err := v.call(ctx, "ListRepositories", in, &page); err != nil {
				yield("", listFailed(v.client, err))
				return
			}
			for _, r := range page.Items {
				if !yield(r.Namespace+"/"+r.Name, nil) {
					return
				}
			}
			if seen += len(page.Items); len(page.Items) == 0 || seen >= page.TotalCount {
				return
			}
		}
	}
}

// create makes the namespace and the repository, private: what is public to those who
// reach the source would here be public to the world.
func (v *volcengine) create(ctx context.Context, repository string, _ bool) error {
	namespace, name, _ := strings.Cut(repository, "/")
	var found struct {
		Items []struct{ Name, Namespace string }
	}
	filter := map[string]any{"Namespaces": []string{namespace}, "Names": []string{name}}
	if err := v.call(ctx, "ListRepositories", map[string]any{"PageSize": volcPage, "PageNumber": 1, "Filter": filter}, &found); err == nil {
		for _, r := range found.Items {
			if r.Namespace == namespace && r.Name == name {
				return nil
			}
		}
	}
	var spaces struct {
		Items []struct{ Name string }
	}
	in := map[string]any{"PageSize": volcPage, "PageNumber": 1, "Filter": map[string]any{"Names": []string{namespace}}}
	if err := v.call(ctx, "ListNamespaces", in, &spaces); err != nil {
		spaces.Items = nil // who may not look may still make
	}
	there := slices.ContainsFunc(spaces.Items, func(s struct{ Name string }) bool { return s.Name == namespace })
	if !there {
		if err := v.call(ctx, "CreateNamespace", map[string]any{"Name": namespace}, nil); err != nil && !isConflict(err) {
			return fmt.Errorf("make the namespace %s: %w", namespace, err)
		}
	}
	err := v.call(ctx, "CreateRepository", map[string]any{"Namespace": namespace, "Name": name, "AccessLevel": "Private"}, nil)
	if err != nil && !isConflict(err) {
		return fmt.Errorf("make the repository: %w", err)
	}
	return nil
}

func (v *volcengine) untag(ctx context.Context, repository, tag string) error {
	namespace, name, _ := strings.Cut(repository, "/")
	return v.call(ctx, "DeleteTags", map[string]any{"Namespace": namespace, "Repository": name, "Names": []string{tag}}, nil)
}

// pushed tells when tags were pushed last.
func (v *volcengine) pushed(ctx context.Context, repository string) (map[string]time.Time, error) {
	namespace, name, _ := strings.Cut(repository, "/")
	times := map[string]time.Time{}
	for n, seen := 1, 0; ; n++ {
		var page struct {
			Items      []struct{ Name, PushTime string }
			TotalCount int
		}
		in := map[string]any{"Namespace": namespace, "Repository": name, "PageNumber": n, "PageSize": volcPage}
		if err := v.call(ctx, "ListTags", in, &page); err != nil {
			return nil, err
		}
		for _, tag := range page.Items {
			setTime(times, tag.Name, tag.PushTime)
		}
		if seen += len(page.Items); len(page.Items) == 0 || seen >= page.TotalCount {
			return times, nil
		}
	}
}
