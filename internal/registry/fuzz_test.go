package registry

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func FuzzChallenges(f *testing.F) {
	for _, s := range []string{
		`Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push repository:c:pull"`,
		`Basic realm="x", Bearer realm="a\"b"`, `Negotiate abc==, Basic realm=x`, `Bearer realm="open`, `,,Basic`, `Bearer`, `a=b`, "",
		`Bearer scope="a:b:, "`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenges(s) {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) {
				t.Errorf("scheme %q", c.scheme)
			}
			scopes := mergeScopes(parseScopes(c.params["scope"])...)
			if !covers(scopes, scopes) {
				t.Errorf("%v does not cover itself", scopes)
			}
			if again := mergeScopes(parseScopes(scopesKey(scopes))...); scopesKey(again) != scopesKey(scopes) {
				t.Errorf("%q is read as %q", scopesKey(scopes), scopesKey(again))
			}
		}
	})
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]challenge{
		`Bearer realm="https://a/t",service="s",scope="repository:a:pull,push"`: {"bearer", map[string]string{"realm": "https://a/t", "service": "s", "scope": "repository:a:pull,push"}},
		`Basic realm="x", Bearer realm="u"`:                                     {"bearer", map[string]string{"realm": "u"}},
		`BASIC Realm="a \"quoted\" name", charset="UTF-8"`:                      {"basic", map[string]string{"realm": `a "quoted" name`, "charset": "UTF-8"}},
		`bearer realm=https://bare/token,service=s`:                             {"bearer", map[string]string{"realm": "https://bare/token", "service": "s"}},
		`Negotiate, Basic realm = "spaced"`:                                     {"basic", map[string]string{"realm": "spaced"}},
		`Bearer realm="no end`:                                                  {},
		`Bearer service="no realm"`:                                             {},
		``:                                                                      {},
	} {
		got, _ := choose(challenges(http.Header{"Www-Authenticate": {header}}))
		if got.scheme != want.scheme || len(got.params) != len(want.params) {
			t.Errorf("%s: %+v", header, got)
			continue
		}
		for name, value := range want.params {
			if got.params[name] != value {
				t.Errorf("%s: %s is %q", header, name, got.params[name])
			}
		}
	}
}

func FuzzLink(f *testing.F) {
	for _, s := range []string{
		`</v2/_catalog?last=a&n=1>; rel="next"`, `<a>; rel=prev, <b>; title="x, <y>"; rel="next"`, `<a`, `<a>;rel="`, `>;<;`, `<>; rel=next`,
	} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "http", Host: "registry.example"}
	c := &Client{base: base}
	f.Fuzz(func(t *testing.T, s string) {
		at := &url.URL{Scheme: "http", Host: "registry.example", Path: "/v2/_catalog"}
		a := &answer{request: &request{url: at}, header: http.Header{"Link": {s}}}
		next, err := c.nextPage(a)
		if err == nil && next != nil && (next.Host != base.Host || next.Scheme != base.Scheme || next.User != nil) {
			t.Errorf("%q leads to %s", s, next)
		}
	})
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		`</v2/_catalog?last=a&n=1>; rel="next"`:          "/v2/_catalog?last=a&n=1",
		`<a>; rel=prev, <b>; title="x, <y>"; REL="Next"`: "b",
		`<a?x=1,2>; rel=next`:                            "a?x=1,2",
		`<a>; rel="prev"`:                                "",
		`<a>`:                                            "",
		`</api?page=1>; rel="prev" , </api?page=3>; rel="next"`: "/api?page=3",
	} {
		if got := nextLink(http.Header{"Link": {header}}); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"0-0", "0-1023", "bytes=0-9", "bytes 5-9/10", "bytes 0-9/*", "0-", "-1", "0--1", "bytes 9-5/10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if end, ok := parseRange(s); ok && end < 0 {
			t.Errorf("%q ends at %d", s, end)
		}
		if first, total, ok := parseContentRange(s); ok && (first < 0 || total >= 0 && first >= total) {
			t.Errorf("%q begins at %d of %d", s, first, total)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"0", "5", "-1", "99999999999", "Sun, 22 Nov 2026 10:00:05 GMT", "Sun, 22 Nov 2020 10:00:05 GMT", "soon", "1.5", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := parseRetryAfter(s, now); d < 0 || d > 24*time.Hour {
			t.Errorf("%q: %s", s, d)
		}
		if remaining, reset, ok := rateLimit(http.Header{"Ratelimit-Remaining": {s}, "Ratelimit-Reset": {s}}, now); ok && (remaining < 0 || reset < 0 || reset > 24*time.Hour) {
			t.Errorf("%q: %d, %s", s, remaining, reset)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"5": 5 * time.Second, " 7 ": 7 * time.Second, "0": 0, "-3": 0, "x": 0, "1.5": 0, "": 0, "999999999999": 24 * time.Hour,
		"Sun, 22 Nov 2026 10:00:05 GMT": 5 * time.Second, "Sun, 22 Nov 2026 09:00:00 GMT": 0,
	} {
		if got := parseRetryAfter(s, now); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
	// By the host's own clock, which is an hour behind.
	h := http.Header{"Date": {"Sun, 22 Nov 2020 09:00:00 GMT"}, "Retry-After": {"Sun, 22 Nov 2020 09:00:30 GMT"}}
	if got := retryAfter(h); got != 30*time.Second {
		t.Errorf("%s", got)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	now := time.Unix(2_000_000_000, 0)
	for _, test := range []struct {
		header    http.Header
		remaining int
		reset     time.Duration
		ok        bool
	}{
		{http.Header{"Ratelimit-Remaining": {"76;w=21600"}}, 76, 0, true},
		{http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"2000000060"}}, 0, time.Minute, true},
		{http.Header{"Ratelimit-Remaining": {"5"}, "Ratelimit-Reset": {"30"}}, 5, 30 * time.Second, true},
		{http.Header{"Ratelimit-Remaining": {"many"}}, 0, 0, false},
		{http.Header{}, 0, 0, false},
	} {
		if remaining, reset, ok := rateLimit(test.header, now); remaining != test.remaining || reset != test.reset || ok != test.ok {
			t.Errorf("%v: %d, %s, %t", test.header, remaining, reset, ok)
		}
	}
}

