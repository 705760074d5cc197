package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// PingCause says in one word why an endpoint cannot be used.
type PingCause string

// The causes of a failed Ping.
const (
	CauseDNS           PingCause = "dns"            // the host's name is not known
	CauseRefused       PingCause = "refused"        // nothing listens there
	CauseTimeout       PingCause = "timeout"        // no answer in time
	CauseTLS           PingCause = "tls"            // the certificate or the protocol does not fit
	CauseUnauthorized  PingCause = "unauthorized"   // the credential is missing or wrong
	CauseForbidden     PingCause = "forbidden"      // the credential is right and not enough
	CauseNotARegistry  PingCause = "not-a-registry" // something else answers there
	CauseStatus        PingCause = "status"         // the registry itself is in trouble
	CauseUnreachable   PingCause = "unreachable"    // another network failure
	CauseConfiguration PingCause = "configuration"  // the registry's own settings cannot work
)

// PingError is why an endpoint cannot be used, with what to do about it.
type PingError struct {
	Cause   PingCause
	Message string // for the user: what happened and what to do
	Err     error  // the failure itself
}

func (e *PingError) Error() string { return e.Message }

// Unwrap returns the failure itself.
func (e *PingError) Unwrap() error { return e.Err }

const pingPatience = 15 * time.Second

// Ping tells whether the endpoint can be used with its credential; otherwise the error
// is a *PingError. It is never repeated and takes at most 15 seconds.
//
// As with Harbor's own test, a plain registry that wants a credential passes when none
// is set: it is there, and it may serve some repositories to everybody.
func (c *Client) Ping(ctx context.Context) error {
	parent := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, pingPatience, &StallError{What: "answer", For: pingPatience})
	defer cancel()
	var err error
	switch {
	case c.probe != nil:
		err = c.probe(ctx)
	case c.provider == ProviderHarbor:
		err = c.pingHarbor(ctx)
	default:
		err = c.pingRegistry(ctx)
	}
	if err == nil {
		return nil
	}
	if errors.Is(parent.Err(), context.Canceled) { // where its time is up, the host did not answer in it
		return context.Cause(parent)
	}
	if p, ok := errors.AsType[*PingError](err); ok {
		return p
	}
	return c.diagnose(err)
}

func (c *Client) pingRegistry(ctx context.Context) error {
	r := &request{method: http.MethodGet, url: c.endpoint("v2", ""), limit: maxErrorBody, want: anyStatus}
	r.anonymous = true
	a, err := c.exchange(ctx, r, "")
	if err != nil {
		return err
	}
	if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
		offer, known := choose(challenges(a.header))
		if !known && a.status == http.StatusUnauthorized && len(a.header.Values("WWW-Authenticate")) == 0 && !isDistribution(a) {
			return c.notARegistry(a)
		}
		if !c.auth.canLogin() {
			return nil
		}
		if !known {
			return a.fail()
		}
		c.auth.mu.Lock()
		c.auth.offer, c.auth.known = offer, true
		c.auth.mu.Unlock()
		r.anonymous, r.want = false, []int{http.StatusOK}
		if a, err = c.authorized(ctx, r); err != nil {
			return err
		}
	}
	switch {
	case a.status >= 500 && a.status != http.StatusNotImplemented:
		return a.fail()
	case a.status != http.StatusOK || !looksLikeAPI(a):
		return c.notARegistry(a)
	case a.from.Scheme != c.base.Scheme && strings.EqualFold(a.from.Hostname(), c.place().Hostname()):
		// Reading would work, a push would not: only requests without a body follow.
		return &PingError{Cause: CauseConfiguration, Err: a.fail(), Message: fmt.Sprintf(
			"%s sends us on to %s://%s. Use that as the URL.", c.URL(), a.from.Scheme, a.from.Host)}
	}
	return nil
}

// pingHarbor asks for Harbor's API, then who the credential belongs to.
func (c *Client) pingHarbor(ctx context.Context) error {
	version := &request{
		method: http.MethodGet, url: c.endpoint("api", "version"), limit: maxErrorBody,
		want: anyStatus, anonymous: true, header: http.Header{"Accept": {"application/json"}},
	}
	a, err := c.exchange(ctx, version, "")
	if err != nil {
		return err
	}
	var body struct {
		Version string `json:"version"`
	}
	switch {
	case a.status >= 500 && a.status != http.StatusNotImplemented:
		return a.fail()
	case a.status != http.StatusOK || json.Unmarshal(a.body, &body) != nil || body.Version == "":
		return &PingError{Cause: CauseNotARegistry, Err: a.fail(), Message: fmt.Sprintf(
			"%s does not answer as a Harbor 2 (GET /api/version: %s). Check the URL; for other registries choose the provider docker-registry.",
			c.URL(), statusText(a.status))}
	}
	if c.credential.empty() {
		return nil
	}
	who := &request{
		method: http.MethodGet, url: c.endpoint("api", "v2.0", "users", "current"), limit: maxErrorBody,
		// A robot account has no user: Harbor says 412 to it, after checking its secret.
		want: []int{http.StatusOK, http.StatusPreconditionFailed}, password: true,
		header: http.Header{"Accept": {"application/json"}},
	}
	_, err = c.authorized(ctx, who)
	return err
}

// looksLikeAPI: a registry answers its base with an empty or JSON body; a web server
// answers with a page.
func looksLikeAPI(a *answer) bool {
	if isDistribution(a) {
		return true
	}
	mt := baseMediaType(a.header)
	return !strings.Contains(mt, "html") && (len(a.body) == 0 || json.Valid(a.body))
}

func isDistribution(a *answer) bool {
	return strings.Contains(a.header.Get("Docker-Distribution-Api-Version"), "registry/2.0")
}

