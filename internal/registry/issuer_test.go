package registry_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestManyRequestsWaitForOneLogin(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	ts.Push(t, e.registry, "team/app", "v1", ts.Image(t, 970, 1, 10))
	var log bytes.Buffer
	o := quick
	o.Transport, o.Log = e.cloud, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a, err := registry.NewAdapter(e.endpoint(), o)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := a.Client().Tags(t.Context(), "team/app"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if e.issued != 1 {
		t.Errorf("%d logins", e.issued)
	}
	for _, secret := range []string{"aws-secret-key", "ecr-password-1", base64.StdEncoding.EncodeToString([]byte("AWS:ecr-password-1"))} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestAWrongKeyIsNotTriedByEveryRequest(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	endpoint := e.endpoint()
	endpoint.Credential.AccessKey = "AKIAWRONG"
	c := e.adapter(endpoint).Client()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := c.Tags(t.Context(), "team/app"); !registry.IsUnauthorized(err) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := e.count("POST " + ecrAPI); n != 1 {
		t.Errorf("%d logins with a wrong key", n)
	}
}

// TestWhoWaitsForALoginMayGo: a login that hangs holds only those who want to wait.
func TestWhoWaitsForALoginMayGo(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	asked, release := make(chan struct{}), make(chan struct{})
	c.handle("POST "+ecrAPI+"/", func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusForbidden)
	})
	client := c.adapter(registry.Endpoint{Provider: "aws-ecr", URL: "https://" + ecrAPI, Credential: registry.Credential{AccessKey: "AKIA", AccessSecret: "s"}}).Client()
	first := make(chan error, 1)
	go func() {
		_, err := client.Tags(t.Context(), "a/b")
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := client.Tags(ctx, "a/b")
		second <- err
	}()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(release)
	if err := <-first; !registry.IsUnauthorized(err) {
		t.Errorf("%v", err)
	}
}

func TestAnAPIThatLeadsElsewhereIsNotFollowed(t *testing.T) {
	t.Parallel()
	const host, server = "registry.gitlab.example", "gitlab.example"
	c := newCloud(t)
	c.handle("GET "+host+"/v2/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+server+`/jwt/auth",service="container_registry"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	c.handle("GET "+server+"/api/v4/projects", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://evil.example/", http.StatusFound)
	})
	a := c.adapter(registry.Endpoint{Provider: "gitlab", URL: "https://" + host, Credential: registry.Credential{AccessKey: "sailor", AccessSecret: "glpat-1"}})
	_, failures := listed(t, a, nil)
	if err := failures[""]; err == nil || !strings.Contains(err.Error(), "https://evil.example") {
		t.Errorf("%v", failures)
	}
	if n := c.count("GET evil.example"); n > 0 {
		t.Error("the redirect was followed")
	}
}

func TestATokenServerWithoutTLSGetsNoLogin(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.handle("GET registry.cn-hangzhou.aliyuncs.com/v2/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://evil.example/auth",service="registry.aliyuncs.com:cn-hangzhou:1"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	c.handle("GET cr.cn-hangzhou.aliyuncs.com/tokens", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"data": map[string]any{"tempUserName": "u", "authorizationToken": "ali-login"}})
	})
	a := c.adapter(registry.Endpoint{Provider: "ali-acr", URL: "https://registry.cn-hangzhou.aliyuncs.com", Credential: registry.Credential{AccessKey: "LTAI", AccessSecret: "s"}})
	if _, err := a.Client().Tags(t.Context(), "a/b"); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("%v", err)
	}
	if c.count("GET evil.example") > 0 {
		t.Error("it was asked")
	}
}

func TestThePodsIdentityIsExchangedAtAzure(t *testing.T) {
	const host = "ships.azurecr.io"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("pod-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
	t.Setenv("AZURE_TENANT_ID", "tenant-1")
	t.Setenv("AZURE_CLIENT_ID", "client-1")
	t.Setenv("AZURE_AUTHORITY_HOST", "")
	c := newCloud(t)
	c.handle("POST login.microsoftonline.com/tenant-1/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_assertion") != "pod-token" || r.FormValue("client_id") != "client-1" {
			w.WriteHeader(http.StatusBadRequest)
			reply(w, map[string]string{"error": "invalid_client", "error_description": "AADSTS7002"})
			return
		}
		reply(w, map[string]string{"access_token": "aad-token"})
	})
	c.handle("POST "+host+"/oauth2/exchange", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("access_token") != "aad-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(w, map[string]string{"refresh_token": "acr-refresh"})
	})
	c.handle("GET "+host+"/v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer acr-access" {
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+host+`/oauth2/token",service="`+host+`"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	c.handle("POST "+host+"/oauth2/token", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"access_token": "acr-access"})
	})
	e := registry.Endpoint{Provider: "azure-acr", URL: "https://" + host, Credential: registry.Credential{AccessKey: "managed-identity"}}
	if err := c.adapter(e).Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	t.Setenv("AZURE_CLIENT_ID", "another")
	if err := c.adapter(e).Client().Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid_client AADSTS7002") {
		t.Errorf("%v", err)
	}
}
