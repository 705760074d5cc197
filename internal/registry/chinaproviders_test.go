package registry_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// Providers whose logins come from an API with signed calls. The registries are real
// ones, the APIs answer as they are documented.

// signed lets only calls pass that are signed by a key of a scheme.
func signed(t *testing.T, scheme, key string, w http.ResponseWriter, r *http.Request, refuse func()) bool {
	t.Helper()
	authorization := r.Header.Get("Authorization")
	if !strings.HasPrefix(authorization, scheme+" Credential=") || !strings.Contains(authorization, "Signature=") {
		t.Errorf("signed with %q", authorization)
	}
	if !strings.HasPrefix(authorization, scheme+" Credential="+key) {
		refuse()
		return false
	}
	return true
}

type tencent struct {
	*cloud
	registry *ts.Registry

	mu       sync.Mutex
	logins   int
	existing []string // namespaces and repositories
	made     []string
	throttle int // calls to answer with "too many"
}

func newTencent(t *testing.T) *tencent {
	c := &tencent{
		cloud: newCloud(t), registry: ts.Distribution(t, ts.WithTokenAuth("100001", "tcr-login", ts.TokenOptions{})),
		existing: []string{"fleet", "fleet/app", "fleet/web"},
	}
	c.serve("ships.tencentcloudcr.com", c.registry)
	c.handle("POST tcr.tencentcloudapi.com/", func(w http.ResponseWriter, r *http.Request) {
		in := given(t, r)
		c.mu.Lock()
		defer c.mu.Unlock()
		fail := func(code string) {
			reply(w, map[string]any{"Response": map[string]any{"Error": map[string]string{"Code": code, "Message": "in words"}, "RequestId": "1"}})
		}
		if !signed(t, "TC3-HMAC-SHA256", "AKIDgood/", w, r, func() { fail("AuthFailure.SecretIdNotFound") }) {
			return
		}
		if c.throttle > 0 {
			c.throttle--
			fail("RequestLimitExceeded")
			return
		}
		action := r.Header.Get("X-TC-Action")
		if action != "DescribeInstances" && (in["RegistryId"] != "tcr-1" || r.Header.Get("X-TC-Region") != "ap-shanghai") || r.Header.Get("X-TC-Version") != "2019-09-24" {
			t.Errorf("%s of %v in %s", action, in["RegistryId"], r.Header.Get("X-TC-Region"))
		}
		answer := func(v map[string]any) { reply(w, map[string]any{"Response": v}) }
		namespace, name := fmt.Sprint(in["NamespaceName"]), fmt.Sprint(in["RepositoryName"])
		switch action {
		case "DescribeInstances":
			answer(map[string]any{"TotalCount": 2, "Registries": []map[string]string{
				{"RegistryId": "tcr-2", "RegistryName": "ships2", "RegionName": "ap-beijing"},
				{"RegistryId": "tcr-1", "RegistryName": "ships", "RegionName": "ap-shanghai"},
			}})
		case "CreateInstanceToken":
			c.logins++
			answer(map[string]any{"Username": "100001", "Token": "tcr-login", "ExpTime": time.Now().Add(time.Hour).UnixMilli()})
		case "DescribeRepositories":
			list := []map[string]string{{"Namespace": "fleet", "Name": "fleet/app"}, {"Namespace": "fleet", "Name": "web"}}
			if in["RepositoryName"] != nil { // a search, for what is like it too
				if namespace != "fleet" {
					list = nil
				}
				answer(map[string]any{"TotalCount": len(list), "RepositoryList": list})
				return
			}
			n, _ := in["Offset"].(float64) // the number of a page; here of one
			if n < 1 || int(n) > len(list) {
				answer(map[string]any{"TotalCount": len(list)})
				return
			}
			answer(map[string]any{"TotalCount": len(list), "RepositoryList": list[int(n)-1 : int(n)]})
		case "DescribeImages":
			list := []map[string]string{{"ImageVersion": "v1", "UpdateTime": "2026-05-06T07:08:09.000Z"}}
			if in["Offset"] != 1.0 {
				list = nil
			}
			answer(map[string]any{"TotalCount": 1, "ImageInfoList": list})
		case "DescribeNamespaces":
			var list []map[string]string
			if slices.Contains(c.existing, namespace) {
				list = append(list, map[string]string{"Name": namespace})
			}
			answer(map[string]any{"NamespaceList": list})
		case "CreateNamespace":
			if namespace == "forbidden" {
				fail("UnauthorizedOperation")
				return
			}
			c.made = append(c.made, fmt.Sprint(namespace, " ", in["IsPublic"]))
			answer(map[string]any{})
		case "CreateRepository":
			if slices.Contains(c.existing, namespace+"/"+name) {
				fail("InvalidParameter.ErrorRepoExist")
				return
			}
			c.made = append(c.made, namespace+"/"+name)
			answer(map[string]any{})
		default:
			t.Errorf("unknown action %q", action)
		}
	})
	return c
}