func FuzzSniffMediaType(f *testing.F) {
	for _, s := range []string{`{"mediaType":"a/b; c=d"}`, `{"schemaVersion":1,"fsLayers":[]}`, `{"manifests":null}`, `{"config":{},"layers":[]}`, `[]`, `{`, `{"mediaType":1}`,
		`{"signatures":[{"protected":"eyJmb3JtYXRMZW5ndGgiOjEwLCJmb3JtYXRUYWlsIjoiZlEifQ"}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if mt := sniffMediaType(content); mt != "" && (!strings.Contains(mt, "/") || strings.ContainsAny(mt, "\r\n ;")) {
			t.Errorf("%q", mt)
		}
		if signed := digested(MediaTypeDockerSchema1JWS, content); len(signed) > 2*len(content) {
			t.Errorf("%d bytes are said to be signed of %d", len(signed), len(content))
		}
		entries, _ := indexEntries(content)
		for _, d := range distinct(slices.Clone(entries)) {
			if d.Digest.Validate() != nil {
				t.Errorf("%q is no digest", d.Digest)
			}
		}
	})
}

func TestMediaTypesAreFoundInTheManifest(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`{"mediaType":"application/x+json"}`:                  "application/x+json",
		`{"schemaVersion":2,"manifests":[]}`:                  "application/vnd.oci.image.index.v1+json",
		`{"schemaVersion":2,"config":{},"layers":[]}`:         "application/vnd.oci.image.manifest.v1+json",
		`{"schemaVersion":1,"fsLayers":[],"signatures":[{}]}`: MediaTypeDockerSchema1JWS,
		`{"schemaVersion":1,"fsLayers":[]}`:                   MediaTypeDockerSchema1,
		`{}`:                                                  "", `[]`: "", `<html>`: "", `{"mediaType":"nonsense"}`: "",
	} {
		if got := sniffMediaType([]byte(content)); got != want {
			t.Errorf("%s: %q, want %q", content, got, want)
		}
	}
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	h := http.Header{"Date": {date.Format(http.TimeFormat)}}
	for _, test := range []struct {
		expiresIn float64
		issued    time.Time
		want      time.Duration
	}{
		{0, time.Time{}, 45 * time.Second},                      // 60 by the specification, less the margin
		{300, time.Time{}, 285 * time.Second},                   // no issued_at: new
		{300, date.Add(-100 * time.Second), 185 * time.Second},  // from the server's cache
		{300, date.Add(time.Hour), 285 * time.Second},           // from the future: its clock is odd, the token is new
		{300, date.Add(-1000 * time.Second), 285 * time.Second}, // it would not hand out a dead one
		{8, time.Time{}, 6 * time.Second},
		{1e18, time.Time{}, 24*time.Hour - 15*time.Second},
	} {
		if got := tokenLife(test.expiresIn, test.issued, h); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}
