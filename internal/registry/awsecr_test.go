package registry_test

import (
	"encoding/base64"
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

const (
	ecrAPI      = "api.ecr.eu-central-1.amazonaws.com"
	ecrRegistry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
)

// ecrCloud is Amazon ECR: a real registry, and the API as it is documented.
type ecrCloud struct {
	*cloud
	registry *ts.Registry

	mu       sync.Mutex
	life     time.Duration // of the next passwords
	issued   int
	denied   string // an action that is not allowed
	existing []string
	made     []string
	keys     []string // the Credential of each signature
}

func newECR(t *testing.T) *ecrCloud {
	e := &ecrCloud{
		cloud: newCloud(t), registry: ts.Distribution(t, ts.WithBasicAuth("AWS", "ecr-password-1")), life: 12 * time.Hour,
		existing: []string{"team/app", "team/web"},
	}
	e.serve(ecrRegistry, e.registry)
	e.handle("POST "+ecrAPI+"/", e.answer)
	return e
}

func (e *ecrCloud) answer(w http.ResponseWriter, r *http.Request) {
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonEC2ContainerRegistry_V20150921.")
	in := given(e.t, r)
	e.mu.Lock()
	defer e.mu.Unlock()
	authorization := r.Header.Get("Authorization")
	if !strings.HasPrefix(authorization, "AWS4-HMAC-SHA256 Credential=") || !strings.Contains(authorization, "/eu-central-1/ecr/aws4_request") {
		e.t.Errorf("%s is signed with %q", action, authorization)
	}
	key, _, _ := strings.Cut(strings.TrimPrefix(authorization, "AWS4-HMAC-SHA256 Credential="), "/")
	e.keys = append(e.keys, key+" "+r.Header.Get("X-Amz-Security-Token"))
	fail := func(code, message string) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":"com.amazonaws.ecr#%s","message":%q}`, code, message)
	}
	switch {
	case key == "AKIAWRONG":
		fail("UnrecognizedClientException", "The security token included in the request is invalid.")
		return
	case action == e.denied:
		fail("AccessDeniedException", "User: arn:aws:iam::123456789012:user/ship is not authorized to perform: ecr:"+action)
		return
	}
	switch action {
	case "GetAuthorizationToken":
		e.issued++
		password := fmt.Sprintf("ecr-password-%d", e.issued)
		e.registry.SetPassword(password)
		reply(w, map[string]any{"authorizationData": []map[string]any{{
			"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + password)),
			"expiresAt":          float64(time.Now().Add(e.life).UnixMilli()) / 1000,
			"proxyEndpoint":      "https://" + ecrRegistry,
		}}})
	case "DescribeRepositories":
		if names, ok := in["repositoryNames"].([]any); ok {
			if !slices.Contains(e.existing, names[0].(string)) {
				fail("RepositoryNotFoundException", "The repository does not exist")
				return
			}
			reply(w, map[string]any{"repositories": []map[string]any{{"repositoryName": names[0]}}})
			return
		}
		if in["nextToken"] == nil {
			reply(w, map[string]any{"repositories": []map[string]string{{"repositoryName": e.existing[0]}}, "nextToken": "more"})
			return
		}
		reply(w, map[string]any{"repositories": []map[string]string{{"repositoryName": e.existing[1]}}})
	case "CreateRepository":
		name := in["repositoryName"].(string)
		if slices.Contains(e.existing, name) {
			fail("RepositoryAlreadyExistsException", "The repository already exists")
			return
		}
		e.existing, e.made = append(e.existing, name), append(e.made, name)
		reply(w, map[string]any{})
	case "DescribeImages":
		if in["nextToken"] == nil {
			reply(w, map[string]any{"imageDetails": []map[string]any{{"imageTags": []string{"v1"}, "imagePushedAt": 1.7000000005e9}}, "nextToken": "more"})
			return
		}
		reply(w, map[string]any{"imageDetails": []map[string]any{{"imageTags": []string{"v2", "latest"}, "imagePushedAt": 1.7000001e9}}})
	case "BatchDeleteImage":
		image := in["imageIds"].([]any)[0].(map[string]any)
		if image["imageTag"] != "v1" {
			reply(w, map[string]any{"failures": []map[string]any{{"failureCode": "ImageNotFound", "failureReason": "Requested image not found"}}})
			return
		}
		reply(w, map[string]any{"imageIds": []any{image}})
	default:
		e.t.Errorf("unknown action %q", action)
	}
}

