package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// harborSession lets reading API calls of a user go without the password. Harbor spends
// more than half a second of CPU on every password it checks, which listing a large
// Harbor multiplies by its repositories. Robot accounts are cheap and have no sessions.
//
// A session is a convenience: whatever goes wrong with it, the password is used instead.
type harborSession struct {
	client *Client

	mu      sync.Mutex
	cookie  string
	refused bool // there is none to be had: do not ask again
}

// do sends a reading API request, in the session if there can be one.
func (s *harborSession) do(ctx context.Context, r *request) (*answer, error) {
	for range 2 {
		cookie := s.open(ctx)
		if cookie == "" {
			break
		}
		with := *r
		with.password, with.anonymous = false, true
		with.header = r.header.Clone()
		with.header.Set("Cookie", cookie)
		a, err := s.client.do(ctx, &with)
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusUnauthorized {
			return a, err
		}
		s.close(cookie)
	}
	return s.client.do(ctx, r)
}

// open returns the session's cookie, "" when there is none to be had.
func (s *harborSession) open(ctx context.Context) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	account := s.client.credential
	if s.cookie != "" || s.refused || account.empty() || account.identityToken() || strings.HasPrefix(account.AccessKey, "robot$") {
		return s.cookie
	}
	if s.cookie = s.login(ctx); s.cookie == "" && ctx.Err() == nil {
		s.refused = true
	}
	return s.cookie
}

// close forgets a session that Harbor no longer knows.
func (s *harborSession) close(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cookie == cookie {
		s.cookie = ""
	}
}

// login does what Harbor's own login page does. The first try is refused for its lack
// of a CSRF token, and the refusal brings one.
func (s *harborSession) login(ctx context.Context) string {
	form := url.Values{"principal": {s.client.credential.AccessKey}, "password": {s.client.credential.AccessSecret}}
	r := &request{
		method: http.MethodPost, url: s.client.endpoint("c", "login"), limit: maxErrorBody, want: anyStatus, anonymous: true,
		header: http.Header{"Referer": {s.client.URL() + "/"}, "Content-Type": {"application/x-www-form-urlencoded"}},
	}
	cookies := map[string]string{}
	a, err := s.client.exchange(ctx, r, "")
	if err != nil || a.status != http.StatusForbidden || a.header.Get("X-Harbor-CSRF-Token") == "" {
		return ""
	}
	collect(cookies, a.header)
	r.body = []byte(form.Encode())
	r.header.Set("X-Harbor-CSRF-Token", a.header.Get("X-Harbor-CSRF-Token"))
	r.header.Set("Cookie", joinCookies(cookies))
	if a, err = s.client.exchange(ctx, r, ""); err != nil || a.status != http.StatusOK {
		return ""
	}
	collect(cookies, a.header)
	if cookies["sid"] == "" {
		return ""
	}
	return "sid=" + cookies["sid"]
}

func collect(cookies map[string]string, h http.Header) {
	for _, c := range (&http.Response{Header: h}).Cookies() {
		cookies[c.Name] = c.Value
	}
}

func joinCookies(cookies map[string]string) string {
	var parts []string
	for name, value := range cookies {
		parts = append(parts, name+"="+value)
	}
	return strings.Join(parts, "; ")
}
