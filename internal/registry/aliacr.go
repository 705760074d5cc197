package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/lighterage/lighterage/internal/cloudsign"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerAliACR = "ali-acr"
	aliPage        = 100
	aliCalls       = 15 // a second
	aliEnterprise  = "2018-12-01"
	aliPersonal    = "2016-06-07"
	aliPrivate     = "PRIVATE"
)

var (
	aliAPIHost = regexp.MustCompile(`^cr\.([a-z0-9-]+)\.aliyuncs\.com$`)
	aliRegion  = regexp.MustCompile(`^[a-z]{2}[a-z0-9-]*$`)
	aliID      = regexp.MustCompile(`^cri-[a-z0-9]+$`)
)

// ali is Alibaba Cloud's Container Registry: an instance of the enterprise edition, or the
// personal edition of a region (its APIs, versions 2018-12-01 and 2016-06-07). The access
// ID is that of an access key; logins of an hour are got with it. Which edition and
// instance a URL belongs to is what its token challenge says.
type ali struct {
	*dockerRegistry
	key cloudsign.Key

	mu   sync.Mutex
	here *aliPlace // nil until it is known
}

// aliPlace is where a registry's API is.
type aliPlace struct {
	api      *api
	instance string // "": the personal edition
}

func aliACRProvider() provider {
	var endpoints []ProviderEndpoint
	for _, region := range []string{
		"cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-huhehaote", "cn-wulanchabu", "cn-hangzhou", "cn-shanghai", "cn-shenzhen", "cn-heyuan",
		"cn-guangzhou", "cn-chengdu", "cn-hongkong", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ap-south-1",
		"ap-northeast-1", "us-west-1", "us-east-1", "eu-central-1", "eu-west-1", "me-east-1",
	} {
		endpoints = append(endpoints,
			ProviderEndpoint{Key: region, Value: "https://registry." + region + ".aliyuncs.com"},
			ProviderEndpoint{Key: region + "-vpc", Value: "https://registry-vpc." + region + ".aliyuncs.com"},
			ProviderEndpoint{Key: region + "-internal", Value: "https://registry-internal." + region + ".aliyuncs.com"},
			ProviderEndpoint{Key: region + "-ee-vpc", Value: "https://instanceName-registry-vpc." + region + ".cr.aliyuncs.com"},
			ProviderEndpoint{Key: region + "-ee", Value: "https://instanceName-registry." + region + ".cr.aliyuncs.com"},
		)
	}
	return provider{info: ProviderInfo{Type: providerAliACR, EndpointPattern: listed("List", endpoints...)}, open: openAli}
}

func openAli(e Endpoint, o Options) (Adapter, error) {
	given, err := parseEndpoint(e)
	if err != nil {
		return nil, err
	}
	if parts := aliAPIHost.FindStringSubmatch(strings.ToLower(given.Host)); parts != nil {
		e.URL = "https://registry." + parts[1] + ".aliyuncs.com" // the API's address, as people know it from its documentation
	}
	if strings.HasPrefix(strings.ToLower(given.Host), "instancename-") {
		return nil, problem.New(problem.BadRequest, "put the name of your instance in the place of instanceName in %s", given)
	}
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	a := &ali{dockerRegistry: newDockerRegistry(c, providerAliACR), key: cloudsign.Key{ID: e.Credential.AccessKey, Secret: e.Credential.AccessSecret}}
	a.check = twoComponents("Alibaba's registry", "team/app")
	if e.Credential.empty() {
		return a, nil
	}
	c.auth.issuer = newIssuer(a.login)
	c.probe = func(ctx context.Context) error {
		here, err := a.place(ctx)
		if err != nil {
			return err
		}
		return issuedProbe(c, here.api)(ctx)
	}
	a.repositories, a.prepare, a.deleteTag, a.times = a.list, a.create, a.untag, a.pushed
	return a, nil
}

