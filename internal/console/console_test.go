package console_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/lighterage/lighterage/internal/console"
)

const page = `<!doctype html><meta name="csp-nonce" content="__NONCE__"><script type="module" src="/assets/main-1a2b.js"></script>`

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func example(t *testing.T) *console.Console {
	t.Helper()
	c, err := console.New(fstest.MapFS{
		"index.html":             {Data: []byte(page)},
		"favicon.svg":            {Data: []byte("<svg/>")},
		"assets/main-1a2b.js.gz": {Data: packed(t, "alert(1)")},
		"assets/main-1a2b.js.br": {Data: []byte("brotli")},
		"README":                 {Data: []byte("not for the web")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(c *console.Console, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryAddressOfAPageIsTheSamePage(t *testing.T) {
	t.Parallel()
	c := example(t)
	for _, path := range []string{"/", "/harbor/registries", "/harbor/replications/7", "/account/sign-in"} {
		r := get(c, path)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, r.StatusCode, r.Header)
		}
	}
}

func TestThePageMayLoadNothingFromElsewhereAndNothingInline(t *testing.T) {
	t.Parallel()
	c := example(t)
	r := get(c, "/")
	csp := r.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("no %s in %s", part, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
		t.Error(csp)
	}
	nonce := regexp.MustCompile(`'nonce-([A-Z0-9]{20,})'`).FindStringSubmatch(csp)
	if text := body(t, r); len(nonce) != 2 || !strings.Contains(text, `content="`+nonce[1]+`"`) || strings.Contains(text, "__NONCE__") {
		t.Errorf("the nonce of %s is not that of %s", csp, text)
	}
	if again := get(c, "/").Header.Get("Content-Security-Policy"); again == csp {
		t.Error("the nonce is the same every time")
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestFilesComeInTheSmallestFormThatTheClientTakesAndStay(t *testing.T) {
	t.Parallel()
	c := example(t)
	const name = "/assets/main-1a2b.js"
	for accept, want := range map[string]struct{ coding, text string }{
		"gzip, deflate, br": {"br", "brotli"},
		"gzip":              {"gzip", ""},
		"br;q=0, gzip;q=1":  {"gzip", ""},
		"identity":          {"", "alert(1)"},
		"":                  {"", "alert(1)"},
	} {
		r := get(c, name, "Accept-Encoding", accept)
		text := body(t, r)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Encoding") != want.coding || want.text != "" && text != want.text {
			t.Errorf("%q: %d %v %q", accept, r.StatusCode, r.Header, text)
		}
		if r.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/javascript") {
			t.Errorf("%q: %v", accept, r.Header)
		}
		if again := get(c, name, "Accept-Encoding", accept, "If-None-Match", r.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%q again: %d", accept, again.StatusCode)
		}
	}
	if r := get(c, "/favicon.svg"); r.Header.Get("Cache-Control") != "no-cache" || body(t, r) != "<svg/>" {
		t.Errorf("a name without a hash: %v", r.Header)
	}
}

func TestAFileOfAnotherVersionIsNotThePage(t *testing.T) {
	t.Parallel()
	if r := get(example(t), "/assets/main-0000.js"); r.StatusCode != http.StatusNotFound {
		t.Errorf("%d", r.StatusCode)
	}
}

func TestWithoutAConsoleItSaysHowToGetIt(t *testing.T) {
	t.Parallel()
	c, err := console.New(fstest.MapFS{"README": {Data: []byte("x")}})
	if err != nil {
		t.Fatal(err)
	}
	r := get(c, "/harbor/registries")
	if text := body(t, r); c.IsBuilt() || r.StatusCode != http.StatusNotFound || !strings.Contains(text, "make build") || !strings.Contains(text, "Node.js") {
		t.Errorf("%d %s", r.StatusCode, text)
	}
}

func TestAPageWithoutAPlaceForTheNonceIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := console.New(fstest.MapFS{"index.html": {Data: []byte("<html>")}}); err == nil {
		t.Error("accepted")
	}
}

// Whatever was built into this program, it can be served.
func TestWhatIsBuiltInIsReadable(t *testing.T) {
	t.Parallel()
	if _, err := console.New(console.Built()); err != nil {
		t.Error(err)
	}
}
