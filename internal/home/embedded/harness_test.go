package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedServerVariable); dir != "" {
		serveUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m, ts.IgnoreLeaks()...)
}

// harness is a home registry that runs for a test, with the projects library and
// team-a.
type harness struct {
	*Registry
	t      *testing.T
	db     *store.DB
	index  *home.Index
	dir    string
	server *httptest.Server
	remote *ts.Registry
}

// everybody may do everything and is admin.
type everybody struct{}

func (everybody) Authorize(context.Context, string, string, ...string) (string, error) {
	return "admin", nil
}

type option func(*Options)

func withAccess(a Access) option { return func(o *Options) { o.Access = a } }

func withReadOnly(f func() bool) option { return func(o *Options) { o.ReadOnly = f } }

func start(t *testing.T, list ...option) *harness {
	t.Helper()
	db := storetest.Open(t)
	makeProjects(t, db)
	return startOn(t, db, t.TempDir(), list...)
}

func makeProjects(t testing.TB, db *store.DB) {
	t.Helper()
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO projects (name, owner_id, public, creation_time, update_time)
			VALUES ('library', 1, TRUE, 0, 0), ('team-a', 1, FALSE, 0, 0)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// startOn starts a registry on a database and a storage that may have been used
// before.
func startOn(t *testing.T, db *store.DB, dir string, list ...option) *harness {
	t.Helper()
	h := &harness{t: t, db: db, dir: dir, index: home.NewIndex(db)}
	o := Options{
		Storage: Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": dir}},
		Index:   h.index, Access: everybody{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range list {
		f(&o)
	}
	var err error
	if h.Registry, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Registry.Close)
	complete, err := h.index.Complete(t.Context())
	if err == nil && !complete {
		err = h.Reindex(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.server = httptest.NewServer(h.Registry)
	t.Cleanup(h.server.Close)
	h.remote = ts.Remote(h.server.URL, "", "", "")
	return h
}

// answer is an answer of the registry.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// code returns the first error code of the answer.
func (a answer) code() string {
	var body errorBody
	if json.Unmarshal(a.body, &body) != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].Code
}

// do makes a request; header has pairs of name and value.
func (h *harness) do(method, path string, body []byte, header ...string) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := h.server.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, content}
}

// want makes a request and checks its status.
func (h *harness) want(status int, method, path string, body []byte, header ...string) answer {
	h.t.Helper()
	a := h.do(method, path, body, header...)
	if a.status != status {
		h.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// blob pushes a blob and returns its digest.
func (h *harness) blob(repository string, content []byte) digest.Digest {
	h.t.Helper()
	d := digest.FromBytes(content)
	h.want(http.StatusCreated, http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+d.String(), content,
		"Content-Type", "application/octet-stream")
	return d
}

// image pushes a small image's blobs and returns its manifest, which is different
// for every seed.
func (h *harness) image(repository, seed string, change ...func(*ocispec.Manifest)) []byte {
	h.t.Helper()
	config := []byte(`{"architecture":"amd64","os":"linux","author":"` + seed + `","config":{},"created":"2026-01-01T00:00:00Z"}`)
	layer := []byte("layer " + seed)
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	m.SchemaVersion = 2
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: h.blob(repository, config), Size: int64(len(config))}
	m.Layers = []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: h.blob(repository, layer), Size: int64(len(layer))}}
	for _, f := range change {
		f(&m)
	}
	return marshal(h.t, m)
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// put pushes a manifest.
func (h *harness) put(repository, reference string, manifest []byte) answer {
	h.t.Helper()
	return h.want(http.StatusCreated, http.MethodPut, "/v2/"+repository+"/manifests/"+reference, manifest,
		"Content-Type", mediaTypeOf(manifest))
}

func mediaTypeOf(manifest []byte) string {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	_ = json.Unmarshal(manifest, &m)
	return m.MediaType
}

func indexOf(t *testing.T, children ...[]byte) []byte {
	t.Helper()
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for i, child := range children {
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: mediaTypeOf(child), Digest: digest.FromBytes(child), Size: int64(len(child)),
			Platform: &ocispec.Platform{OS: "linux", Architecture: "arch" + strconv.Itoa(i)},
		})
	}
	return marshal(t, index)
}

// events returns what happened since it was last asked, in short lines.
func (h *harness) events() []string {
	h.t.Helper()
	list, err := h.index.Events(h.t.Context(), 10000)
	if err != nil {
		h.t.Fatal(err)
	}
	lines := []string{}
	for _, e := range list {
		lines = append(lines, e.Type+" "+e.Repository+" "+strings.Join(e.Tags, ",")+" "+short(e.Digest))
		err := h.db.InTx(h.t.Context(), func(tx *store.Tx) error {
			_, err := home.TakeEvent(h.t.Context(), tx, e.ID)
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return lines
}

func short(d string) string {
	_, hex, _ := strings.Cut(d, ":")
	return hex[:6]
}

func shortOf(manifest []byte) string { return short(digest.FromBytes(manifest).String()) }

// agrees checks that index and storage say the same.
func (h *harness) agrees() {
	h.t.Helper()
	ctx := context.WithoutCancel(h.t.Context())
	inStorage, inIndex := map[string]string{}, map[string]string{}
	err := h.tree().repositories(ctx, func(name string) error {
		if !validName(name) {
			return nil
		}
		revisions, err := h.tree().revisions(ctx, name)
		if err != nil {
			return err
		}
		for _, d := range revisions {
			there, err := h.tree().HasManifest(ctx, name, d)
			if err != nil {
				return err
			}
			if there {
				inStorage[name+"@"+d.String()] = ""
			}
		}
		tags, err := h.tree().tags(ctx, name)
		for _, tag := range tags {
			d, err := h.tree().ResolveTag(ctx, name, tag)
			if err != nil {
				return err
			}
			if d != "" {
				inStorage[name+":"+tag] = d.String()
			}
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for a, err := range h.index.AllArtifacts(ctx) {
		if err != nil {
			h.t.Fatal(err)
		}
		inIndex[a.Repository+"@"+a.Digest.String()] = ""
		for _, tag := range a.Tags {
			inIndex[a.Repository+":"+tag] = a.Digest.String()
		}
	}
	for name, d := range inStorage {
		if got, found := inIndex[name]; !found || got != d {
			h.t.Errorf("%s is %q in the storage and %q (%t) in the index", name, d, got, found)
		}
	}
	for name := range inIndex {
		if _, found := inStorage[name]; !found {
			h.t.Errorf("%s is in the index only", name)
		}
	}
}
