package cli

import (
	"net/url"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/rule"
)

func TestParseLocation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want location
	}{
		{"registry.example.com", location{url: "https://registry.example.com", host: "registry.example.com"}},
		{"registry.example.com/", location{url: "https://registry.example.com", host: "registry.example.com"}},
		{"docker://registry.example.com:5000/a/b", location{url: "https://registry.example.com:5000", host: "registry.example.com:5000", path: "a/b"}},
		{"http://10.0.0.5:5000/library/**:v*", location{url: "http://10.0.0.5:5000", host: "10.0.0.5:5000", path: "library/**", tag: "v*"}},
		{"https://127.0.0.1:5000", location{url: "https://127.0.0.1:5000", host: "127.0.0.1:5000"}},
		{"127.0.0.1:5000/a:1", location{url: "http://127.0.0.1:5000", host: "127.0.0.1:5000", path: "a", tag: "1"}},
		{"localhost:5000", location{url: "http://localhost:5000", host: "localhost:5000"}},
		{"[::1]:5000/x", location{url: "http://[::1]:5000", host: "[::1]:5000", path: "x"}},
		{"harbor/{a,b}/*:{1.*,2.0}", location{url: "https://harbor", host: "harbor", path: "{a,b}/*", tag: "{1.*,2.0}"}},
		{"docker.io/library/alpine:3.20", location{url: "https://registry-1.docker.io", host: "docker.io", path: "library/alpine", tag: "3.20"}},
	} {
		got, err := parseLocation("SRC", c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseLocationRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "names no registry",
		"/library/alpine":          "names no registry",
		"ftp://example.com":        "want http://",
		"**/alpine":                "cannot be a pattern",
		"anna:secret@example.com":  "a password does not belong",
		"example.com/a@sha256:abc": "a digest cannot be selected",
		"example.com/a:":           "no tag follows the colon",
		"exa mple.com/a":           "is not a host",
		"example.com:port/a":       "is not a host",
		"http://":                  "names no registry",
	} {
		_, err := parseLocation("SRC", text)
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitUsage {
			t.Errorf("%q: %v, want %q and exit code 2", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the password: %v", text, err)
		}
	}
}

func TestTheCommandLineBecomesARule(t *testing.T) {
	t.Parallel()
	build := func(src, dst string, f replicateFlags) (rule.Rule, error) {
		from, err := parseLocation("SRC", src)
		if err != nil {
			t.Fatal(err)
		}
		to, err := parseLocation("DST", dst)
		if err != nil {
			t.Fatal(err)
		}
		return f.rule(from, to)
	}
	r, err := build("h/library/:v*", "d/mirror/x", replicateFlags{
		selects: selectFlags{Selection: rule.Selection{ExcludeTags: []string{"*-rc*", "*-beta"}, Newest: 3}}, resource: "image", flatten: flattening{1}, override: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.DestNamespace != "mirror/x" || r.ReplaceCount != 1 || !r.Override || len(r.Filters) != 3 ||
		r.Filters[0].Text() != "library/**" || r.Filters[1].Text() != "v*" || len(r.Select.ExcludeTags) != 2 || r.Select.Newest != 3 {
		t.Errorf("%+v", r)
	}
	for want, c := range map[string]struct {
		src, dst string
		f        replicateFlags
	}{
		"so does --name":          {"h/a", "d", replicateFlags{name: "b"}},
		"so does --tag":           {"h/a:1", "d", replicateFlags{tag: "2"}},
		"so has --namespace":      {"h/a", "d/n", replicateFlags{namespace: "m"}},
		"--flatten needs":         {"h/a", "d", replicateFlags{flatten: flattening{-1}}},
		"--rename gives whole":    {"h/a", "d/n", replicateFlags{selects: selectFlags{Rename: rule.Rename{Template: "{name}"}}}},
		"rename.template: is mis": {"h/a", "d", replicateFlags{selects: selectFlags{Rename: rule.Rename{Regexp: "a"}}}},
		"select.tag_regex: error": {"h/a", "d", replicateFlags{selects: selectFlags{Selection: rule.Selection{TagRegexp: "("}}}},
		"tags keep their names":   {"h/a", "d/n:1", replicateFlags{}},
		"invalid destination nam": {"h/a", "d/N", replicateFlags{}},
		"invalid pattern":         {"h/[", "d", replicateFlags{}},
	} {
		if _, err := build(c.src, c.dst, c.f); err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitUsage {
			t.Errorf("%+v: %v, want %q and exit code 2", c, err, want)
		}
	}
}

func TestNormalizeServer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"registry.example.com":         "https://registry.example.com",
		"127.0.0.1:8580":               "http://127.0.0.1:8580",
		"localhost:8580/":              "http://localhost:8580",
		"HTTP://Example.com/":          "http://example.com",
		"https://h:1/harbor/api/v2.0/": "https://h:1/harbor",
	} {
		if got, err := normalizeServer(text); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "gopher://x", "http://", "https://a:b@c", "http://a b"} {
		if got, err := normalizeServer(text); exitCode(err) != exitUsage {
			t.Errorf("%q: %s, %v; want a usage error", text, got, err)
		}
	}
}

// A location is either refused or names a host that nothing of the text can
// make into another one.
func FuzzParseLocation(f *testing.F) {
	for _, seed := range []string{"h/a:b", "http://h:1/**", "[::1]:5/a", "docker://a@b", "a/b@sha256:c", "h?x/y", "h#x/y", "h\\x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseLocation("SRC", text)
		if err != nil {
			if exitCode(err) != exitUsage {
				t.Errorf("%q: %v is no usage error", text, err)
			}
			return
		}
		u, err := url.Parse(l.url)
		if err != nil || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q gives the URL %q", text, l.url)
		}
		if !strings.Contains(text, l.host) {
			t.Errorf("%q gives the host %q", text, l.host)
		}
	})
}
