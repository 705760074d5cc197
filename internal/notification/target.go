package notification

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lighterage/lighterage/internal/problem"
)

// MaskedSecret stands for a secret wherever one is shown. Sent back, it means "as it
// was".
const MaskedSecret = "*****"

// Target is who is told.
type Target struct {
	ID             int64
	Name           string
	Description    string
	Enabled        bool
	URL            string
	AuthHeader     string // what Authorization carries; "": there is none
	SkipCertVerify bool
	CACertificate  string // PEM; trusted beside the system's authorities
	Format         Format
	Events         []Kind
	PolicyIDs      []int64 // the rules that it is about; none: all
	CreationTime   time.Time
	UpdateTime     time.Time

	Waiting int64    // deliveries that are not done
	Last    *Attempt // nil: there was none yet

	sealed string
	locked error // why the stored secret cannot be read
}

// Attempt is how the last attempt at a delivery ended.
type Attempt struct {
	Time   time.Time
	Status int    // of the answer, 0: there was none
	Error  string // "" when it was delivered
}

const (
	maxName        = 128
	maxDescription = 1024
	maxURL         = 2048
	maxHeader      = 4096
	maxCertificate = 64 << 10
	maxPolicies    = 1000
)

// normalize checks a target and gives it its stored form. Errors are of kind
// BadRequest and name the field.
func (t *Target) normalize() error {
	bad := func(format string, args ...any) error { return problem.New(problem.BadRequest, format, args...) }
	t.Name = strings.TrimSpace(t.Name)
	switch {
	case t.Name == "":
		return bad("name: it is empty")
	case len(t.Name) > maxName || !utf8.ValidString(t.Name):
		return bad("name: it is longer than %d bytes or no text", maxName)
	case len(t.Description) > maxDescription || !utf8.ValidString(t.Description):
		return bad("description: it is longer than %d bytes or no text", maxDescription)
	case len(t.AuthHeader) > maxHeader || strings.ContainsFunc(t.AuthHeader, func(r rune) bool { return r < ' ' || r > '~' }):
		return bad("auth_header: it is longer than %d bytes or has characters that a header cannot carry", maxHeader)
	case len(t.PolicyIDs) > maxPolicies:
		return bad("policy_ids: there are more than %d", maxPolicies)
	}
	if err := checkURL(t.URL); err != nil {
		return bad("url: %s", err)
	}
	if t.CACertificate != "" && (len(t.CACertificate) > maxCertificate || !x509.NewCertPool().AppendCertsFromPEM([]byte(t.CACertificate))) {
		return bad("ca_certificate: it holds no PEM certificate")
	}
	if t.Format == "" {
		t.Format = Default
	}
	if t.Format != Default && t.Format != CloudEvents {
		return bad("payload_format: %q: want %s or %s", t.Format, Default, CloudEvents)
	}
	if len(t.Events) == 0 {
		return bad("events: want at least one of %s, %s, %s, %s", Finished, Failed, Changed, Held)
	}
	for _, kind := range t.Events {
		if kind != Finished && kind != Failed && kind != Changed && kind != Held {
			return bad("events: %q: want %s, %s, %s or %s", kind, Finished, Failed, Changed, Held)
		}
	}
	t.Events = slices.Compact(slices.Sorted(slices.Values(t.Events)))
	t.PolicyIDs = slices.Compact(slices.Sorted(slices.Values(t.PolicyIDs)))
	return nil
}

func checkURL(text string) error {
	if len(text) > maxURL {
		return fmt.Errorf("it is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("want http(s)://host[:port]/path")
	case u.User != nil:
		return fmt.Errorf("a credential does not belong into it: use auth_header")
	}
	return nil
}

// origin is who a URL speaks to.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

// wants reports whether a target is to be told of an event.
func (t Target) wants(e Event) bool {
	if len(t.PolicyIDs) > 0 && !slices.Contains(t.PolicyIDs, e.PolicyID) {
		return false
	}
	return slices.ContainsFunc(t.Events, func(k Kind) bool { return slices.Contains(e.Kinds, k) })
}

// HasSecret reports whether a secret is stored, whether it can be read or not.
func (t Target) HasSecret() bool { return t.sealed != "" }