func (e *ecrCloud) endpoint() registry.Endpoint {
	return registry.Endpoint{
		Provider: "aws-ecr", URL: "https://" + ecrAPI, Credential: registry.Credential{AccessKey: "AKIAGOOD", AccessSecret: "aws-secret-key"},
	}
}

func TestECRIsFoundByItsAPIAndListed(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	image := ts.Image(t, 910, 1, 10)
	ts.Push(t, e.registry, "team/app", "v1", image)
	ts.Push(t, e.registry, "team/web", "v2", image)
	a := e.adapter(e.endpoint())
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"team/app:v1", "team/web:v2"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	if e.issued != 1 {
		t.Errorf("%d passwords were asked for", e.issued)
	}
	if hosts := e.knows("aws-secret-key"); len(hosts) > 0 {
		t.Errorf("the secret key was shown to %q", hosts)
	}
	if hosts := e.knows(base64.StdEncoding.EncodeToString([]byte("AWS:ecr-password-1"))); !slices.Equal(hosts, []string{ecrRegistry}) {
		t.Errorf("the registry's password was shown to %q", hosts)
	}
}

func TestAPasswordOfECRIsRenewedBeforeItRunsOut(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	e.life = time.Second // what is shorter than a minute counts as one: three quarters of it are used
	ts.Push(t, e.registry, "team/app", "v1", ts.Image(t, 911, 1, 10))
	c := e.adapter(e.endpoint()).Client()
	if _, err := c.Tags(t.Context(), "team/app"); err != nil {
		t.Fatal(err)
	}
	registry.Age(c, 46*time.Second)
	if _, err := c.Tags(t.Context(), "team/app"); err != nil {
		t.Fatal(err)
	}
	if e.issued != 2 {
		t.Errorf("%d passwords, want another one for the one that runs out", e.issued)
	}
}

func TestAPasswordOfECRThatWasTakenBackIsReplaced(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	ts.Push(t, e.registry, "team/app", "v1", ts.Image(t, 912, 1, 10))
	c := e.adapter(e.endpoint()).Client()
	if _, err := c.Tags(t.Context(), "team/app"); err != nil {
		t.Fatal(err)
	}
	e.registry.SetPassword("another")
	if _, err := c.Tags(t.Context(), "team/app"); !registry.IsUnauthorized(err) {
		t.Errorf("a password just given out is not asked for again: %v", err)
	}
	registry.Age(c, 2*time.Minute)
	if _, err := c.Tags(t.Context(), "team/app"); err != nil {
		t.Error(err)
	}
	if e.issued != 2 {
		t.Errorf("%d passwords", e.issued)
	}
}