func (c *tencent) endpoint() registry.Endpoint {
	return registry.Endpoint{
		Provider: "tencent-tcr", URL: "https://ships.tencentcloudcr.com", Credential: registry.Credential{AccessKey: "AKIDgood", AccessSecret: "tencent-secret"},
	}
}

func TestTencent(t *testing.T) {
	t.Parallel()
	c := newTencent(t)
	image := ts.Image(t, 930, 1, 10)
	ts.Push(t, c.registry, "fleet/app", "v1", image)
	ts.Push(t, c.registry, "fleet/web", "v1", image)
	c.throttle = 2
	a := c.adapter(c.endpoint())
	if err := a.Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app:v1", "fleet/web:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	if c.logins != 1 {
		t.Errorf("%d logins were got", c.logins)
	}
	wantTime(t, a)
	if err := a.Prepare(t.Context(), []string{"fleet/app", "new/deep/er"}, map[string]bool{"new": true}); err != nil || !slices.Equal(c.made, []string{"new false", "new/deep/er"}) {
		t.Errorf("%v, made %q", err, c.made)
	}
	if err := a.Prepare(t.Context(), []string{"forbidden/app"}, nil); !registry.IsUnauthorized(err) || !strings.Contains(err.Error(), "tcr:CreateNamespace") {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "fleet/app", "v1"); !isUnsupported(err) {
		t.Errorf("nothing says that DeleteImage leaves other tags alone: %v", err)
	}
	if hosts := c.knows("tencent-secret"); len(hosts) > 0 {
		t.Errorf("the secret was shown to %q", hosts)
	}
}

