package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Options tune a client. The zero value is good.
type Options struct {
	// Transport replaces the client's own connections; the endpoint's TLS settings are
	// then its affair. nil: own connections, which Close closes.
	Transport http.RoundTripper
	UserAgent string // "lighterage" when empty
	// Concurrency is the most blob streams at a time, for each direction; twice as many
	// short requests. 0: 64. What is really in flight adapts to the host below that.
	Concurrency int
	// StallTimeout ends a transfer in which no byte has moved for so long. 0: 60 s.
	StallTimeout time.Duration
	// AnswerTimeout is how long a host may think about a short request. 0: 60 s.
	AnswerTimeout time.Duration
	// Attempts is how often a request without a streaming body is tried. 0: 5.
	Attempts int
	// Backoff is the wait after a first failure; it doubles. 0: 250 ms.
	Backoff time.Duration
	// MaxPause is the longest Retry-After that is waited for; a longer one is returned
	// as the error's RetryAfter, for a queue to honour. 0: 5 minutes.
	MaxPause time.Duration
	Log      *slog.Logger // nil: none
	Meter    Meter        // counts requests; nil: nobody
}

const (
	clientID           = "lighterage"
	defaultConcurrency = 64
	defaultStall       = time.Minute
	defaultAnswer      = time.Minute
	defaultMaxPause    = 5 * time.Minute
	apiConcurrency     = 8 // of streams; twice as many calls of an API
	// A registry on object storage may copy a blob part by part before it answers its
	// commit, and one on a slow disk writes what it has taken before it answers a part.
	commitPatience = 15 * time.Minute
	partPatience   = 5 * time.Minute

	maxErrorBody    = 256 << 10
	maxListBody     = 64 << 20
	maxManifestBody = 4 << 20 // distribution-spec: registries should take 4 MiB
	maxRedirects    = 5
)

// Client speaks the distribution protocol to one endpoint. It is safe for concurrent
// use and meant to be shared: its connections, tokens, and knowledge of the host are.
type Client struct {
	provider   string
	base       *url.URL
	credential Credential
	userAgent  string
	log        *slog.Logger
	meter      Meter

	short, bulk http.Client
	closeIdle   func()
	auth        *authenticator
	gate        *gate

	// What an adapter adds before the client is used:
	locate  func(ctx context.Context) (*url.URL, error) // where the registry is, when only its provider knows: base stands for it
	probe   func(ctx context.Context) error             // Ping's question, when it is not GET /v2/
	list    []string                                    // actions that listing tags needs; "pull"
	patches bool                                        // a blob cannot be sent with its closing PUT

	attempts int
	backoff  time.Duration
	stall    time.Duration
	answer   time.Duration

	located       atomic.Pointer[url.URL] // what locate found
	rates         rates
	referrersMode atomic.Int32
}

