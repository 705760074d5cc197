package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// authenticator knows how an endpoint wants to be asked and keeps its tokens. One
// serves all requests of a client.
//
// The challenge is learnt once, from the endpoint's base (GET /v2/). From then on the
// token for a request is asked for before the request is sent, and used again by every
// request that it covers, so that no request costs a refusal first.
type authenticator struct {
	client     *Client
	credential Credential // what the endpoint was given
	issuer     *issuer    // if set: what gets the login from the provider with it

	mu      sync.Mutex
	known   bool      // the base has been asked
	offer   challenge // what it wants; scheme "" for nothing
	writes  bool      // some request wanted to push
	tokens  map[string][]*token
	denials map[string]denial
	flights map[string]*flight
	fetched int // tokens, ever
}

type token struct {
	value   string
	scopes  []scope
	expires time.Time
}

// denial remembers for a moment that the token server refused the credential, so that
// a thousand requests do not become a thousand wrong logins.
type denial struct {
	err   error
	until time.Time
}

// flight is one token request that several callers wait for. It ends when the last of
// them has gone.
type flight struct {
	done    chan struct{}
	token   *token
	err     error
	waiting int
	cancel  context.CancelFunc
}

const (
	denialMemory  = 5 * time.Second
	tokenPatience = 30 * time.Second
	sweepEvery    = 256 // tokens fetched
	// A server that names no lifetime means 60 seconds (distribution token specification).
	defaultTokenLife = 60 * time.Second
)

func newAuthenticator(c *Client, credential Credential) *authenticator {
	return &authenticator{
		client: c, credential: credential,
		tokens: map[string][]*token{}, denials: map[string]denial{}, flights: map[string]*flight{},
	}
}

// authorization is what one request is sent with.
type authorization struct {
	header string // "" for none
	token  *token
	fresh  bool       // the token was fetched for this very request
	login  Credential // the name and password that the header holds, if it does
}

// login returns the name and password, or identity token, to log in with now.
func (a *authenticator) login(ctx context.Context) (Credential, error) {
	if a.issuer == nil {
		return a.credential, nil
	}
	c, err := a.issuer.get(ctx)
	if err != nil {
		return Credential{}, fmt.Errorf("get a login for %s: %w", a.client.Host(), err)
	}
	return c, nil
}

// canLogin reports whether there is anything to log in with.
func (a *authenticator) canLogin() bool { return a.issuer != nil || !a.credential.empty() }

// password authorizes a request by name and password.
func (a *authenticator) password(ctx context.Context) (authorization, error) {
	login, err := a.login(ctx)
	return authorization{header: login.basic(), login: login}, err
}

// basic is the credential as a header, "" when it is no name and password.
func (c Credential) basic() string {
	if c.empty() || c.identityToken() {
		return ""
	}
	return basicOf(c.AccessKey, c.AccessSecret)
}

