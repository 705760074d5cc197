package embedded

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestTransportServesAnOrdinaryClientWithoutNetworkAndCredentials(t *testing.T) {
	t.Parallel()
	h := start(t, withAccess(rules{})) // which would let nobody into team-a
	image, err := random.Image(300_000, 3)
	h.must(err)
	ref, err := name.ParseReference("home.invalid/team-a/app:v1", name.Insecure)
	h.must(err)
	ctx := WithOperator(t.Context(), "robot$replication")
	h.must(remote.Write(ref, image, remote.WithTransport(h.Transport()), remote.WithContext(ctx)))
	list, err := h.index.Events(t.Context(), 10)
	h.must(err)
	if len(list) != 1 || list[0].Operator != "robot$replication" || list[0].Type != "push_artifact" {
		t.Errorf("events %+v", list)
	}
	pulled, err := remote.Image(ref, remote.WithTransport(h.Transport()), remote.WithContext(t.Context()))
	h.must(err)
	layers, err := pulled.Layers()
	h.must(err)
	for _, layer := range layers {
		content, err := layer.Compressed()
		h.must(err)
		if _, err := io.Copy(io.Discard, content); err != nil { // verifies the digest
			t.Error(err)
		}
		h.must(content.Close())
	}
	h.must(h.index.FlushPulls(t.Context()))
	if r, err := h.index.GetRepository(t.Context(), "team-a/app"); err != nil || r.PullCount != 0 {
		t.Errorf("own reads are counted as pulls: %+v %v", r, err)
	}
	h.agrees()
}

func (h *harness) inProcess(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://home.invalid"+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.Transport().RoundTrip(req)
}

func TestTransportStreamsUploadsAndEndsThemWithTheContext(t *testing.T) {
	t.Parallel()
	h := start(t)
	location := h.upload(repo)
	ctx, cancel := context.WithCancelCause(t.Context())
	reader, writer := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		resp, err := h.inProcess(ctx, "PATCH", location, reader)
		if err == nil {
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	if _, err := writer.Write(bytes.Repeat([]byte("x"), 100_000)); err != nil { // read while the request is under way
		t.Fatal(err)
	}
	stopped := errors.New("stopped by the user")
	cancel(stopped)
	if err := <-failed; !errors.Is(err, stopped) {
		t.Errorf("got %v, want the cause", err)
	}
	if _, err := writer.Write([]byte("more")); err == nil {
		// The body is closed, perhaps a moment later than the answer came.
		for err == nil {
			_, err = writer.Write([]byte("more"))
		}
	}
}

func TestTransportEndsDownloadsThatNobodyReads(t *testing.T) {
	t.Parallel()
	h := start(t)
	d := h.blob(repo, bytes.Repeat([]byte("x"), 1<<20))
	path := "/v2/" + repo + "/blobs/" + d.String()

	resp, err := h.inProcess(t.Context(), "GET", path, nil)
	h.must(err)
	if resp.ContentLength != 1<<20 {
		t.Errorf("ContentLength %d", resp.ContentLength)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	h.must(resp.Body.Close()) // goleak sees it when the handler goes on

	ctx, cancel := context.WithCancel(t.Context())
	resp, err = h.inProcess(ctx, "GET", path, nil)
	h.must(err)
	cancel()
	if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("read after cancel: %v", err)
	}
	if _, err := h.inProcess(ctx, "GET", path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("request after cancel: %v", err)
	}
}

func TestTransportFailsUploadsWhoseBodyFails(t *testing.T) {
	t.Parallel()
	h := start(t)
	content := []byte("content")
	d := digest.FromBytes(content)
	for name, body := range map[string]io.Reader{
		"too short":  strings.NewReader("cont"),
		"broken off": iotest.ErrReader(errors.New("source is gone")),
	} {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://home.invalid"+with(h.upload(repo), "digest="+d.String()), body)
		h.must(err)
		req.ContentLength = int64(len(content))
		resp, err := h.Transport().RoundTrip(req)
		h.must(err)
		h.must(resp.Body.Close())
		if resp.StatusCode < 400 {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	h.want(404, "HEAD", "/v2/"+repo+"/blobs/"+d.String(), nil)
}

func TestTransportAnswersHeadWithoutBody(t *testing.T) {
	t.Parallel()
	h := start(t)
	d := h.blob(repo, []byte("0123456789"))
	resp, err := h.inProcess(t.Context(), "HEAD", "/v2/"+repo+"/blobs/"+d.String(), nil)
	h.must(err)
	content, err := io.ReadAll(resp.Body)
	if err != nil || len(content) != 0 || resp.ContentLength != 10 || resp.StatusCode != 200 {
		t.Errorf("%d bytes of %d, %s, %v", len(content), resp.ContentLength, resp.Status, err)
	}
	h.must(resp.Body.Close())
}

func TestTransportObeysReadOnlyMode(t *testing.T) {
	t.Parallel()
	h := start(t, withReadOnly(func() bool { return true }))
	resp, err := h.inProcess(t.Context(), "POST", "/v2/"+repo+"/blobs/uploads/", nil)
	h.must(err)
	h.must(resp.Body.Close())
	if resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
}

func TestSparseIndexesComeOnlyThroughTheTransport(t *testing.T) {
	t.Parallel()
	h := start(t)
	here, missing := h.image(repo, "here"), h.image(repo, "missing")
	h.put(repo, digest.FromBytes(here).String(), here)
	sparse := indexOf(t, here, missing)
	h.want(400, "PUT", "/v2/"+repo+"/manifests/v1", sparse)
	for ctx, status := range map[context.Context]int{t.Context(): 400, AllowSparse(t.Context()): 201} {
		req, err := http.NewRequestWithContext(ctx, "PUT", "http://home.invalid/v2/"+repo+"/manifests/v1", bytes.NewReader(sparse))
		h.must(err)
		req.Header.Set("Content-Type", ocispec.MediaTypeImageIndex)
		resp, err := h.Transport().RoundTrip(req)
		h.must(err)
		h.must(resp.Body.Close())
		if resp.StatusCode != status {
			t.Errorf("%s, want %d", resp.Status, status)
		}
	}
	a, err := h.index.GetArtifact(t.Context(), repo, "v1")
	h.must(err)
	if len(a.References) != 2 || a.References[0].ChildID == 0 || a.References[1].ChildID != 0 {
		t.Errorf("references %+v", a.References)
	}
}

func TestTransportTurnsAPanicIntoAnError(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.Registry.readOnly = func() bool { panic("broken") }
	if _, err := h.inProcess(t.Context(), "POST", "/v2/"+repo+"/blobs/uploads/", nil); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
}
