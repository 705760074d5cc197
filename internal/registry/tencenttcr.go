package registry

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/lighterage/lighterage/internal/cloudsign"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerTencentTCR = "tencent-tcr"
	tcrDomain          = ".tencentcloudcr.com"
	tcrAPI             = "tcr.tencentcloudapi.com"
	tcrPage            = 100
	tcrCalls           = 10 // a second
)

// tcr is an instance of Tencent Container Registry (its API, version 2019-09-24). The
// access ID is a SecretId; logins of an hour are got with it.
type tcr struct {
	*dockerRegistry
	api  *api
	name string // of the instance

	mu     sync.Mutex
	id     string // "" until it has been looked up
	region string
}

func tencentTCRProvider() provider {
	return provider{info: ProviderInfo{Type: providerTencentTCR, Described: true}, open: openTCR}
}

func openTCR(e Endpoint, o Options) (Adapter, error) {
	given, err := parseEndpoint(e)
	if err != nil {
		return nil, err
	}
	name, ok := strings.CutSuffix(strings.ToLower(given.Host), tcrDomain)
	if !ok || given.Scheme != "https" || name == "" || strings.Contains(name, ".") {
		return nil, problem.New(problem.BadRequest, "the URL of a tencent-tcr registry is https://INSTANCE%s, not %s", tcrDomain, given)
	}
	if e.Credential.AccessKey != "" && !strings.HasPrefix(e.Credential.AccessKey, "AKID") && !strings.HasPrefix(e.Credential.AccessKey, "IKID") {
		return nil, problem.New(problem.BadRequest, "the access ID of a tencent-tcr registry is a SecretId, which begins with AKID, not the user name of docker login; for that choose docker-registry")
	}
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	t := &tcr{dockerRegistry: newDockerRegistry(c, providerTencentTCR), name: name}
	t.check = someComponents("Tencent's registry", "the namespace", "team/app")
	if e.Credential.empty() {
		return t, nil
	}
	t.api = &api{client: c.beside(&url.URL{Scheme: "https", Host: tcrAPI}), authorize: t.sign, pace: rate.NewLimiter(tcrCalls, tcrCalls)}
	c.auth.issuer = newIssuer(t.login)
	c.probe = issuedProbe(c, t.api)
	t.repositories, t.prepare, t.times = t.list, t.create, t.pushed
	return t, nil
}

func (t *tcr) call(ctx context.Context, action string, in map[string]any, out any) error {
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Tc-Action": {action}, "X-Tc-Version": {"2019-09-24"}, "X-Tc-Region": {"ap-guangzhou"}}
	if action != "DescribeInstances" {
		id, region, err := t.instance(ctx)
		if err != nil {
			return err
		}
		in["RegistryId"] = id
		header.Set("X-Tc-Region", region)
	}
	wrapped := struct{ Response any }{out}
	_, err := t.api.do(ctx, call{
		method: http.MethodPost, url: t.api.client.endpoint(""), in: in, header: header,
		needs: fmt.Sprintf("the permission tcr:%s is needed, and the key of %s has not got it or is wrong", action, t.client.auth.account()),
	}, &wrapped)
	return err
}

func (t *tcr) sign(_ context.Context, r *request) error {
	key := cloudsign.Key{ID: t.client.credential.AccessKey, Secret: t.client.credential.AccessSecret}
	for name, value := range cloudsign.Tencent(cloudsign.Request{
		Method: r.method, Host: r.url.Host, Path: r.url.EscapedPath(), Body: r.body,
		Header: map[string]string{"content-type": r.header.Get("Content-Type")},
	}, key, "tcr", time.Now()) {
		r.header.Set(name, value)
	}
	return nil
}

// instance looks up which instance the URL belongs to.
func (t *tcr) instance(ctx context.Context) (id, region string, err error) {
	t.mu.Lock()
	id, region = t.id, t.region
	t.mu.Unlock()
	if id != "" {
		return id, region, nil
	}
	var got struct {
		Registries []struct{ RegistryId, RegistryName, RegionName string }
	}
	err = t.call(ctx, "DescribeInstances", map[string]any{
		"AllRegion": true, "Filters": []map[string]any{{"Name": "RegistryName", "Values": t.names()}},
	}, &got)
	if err != nil {
		return "", "", fmt.Errorf("look up the instance %s: %w", t.name, err)
	}
	for _, r := range got.Registries {
		if slices.Contains(t.names(), strings.ToLower(r.RegistryName)) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.id, t.region = r.RegistryId, r.RegionName
			return t.id, t.region, nil
		}
	}
	return "", "", problem.New(problem.BadRequest, "the key of %s sees no instance %s: check the URL, and that the key belongs to the instance's account", t.client.auth.account(), t.name)
}

