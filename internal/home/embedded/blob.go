package embedded

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
)

// serveBlob has the library answer for blobs and uploads, except where it falls
// short of the specification.
func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request, c call) {
	named := digest.Digest("") // the digest that the answer must name
	switch c.endpoint {
	case endpointUploads:
		r.startUpload(w, req, c)
		return
	case endpointUpload:
		if !allow(w, req, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPut, http.MethodDelete) {
			return
		}
		if req.Method == http.MethodPut {
			named = digest.Digest(req.URL.Query().Get("digest"))
		}
	default:
		if !allow(w, req, http.MethodGet, http.MethodHead, http.MethodDelete) {
			return
		}
		if req.Method != http.MethodDelete {
			named = c.digest()
		}
	}
	r.forward(naming(w, c.repository, named), req, c.route)
}

// startUpload begins an upload, unless the blob can be mounted or came with the
// request (sections "Mounting a blob from another repository" and "Single POST").
func (r *Registry) startUpload(w http.ResponseWriter, req *http.Request, c call) {
	if !allow(w, req, http.MethodPost) {
		return
	}
	query := req.URL.Query()
	if d, err := digest.Parse(query.Get("mount")); err == nil {
		mounted, err := r.mount(req, c, d, query.Get("from"))
		if err != nil {
			r.fault(w, req, err)
			return
		}
		if mounted {
			w.Header().Set("Location", blobPath(c.repository, d))
			w.Header().Set("Docker-Content-Digest", d.String())
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusCreated)
			return
		}
	}
	start := req.Clone(req.Context())
	start.URL.RawQuery = ""
	d, err := digest.Parse(query.Get("digest"))
	if err != nil || req.ContentLength <= 0 {
		r.forward(w, start, c.route)
		return
	}
	r.uploadAtOnce(w, req, start, c, d)
}

// uploadAtOnce makes of a POST with a blob the two requests that the library knows.
func (r *Registry) uploadAtOnce(w http.ResponseWriter, req, start *http.Request, c call, d digest.Digest) {
	start.Body = http.NoBody
	started := &keptAnswer{header: http.Header{}, status: http.StatusOK}
	r.forward(started, start, c.route)
	location, err := url.Parse(started.header.Get("Location"))
	if started.status != http.StatusAccepted || err != nil {
		started.copyTo(w)
		return
	}
	upload, failed := parseRoute(location.Path)
	if failed != nil {
		r.fault(w, req, failed)
		return
	}
	query := location.Query()
	query.Set("digest", d.String())
	put := req.Clone(req.Context())
	put.Method = http.MethodPut
	put.URL.RawQuery = query.Encode()
	r.forward(naming(w, c.repository, d), put, upload)
}

// keptAnswer is a short answer of the library that may not be for the client.
type keptAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *keptAnswer) Header() http.Header         { return k.header }
func (k *keptAnswer) WriteHeader(status int)      { k.status = status }
func (k *keptAnswer) Write(p []byte) (int, error) { return k.body.Write(p) }

func (k *keptAnswer) copyTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), k.header)
	w.WriteHeader(k.status)
	_, _ = w.Write(k.body.Bytes())
}

// maxMountSources bounds the repositories that are tried for a mount that names none.
const maxMountSources = 8

// mount makes a blob of another repository known in this one. Without from, every
// repository that uses the blob and that the client may pull from will do.
func (r *Registry) mount(req *http.Request, c call, d digest.Digest, from string) (bool, error) {
	ctx := req.Context()
	if from != "" {
		return r.mountFrom(ctx, c.repository, d, from)
	}
	sources, err := r.index.BlobRepositories(ctx, d.String())
	if err != nil {
		return false, err
	}
	for _, source := range sources[:min(len(sources), maxMountSources)] {
		if _, err := c.access.Authorize(ctx, req.Header.Get("Authorization"), source, "pull"); err != nil {
			continue
		}
		if mounted, err := r.mountFrom(ctx, c.repository, d, source); mounted || err != nil {
			return mounted, err
		}
	}
	return false, nil
}

func (r *Registry) mountFrom(ctx context.Context, repository string, d digest.Digest, from string) (bool, error) {
	found, err := r.tree().hasBlob(ctx, from, d)
	if err != nil || !found {
		return false, err
	}
	return true, r.tree().linkBlob(ctx, repository, d, from)
}

func blobPath(repository string, d digest.Digest) string {
	return route{endpoint: endpointBlob, repository: repository, reference: d.String()}.path()
}

// naming has an answer name the digest by which the client knows a blob. The
// library answers with the SHA-256 digest.
func naming(w http.ResponseWriter, repository string, d digest.Digest) http.ResponseWriter {
	if d.Validate() != nil || d.Algorithm() == digest.Canonical {
		return w
	}
	return &digestWriter{ResponseWriter: w, repository: repository, digest: d}
}

type digestWriter struct {
	http.ResponseWriter
	repository string
	digest     digest.Digest
	done       bool
}

func (w *digestWriter) WriteHeader(status int) {
	if !w.done && status >= 200 && status < 400 {
		w.Header().Set("Docker-Content-Digest", w.digest.String())
		if status == http.StatusCreated {
			w.Header().Set("Location", blobPath(w.repository, w.digest))
		}
	}
	w.done = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *digestWriter) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *digestWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
