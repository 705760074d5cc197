package replication

import (
	"net/url"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
)

// normalizeEndpoint checks an endpoint and brings it into the form in which it
// is stored, with Harbor's rules and messages.
func normalizeEndpoint(e *Endpoint) error {
	if e.Name == "" {
		return problem.New(problem.BadRequest, "name cannot be empty")
	}
	if len(e.Name) > 64 {
		return problem.New(problem.BadRequest, "the max length of name is 64")
	}
	address, err := normalizeURL(e.URL)
	if err != nil {
		return err
	}
	e.URL = address
	e.Speed = max(e.Speed, 0) // -1 is "unlimited", as for rules
	if e.Credential.AccessKey == "" {
		// A secret without a name is of no use to any provider; Harbor drops it too.
		e.Credential = registry.Credential{}
	} else if e.Credential.Type == "" {
		e.Credential.Type = "basic"
	}
	// Building the client checks provider, URL and certificate without a request.
	if _, err := registry.NewAdapter(e.remote(), registry.Options{}); err != nil {
		if problem.Is(err, problem.BadRequest) {
			return err
		}
		return problem.Wrap(problem.BadRequest, err, "registry %s", e.Name)
	}
	return nil
}

// normalizeURL keeps scheme, host and path of an http(s) address.
func normalizeURL(raw string) (string, error) {
	address := strings.TrimRight(strings.TrimSpace(raw), "/")
	if address == "" {
		return "", problem.New(problem.BadRequest, "empty string")
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", problem.New(problem.BadRequest, "invalid URL: %s", raw)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", problem.New(problem.BadRequest, "invalid HTTP scheme: %s", u.Scheme)
	}
	if u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return "", problem.New(problem.BadRequest, "invalid URL: %s", raw)
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}).String(), nil
}
