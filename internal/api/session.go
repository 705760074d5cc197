package api

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
)

// Sessions are for browsers, and work as Harbor's do: a cookie sid says who it is, and
// what changes something must bring a token too that only pages of this server can
// read. Who sends an Authorization header needs neither.
const (
	sessionCookie = "sid"
	tokenCookie   = "_gorilla_csrf" // what tokens are made from
	tokenHeader   = "X-Harbor-Csrf-Token"
	// backgroundHeader marks requests that nobody's hand has made: they do not
	// prolong a session.
	backgroundHeader = "X-Lighterage-Background"

	tokenCookieAge = 12 * 60 * 60 // seconds, as Harbor has it
	tokenLength    = 32
	maxForm        = 64 << 10
)

// serveLogin opens a session for the name and password of a form. A GET gives a token
// to who has none yet.
func (a *api) serveLogin(w http.ResponseWriter, r *http.Request, about *request) {
	seed := a.offerToken(w, r, about)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		writeError(w, problem.NotAllowed, "method "+r.Method+" is not allowed, but [GET,HEAD,POST] are")
		return
	}
	if err := a.checkOrigin(r, seed); err != nil {
		a.fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		a.fail(w, r, problem.Wrap(problem.BadRequest, err, "read the form"))
		return
	}
	ctx := account.WithRemote(r.Context(), about.remote)
	text, name := "", r.PostForm.Get("principal")
	p, err := a.o.Accounts.Authenticate(ctx, name, r.PostForm.Get("password"))
	if err == nil {
		text, err = a.o.Accounts.OpenSession(ctx, p)
	}
	a.noteLogin(ctx, name, err)
	if problem.Is(err, problem.Unauthorized) {
		w.WriteHeader(http.StatusUnauthorized) // without words, as Harbor
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.setCookie(w, about, &http.Cookie{Name: sessionCookie, Value: text})
	w.WriteHeader(http.StatusOK)
}

// serveLogout ends the session. Harbor's portal asks with GET; since browsers send the
// cookie from pages of this site only, no other site can log anybody out.
func (a *api) serveLogout(w http.ResponseWriter, r *http.Request, about *request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if s, err := a.o.Accounts.ResumeSession(r.Context(), cookie.Value); err == nil {
			a.noteLogout(r.Context(), s.Principal.Name)
		}
		if err := a.o.Accounts.EndSession(r.Context(), cookie.Value); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	a.setCookie(w, about, &http.Cookie{Name: sessionCookie, MaxAge: -1})
	w.WriteHeader(http.StatusOK)
}

// resume finds out whose session a request is part of, and refuses one that would
// change something and brings no token.
func (a *api) resume(w http.ResponseWriter, r *http.Request, about *request) error {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || about.authorization != "" {
		return nil
	}
	seed := a.offerToken(w, r, about)
	var refused error
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		refused = checkToken(r, seed)
	}
	s, err := a.o.Accounts.ResumeSession(r.Context(), cookie.Value)
	if problem.Is(err, problem.Unauthorized) {
		return refused // nobody has logged in
	}
	if err != nil {
		return err
	}
	about.principal = &s.Principal // also where it is refused: the audit log says whose browser it was
	if refused != nil {
		return refused
	}
	// A browser's EventSource sends no headers of ours.
	stream := r.Header.Get("Accept") == "text/event-stream"
	if !s.Due() || stream || r.Header.Get(backgroundHeader) != "" {
		return nil
	}
	text, err := a.o.Accounts.ProlongSession(r.Context(), s)
	if err != nil {
		return err
	}
	a.setCookie(w, about, &http.Cookie{Name: sessionCookie, Value: text})
	return nil
}

// offerToken gives the client a token for its next change, and the cookie it belongs
// to if it has none. It returns what the cookie it came with says; nil: it had none.
func (a *api) offerToken(w http.ResponseWriter, r *http.Request, about *request) (seed []byte) {
	if cookie, err := r.Cookie(tokenCookie); err == nil {
		seed, err = base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil || len(seed) != tokenLength {
			seed = nil
		}
	}
	offered := seed
	if offered == nil {
		offered = make([]byte, tokenLength)
		_, _ = rand.Read(offered) // never fails
		a.setCookie(w, about, &http.Cookie{
			Name: tokenCookie, Value: base64.RawURLEncoding.EncodeToString(offered), MaxAge: tokenCookieAge,
		})
	}
	w.Header().Set(tokenHeader, maskToken(offered))
	w.Header().Add("Vary", "Cookie")
	w.Header().Set("Cache-Control", "no-store")
	return seed
}

func (a *api) checkOrigin(r *http.Request, seed []byte) error {
	if err := a.origins.Check(r); err != nil {
		return problem.Wrap(problem.Forbidden, err, "refused")
	}
	return checkToken(r, seed)
}

// checkToken compares the token of a request with its cookie.
func checkToken(r *http.Request, seed []byte) error {
	text := r.Header.Get(tokenHeader)
	if text == "" {
		return problem.New(problem.Forbidden, "CSRF token not found in request")
	}
	if seed == nil || subtle.ConstantTimeCompare(unmaskToken(text), seed) != 1 {
		return problem.New(problem.Forbidden, "CSRF token invalid")
	}
	return nil
}

// maskToken makes another text of a token each time, so that nothing can be learned
// of it from how well answers compress.
func maskToken(token []byte) string {
	masked := make([]byte, 2*tokenLength)
	_, _ = rand.Read(masked[:tokenLength])
	subtle.XORBytes(masked[tokenLength:], masked[:tokenLength], token)
	return base64.StdEncoding.EncodeToString(masked)
}

func unmaskToken(text string) []byte {
	masked, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(masked) != 2*tokenLength {
		return nil
	}
	token := make([]byte, tokenLength)
	subtle.XORBytes(token, masked[:tokenLength], masked[tokenLength:])
	return token
}

// setCookie adds a cookie that only this server gets, from its own pages, and that no
// script reads.
func (a *api) setCookie(w http.ResponseWriter, about *request, c *http.Cookie) {
	c.Path, c.HttpOnly, c.SameSite, c.Secure = "/", true, http.SameSiteStrictMode, a.overTLS(about)
	http.SetCookie(w, c)
}

// overTLS reports whether the client came by https, if need be by a proxy that ends it.
func (a *api) overTLS(about *request) bool {
	if about.scheme == "https" {
		return true
	}
	external, err := url.Parse(a.o.ExternalURL)
	return err == nil && external.Scheme == "https" && external.Host == about.host
}