// place learns from the challenge where the registry is: "registry.aliyuncs.com:cn-hangzhou:26842"
// or "registry.aliyuncs.com:cn-hangzhou:china:cri-xxxx".
func (a *ali) place(ctx context.Context) (*aliPlace, error) {
	offer, err := a.client.auth.learn(ctx)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(offer.params["service"], ":")
	if len(parts) < 2 || parts[0] != "registry.aliyuncs.com" || !aliRegion.MatchString(parts[1]) {
		return nil, problem.New(problem.BadRequest, "%s does not answer as a registry of Alibaba Cloud: check the URL", a.client.URL())
	}
	instance := ""
	if last := parts[len(parts)-1]; aliID.MatchString(last) {
		instance = last
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.here == nil {
		base := &url.URL{Scheme: "https", Host: "cr." + parts[1] + ".aliyuncs.com"}
		a.here = &aliPlace{api: &api{client: a.client.beside(base), authorize: a.sign, pace: rate.NewLimiter(aliCalls, aliCalls)}, instance: instance}
	}
	return a.here, nil
}

func (a *ali) sign(_ context.Context, r *request) error {
	header := map[string]string{}
	if r.body != nil {
		header["content-type"] = r.header.Get("Content-Type")
	}
	for name, value := range cloudsign.Alibaba(cloudsign.Request{
		Method: r.method, Host: r.url.Host, Path: r.url.EscapedPath(), Query: r.url.Query(), Body: r.body, Header: header,
	}, a.key, r.header.Get("X-Acs-Action"), r.header.Get("X-Acs-Version"), rand.Text(), time.Now()) {
		r.header.Set(name, value)
	}
	return nil
}

// enterprise calls an action of the enterprise edition.
func (a *ali) enterprise(ctx context.Context, here *aliPlace, action string, query url.Values, out any) error {
	query.Set("InstanceId", here.instance)
	u := here.api.client.endpoint("")
	u.RawQuery = cloudsign.Query(query)
	var raw json.RawMessage
	answer, err := here.api.do(ctx, call{
		method: http.MethodPost, url: u, header: http.Header{"X-Acs-Action": {action}, "X-Acs-Version": {aliEnterprise}},
		needs: fmt.Sprintf("the permission cr:%s is needed, and the key of %s has not got it or is wrong", action, a.client.auth.account()),
	}, &raw)
	if err != nil {
		return err
	}
	var verdict struct {
		IsSuccess *bool
		Code      string
	}
	if json.Unmarshal(raw, &verdict) == nil && verdict.IsSuccess != nil && !*verdict.IsSuccess {
		e := answer.fail()
		e.Status = http.StatusBadRequest
		readFailure(e, answer)
		return e
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// personal calls an action of the personal edition.
func (a *ali) personal(ctx context.Context, here *aliPlace, method, path, action string, query url.Values, in, out any) error {
	u := here.api.client.endpoint(path)
	u.RawQuery = cloudsign.Query(query)
	_, err := here.api.do(ctx, call{
		method: method, url: u, in: in, header: http.Header{"X-Acs-Action": {action}, "X-Acs-Version": {aliPersonal}},
		needs: fmt.Sprintf("the permission cr:%s is needed, and the key of %s has not got it or is wrong", action, a.client.auth.account()),
	}, out)
	return err
}

func (a *ali) login(ctx context.Context) (Credential, time.Time, error) {
	here, err := a.place(ctx)
	if err != nil {
		return Credential{}, time.Time{}, err
	}
	var user, token string
	var expires int64 // milliseconds
	if here.instance != "" {
		var got struct {
			TempUsername, AuthorizationToken string
			ExpireTime                       int64
		}
		err = a.enterprise(ctx, here, "GetAuthorizationToken", url.Values{}, &got)
		user, token, expires = got.TempUsername, got.AuthorizationToken, got.ExpireTime
	} else {
		var got struct {
			Data struct {
				TempUserName, AuthorizationToken string
				ExpireDate                       int64
			} `json:"data"`
		}
		err = a.personal(ctx, here, http.MethodGet, "tokens", "GetAuthorizationToken", nil, nil, &got)
		user, token, expires = got.Data.TempUserName, got.Data.AuthorizationToken, got.Data.ExpireDate
	}
	if err != nil {
		return Credential{}, time.Time{}, err
	}
	if token == "" {
		return Credential{}, time.Time{}, fmt.Errorf("GetAuthorizationToken at %s: the answer has no token", here.api.client.Host())
	}
	return Credential{AccessKey: user, AccessSecret: token}, time.UnixMilli(expires), nil
}

func (a *ali) list(ctx context.Context, m *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		here, err := a.place(ctx)
		if err != nil {
			yield("", listFailed(a.client, err))
			return
		}
		namespaces, ok := namespacesOf(m)
		if !ok {
			if namespaces, err = a.namespaces(ctx, here); err != nil {
				yield("", listFailed(a.client, err))
				return
			}
		}
		for _, namespace := range namespaces {
			for n, seen := 1, 0; ; n++ {
				names, total, err := a.page(ctx, here, namespace, n)
				if IsNotFound(err) && ok {
					break
				}
				if err != nil {
					yield("", fmt.Errorf("list the repositories of %s at %s: %w", namespace, a.client.Host(), err))
					return
				}
				for _, name := range names {
					if !yield(namespace+"/"+name, nil) {
						return
					}
				}
				if seen += len(names); len(names) == 0 || seen >= total {
					break
				}
			}
		}
	}
}

func pageOf(n int) url.Values {
	return url.Values{"PageNo": {fmt.Sprint(n)}, "PageSize": {fmt.Sprint(aliPage)}}
}

// namespaces lists those of the account.
func (a *ali) namespaces(ctx context.Context, here *aliPlace) (names []string, err error) {
	if here.instance == "" {
		var got struct {
			Data struct {
				Namespaces []struct{ Namespace string }
			} `json:"data"`
		}
		err = a.personal(ctx, here, http.MethodGet, "namespace", "GetNamespaceList", nil, nil, &got)
		for _, n := range got.Data.Namespaces {
			names = append(names, n.Namespace)
		}
		return names, err
	}
	for n := 1; ; n++ {
		var got struct {
			Namespaces []struct{ NamespaceName string }
			TotalCount json.Number // a text
		}
		if err := a.enterprise(ctx, here, "ListNamespace", pageOf(n), &got); err != nil {
			return nil, err
		}
		for _, found := range got.Namespaces {
			names = append(names, found.NamespaceName)
		}
		if total, _ := got.TotalCount.Int64(); len(got.Namespaces) == 0 || int64(len(names)) >= total {
			return names, nil
		}
	}
}

// page lists some repositories of a namespace, and how many there are in all.
func (a *ali) page(ctx context.Context, here *aliPlace, namespace string, n int) (names []string, total int, err error) {
	if here.instance == "" {
		var got struct {
			Data struct {
				Total int
				Repos []struct{ RepoName string }
			} `json:"data"`
		}
		query := url.Values{"Page": {fmt.Sprint(n)}, "PageSize": {fmt.Sprint(aliPage)}}
		err = a.personal(ctx, here, http.MethodGet, "repos/"+url.PathEscape(namespace), "GetRepoListByNamespace", query, nil, &got)
		for _, r := range got.Data.Repos {
			names = append(names, r.RepoName)
		}
		return names, got.Data.Total, err
	}
	var got struct {
		Repositories []struct{ RepoName string }
		TotalCount   json.Number
	}
	query := pageOf(n)
	query.Set("RepoNamespaceName", namespace)
	query.Set("RepoStatus", "NORMAL")
	err = a.enterprise(ctx, here, "ListRepository", query, &got)
	for _, r := range got.Repositories {
		names = append(names, r.RepoName)
	}
	count, _ := got.TotalCount.Int64()
	return names, int(count), err
}

// create makes the namespace, which makes repositories as they are pushed to; where it
// does not, the repository too. All are private: what is public to those who reach the
// source would here be public to the world.
func (a *ali) create(ctx context.Context, repository string, _ bool) error {
	here, err := a.place(ctx)
	if err != nil {
		return err
	}
	namespace, name, _ := strings.Cut(repository, "/")
	if here.instance == "" {
		err := a.personal(ctx, here, http.MethodGet, "namespace/"+namespace, "GetNamespace", nil, nil, nil)
		if err == nil || !IsNotFound(err) {
			return keepTemporary(err)
		}
		in := map[string]any{"Namespace": map[string]string{"Namespace": namespace}}
		if err := a.personal(ctx, here, http.MethodPut, "namespace", "CreateNamespace", nil, in, nil); err != nil && !isConflict(err) {
			return fmt.Errorf("make the namespace %s: %w", namespace, err)
		}
		return nil
	}
	var found struct {
		Namespaces []struct {
			NamespaceName  string
			AutoCreateRepo bool
		}
	}
	query := pageOf(1)
	query.Set("NamespaceName", namespace)
	if err := a.enterprise(ctx, here, "ListNamespace", query, &found); err != nil && !IsNotFound(err) {
		return keepTemporary(err)
	}
	for _, n := range found.Namespaces {
		if n.NamespaceName != namespace {
			continue
		}
		if n.AutoCreateRepo {
			return nil
		}
		at := url.Values{"RepoNamespaceName": {namespace}, "RepoName": {name}}
		if err := a.enterprise(ctx, here, "GetRepository", at, nil); err == nil || !IsNotFound(err) {
			return keepTemporary(err)
		}
		at.Set("RepoType", aliPrivate)
		at.Set("Summary", name)
		if err := a.enterprise(ctx, here, "CreateRepository", at, nil); err != nil && !isConflict(err) {
			return fmt.Errorf("make the repository: %w", err)
		}
		return nil
	}
	err = a.enterprise(ctx, here, "CreateNamespace", url.Values{"NamespaceName": {namespace}, "AutoCreateRepo": {"true"}, "DefaultRepoType": {aliPrivate}}, nil)
	if err != nil && !isConflict(err) {
		return fmt.Errorf("make the namespace %s: %w", namespace, err)
	}
	return nil
}

// untag removes a tag at the enterprise edition. The personal one documents no such call.
func (a *ali) untag(ctx context.Context, repository, tag string) error {
	here, err := a.place(ctx)
	if err != nil {
		return err
	}
	if here.instance == "" {
		return ErrUnsupported
	}
	namespace, name, _ := strings.Cut(repository, "/")
	var found struct{ RepoId string }
	if err := a.enterprise(ctx, here, "GetRepository", url.Values{"RepoNamespaceName": {namespace}, "RepoName": {name}}, &found); err != nil {
		return err
	}
	return a.enterprise(ctx, here, "DeleteRepoTag", url.Values{"RepoId": {found.RepoId}, "Tag": {tag}}, nil)
}

// pushed tells when tags were set last, as both editions do.
func (a *ali) pushed(ctx context.Context, repository string) (map[string]time.Time, error) {
	here, err := a.place(ctx)
	if err != nil {
		return nil, err
	}
	namespace, name, _ := strings.Cut(repository, "/")
	var id struct{ RepoId string }
	if here.instance != "" {
		if err := a.enterprise(ctx, here, "GetRepository", url.Values{"RepoNamespaceName": {namespace}, "RepoName": {name}}, &id); err != nil {
			return nil, err
		}
	}
	times := map[string]time.Time{}
	for n, seen := 1, 0; ; n++ {
		var tags []aliTag
		var total int
		if here.instance == "" {
			var got struct {
				Data struct {
					Tags  []aliTag
					Total int
				} `json:"data"`
			}
			query := url.Values{"Page": {fmt.Sprint(n)}, "PageSize": {fmt.Sprint(aliPage)}}
			err = a.personal(ctx, here, http.MethodGet, "repos/"+repository+"/tags", "GetRepoTags", query, nil, &got)
			tags, total = got.Data.Tags, got.Data.Total
		} else {
			var got struct {
				Images     []aliTag
				TotalCount json.Number
			}
			query := pageOf(n)
			query.Set("RepoId", id.RepoId)
			err = a.enterprise(ctx, here, "ListRepoTag", query, &got)
			count, _ := got.TotalCount.Int64()
			tags, total = got.Images, int(count)
		}
		if err != nil {
			return nil, err
		}
		for _, t := range tags {
			setTime(times, t.Tag, t.ImageUpdate.String())
		}
		if seen += len(tags); len(tags) == 0 || seen >= total {
			return times, nil
		}
	}
}

// aliTag is a tag; its time is in milliseconds, as a number or a text.
type aliTag struct {
	Tag         string
	ImageUpdate json.Number
}