func TestRepositoriesAtECRAreMadeBeforeAPush(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	a := e.adapter(e.endpoint())
	if err := a.Prepare(t.Context(), []string{"team/app", "new/deep/er"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := a.Prepare(t.Context(), []string{"team/app", "new/deep/er"}, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.made, []string{"new/deep/er"}) || e.count("POST "+ecrAPI) != 3 {
		t.Errorf("made %q with %d calls", e.made, e.count("POST "+ecrAPI))
	}
	e.denied = "CreateRepository"
	err := a.Prepare(t.Context(), []string{"other/app"}, nil)
	if !registry.IsUnauthorized(err) || !strings.Contains(err.Error(), "ecr:CreateRepository") || !strings.Contains(err.Error(), `"AKIAGOOD"`) {
		t.Errorf("%v", err)
	}
	e.denied = "DescribeRepositories" // who may not look may still make
	if err := a.Prepare(t.Context(), []string{"blind/app", "team/web"}, nil); err != nil || !slices.Contains(e.made, "blind/app") {
		t.Errorf("%v, %q", err, e.made)
	}
}

func TestECRRemovesATag(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	a := e.adapter(e.endpoint())
	if err := a.DeleteTag(t.Context(), "team/app", "v1"); err != nil {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "team/app", "gone"); !registry.IsNotFound(err) {
		t.Error(err)
	}
}

func TestAPingOfECRTellsCauses(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	if err := e.adapter(e.endpoint()).Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	wrong := e.endpoint()
	wrong.Credential.AccessKey = "AKIAWRONG"
	err := e.adapter(wrong).Client().Ping(t.Context())
	if p := cause(t, err); p.Cause != registry.CauseUnauthorized || !strings.Contains(p.Message, `"AKIAWRONG"`) {
		t.Errorf("%v", err)
	}
	e.denied = "GetAuthorizationToken"
	err = e.adapter(e.endpoint()).Client().Ping(t.Context())
	if p := cause(t, err); p.Cause != registry.CauseForbidden || !strings.Contains(p.Message, "ecr:GetAuthorizationToken") {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "aws-secret-key") {
		t.Errorf("the secret is in the message: %v", err)
	}
}

func TestAThrottledCallIsRepeated(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	var n counter
	c.handle("POST "+ecrAPI+"/", func(w http.ResponseWriter, _ *http.Request) {
		if n.next() < 4 {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
			return
		}
		reply(w, map[string]any{"repositories": []map[string]string{{"repositoryName": "team/app"}}})
	})
	e := registry.Endpoint{Provider: "aws-ecr", URL: "https://" + ecrRegistry, Credential: registry.Credential{AccessKey: "AKIAGOOD", AccessSecret: "s"}}
	if err := c.adapter(e).Prepare(t.Context(), []string{"team/app"}, nil); err != nil || n.Load() != 4 {
		t.Errorf("%v after %d calls", err, n.Load())
	}
}

func TestOnlyAmazonIsECR(t *testing.T) {
	t.Parallel()
	for url, fits := range map[string]bool{
		"https://api.ecr.us-east-1.amazonaws.com":                        true,
		"https://123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":       true,
		"https://api.ecr.cn-north-1.amazonaws.com":                       true,
		"https://123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com":  true,
		"http://api.ecr.us-east-1.amazonaws.com":                         false,
		"https://api.ecr.us-east-1.amazonaws.com.evil.example":           false,
		"https://api.ecr.us-east-1.amazonaws.com:8443":                   false,
		"https://evil.example/api.ecr.us-east-1.amazonaws.com":           false,
		"https://1.dkr.ecr.us-east-1.amazonaws.com":                      false,
		"https://xapi.ecr.us-east-1.amazonaws.com":                       false,
		"https://123456789012.dkr.ecr.us-east-1.amazonaws.com.example/x": false,
	} {
		_, err := registry.NewAdapter(registry.Endpoint{Provider: "aws-ecr", URL: url, Credential: registry.Credential{AccessKey: "a", AccessSecret: "b"}}, quick)
		if (err == nil) != fits || err != nil && !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestARegistryElsewhereGetsNoPassword: the API's answer must not lead away from Amazon.
func TestARegistryElsewhereGetsNoPassword(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.handle("POST "+ecrAPI+"/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"authorizationData": []map[string]any{{
			"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:password")), "proxyEndpoint": "https://evil.example",
		}}})
	})
	e := registry.Endpoint{Provider: "aws-ecr", URL: "https://" + ecrAPI, Credential: registry.Credential{AccessKey: "AKIAGOOD", AccessSecret: "s"}}
	if _, err := c.adapter(e).Client().Tags(t.Context(), "a/b"); err == nil || !strings.Contains(err.Error(), "none of Amazon's") {
		t.Errorf("%v", err)
	}
	if c.count("GET evil.example") != 0 {
		t.Error("it was asked")
	}
}

