package registry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func failing(err error) registry.Options {
	o := quick
	o.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	})
	return o
}

func TestPingIsContentWithARegistry(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		if err := clientOf(t, r).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	for name, option := range map[string]ts.Option{
		"TLS with an authority of its own": ts.WithTLS(),
		"password":                         ts.WithBasicAuth("u", "p"),
		"token":                            ts.WithTokenAuth("robot$u", "p", ts.TokenOptions{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ts.Distribution(t, option)
			if err := clientOf(t, r).Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if e := endpointOf(r); e.CACertificate != "" {
				e.CACertificate, e.Insecure = "", true
				if err := client(t, e, quick).Ping(t.Context()); err != nil {
					t.Errorf("unverified: %v", err)
				}
			}
			e := endpointOf(r)
			e.Credential = registry.Credential{}
			if err := client(t, e, quick).Ping(t.Context()); err != nil {
				t.Errorf("without a credential it is there all the same: %v", err)
			}
		})
	}
}

func TestPingNamesTheCause(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })

	plain, secure := ts.Distribution(t), ts.Distribution(t, ts.WithTLS())
	password := ts.Distribution(t, ts.WithBasicAuth("u", "p"))
	token := ts.Distribution(t, ts.WithTokenAuth("u", "p", ts.TokenOptions{}))
	wrong := registry.Credential{AccessKey: "u", AccessSecret: "wrong"}
	expired := servedWith(t, time.Now().Add(-time.Hour), "127.0.0.1")
	otherName := servedWith(t, time.Now().Add(time.Hour), "192.0.2.1")
	page := func(status int, body string) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}).URL
	}
	slow := quick
	slow.AnswerTimeout = 50 * time.Millisecond

	for name, test := range map[string]struct {
		endpoint registry.Endpoint
		options  registry.Options
		cause    registry.PingCause
		says     string
	}{
		"unknown host":      {registry.Endpoint{URL: "no-such-host.invalid"}, failing(&net.DNSError{Err: "no such host", Name: "no-such-host.invalid", IsNotFound: true}), registry.CauseDNS, "no-such-host.invalid is not known"},
		"DNS out of order":  {registry.Endpoint{URL: "host.example"}, failing(&net.DNSError{Err: "i/o timeout", Name: "host.example", IsTimeout: true}), registry.CauseDNS, "DNS server"},
		"nothing there":     {registry.Endpoint{URL: closed.Addr().String()}, quick, registry.CauseRefused, "Check the port"},
		"no answer":         {registry.Endpoint{URL: silent.Addr().String()}, slow, registry.CauseTimeout, "firewalls"},
		"unknown authority": {registry.Endpoint{URL: secure.URL}, quick, registry.CauseTLS, "CA certificate"},
		"expired":           {expired, quick, registry.CauseTLS, "expired"},
		"another name":      {otherName, quick, registry.CauseTLS, "for another name: 192.0.2.1"},
		"http, not https":   {registry.Endpoint{URL: "https://" + plain.Host}, quick, registry.CauseTLS, "Begin the URL with http://"},
		"https, not http":   {registry.Endpoint{URL: "http://" + secure.Host}, quick, registry.CauseTLS, "Begin the URL with https://"},
		"wrong password":    {registry.Endpoint{URL: password.URL, Credential: wrong}, quick, registry.CauseUnauthorized, `the credential of "u"`},
		"wrong for a token": {registry.Endpoint{URL: token.URL, Credential: wrong}, quick, registry.CauseUnauthorized, `the credential of "u"`},
		"a web page":        {registry.Endpoint{URL: page(200, "<html>")}, quick, registry.CauseNotARegistry, "not as a registry"},
		"404":               {registry.Endpoint{URL: page(404, "<html>")}, quick, registry.CauseNotARegistry, "404 Not Found"},
		"501":               {registry.Endpoint{URL: page(501, "")}, quick, registry.CauseNotARegistry, "501"},
		"a login page":      {registry.Endpoint{URL: page(401, "<html>"), Credential: wrong}, quick, registry.CauseNotARegistry, "401"},
		"in trouble":        {registry.Endpoint{URL: page(503, "")}, quick, registry.CauseStatus, "503"},
		"moved to https": {registry.Endpoint{Insecure: true, URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, secure.URL+r.URL.Path, http.StatusMovedPermanently)
		}).URL}, quick, registry.CauseConfiguration, "Use that as the URL"},
		"not Harbor": {registry.Endpoint{Provider: registry.ProviderHarbor, URL: plain.URL}, quick, registry.CauseNotARegistry, "choose the provider docker-registry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := client(t, test.endpoint, test.options).Ping(t.Context())
			e, ok := errors.AsType[*registry.PingError](err)
			if !ok || e.Cause != test.cause || !strings.Contains(e.Message, test.says) {
				t.Errorf("%v\nwant %s: ...%s...", err, test.cause, test.says)
			}
			if ok && (strings.Contains(e.Message, "wrong\"") || errors.Unwrap(e) == nil) {
				t.Errorf("message %q of %v", e.Message, e.Err)
			}
		})
	}
}

// Whoever tests many endpoints has less patience than a ping, and needs the cause too.
func TestPingNamesTheCauseWhenItsCallerHasLessPatience(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	c := client(t, registry.Endpoint{URL: silent.Addr().String()}, quick)

	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = c.Ping(impatient)
	if e, ok := errors.AsType[*registry.PingError](err); !ok || e.Cause != registry.CauseTimeout {
		t.Errorf("%v", err)
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ping(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a ping that nobody waits for any more: %v", err)
	}
}

func TestPingForbidden(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		refuse(w, http.StatusForbidden, "DENIED", "not from there")
	})
	err := client(t, registry.Endpoint{URL: s.URL, Credential: registry.Credential{AccessKey: "u", AccessSecret: "p"}}, quick).Ping(t.Context())
	if e, ok := errors.AsType[*registry.PingError](err); !ok || e.Cause != registry.CauseForbidden {
		t.Errorf("%v", err)
	}
}

// servedWith runs an HTTPS server whose certificate, for one address, ends at a time
// and is trusted by the endpoint.
func servedWith(t *testing.T, until time.Time, address string) registry.Endpoint {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(address)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	return registry.Endpoint{URL: s.URL, CACertificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}