func TestAPingOfTencentTellsCauses(t *testing.T) {
	t.Parallel()
	c := newTencent(t)
	e := c.endpoint()
	e.Credential.AccessKey = "AKIDbad"
	err := c.adapter(e).Client().Ping(t.Context())
	if p := cause(t, err); p.Cause != registry.CauseUnauthorized || !strings.Contains(p.Message, `"AKIDbad"`) || strings.Contains(p.Message, "tencent-secret") {
		t.Errorf("%v", err)
	}
	for name, change := range map[string]func(*registry.Endpoint){
		"docker login":  func(e *registry.Endpoint) { e.Credential.AccessKey = "100001" },
		"another host":  func(e *registry.Endpoint) { e.URL = "https://ships.example" },
		"no TLS":        func(e *registry.Endpoint) { e.URL = "http://ships.tencentcloudcr.com" },
		"only a suffix": func(e *registry.Endpoint) { e.URL = "https://a.ships.tencentcloudcr.com" },
	} {
		e := c.endpoint()
		change(&e)
		if _, err := registry.NewAdapter(e, quick); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVolcengine(t *testing.T) {
	t.Parallel()
	const host = "our-ships-cn-beijing.cr.volces.com"
	c := newCloud(t)
	r := ts.Distribution(t, ts.WithTokenAuth("ship@1", "volc-login", ts.TokenOptions{}))
	c.serve(host, r)
	image := ts.Image(t, 931, 1, 10)
	ts.Push(t, r, "fleet/app", "v1", image)
	ts.Push(t, r, "fleet/web", "v1", image)
	var made []string
	c.handle("POST cr.cn-beijing.volcengineapi.com/", func(w http.ResponseWriter, req *http.Request) {
		in := given(t, req)
		fail := func(status int, code string) {
			w.WriteHeader(status)
			reply(w, map[string]any{"ResponseMetadata": map[string]any{"Error": map[string]string{"Code": code, "Message": "in words"}}})
		}
		if !signed(t, "HMAC-SHA256", "AKLTgood/", w, req, func() { fail(http.StatusUnauthorized, "InvalidAccessKey") }) {
			return
		}
		if in["Registry"] != "our-ships" || req.FormValue("Version") != "2022-05-12" {
			t.Errorf("%v, version %q", in["Registry"], req.FormValue("Version"))
		}
		answer := func(v map[string]any) {
			reply(w, map[string]any{"ResponseMetadata": map[string]any{"RequestId": "1"}, "Result": v})
		}
		switch action := req.FormValue("Action"); action {
		case "GetAuthorizationToken":
			answer(map[string]any{"Username": "ship@1", "Token": "volc-login", "ExpireTime": time.Now().Add(time.Hour).Format(time.RFC3339)})
		case "ListRepositories":
			if filter, ok := in["Filter"].(map[string]any); ok && filter["Names"] != nil {
				var items []map[string]string
				if fmt.Sprint(filter["Namespaces"], filter["Names"]) == "[fleet] [app]" {
					items = append(items, map[string]string{"Namespace": "fleet", "Name": "app"})
				}
				answer(map[string]any{"Items": items, "TotalCount": len(items)})
				return
			}
			name := map[any]string{1.0: "app", 2.0: "web"}[in["PageNumber"]]
			answer(map[string]any{"Items": []map[string]string{{"Namespace": "fleet", "Name": name}}, "TotalCount": 2})
		case "ListNamespaces":
			var items []map[string]string
			if filter, ok := in["Filter"].(map[string]any); ok && fmt.Sprint(filter["Names"]) == "[fleet]" {
				items = append(items, map[string]string{"Name": "fleet"})
			}
			answer(map[string]any{"Items": items, "TotalCount": len(items)})
		case "CreateNamespace":
			if in["Name"] == "fleet" {
				t.Error("a namespace that is there was made again")
			}
			made = append(made, fmt.Sprint(in["Name"]))
			answer(nil)
		case "CreateRepository":
			made = append(made, fmt.Sprint(in["Namespace"], "/", in["Name"], " ", in["AccessLevel"]))
			answer(nil)
		case "ListTags":
			answer(map[string]any{"Items": []map[string]string{{"Name": "v1", "PushTime": "2026-05-06T15:08:09+08:00"}}, "TotalCount": 1})
		case "DeleteTags":
			if fmt.Sprint(in["Namespace"], in["Repository"], in["Names"]) != "fleet app [v1]" && fmt.Sprint(in["Names"]) != "[v1]" {
				fail(http.StatusNotFound, "NotFound.Tag")
				return
			}
			answer(nil)
		default:
			t.Errorf("unknown action %q", action)
		}
	})
	e := registry.Endpoint{Provider: "volcengine-cr", URL: "https://" + host, Credential: registry.Credential{AccessKey: "AKLTgood", AccessSecret: "volc-secret"}}
	a := c.adapter(e)
	if err := a.Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app:v1", "fleet/web:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	wantTime(t, a)
	err := a.Prepare(t.Context(), []string{"fleet/app", "fleet/new", "open/x"}, map[string]bool{"open": true})
	if want := []string{"fleet/new Private", "open", "open/x Private"}; err != nil || !slices.Equal(made, want) {
		t.Errorf("%v, made %q, want %q", err, made, want)
	}
	if err := a.DeleteTag(t.Context(), "fleet/app", "v1"); err != nil {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "fleet/app", "gone"); !registry.IsNotFound(err) {
		t.Error(err)
	}
	if hosts := c.knows("volc-secret"); len(hosts) > 0 {
		t.Errorf("the secret was shown to %q", hosts)
	}
	e.Credential.AccessKey = "AKLTbad"
	if p := cause(t, c.adapter(e).Client().Ping(t.Context())); p.Cause != registry.CauseUnauthorized {
		t.Errorf("%v", p)
	}
	for _, url := range []string{"https://ships.example", "http://" + host, "https://cr.volces.com", "https://" + host + ".example"} {
		e.URL = url
		if _, err := registry.NewAdapter(e, quick); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestHuawei(t *testing.T) {
	t.Parallel()
	const host = "swr.cn-north-4.myhuaweicloud.com"
	m := hmac.New(sha256.New, []byte("sk-1"))
	m.Write([]byte("AK1"))
	loginKey := hex.EncodeToString(m.Sum(nil))
	c := newCloud(t)
	r := ts.Distribution(t, ts.WithTokenAuth("cn-north-4@AK1", loginKey, ts.TokenOptions{}))
	c.serve(host, r)
	image := ts.Image(t, 932, 1, 10)
	ts.Push(t, r, "fleet/app", "v1", image)
	ts.Push(t, r, "fleet/deep/er", "v1", image)
	ts.Push(t, r, "other/app", "v1", image)
	guarded := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if user, password, _ := req.BasicAuth(); user != "cn-north-4@AK1" || password != loginKey {
				w.WriteHeader(http.StatusUnauthorized)
				reply(w, map[string]any{"errors": []map[string]string{{"errorCode": "SVCSTG.SWR.4010000", "errorMessage": "Authenticate Error"}}})
				return
			}
			h(w, req)
		}
	}
	c.handle("GET "+host+"/dockyard/v2/repositories", guarded(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, []map[string]string{
			{"namespace": "fleet", "name": "app"}, {"namespace": "fleet", "name": "deep$er"}, {"namespace": "other", "name": "app"},
		})
	}))
	var made []string
	c.handle("GET "+host+"/dockyard/v2/namespaces/{ns}", guarded(func(w http.ResponseWriter, req *http.Request) {
		switch req.PathValue("ns") {
		case "fleet":
			reply(w, map[string]string{"name": "fleet"})
		case "empty": // how some say that there is none
			reply(w, map[string]string{})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	c.handle("POST "+host+"/dockyard/v2/namespaces", guarded(func(w http.ResponseWriter, req *http.Request) {
		in := given(t, req)
		if in["namespace"] == "forbidden" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		made = append(made, fmt.Sprint(in["namespace"]))
		w.WriteHeader(http.StatusCreated)
	}))
	for name, credential := range map[string]registry.Credential{
		"an access key":    {AccessKey: "AK1", AccessSecret: "sk-1"},
		"a login, made up": {AccessKey: "cn-north-4@AK1", AccessSecret: loginKey},
	} {
		made = nil
		a := c.adapter(registry.Endpoint{Provider: "huawei-SWR", URL: "https://" + host, Credential: credential})
		if err := a.Client().Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all, failures := listed(t, a, matcher(t, named("fleet/**")))
		if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app:v1", "fleet/deep/er:v1"}) || len(failures) > 0 {
			t.Errorf("%s: %q, %v", name, got, failures)
		}
		if err := a.Prepare(t.Context(), []string{"fleet/x", "empty/x", "new/x"}, nil); err != nil || !slices.Equal(made, []string{"empty", "new"}) {
			t.Errorf("%s: %v, made %q", name, err, made)
		}
		if err := a.Prepare(t.Context(), []string{"forbidden/x"}, nil); !registry.IsUnauthorized(err) || !strings.Contains(err.Error(), "swr:namespace:create") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := registry.Endpoint{Provider: "huawei-SWR", URL: "https://" + host, Credential: registry.Credential{AccessKey: "AK1", AccessSecret: "nope"}}
	if p := cause(t, c.adapter(wrong).Client().Ping(t.Context())); p.Cause != registry.CauseUnauthorized {
		t.Errorf("%v", p)
	}
}

func TestAlibaba(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		host, service string
		enterprise    bool
	}{
		"enterprise": {"ships-registry.cn-hangzhou.cr.aliyuncs.com", "registry.aliyuncs.com:cn-hangzhou:china:cri-abc123", true},
		"personal":   {"registry.cn-hangzhou.aliyuncs.com", "registry.aliyuncs.com:cn-hangzhou:26842", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			made := aliCloud(t, c, test.host, test.service)
			e := registry.Endpoint{Provider: "ali-acr", URL: "https://" + test.host, Credential: registry.Credential{AccessKey: "LTAIgood", AccessSecret: "ali-secret"}}
			a := c.adapter(e)
			if err := a.Client().Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			all, failures := listed(t, a, nil)
			if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app:v1", "fleet/web:v1", "other/tool:v1"}) || len(failures) > 0 {
				t.Errorf("%q, %v", got, failures)
			}
			wantTime(t, a)
			if err := a.Prepare(t.Context(), []string{"fleet/app", "strict/new", "fresh/app"}, map[string]bool{"fresh": true}); err != nil {
				t.Fatal(err)
			}
			want := []string{"fresh"}
			if test.enterprise {
				want = []string{"strict/new PRIVATE", "fresh true PRIVATE"}
			}
			if got := made(); !slices.Equal(got, want) {
				t.Errorf("made %q, want %q", got, want)
			}
			err := a.DeleteTag(t.Context(), "fleet/app", "v1")
			if test.enterprise && err != nil || !test.enterprise && !isUnsupported(err) {
				t.Error(err)
			}
			if err := a.CheckRepository("a/b/c"); !problem.Is(err, problem.BadRequest) {
				t.Error(err)
			}
			if hosts := c.knows("ali-secret"); len(hosts) > 0 {
				t.Errorf("the secret was shown to %q", hosts)
			}
			e.Credential.AccessKey = "LTAIbad"
			if p := cause(t, c.adapter(e).Client().Ping(t.Context())); p.Cause != registry.CauseUnauthorized || !strings.Contains(p.Message, `"LTAIbad"`) {
				t.Errorf("%v", p)
			}
		})
	}
}

// aliCloud is Alibaba Cloud with a registry at a host; made tells what was made there.
func aliCloud(t *testing.T, c *cloud, host, service string) (made func() []string) {
	r := ts.Distribution(t)
	image := ts.Image(t, 933, 1, 10)
	for _, name := range []string{"fleet/app", "fleet/web", "other/tool"} {
		ts.Push(t, r, name, "v1", image)
	}
	behind := newCloud(t)
	behind.serve("behind", r)
	c.handle("GET "+host+"/v2/", func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer ali-access" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://dockerauth.cn-hangzhou.aliyuncs.com/auth",service="`+service+`"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		req.Host = "behind"
		behind.mux.ServeHTTP(w, req)
	})
	c.handle("GET dockerauth.cn-hangzhou.aliyuncs.com/auth", func(w http.ResponseWriter, req *http.Request) {
		if user, password, _ := req.BasicAuth(); user != "cr_temp_user" || password != "ali-login" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(w, map[string]string{"token": "ali-access"})
	})
	var mu sync.Mutex
	var things []string
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		things = append(things, text)
	}
	api := func(w http.ResponseWriter, req *http.Request) {
		fail := func(status int, code string) {
			w.WriteHeader(status)
			reply(w, map[string]string{"Code": code, "Message": "in words"})
		}
		if !signed(t, "ACS3-HMAC-SHA256", "LTAIgood,", w, req, func() { fail(http.StatusNotFound, "InvalidAccessKeyId.NotFound") }) {
			return
		}
		expires := time.Now().Add(time.Hour).UnixMilli()
		answer := func(v map[string]any) { v["IsSuccess"] = true; v["Code"] = "success"; reply(w, v) }
		namespace, repository := req.FormValue("RepoNamespaceName"), req.FormValue("RepoName")
		switch action := req.Header.Get("X-Acs-Action"); req.Header.Get("X-Acs-Version") + " " + action {
		case "2018-12-01 GetAuthorizationToken":
			answer(map[string]any{"TempUsername": "cr_temp_user", "AuthorizationToken": "ali-login", "ExpireTime": expires})
		case "2018-12-01 ListNamespace":
			all := []map[string]any{{"NamespaceName": "fleet", "AutoCreateRepo": true}, {"NamespaceName": "other", "AutoCreateRepo": true}}
			switch req.FormValue("NamespaceName") {
			case "":
			case "fleet":
				all = all[:1]
			case "strict":
				all = []map[string]any{{"NamespaceName": "strict"}}
			default:
				all = nil
			}
			answer(map[string]any{"Namespaces": all, "TotalCount": fmt.Sprint(len(all))})
		case "2018-12-01 ListRepository":
			answer(map[string]any{"Repositories": aliRepositories(namespace, req.FormValue("PageNo")), "TotalCount": map[string]string{"fleet": "2"}[namespace] + map[string]string{"other": "1"}[namespace]})
		case "2018-12-01 GetRepository":
			if repository == "new" {
				reply(w, map[string]any{"IsSuccess": false, "Code": "REPO_NOT_EXIST"})
				return
			}
			answer(map[string]any{"RepoId": "crr-1"})
		case "2018-12-01 CreateRepository":
			note(namespace + "/" + repository + " " + req.FormValue("RepoType"))
			answer(map[string]any{})
		case "2018-12-01 CreateNamespace":
			note(req.FormValue("NamespaceName") + " " + req.FormValue("AutoCreateRepo") + " " + req.FormValue("DefaultRepoType"))
			answer(map[string]any{})
		case "2018-12-01 ListRepoTag":
			if req.FormValue("RepoId") != "crr-1" {
				t.Errorf("%v", req.Form)
			}
			answer(map[string]any{"Images": []map[string]any{{"Tag": "v1", "ImageUpdate": "1778051289000"}}, "TotalCount": "1"})
		case "2016-06-07 GetRepoTags":
			if req.URL.Path != "/repos/fleet/app/tags" {
				t.Errorf("%s", req.URL)
			}
			reply(w, map[string]any{"data": map[string]any{"total": 1, "tags": []map[string]any{{"tag": "v1", "imageUpdate": 1778051289000}}}})
		case "2018-12-01 DeleteRepoTag":
			if req.FormValue("RepoId") != "crr-1" || req.FormValue("Tag") != "v1" {
				t.Errorf("%v", req.Form)
			}
			answer(map[string]any{})
		case "2016-06-07 GetAuthorizationToken":
			reply(w, map[string]any{"data": map[string]any{"tempUserName": "cr_temp_user", "authorizationToken": "ali-login", "expireDate": expires}})
		case "2016-06-07 GetNamespaceList":
			reply(w, map[string]any{"data": map[string]any{"namespaces": []map[string]string{{"namespace": "fleet"}, {"namespace": "other"}}}})
		case "2016-06-07 GetRepoListByNamespace":
			ns := strings.TrimPrefix(req.URL.Path, "/repos/")
			var repos []map[string]string
			for _, r := range aliRepositories(ns, req.FormValue("Page")) {
				repos = append(repos, map[string]string{"repoName": r["RepoName"], "repoNamespace": ns})
			}
			reply(w, map[string]any{"data": map[string]any{"total": map[string]int{"fleet": 2, "other": 1}[ns], "repos": repos}})
		case "2016-06-07 GetNamespace":
			if req.URL.Path == "/namespace/fresh" {
				fail(http.StatusNotFound, "NAMESPACE_NOT_EXIST")
				return
			}
			reply(w, map[string]any{"data": map[string]any{}})
		case "2016-06-07 CreateNamespace":
			note(fmt.Sprint(given(t, req)["Namespace"].(map[string]any)["Namespace"]))
			reply(w, map[string]any{})
		default:
			t.Errorf("unknown action %q", action)
		}
	}
	for _, method := range []string{"GET", "POST", "PUT"} {
		c.handle(method+" cr.cn-hangzhou.aliyuncs.com/", api)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(things)
	}
}