func TestALoginOfDockerWorksAtECR(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	ts.Push(t, e.registry, "team/app", "v1", ts.Image(t, 914, 1, 10))
	endpoint := registry.Endpoint{Provider: "aws-ecr", URL: "https://" + ecrRegistry, Credential: registry.Credential{AccessKey: "AWS", AccessSecret: "ecr-password-1"}}
	a := e.adapter(endpoint)
	if err := a.Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	all, failures := listed(t, a, matcher(t, named("team/app")))
	if got := tagsOf(all); !slices.Equal(got, []string{"team/app:v1"}) || len(failures) > 0 || e.issued != 0 {
		t.Errorf("%q, %v, %d passwords", got, failures, e.issued)
	}
	endpoint.URL = "https://" + ecrAPI
	if _, err := registry.NewAdapter(endpoint, quick); !problem.Is(err, problem.BadRequest) {
		t.Errorf("%v", err)
	}
}

func TestAServerWithoutAnIdentityAtAmazonIsToldSo(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	c := newCloud(t)
	for _, pattern := range []string{"PUT 169.254.169.254/", "GET 169.254.169.254/"} {
		c.handle(pattern, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	}
	err := c.adapter(registry.Endpoint{Provider: "aws-ecr", URL: "https://" + ecrAPI}).Client().Ping(t.Context())
	if p := cause(t, err); p.Cause != registry.CauseConfiguration || !strings.Contains(p.Message, "no identity at Amazon") || strings.Contains(p.Message, "\n") {
		t.Errorf("%v", err)
	}
}

func TestARoleIsAssumedByTheServersOwnIdentity(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIASERVER")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "server-secret")
	t.Setenv("AWS_SESSION_TOKEN", "server-session")
	e := newECR(t)
	e.handle("POST sts.eu-central-1.amazonaws.com/", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIASERVER/") || r.Header.Get("X-Amz-Security-Token") != "server-session" {
			t.Errorf("signed with %q", r.Header.Get("Authorization"))
		}
		if r.FormValue("RoleArn") != "arn:aws:iam::123456789012:role/pusher" || r.FormValue("ExternalId") != "our-customer" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
			<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-session</SessionToken>
			<Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	endpoint := e.endpoint()
	endpoint.Credential = registry.Credential{AccessKey: "arn:aws:iam::123456789012:role/pusher", AccessSecret: "our-customer"}
	if err := e.adapter(endpoint).Client().Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	endpoint.Credential = registry.Credential{}
	if err := e.adapter(endpoint).Client().Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"ASIAROLE role-session", "AKIASERVER server-session"}; !slices.Equal(e.keys, want) {
		t.Errorf("signed by %q, want %q", e.keys, want)
	}
	endpoint.Credential = registry.Credential{AccessKey: "arn:aws:iam::123456789012:user/pusher"}
	if _, err := registry.NewAdapter(endpoint, quick); !problem.Is(err, problem.BadRequest) {
		t.Errorf("%v", err)
	}
}

// TestAnUploadWhoseLoginRanOutMayBeTriedAgain: its body cannot be sent again here.
func TestAnUploadWhoseLoginRanOutMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	c := e.adapter(e.endpoint()).Client()
	blob := ts.Image(t, 913, 1, 1000).Blobs[0]
	up, err := c.StartUpload(t.Context(), "team/app")
	if err != nil {
		t.Fatal(err)
	}
	registry.Age(c, 2*time.Minute)
	e.registry.SetPassword("another")
	put := func() error {
		return up.Put(t.Context(), strings.NewReader(string(blob.Content)), int64(len(blob.Content)), blob.Digest)
	}
	if err := put(); !registry.IsTemporary(err) {
		t.Errorf("%v", err)
	}
	if err := put(); err != nil {
		t.Error(err)
	}
}

func TestAListThatRepeatsItselfEnds(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	var n counter
	c.handle("GET msr.example/api/v0/repositories", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Next-Page-Start", fmt.Sprint(n.next()))
		var page []map[string]string
		for i := range 1000 {
			page = append(page, map[string]string{"namespace": "fleet", "name": fmt.Sprint("app", i)})
		}
		reply(w, map[string]any{"repositories": page})
	})
	c.handle("GET msr.example/v2/", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"tags": []string{"v1"}}) })
	all, failures := listed(t, c.adapter(registry.Endpoint{Provider: "dtr", URL: "https://msr.example"}), nil)
	if err := failures[""]; len(all) != 1000 || err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("%d repositories, %v", len(all), failures)
	}
}
