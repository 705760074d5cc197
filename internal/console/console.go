package console

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// Built is the console that was built into this program; without one it has no index.html.
func Built() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a valid one
	}
	return files
}

const (
	indexFile = "index.html"
	// noncePlace is where index.html wants the nonce that its styles are allowed by.
	noncePlace = "__NONCE__"
	hashed     = "assets/" // names in it change with the content
)

// Console serves the files of a console.
type Console struct {
	index  []byte // nil: there is no console
	assets map[string]asset
}

// asset is a file in the codings that it is kept in.
type asset struct {
	mediaType string
	etag      string
	codings   map[string][]byte // by the name of the coding; "" is none
}

// New reads a console. A file NAME.br or NAME.gz is NAME, compressed.
func New(files fs.FS) (*Console, error) {
	c := &Console{assets: map[string]asset{}}
	index, err := fs.ReadFile(files, indexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the console: %w", err)
	}
	if !bytes.Contains(index, []byte(noncePlace)) {
		return nil, fmt.Errorf("read the console: %s has no place for %s", indexFile, noncePlace)
	}
	c.index = index
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == indexFile || name == "README" {
			return err
		}
		return c.add(files, name)
	})
	if err != nil {
		return nil, fmt.Errorf("read the console: %w", err)
	}
	return c, nil
}

func (c *Console) add(files fs.FS, name string) error {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	coding := ""
	switch path.Ext(name) {
	case ".br":
		coding, name = "br", strings.TrimSuffix(name, ".br")
	case ".gz":
		coding, name = "gzip", strings.TrimSuffix(name, ".gz")
	}
	a, known := c.assets[name]
	if !known {
		a = asset{mediaType: mediaType(name), codings: map[string][]byte{}}
	}
	a.codings[coding] = content
	if coding != "br" { // every file is kept plain or in gzip
		sum := sha256.Sum256(content)
		a.etag = base64.RawURLEncoding.EncodeToString(sum[:12])
	}
	c.assets[name] = a
	return nil
}

// mediaType does not ask the machine, which may know other types.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// IsBuilt reports whether there is a console.
func (c *Console) IsBuilt() bool { return c.index != nil }

// HowToGet says in words why there is no console and what to do.
const HowToGet = `This program was built without the web console. Releases have it. To build one that has it, install
Node.js 20.19 or later with npm, run "make build" in the source and start bin/lighterage anew.
`

// ServeHTTP answers with a file, or with the page whose script reads the address: all
// addresses that the server gives to the console are pages.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if !c.IsBuilt() {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, HowToGet)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if a, known := c.assets[name]; known {
		a.serve(w, r, strings.HasPrefix(name, hashed))
		return
	}
	if strings.HasPrefix(name, hashed) { // of another version: the page must be loaded anew
		http.Error(w, "404 there is no such file in this version of the console", http.StatusNotFound)
		return
	}
	c.serveIndex(w, r)
}

// protect sets what browsers must not do with the console.
func protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Content-Security-Policy", policy(""))
}

// policy lets the console load what this server has and nothing else. The nonce is for
// the styles that its widgets make while it runs.
func policy(nonce string) string {
	styles := "'self'"
	if nonce != "" {
		styles += " 'nonce-" + nonce + "'"
	}
	return "default-src 'none'; script-src 'self'; style-src " + styles + "; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

func (c *Console) serveIndex(w http.ResponseWriter, r *http.Request) {
	nonce := rand.Text()
	h := w.Header()
	h.Set("Content-Security-Policy", policy(nonce))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	page := bytes.ReplaceAll(c.index, []byte(noncePlace), []byte(nonce))
	h.Set("Content-Length", strconv.Itoa(len(page)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(page) // a client that is gone reads nothing
	}
}

func (a asset) serve(w http.ResponseWriter, r *http.Request, forever bool) {
	h := w.Header()
	coding, content := a.choose(r.Header.Values("Accept-Encoding"))
	etag := `"` + a.etag + coding + `"`
	h.Set("Content-Type", a.mediaType)
	h.Set("ETag", etag)
	h.Add("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if content == nil { // kept compressed only, and the client takes it plain only
		plain, err := expand(a.codings["gzip"])
		if err != nil {
			http.Error(w, "500 the console is damaged", http.StatusInternalServerError)
			return
		}
		content = plain
	}
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(content) // a client that is gone reads nothing
	}
}

// choose returns the smallest form of the file that a client takes; nil: it has to be
// expanded.
func (a asset) choose(accept []string) (coding string, content []byte) {
	for _, coding := range []string{"br", "gzip"} {
		if content, kept := a.codings[coding]; kept && accepts(accept, coding) {
			return coding, content
		}
	}
	return "", a.codings[""]
}

// accepts reports whether Accept-Encoding names a coding.
func accepts(headers []string, coding string) bool {
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, weight, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		number, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		q, err := strconv.ParseFloat(number, 64)
		return !found || err == nil && q > 0
	}
	return false
}

func expand(content []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}