// wantTime looks for the time of fleet/app:v1.
func wantTime(t *testing.T, a registry.Adapter) {
	t.Helper()
	all, failures := listed(t, a, newest(t, named("fleet/app")))
	if len(failures) > 0 || len(all["fleet/app"]) != 1 {
		t.Fatalf("%v, %v", all, failures)
	}
	if got := all["fleet/app"][0].TagTimes["v1"]; !got.Equal(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)) {
		t.Errorf("pushed at %s", got)
	}
}

// aliRepositories pages by one.
func aliRepositories(namespace, page string) []map[string]string {
	name := map[string]string{"fleet 1": "app", "fleet 2": "web", "other 1": "tool"}[namespace+" "+page]
	if name == "" {
		return nil
	}
	return []map[string]string{{"RepoName": name, "RepoNamespaceName": namespace}}
}

func TestOnlyAlibabaIsAlibaba(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.handle("GET ships.example/v2/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://ships.example/token",service="registry.aliyuncs.com:evil.example/x:1"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	e := registry.Endpoint{Provider: "ali-acr", URL: "https://ships.example", Credential: registry.Credential{AccessKey: "LTAIgood", AccessSecret: "ali-secret"}}
	if err := c.adapter(e).Client().Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "Alibaba") {
		t.Errorf("%v", err)
	}
	e.URL = "https://instanceName-registry.cn-hangzhou.cr.aliyuncs.com"
	if _, err := registry.NewAdapter(e, quick); !problem.Is(err, problem.BadRequest) {
		t.Errorf("%v", err)
	}
}
