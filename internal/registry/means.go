package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

// What providers' adapters have in common.

// parseEndpoint returns an endpoint's URL.
func parseEndpoint(e Endpoint) (*url.URL, error) {
	text, err := NormalizeURL(e.URL)
	if err != nil {
		return nil, err
	}
	return url.Parse(text)
}

// twoComponents is the rule of providers whose repositories are namespace/name.
func twoComponents(provider, example string) func(string) error {
	return func(name string) error {
		if strings.Count(name, "/") != 1 {
			return problem.New(problem.BadRequest, "%q cannot be a repository of %s: it must be a namespace and a name, such as %s", name, provider, example)
		}
		return nil
	}
}

// someComponents is the rule of providers whose repositories are below a namespace.
func someComponents(provider, what, example string) func(string) error {
	return func(name string) error {
		if !strings.Contains(name, "/") {
			return problem.New(problem.BadRequest, "%q cannot be a repository of %s: it needs %s in front, such as %s", name, provider, what, example)
		}
		return nil
	}
}

// namespacesOf returns the namespaces that a rule names; m may be nil. What cannot be one
// is left out: no repository is in it, and it must not be in a URL.
func namespacesOf(m *rule.Matcher) (names []string, literal bool) {
	if m == nil {
		return nil, false
	}
	names, literal = m.Namespaces()
	return slices.DeleteFunc(names, func(n string) bool { return checkRepository(n) != nil }), literal
}

// listFailed says whose list could not be read.
func listFailed(c *Client, err error) error {
	return fmt.Errorf("list the repositories of %s: %w", c.Host(), err)
}

// keepTemporary returns an error only if another try may pass: what a look before a push
// was refused for the push itself may be allowed.
func keepTemporary(err error) error {
	if IsTemporary(err) || errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// isForbidden reports whether the account is known and may not.
func isForbidden(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusForbidden
}

// setTime reads a tag's time, written as RFC 3339 or in milliseconds since 1970. One that
// cannot be read is not known.
func setTime(times map[string]time.Time, tag, text string) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		times[tag] = at
	} else if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 {
		times[tag] = time.UnixMilli(ms)
	}
}
