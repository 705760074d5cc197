package testserver

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// user is a name and a password that can change.
type user struct {
	mu       sync.Mutex
	username string
	password string
}

func (u *user) setPassword(password string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.password = password
}

func (u *user) is(r *http.Request) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	username, password, _ := r.BasicAuth()
	return username == u.username && subtle.ConstantTimeCompare([]byte(password), []byte(u.password)) == 1
}

// basicAuth wants a password with every request.
type basicAuth struct{ user }

func (b *basicAuth) admit(w http.ResponseWriter, r *http.Request) bool {
	if b.is(r) {
		return true
	}
	unauthorized(w, `Basic realm="testserver"`)
	return false
}

func unauthorized(w http.ResponseWriter, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = fmt.Fprintln(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
}

// TokenOptions say what kind of tokens a registry gives.
type TokenOptions struct {
	Lifetime        time.Duration // 0: 5 minutes
	WithoutIssuedAt bool          // leave issued_at out of the answer
	OnlyAccessToken bool          // answer with access_token and without token
	AnonymousPull   bool          // everybody may pull
}

// Tokens is the token server of a registry, at /token on the registry's host. The
// Class of requests to it is "GET token". It gives a token only for what was asked
// for, and the registry checks that, as the distribution token specification has it.
type Tokens struct {
	user
	options TokenOptions
	realm   string

	mu     sync.Mutex
	tokens map[string]grant
}

type grant struct {
	scopes []string
	until  time.Time
}

func newTokens(o TokenOptions, realm, username, password string) *Tokens {
	if o.Lifetime == 0 {
		o.Lifetime = 5 * time.Minute
	}
	return &Tokens{user: user{username: username, password: password}, options: o, realm: realm, tokens: map[string]grant{}}
}

// Expire makes all tokens worthless that were given until now.
func (s *Tokens) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

func (s *Tokens) admit(w http.ResponseWriter, r *http.Request) bool {
	if Class(r) == r.Method+" token" {
		s.give(w, r)
		return false
	}
	needed := scopesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if g, ok := s.tokens[token]; ok && time.Now().Before(g.until) && g.covers(needed) {
		return true
	}
	challenge := fmt.Sprintf(`Bearer realm="%s",service="testserver"`, s.realm)
	if len(needed) > 0 {
		challenge += fmt.Sprintf(`,scope="%s"`, strings.Join(needed, " "))
	}
	unauthorized(w, challenge)
	return false
}

// give answers a request for a token.
func (s *Tokens) give(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed) // clients then do without OAuth
		return
	}
	known := s.is(r)
	if !known && (!s.options.AnonymousPull || r.Header.Get("Authorization") != "") {
		unauthorized(w, `Basic realm="testserver"`)
		return
	}
	now := time.Now()
	g := grant{until: now.Add(s.options.Lifetime)}
	for _, list := range r.URL.Query()["scope"] {
		for _, scope := range strings.Fields(list) {
			if !known {
				scope = pullOnly(scope)
			}
			g.scopes = append(g.scopes, scope)
		}
	}
	token := rand.Text()
	s.mu.Lock()
	s.tokens[token] = g
	s.mu.Unlock()

	answer := map[string]any{"expires_in": int(s.options.Lifetime.Seconds()), "access_token": token}
	if !s.options.OnlyAccessToken {
		answer["token"] = token
	}
	if !s.options.WithoutIssuedAt {
		answer["issued_at"] = now.UTC().Format(time.RFC3339)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// pullOnly takes everything but pulling from a scope.
func pullOnly(scope string) string {
	if i := strings.LastIndex(scope, ":"); i >= 0 && slices.Contains(strings.Split(scope[i+1:], ","), "pull") {
		return scope[:i] + ":pull"
	}
	return ""
}

func (g grant) covers(needed []string) bool {
	for _, scope := range needed {
		i := strings.LastIndex(scope, ":")
		for action := range strings.SplitSeq(scope[i+1:], ",") {
			if !g.allows(scope[:i], action) {
				return false
			}
		}
	}
	return true
}

func (g grant) allows(resource, action string) bool {
	return slices.ContainsFunc(g.scopes, func(scope string) bool {
		i := strings.LastIndex(scope, ":")
		return i >= 0 && scope[:i] == resource && slices.Contains(strings.Split(scope[i+1:], ","), action)
	})
}

// scopesOf returns what a request needs, as distribution asks for it.
func scopesOf(r *http.Request) []string {
	if Class(r) == "GET catalog" {
		return []string{"registry:catalog:*"}
	}
	name := repositoryOf(r.URL.Path)
	if name == "" {
		return nil
	}
	actions := "pull"
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		actions = "pull,push"
	case http.MethodDelete:
		actions = "delete"
		if uploadID(r.URL.Path) != "" {
			actions = "pull,push"
		}
	}
	scopes := []string{"repository:" + name + ":" + actions}
	if from := r.URL.Query().Get("from"); from != "" && from != name {
		scopes = append(scopes, "repository:"+from+":pull")
	}
	return scopes
}

// repositoryOf returns the repository in a path of the registry API, "" if none.
func repositoryOf(path string) string {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return ""
	}
	for _, end := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if i := strings.LastIndex(rest, end); i > 0 {
			return rest[:i]
		}
	}
	return ""
}
