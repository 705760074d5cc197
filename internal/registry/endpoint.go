package registry

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// Endpoint is a remote registry and how to reach it.
type Endpoint struct {
	Provider      string // "docker-registry" or "harbor", see Providers
	URL           string // as NormalizeURL gives it, or anything it accepts
	Credential    Credential
	Insecure      bool   // do not verify the certificate; ignored when CACertificate is set
	CACertificate string // PEM; trusted beside the system's authorities
}

// Credential is what an endpoint asks for.
type Credential struct {
	// Type is "basic" (also ""): name and password; or "oauth": AccessSecret is an
	// identity token, exchanged at the token server for access tokens.
	Type         string
	AccessKey    string // the account's name, such as robot$replication
	AccessSecret string
}

func (c Credential) empty() bool { return c.AccessKey == "" && c.AccessSecret == "" }

// identityToken says whether the secret is a refresh token. Docker's credential
// stores mark such a secret with the user name <token>.
func (c Credential) identityToken() bool { return c.Type == "oauth" || c.AccessKey == "<token>" }

// NormalizeURL brings an endpoint's URL into the form it is stored in: trimmed, with a
// scheme (http when none is given, as Harbor does), without trailing slash, query,
// user information and fragment. A URL that cannot be used is a problem.BadRequest.
func NormalizeURL(raw string) (string, error) {
	s := strings.TrimSpace(raw)
	if strings.Trim(s, "/") == "" {
		return "", problem.New(problem.BadRequest, "empty string")
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", problem.New(problem.BadRequest, "invalid URL: %s", withoutURL(err))
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return "", problem.New(problem.BadRequest, "invalid HTTP scheme: %s", u.Scheme)
	}
	if u.Hostname() == "" {
		return "", problem.New(problem.BadRequest, "invalid URL: no host in %q", scheme+"://"+u.Host+u.Path)
	}
	return scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// withoutURL returns a url.Parse failure without the URL itself, which may carry a password.
func withoutURL(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}

// tlsConfig returns what the endpoint's connections trust. A certificate text in which
// no certificate can be found is a problem.BadRequest.
func (e Endpoint) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if strings.TrimSpace(e.CACertificate) == "" {
		cfg.InsecureSkipVerify = e.Insecure
		return cfg, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without system roots still has the endpoint's own
	}
	rest, found := []byte(e.CACertificate), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, problem.New(problem.BadRequest, "invalid CA certificate: %v", err)
		}
		pool.AddCert(cert)
		found++
	}
	if found == 0 {
		return nil, problem.New(problem.BadRequest, "invalid CA certificate: no valid certificates found in PEM data")
	}
	cfg.RootCAs = pool
	return cfg, nil
}
