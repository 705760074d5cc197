package replication_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// amazon is Amazon ECR as a rule meets it: a registry that takes pushes only to
// repositories that its API has made, and only with the password that the API gives.
type amazon struct {
	t        *testing.T
	registry *ts.Registry
	api      *httptest.Server
	direct   http.Transport

	mu           sync.Mutex
	repositories map[string]bool
	refused      int
}

const amazonRegistry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"

func newAmazon(t *testing.T) *amazon {
	a := &amazon{t: t, registry: ts.Distribution(t, ts.WithMemory(), ts.WithBasicAuth("AWS", "ecr-password")), repositories: map[string]bool{}}
	a.api = httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(func() {
		a.direct.CloseIdleConnections()
		a.api.Close()
	})
	return a
}

// RoundTrip leads Amazon's hosts to the test's.
func (a *amazon) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	to := a.api.URL
	if r.URL.Host == amazonRegistry {
		to = a.registry.URL
		name, _, upload := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/uploads/")
		a.mu.Lock()
		missing := upload && !a.repositories[name]
		if missing {
			a.refused++
		}
		a.mu.Unlock()
		if missing {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.WriteString(`{"errors":[{"code":"NAME_UNKNOWN","message":"The repository does not exist"}]}`)
			return w.Result(), nil
		}
	}
	at, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	out.URL.Scheme, out.URL.Host, out.Host = at.Scheme, at.Host, r.URL.Host
	return a.direct.RoundTrip(out)
}

func (a *amazon) answer(w http.ResponseWriter, r *http.Request) {
	var in struct {
		RepositoryName  string   `json:"repositoryName"`
		RepositoryNames []string `json:"repositoryNames"`
		ImageIDs        []struct {
			ImageTag string `json:"imageTag"`
		} `json:"imageIds"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		a.t.Error(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var out any = map[string]any{}
	switch action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonEC2ContainerRegistry_V20150921."); action {
	case "GetAuthorizationToken":
		out = map[string]any{"authorizationData": []map[string]any{{
			"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:ecr-password")),
			"expiresAt":          time.Now().Add(12 * time.Hour).Unix(), "proxyEndpoint": "https://" + amazonRegistry,
		}}}
	case "DescribeRepositories":
		if len(in.RepositoryNames) == 1 && !a.repositories[in.RepositoryNames[0]] {
			w.WriteHeader(http.StatusBadRequest)
			out = map[string]string{"__type": "RepositoryNotFoundException", "message": "no"}
		}
	case "CreateRepository":
		a.repositories[in.RepositoryName] = true
	case "BatchDeleteImage":
		ts.Delete(a.t, a.registry, in.RepositoryName, in.ImageIDs[0].ImageTag)
	default:
		a.t.Errorf("unknown action %q", action)
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		a.t.Error(err)
	}
}

func TestARuleMakesRepositoriesAtAmazonAndRemovesTagsThere(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), newAmazon(t)
	image := ts.Index(t, 940, "linux/amd64", "linux/arm64")
	ts.Push(t, source, "team/app", "v1", image)
	ts.Push(t, source, "team/web", "v1", image)

	frankfurt, err := replication.NewSide("frankfurt", registry.Endpoint{
		Provider: "aws-ecr", URL: "https://api.ecr.eu-central-1.amazonaws.com", Credential: registry.Credential{AccessKey: "AKIA", AccessSecret: "secret"},
	}, registry.Options{Attempts: 2, Transport: target}, replication.Books{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(frankfurt.Engine.Wait)
	route := replication.Route{
		Rule:   rule.Rule{DestNamespace: "mirror", ReplaceCount: 0, Override: true},
		Source: side(t, source), Destination: frankfurt,
	}
	var h hooks
	for _, p := range plan(t, route) {
		if p.Err != nil {
			t.Fatal(p.Err)
		}
		if err := route.Carry(t.Context(), &p, h.hooks()); err != nil {
			t.Fatal(err)
		}
	}
	for _, repository := range []string{"mirror/team/app", "mirror/team/web"} {
		if d, ok := ts.Digest(t, target.registry, repository, "v1"); !ok || d != image.Digest {
			t.Errorf("%s: %s, %v", repository, d, ok)
		}
		if !target.repositories[repository] {
			t.Errorf("%s was not made", repository)
		}
	}
	if target.refused > 0 {
		t.Errorf("%d pushes came before their repository", target.refused)
	}
	for _, p := range plan(t, route) {
		for _, item := range p.Items {
			if item.Action != replication.ActionSkip {
				t.Errorf("the second plan would %s %s:%s", item.Action, p.SourceRepository, item.Reference)
			}
		}
	}
	if _, err := frankfurt.Engine.RemoveTag(t.Context(), "mirror/team/app", "v1", image.Digest); err != nil {
		t.Fatal(err)
	}
	if _, ok := ts.Digest(t, target.registry, "mirror/team/app", "v1"); ok {
		t.Error("the tag is still there")
	}
}