// NewClient makes a client for an endpoint. It does no I/O. A URL or certificate that
// cannot be used is a problem.BadRequest.
func NewClient(e Endpoint, o Options) (*Client, error) {
	text, err := NormalizeURL(e.URL)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := e.tlsConfig()
	if err != nil {
		return nil, err
	}
	ceiling := or(o.Concurrency, defaultConcurrency)
	c := &Client{
		provider: e.Provider, base: base, credential: e.Credential,
		userAgent: or(o.UserAgent, clientID), log: o.Log, meter: o.Meter, closeIdle: func() {},
		attempts: or(o.Attempts, defaultAttempts), backoff: or(o.Backoff, defaultBackoff),
		stall: or(o.StallTimeout, defaultStall), answer: or(o.AnswerTimeout, defaultAnswer),
		gate: newGate(base.Host, ceiling, or(o.MaxPause, defaultMaxPause)),
	}
	if c.meter == nil {
		c.meter = noMeter{}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	t := transports{short: o.Transport, bulk: o.Transport}
	if o.Transport == nil {
		t = newTransports(tlsConfig, 2*ceiling+8)
		c.closeIdle = t.close
	}
	c.short = http.Client{Transport: t.short, CheckRedirect: c.redirect}
	c.bulk = http.Client{Transport: t.bulk, CheckRedirect: c.redirect}
	c.auth = newAuthenticator(c, e.Credential)
	return c, nil
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// URL returns the endpoint's URL in its normal form.
func (c *Client) URL() string { return c.base.String() }

// Host returns the endpoint's host, with the port if it has one.
func (c *Client) Host() string { return c.base.Host }

// Close closes idle connections. Requests under way go on; the client stays usable.
func (c *Client) Close() { c.closeIdle() }

// endpoint builds a URL below the endpoint's base from parts that need no escaping or
// are escaped already.
func (c *Client) endpoint(parts ...string) *url.URL {
	u := *c.base
	escaped := u.EscapedPath() + "/" + strings.Join(parts, "/")
	// Both forms are set so that an escaped slash in a part is sent as it is.
	u.RawPath = escaped
	u.Path, _ = url.PathUnescape(escaped)
	return &u
}

// ours reports whether u is the endpoint itself, where credentials may go.
func (c *Client) ours(u *url.URL) bool {
	at := c.place()
	if at != c.base && sameOrigin(u, at) && (u.Scheme == at.Scheme || u.Scheme == "https") {
		return true
	}
	return sameOrigin(u, c.base) && (u.Scheme == c.base.Scheme || u.Scheme == "https")
}

// beside returns a client for another host of the same provider, such as that of its
// API. It shares connections and trust, but neither credential nor limits.
func (c *Client) beside(base *url.URL) *Client {
	other := &Client{
		base: base, userAgent: c.userAgent, log: c.log, meter: c.meter, closeIdle: func() {},
		short: http.Client{Transport: c.short.Transport}, bulk: http.Client{Transport: c.bulk.Transport},
		attempts: c.attempts, backoff: c.backoff, stall: c.stall, answer: c.answer,
		gate: newGate(base.Host, apiConcurrency, c.gate.maxPause),
	}
	other.short.CheckRedirect, other.bulk.CheckRedirect = other.redirect, other.redirect
	other.auth = newAuthenticator(other, Credential{})
	return other
}

// place is where the registry is, as far as is known.
func (c *Client) place() *url.URL {
	if at := c.located.Load(); at != nil {
		return at
	}
	return c.base
}

// reach returns the request with the registry's real place in it, where base only
// stands for it.
func (c *Client) reach(ctx context.Context, r *request) (*request, error) {
	if c.locate == nil || r.tokenServer || !sameOrigin(r.url, c.base) {
		return r, nil
	}
	at, err := c.locate(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the registry of %s: %w", c.Host(), err)
	}
	c.located.Store(at)
	moved, to := *r, *r.url
	to.Scheme, to.Host = at.Scheme, at.Host
	moved.url = &to
	return &moved, nil
}

func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// request is one exchange with the host, and if it has no stream, as often as needed.
type request struct {
	method   string
	url      *url.URL
	header   http.Header
	body     []byte    // sent whole, repeatable
	stream   io.Reader // sent once; size -1: unknown
	size     int64
	lane     lane
	limit    int64         // most bytes of answer body kept
	want     []int         // statuses that are not a failure; anyStatus: all
	patience time.Duration // for the head of the answer; 0: the client's

	scopes      []scope
	password    bool // the account's name and password, whatever the registry offers (Harbor's API)
	anonymous   bool // no credential
	tokenServer bool // another host, outside the gate
	stay        bool // do not follow redirects: they are answers
	goesOn      bool // continues work that the gate has admitted before
}

var anyStatus = []int{}

// answer is what came back. Either body is whole, or stream is open (download lane).
type answer struct {
	request *request
	status  int
	header  http.Header
	body    []byte
	length  int64 // of the body announced, -1: unknown
	sent    int64 // bytes that were taken from the request's stream
	stream  *inbound
	from    *url.URL // who answered, after redirects
}

// do sends a request and repeats it as long as that may help. Requests with a stream are sent once.
func (c *Client) do(ctx context.Context, r *request) (*answer, error) {
	if r.stream != nil {
		return c.authorized(ctx, r)
	}
	var a *answer
	err := c.retry(ctx, func() (err error) {
		a, err = c.authorized(ctx, r)
		if err != nil && IsTemporary(err) {
			c.log.DebugContext(ctx, "registry request failed", "host", c.Host(), "error", err)
		}
		return err
	})
	return a, err
}

// authorized sends a request with what the endpoint wants to see, once more when a
// refusal shows how.
func (c *Client) authorized(ctx context.Context, r *request) (*answer, error) {
	var extra []scope
	for round := 0; ; round++ {
		var auth authorization
		var err error
		switch {
		case r.anonymous || !c.ours(r.url):
		case r.password:
			if auth, err = c.auth.password(ctx); err != nil {
				return nil, err
			}
		default:
			if auth, err = c.auth.authorize(ctx, r.scopes, extra); err != nil {
				return nil, err
			}
		}
		a, err := c.exchange(ctx, r, auth.header)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Status != http.StatusUnauthorized || r.anonymous || r.password || !c.ours(r.url) {
			return a, err
		}
		again, more := c.auth.refused(auth, a.header, r.scopes)
		if again && r.stream == nil && round < 2 {
			extra = more
			continue
		}
		c.explain(e, r, auth, again, a.header)
		return nil, err
	}
}

// explain adds to a 401 what the user should know.
func (c *Client) explain(e *Error, r *request, auth authorization, again bool, h http.Header) {
	switch {
	case auth.header != "" && c.saysMissing(e, h):
		e.missing = true
	case again && auth.token != nil && !auth.fresh:
		e.renewed = true
		e.hint = "the access token ran out"
	case again && auth.login != (Credential{}):
		e.renewed = true
		e.hint = "the login ran out"
	case !c.auth.canLogin():
		e.hint = "no credential is set for this registry"
	case auth.token != nil:
		e.hint = "the account " + c.auth.account() + " is known but may not do this"
		if needs := lacking(r.scopes); needs != "" && c.provider == ProviderHarbor {
			e.hint += ": it needs " + needs
		}
	default:
		e.hint = "the credential of " + c.auth.account() + " is wrong, expired or disabled"
	}
}

// saysMissing recognizes Harbor's way of saying that a project does not exist to
// somebody whose credential it has accepted: 401 with an empty challenge.
func (c *Client) saysMissing(e *Error, h http.Header) bool {
	values, sent := h[http.CanonicalHeaderKey("WWW-Authenticate")]
	if !sent || strings.Join(values, "") != "" {
		return false
	}
	return e.Method == http.MethodHead || slices.ContainsFunc(e.Codes, func(code Code) bool {
		return strings.Contains(code.Message, "not found")
	})
}

// exchange sends a request once, through the gate. An unwanted status is an *Error,
// returned together with the answer.
func (c *Client) exchange(ctx context.Context, r *request, authorization string) (*answer, error) {
	r, err := c.reach(ctx, r)
	if err != nil {
		return nil, err
	}
	var s *slot
	if !r.tokenServer {
		if s, err = c.gate.acquire(ctx, r.lane, r.goesOn); err != nil {
			return nil, err
		}
	}
	a, err := c.transfer(ctx, r, authorization, s)
	if a == nil || a.stream == nil {
		var moved int64
		if err == nil {
			moved = int64(len(a.body)) + max(r.size, 0)
		}
		s.done(moved)
	}
	return a, err
}

// transfer sends a request and reads the answer, all of it except for a download's body.
func (c *Client) transfer(ctx context.Context, r *request, authorization string, s *slot) (*answer, error) {
	watched, w := newWatch(ctx)
	patience := or(r.patience, c.answer)

	var out *outbound
	var body io.Reader = bytes.NewReader(r.body)
	switch {
	case r.stream != nil && r.size != 0:
		out = &outbound{body: r.stream, size: r.size, watch: w, stall: c.stall, patience: patience}
		body = out
	case r.body == nil:
		body = http.NoBody
	}
	req, err := http.NewRequestWithContext(watched, r.method, "", body)
	if err != nil {
		w.end()
		return nil, err
	}
	req.URL, req.Host = r.url, r.url.Host
	if out != nil {
		req.ContentLength = r.size
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", c.userAgent)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}

	hc := c.bulk
	if r.lane == short {
		hc = c.short
	}
	if r.stay {
		hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	w.expect("answer", patience)
	start := time.Now()
	resp, err := hc.Do(req)
	w.rest()
	c.count(r, resp, time.Since(start))
	if out != nil {
		// A body that could not be read explains every other failure.
		if bodyErr := out.detach(); bodyErr != nil && (err != nil || resp.StatusCode >= 400) {
			err = bodyErr
		}
	}
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		err = c.broken(ctx, r, stalled(watched, err))
		w.end()
		c.notice(err, s)
		return nil, err
	}

	in := &inbound{ctx: watched, body: resp.Body, watch: w, slot: s, stall: c.stall}
	a := &answer{request: r, status: resp.StatusCode, header: resp.Header, length: resp.ContentLength, from: r.url}
	if out != nil {
		a.sent = out.moved // it has been detached: nobody changes it any more
	}
	if resp.Request != nil {
		a.from = resp.Request.URL
	}
	c.observe(a, s)
	wanted := len(r.want) == 0 || slices.Contains(r.want, a.status)
	if wanted && r.lane == download {
		a.stream = in
		return a, nil
	}
	limit := r.limit
	if !wanted {
		limit = maxErrorBody
	}
	a.body, err = io.ReadAll(io.LimitReader(in, limit+1))
	resp.Body.Close() // before the watch ends, so that the connection can be used again
	w.end()
	if err == nil && int64(len(a.body)) > limit {
		if wanted {
			return a, fmt.Errorf("%s %s%s: the answer has more than %d bytes: %w", r.method, r.url.Host, r.url.Path, limit, ErrTooLarge)
		}
		a.body = a.body[:limit]
	}
	if !wanted {
		return a, a.fail() // whatever could be read of its text
	}
	if err != nil {
		err = c.broken(ctx, r, err)
		c.notice(err, s)
		return nil, err
	}
	return a, nil
}

// broken wraps a transport failure with what was asked of whom. The URL that net/http
// puts into its errors is left out: it may carry a signature.
func (c *Client) broken(ctx context.Context, r *request, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s %s%s: %w", r.method, r.url.Host, r.url.Path, err)
}

// notice tells the gate about failures that speak of a crowded host.
func (c *Client) notice(err error, s *slot) {
	if _, ok := errors.AsType[*StallError](err); ok {
		s.congested()
	} else if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() && !errors.Is(err, context.DeadlineExceeded) {
		s.congested()
	}
}

// observe tells the gate what the host says about its load.
func (c *Client) observe(a *answer, s *slot) {
	if a.request.tokenServer {
		return
	}
	after := retryAfter(a.header)
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		s.congested()
		if after > 0 {
			c.gate.hold(after)
			c.log.Info("registry asks for a pause", "host", c.Host(), "status", a.status, "pause", after)
		}
	}
	c.rates.note(a)
	if remaining, reset, ok := rateLimit(a.header, time.Now()); ok {
		c.meter.RegistryRateLimit(c.Host(), remaining)
		c.gate.lanes[short].Lower(remaining)
		if remaining == 0 && reset > 0 {
			c.gate.hold(reset)
		}
	}
}

// fail makes the *Error for an unwanted answer.
func (a *answer) fail() *Error {
	e := &Error{
		Method: a.request.method, Host: a.request.url.Host, Path: a.request.url.Path, Status: a.status,
		Codes: parseCodes(a.header, a.body), RetryAfter: retryAfter(a.header),
	}
	if a.status >= 300 && a.status < 400 {
		e.hint = "the registry sends us elsewhere"
		if to, err := url.Parse(a.header.Get("Location")); err == nil && to.Host != "" {
			e.hint = fmt.Sprintf("the registry sends us to %s://%s: use that as the endpoint's URL", to.Scheme, to.Host)
		}
	}
	return e
}

// redirect follows a few redirects of reading requests. Only the endpoint itself ever
// sees its credential; net/http alone would pass it on to subdomains.
func (c *Client) redirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	if next.Method != first.Method || first.Method != http.MethodGet && first.Method != http.MethodHead {
		return http.ErrUseLastResponse
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if !sameOrigin(next.URL, first.URL) || next.URL.Scheme != first.URL.Scheme {
		next.Header.Del("Authorization")
		next.Header.Del("Cookie")
	}
	next.Header.Del("Referer") // the first URL is nobody else's business
	return nil
}