func basicOf(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// authorize returns what to send with a request that needs scopes. extra are scopes
// that a refusal has asked for.
func (a *authenticator) authorize(ctx context.Context, scopes, extra []scope) (authorization, error) {
	offer, err := a.learn(ctx)
	if err != nil {
		return authorization{}, err
	}
	switch offer.scheme {
	case "basic":
		return a.password(ctx)
	case "bearer":
		return a.bearer(ctx, offer, scopes, extra)
	}
	return authorization{}, nil
}

// learn asks the endpoint's base once how to authenticate. Concurrent callers wait for
// the one that asks. A failure is not remembered.
func (a *authenticator) learn(ctx context.Context) (challenge, error) {
	a.mu.Lock()
	known, offer := a.known, a.offer
	a.mu.Unlock()
	if known {
		return offer, nil
	}
	_, err := a.shared(ctx, "challenge", func(ctx context.Context) (*token, error) {
		answer, err := a.client.exchange(ctx, &request{
			method: http.MethodGet, url: a.client.endpoint("v2", ""), lane: short, limit: maxErrorBody,
			want: anyStatus, anonymous: true,
		}, "")
		if err != nil {
			return nil, err
		}
		if temporaryStatus(answer.status) {
			return nil, answer.fail()
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.known = true
		if answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden {
			a.offer, _ = choose(challenges(answer.header))
		}
		return nil, nil
	})
	if err != nil {
		return challenge{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.offer, nil
}

// choose picks what we can answer: a token server before a password on every request.
func choose(offers []challenge) (challenge, bool) {
	for _, scheme := range []string{"bearer", "basic"} {
		for _, o := range offers {
			if o.scheme == scheme && (scheme == "basic" || o.params["realm"] != "") {
				return o, true
			}
		}
	}
	return challenge{}, false
}

// refused takes in a 401 and says whether asking again, with these further scopes, can help.
func (a *authenticator) refused(used authorization, h http.Header, scopes []scope) (again bool, extra []scope) {
	offer, ok := choose(challenges(h))
	a.mu.Lock()
	defer a.mu.Unlock()
	if used.token != nil {
		for _, s := range used.token.scopes {
			a.tokens[s.resource] = slices.DeleteFunc(a.tokens[s.resource], func(t *token) bool { return t == used.token })
		}
		// Harbor answers a bad token with a challenge for a password, or an empty one.
		// Tokens are what it wants all the same.
		if !ok || offer.scheme == "basic" {
			return !used.fresh, nil
		}
	}
	if !ok {
		return false, nil
	}
	a.offer, a.known = offer, true
	if offer.scheme == "basic" {
		if used.header != "" { // a login that was given for a time may have been taken back
			return a.issuer != nil && a.issuer.drop(used.login), nil
		}
		return a.issuer != nil || a.credential.basic() != "", nil
	}
	extra = parseScopes(offer.params["scope"])
	if used.token != nil && used.fresh && covers(used.token.scopes, mergeScopes(append(extra, scopes...)...)) {
		return false, nil // a new token for all of it was not enough: the right is lacking
	}
	return true, extra
}

// bearer returns a token that covers scopes, from memory or from the token server.
func (a *authenticator) bearer(ctx context.Context, offer challenge, scopes, extra []scope) (authorization, error) {
	need := mergeScopes(append(slices.Clone(scopes), extra...)...)
	if len(need) == 0 {
		need = []scope{{resource: "", actions: []string{""}}} // the base needs a token, but no scope
	}
	a.mu.Lock()
	for _, s := range need {
		a.writes = a.writes || slices.Contains(s.actions, "push")
	}
	if t := a.cached(need); t != nil {
		a.mu.Unlock()
		return authorization{header: "Bearer " + t.value, token: t}, nil
	}
	// Where we push, a repository is looked at first and written to next: one token
	// for both saves a request for each repository.
	ask := need
	if a.writes && len(need) == 1 && len(extra) == 0 && slices.Equal(need[0].actions, []string{"pull"}) {
		ask = []scope{{resource: need[0].resource, actions: []string{"pull", "push"}}}
	}
	a.mu.Unlock()

	t, err := a.fetch(ctx, offer, ask)
	if err != nil && IsUnauthorized(err) && !covers(need, ask) {
		t, err = a.fetch(ctx, offer, need) // some servers refuse what is too much instead of granting less
	}
	if err != nil {
		return authorization{}, err
	}
	return authorization{header: "Bearer " + t.value, token: t, fresh: true}, nil
}

// cached returns a living token that covers need and forgets dead ones. The caller holds the lock.
func (a *authenticator) cached(need []scope) *token {
	now := time.Now()
	list := slices.DeleteFunc(a.tokens[need[0].resource], func(t *token) bool { return !now.Before(t.expires) })
	if len(list) == 0 {
		delete(a.tokens, need[0].resource)
		return nil
	}
	a.tokens[need[0].resource] = list
	for _, t := range list {
		if covers(t.scopes, need) {
			return t
		}
	}
	return nil
}

// fetch asks the token server, once for all who want the same at the same time.
func (a *authenticator) fetch(ctx context.Context, offer challenge, scopes []scope) (*token, error) {
	key := scopesKey(scopes)
	a.mu.Lock()
	if t := a.cached(scopes); t != nil { // it came while we were deciding
		a.mu.Unlock()
		return t, nil
	}
	if d, ok := a.denials[key]; ok {
		if time.Now().Before(d.until) {
			a.mu.Unlock()
			return nil, d.err
		}
		delete(a.denials, key)
	}
	a.mu.Unlock()

	return a.shared(ctx, key, func(ctx context.Context) (*token, error) {
		var t *token
		ask := func() error {
			login, err := a.login(ctx)
			if err != nil {
				return err
			}
			err = a.client.retry(ctx, func() (err error) {
				t, err = a.request(ctx, offer, login, scopes)
				return err
			})
			if IsUnauthorized(err) && a.issuer != nil && a.issuer.drop(login) {
				return errLoginReplaced
			}
			return err
		}
		err := ask()
		if errors.Is(err, errLoginReplaced) {
			err = ask()
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if err != nil {
			if IsUnauthorized(err) {
				a.denials[key] = denial{err: err, until: time.Now().Add(denialMemory)}
			}
			return nil, err
		}
		for _, s := range scopes {
			a.tokens[s.resource] = append(a.tokens[s.resource], t)
		}
		a.sweep()
		return t, nil
	})
}

// errLoginReplaced: the login had been given for a time and was taken back.
var errLoginReplaced = errors.New("the login is no longer taken")

// sweep forgets, now and then, what has died without being asked for again. The caller
// holds the lock.
func (a *authenticator) sweep() {
	if a.fetched++; a.fetched%sweepEvery != 0 {
		return
	}
	now := time.Now()
	for resource := range a.tokens {
		a.tokens[resource] = slices.DeleteFunc(a.tokens[resource], func(t *token) bool { return !now.Before(t.expires) })
		if len(a.tokens[resource]) == 0 {
			delete(a.tokens, resource)
		}
	}
	maps.DeleteFunc(a.denials, func(_ string, d denial) bool { return !now.Before(d.until) })
}

// shared runs f once for all callers of the same key at the same time. f outlives the
// caller that started it as long as another one waits.
func (a *authenticator) shared(ctx context.Context, key string, f func(context.Context) (*token, error)) (*token, error) {
	a.mu.Lock()
	fl := a.flights[key]
	if fl == nil {
		flightCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight{done: make(chan struct{}), cancel: cancel}
		a.flights[key] = fl
		go func() {
			defer cancel()
			t, err := f(flightCtx)
			a.mu.Lock()
			fl.token, fl.err = t, err
			if a.flights[key] == fl {
				delete(a.flights, key)
			}
			a.mu.Unlock()
			close(fl.done)
		}()
	}
	fl.waiting++
	a.mu.Unlock()

	select {
	case <-fl.done:
		return fl.token, fl.err
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if fl.waiting--; fl.waiting == 0 {
		if a.flights[key] == fl {
			delete(a.flights, key) // whoever comes next starts anew
		}
		fl.cancel()
	}
	return nil, context.Cause(ctx)
}

// request asks the token server for a token (distribution specification, token
// authentication; with an identity token its OAuth2 form).
func (a *authenticator) request(ctx context.Context, offer challenge, login Credential, scopes []scope) (*token, error) {
	realm, err := url.Parse(offer.params["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "http" && realm.Scheme != "https" {
		return nil, fmt.Errorf("%s names a token server that cannot be asked: %q", a.client.Host(), oneLine(offer.params["realm"]))
	}
	if realm.Scheme == "http" && a.client.base.Scheme == "https" && !login.empty() {
		return nil, fmt.Errorf("%s names a token server without TLS, %s: the credential is not sent in the clear", a.client.Host(), realm.Host)
	}
	r := &request{lane: short, limit: maxErrorBody, want: []int{http.StatusOK}, patience: tokenPatience, tokenServer: true, header: http.Header{}}
	var authorization string
	if login.identityToken() {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {login.AccessSecret},
			"service": {offer.params["service"]}, "client_id": {clientID}, "scope": {scopesKey(scopes)},
		}
		r.method, r.url, r.body = http.MethodPost, realm, []byte(form.Encode())
		r.header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		query := realm.Query()
		if service := offer.params["service"]; service != "" {
			query.Set("service", service)
		}
		for _, s := range scopes {
			if s.resource != "" {
				query.Add("scope", s.String())
			}
		}
		realm.RawQuery = query.Encode()
		r.method, r.url = http.MethodGet, realm
		authorization = login.basic()
	}
	asked := time.Now()
	answer, err := a.client.exchange(ctx, r, authorization)
	if err != nil {
		return nil, a.explain(err)
	}
	var body struct {
		Token       string    `json:"token"`
		AccessToken string    `json:"access_token"`
		ExpiresIn   float64   `json:"expires_in"`
		IssuedAt    time.Time `json:"issued_at"`
	}
	if err := json.Unmarshal(answer.body, &body); err != nil {
		// A wrong issued_at must not cost the token: it is optional.
		body.IssuedAt = time.Time{}
		var partial struct {
			Token       string  `json:"token"`
			AccessToken string  `json:"access_token"`
			ExpiresIn   float64 `json:"expires_in"`
		}
		if err := json.Unmarshal(answer.body, &partial); err != nil {
			return nil, fmt.Errorf("the token server %s answers with something that is not a token: %w", realm.Host, err)
		}
		body.Token, body.AccessToken, body.ExpiresIn = partial.Token, partial.AccessToken, partial.ExpiresIn
	}
	value := body.Token
	if value == "" {
		value = body.AccessToken
	}
	if value == "" || strings.ContainsAny(value, "\r\n \t") {
		return nil, fmt.Errorf("the token server %s answers without a usable token", realm.Host)
	}
	return &token{value: value, scopes: scopes, expires: asked.Add(tokenLife(body.ExpiresIn, body.IssuedAt, answer.header))}, nil
}

// tokenLife returns how long a token just received may be used. Its age is measured by
// the token server's own clock, so that two clocks that disagree cost nothing; without
// issued_at it is new.
func tokenLife(expiresIn float64, issued time.Time, h http.Header) time.Duration {
	life := defaultTokenLife
	if expiresIn > 0 {
		life = time.Duration(min(expiresIn, 24*3600) * float64(time.Second))
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil && !issued.IsZero() {
		if age := date.Sub(issued); age > 0 && age < life {
			life -= age
		}
	}
	// A request that starts with the token must arrive with it.
	return life - min(life/4, 15*time.Second)
}

// explain says in words what a refusal by the token server means.
func (a *authenticator) explain(err error) error {
	if !IsUnauthorized(err) {
		return fmt.Errorf("get a token for %s: %w", a.client.Host(), err)
	}
	if !a.canLogin() {
		return fmt.Errorf("get a token for %s: no credential is set and the token server gives none without: %w", a.client.Host(), err)
	}
	return fmt.Errorf("get a token for %s: the credential of %s is wrong, expired or disabled: %w", a.client.Host(), a.account(), err)
}

// account names the credential in messages.
func (a *authenticator) account() string {
	switch {
	case a.issuer != nil && a.credential.empty():
		return "this server's own identity"
	case a.credential.AccessKey == "" || a.credential.AccessKey == "<token>":
		return "the identity token"
	}
	return fmt.Sprintf("%q", a.credential.AccessKey)
}
