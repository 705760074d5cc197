package registry_test

import (
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
)

func TestNormalizeURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		" https://harbor.example.com/ ":       "https://harbor.example.com",
		"harbor.example.com:8080":             "http://harbor.example.com:8080",
		"127.0.0.1:5000":                      "http://127.0.0.1:5000",
		"HTTPS://h/prefix//":                  "https://h/prefix",
		"http://user:secret@h/p?q=1#fragment": "http://h/p",
		"http://[::1]:5000":                   "http://[::1]:5000",
		"registry":                            "http://registry",
	} {
		if got, err := registry.NormalizeURL(raw); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", raw, got, err, want)
		}
	}
	for raw, says := range map[string]string{
		"": "empty string", " / ": "empty string", "ftp://x": "invalid HTTP scheme: ftp",
		"http://": "invalid URL", "http://user:secret@[": "invalid URL", "http://a b": "invalid URL",
	} {
		_, err := registry.NormalizeURL(raw)
		if !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestACertificateThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, pem := range []string{"nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := registry.NewClient(registry.Endpoint{URL: "h", CACertificate: pem}, registry.Options{}); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%q: %v", pem, err)
		}
	}
}

func TestARegistryBelowAPath(t *testing.T) {
	t.Parallel()
	c := client(t, registry.Endpoint{URL: serve(t, echo).URL + "/some/where/"}, quick)
	tags, err := c.Tags(t.Context(), "team/app")
	if err != nil || len(tags) != 1 || tags[0] != "/some/where/v2/team/app/tags/list" {
		t.Errorf("%q, %v", tags, err)
	}
}