// names are how the instance may be called: its host in a private network has a suffix.
func (t *tcr) names() []string {
	if short, ok := strings.CutSuffix(t.name, "-vpc"); ok {
		return []string{t.name, short}
	}
	return []string{t.name}
}

func (t *tcr) login(ctx context.Context) (Credential, time.Time, error) {
	var got struct {
		Username, Token string
		ExpTime         int64 // milliseconds
	}
	if err := t.call(ctx, "CreateInstanceToken", map[string]any{"TokenType": "temp"}, &got); err != nil {
		return Credential{}, time.Time{}, err
	}
	if got.Token == "" {
		return Credential{}, time.Time{}, fmt.Errorf("CreateInstanceToken at %s: the answer has no token", tcrAPI)
	}
	return Credential{AccessKey: got.Username, AccessSecret: got.Token}, time.UnixMilli(got.ExpTime), nil
}

func (t *tcr) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		namespaces, some := namespacesOf(m)
		if !some {
			namespaces = []string{""}
		}
		for _, namespace := range namespaces {
			for n, seen := 1, 0; ; n++ {
				in := map[string]any{"Offset": n, "Limit": tcrPage} // Offset is the number of the page
				if namespace != "" {
					in["NamespaceName"] = namespace
				}
				var page struct {
					RepositoryList []struct{ Name, Namespace string }
					TotalCount     int
				}
				err := t.call(ctx, "DescribeRepositories", in, &page)
				if some && IsNotFound(err) {
					break
				}
				if err != nil {
					yield("", listFailed(t.client, err))
					return
				}
				for _, r := range page.RepositoryList {
					// The name is told with the namespace, and sometimes without.
					if !yield(r.Namespace+"/"+strings.TrimPrefix(r.Name, r.Namespace+"/"), nil) {
						return
					}
				}
				if seen += len(page.RepositoryList); len(page.RepositoryList) == 0 || seen >= page.TotalCount {
					break
				}
			}
		}
	}
}

// create makes the namespace and the repository, both private: what is public to those
// who reach the source would here be public to the world.
func (t *tcr) create(ctx context.Context, repository string, _ bool) error {
	namespace, name, _ := strings.Cut(repository, "/")
	var found struct {
		NamespaceList []struct{ Name string }
	}
	err := t.call(ctx, "DescribeNamespaces", map[string]any{"NamespaceName": namespace, "Limit": tcrPage, "Offset": 0}, &found)
	if err != nil && !IsNotFound(err) && !IsUnauthorized(err) {
		return err
	}
	there := false
	for _, n := range found.NamespaceList {
		there = there || n.Name == namespace
	}
	if !there {
		if err := t.call(ctx, "CreateNamespace", map[string]any{"NamespaceName": namespace, "IsPublic": false}, nil); err != nil && !isConflict(err) {
			return fmt.Errorf("make the namespace %s: %w", namespace, err)
		}
	}
	var same struct {
		RepositoryList []struct{ Name, Namespace string }
	}
	in := map[string]any{"NamespaceName": namespace, "RepositoryName": name, "Offset": 1, "Limit": tcrPage}
	if err := t.call(ctx, "DescribeRepositories", in, &same); err == nil {
		for _, r := range same.RepositoryList {
			if r.Namespace+"/"+strings.TrimPrefix(r.Name, r.Namespace+"/") == repository {
				return nil
			}
		}
	}
	if err := t.call(ctx, "CreateRepository", map[string]any{"NamespaceName": namespace, "RepositoryName": name}, nil); err != nil && !isConflict(err) {
		return fmt.Errorf("make the repository: %w", err)
	}
	return nil
}

// pushed tells when tags were set last.
func (t *tcr) pushed(ctx context.Context, repository string) (map[string]time.Time, error) {
	namespace, name, _ := strings.Cut(repository, "/")
	times := map[string]time.Time{}
	for n, seen := 1, 0; ; n++ {
		var page struct {
			ImageInfoList []struct{ ImageVersion, UpdateTime string }
			TotalCount    int
		}
		in := map[string]any{"NamespaceName": namespace, "RepositoryName": name, "Offset": n, "Limit": tcrPage}
		if err := t.call(ctx, "DescribeImages", in, &page); err != nil {
			return nil, err
		}
		for _, image := range page.ImageInfoList {
			setTime(times, image.ImageVersion, image.UpdateTime)
		}
		if seen += len(page.ImageInfoList); len(page.ImageInfoList) == 0 || seen >= page.TotalCount {
			return times, nil
		}
	}
}