func (c *Client) notARegistry(a *answer) error {
	message := fmt.Sprintf("%s answers, but not as a registry (GET /v2/: %s). Check the URL and port.", c.URL(), statusText(a.status))
	if a.status == http.StatusBadRequest && c.base.Scheme == "http" && strings.Contains(string(a.body), "HTTPS") {
		return &PingError{Cause: CauseTLS, Err: a.fail(), Message: fmt.Sprintf(
			"%s speaks https on this port. Begin the URL with https://.", c.URL())}
	}
	return &PingError{Cause: CauseNotARegistry, Message: message, Err: a.fail()}
}

func statusText(status int) string { return fmt.Sprintf("%d %s", status, http.StatusText(status)) }

// diagnose turns a failed exchange into words that say what to do.
func (c *Client) diagnose(err error) *PingError {
	ping := func(cause PingCause, format string, args ...any) *PingError {
		return &PingError{Cause: cause, Err: err, Message: fmt.Sprintf(format, args...)}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		switch {
		case c.probe != nil && e.hint != "" && e.Status == http.StatusUnauthorized:
			return ping(CauseUnauthorized, "%s refuses the credential: %v.", c.URL(), e)
		case c.probe != nil && e.hint != "" && e.Status == http.StatusForbidden:
			return ping(CauseForbidden, "%s lets the account in but does not allow what is needed: %v.", c.URL(), e)
		case e.Status == http.StatusUnauthorized && !c.auth.canLogin():
			return ping(CauseUnauthorized, "%s wants a credential. Set the access ID and secret.", c.URL())
		case e.Status == http.StatusUnauthorized:
			return ping(CauseUnauthorized, "%s refuses the credential of %s. Check the access ID and secret, and that the account is not disabled or expired.", c.URL(), c.auth.account())
		case e.Status == http.StatusForbidden:
			return ping(CauseForbidden, "%s knows the account %s but does not let it in (403). Give it the right to pull and push, and check that this machine's address is not blocked.", c.URL(), c.auth.account())
		case e.Status == http.StatusTooManyRequests:
			return ping(CauseStatus, "%s answers that there are too many requests (429). It is reachable; try again later.", c.URL())
		case e.Status >= 500:
			return ping(CauseStatus, "%s is reachable but in trouble: %v. Look at the registry's own log.", c.URL(), e)
		}
		return ping(CauseStatus, "%s gives an answer that a registry should not: %v.", c.URL(), e)
	}
	if problem.Is(err, problem.BadRequest) || problem.Is(err, problem.Precondition) { // in words already
		return ping(CauseConfiguration, "%s cannot be used: %v.", c.URL(), err)
	}
	host := c.Host()
	if p := c.diagnoseTLS(err); p != nil {
		return p
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return ping(CauseDNS, "The host name %s is not known. Check its spelling, and the DNS server of this machine.", dns.Name)
		}
		return ping(CauseDNS, "The host name %s could not be looked up: %s. Check the DNS server of this machine.", dns.Name, dns.Err)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return ping(CauseRefused, "%s refuses connections. Check the port, and that the registry is running.", host)
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return ping(CauseTimeout, "%s does not answer. Check the address, firewalls between here and there, and proxy settings.", host)
	}
	if errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		return ping(CauseUnreachable, "There is no network route to %s. Check the address and the network.", host)
	}
	text := err.Error()
	if strings.Contains(text, "malformed HTTP") {
		return ping(CauseNotARegistry, "What listens at %s does not speak HTTP. Check the port; if it speaks TLS, begin the URL with https://.", host)
	}
	if strings.Contains(text, "token server") {
		return ping(CauseConfiguration, "%s cannot be logged in to: %v.", c.URL(), err)
	}
	return ping(CauseUnreachable, "%s cannot be reached: %v.", host, err)
}

func (c *Client) diagnoseTLS(err error) *PingError {
	ping := func(format string, args ...any) *PingError {
		return &PingError{Cause: CauseTLS, Err: err, Message: fmt.Sprintf(format, args...)}
	}
	host := c.Host()
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return ping("The certificate of %s is signed by an authority that is not trusted here. Set the endpoint's CA certificate, or switch off the verification of the remote certificate.", host)
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return ping("The certificate of %s is for another name: %s. Use the name in the certificate, or have it reissued.", host, certificateNames(e.Certificate))
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return ping("The certificate of %s has expired or is not valid yet (valid from %s to %s). Renew it, and check this machine's clock.",
				host, e.Cert.NotBefore.UTC().Format(time.DateOnly), e.Cert.NotAfter.UTC().Format(time.DateOnly))
		}
		return ping("The certificate of %s is not valid: %v.", host, e)
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		_ = e
		return ping("%s does not speak TLS on this port. If the registry serves plain http, begin the URL with http://.", host)
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return ping("%s serves plain http on this port. Begin the URL with http://.", host)
	}
	if isTLSFailure(err) {
		return ping("TLS with %s fails: %v.", host, rootCause(err))
	}
	return nil
}

func certificateNames(cert *x509.Certificate) string {
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "it names none"
	}
	if len(names) > 5 {
		names = append(names[:5], "...")
	}
	return strings.Join(names, ", ")
}

// isTLSFailure reports whether a connection failed in its TLS handshake for a reason
// that another try does not change.
func isTLSFailure(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "tls: ") || strings.Contains(text, "x509: ") || strings.Contains(text, "HTTP response to HTTPS client")
}

func rootCause(err error) error {
	for {
		if e, ok := errors.AsType[*url.Error](err); ok && e.Err != err {
			err = e.Err
			continue
		}
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
