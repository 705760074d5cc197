package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
)

// maxManifestSize is the longest manifest that is taken; the specification asks
// for 4 megabytes (section "Pushing Manifests"). Bytes.
const maxManifestSize = 4 << 20

// maxTagParameters bounds the tags that one push by digest can set.
const maxTagParameters = 100

func (r *Registry) serveManifest(w http.ResponseWriter, req *http.Request, c call) {
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		r.getManifest(w, req, c)
	case http.MethodPut:
		r.putManifest(w, req, c)
	case http.MethodDelete:
		r.deleteManifest(w, req, c)
	default:
		allow(w, req, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
	}
}

// getManifest has the library answer, which has the last word on what a client
// accepts; only a client that accepts anything is told so on behalf of it.
func (r *Registry) getManifest(w http.ResponseWriter, req *http.Request, c call) {
	tag := ""
	if c.digest() == "" {
		if tag = c.reference; !validTag(tag) {
			fail(w, http.StatusNotFound, codeManifestUnknown, "manifest unknown: no tag can be named so")
			return
		}
	}
	if acceptsAnything(req.Header) {
		req = req.Clone(req.Context())
		req.Header["Accept"] = []string{
			ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, home.MediaTypeDockerManifest, home.MediaTypeDockerManifestList,
		}
	}
	watched := &statusWriter{ResponseWriter: w}
	r.forward(watched, req, c.route)
	if req.Method == http.MethodGet && watched.status == http.StatusOK && !c.own {
		r.index.CountPull(req.Context(), c.operator, c.repository, w.Header().Get("Docker-Content-Digest"), tag, time.Now())
	}
}

func acceptsAnything(header http.Header) bool {
	accept := strings.Join(header.Values("Accept"), ",")
	return strings.TrimSpace(accept) == "" || strings.Contains(accept, "*/*") || strings.Contains(accept, "application/*")
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, c call) {
	content, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifestSize))
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			fail(w, http.StatusRequestEntityTooLarge, codeSizeInvalid, fmt.Sprintf("the manifest is longer than %d bytes", maxManifestSize))
			return
		}
		fail(w, http.StatusBadRequest, codeManifestInvalid, "the manifest did not arrive: "+err.Error())
		return
	}
	if r.readOnly() { // since the request came: a body may take minutes
		fail(w, http.StatusForbidden, codeDenied, readOnlyMessage)
		return
	}
	p, err := readPush(req, c, content)
	if err != nil {
		r.fault(w, req, err)
		return
	}
	p.sparse = c.own && sparseAllowed(req.Context())
	if err := r.push(req.Context(), p); err != nil {
		r.fault(w, req, err)
		return
	}
	header := w.Header()
	header.Set("Location", route{endpoint: endpointManifest, repository: c.repository, reference: p.digest.String()}.path())
	header.Set("Docker-Content-Digest", p.digest.String())
	if p.manifest.Subject != "" {
		header.Set("OCI-Subject", p.manifest.Subject.String())
	}
	if c.digest() != "" {
		for _, tag := range p.tags {
			header.Add("OCI-Tag", tag)
		}
	}
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}

// readPush understands a PUT of a manifest.
func readPush(req *http.Request, c call, content []byte) (push, error) {
	p := push{repository: c.repository, content: content, operator: c.operator, time: time.Now()}
	var err error
	if p.manifest, err = home.ParseManifest(req.Header.Get("Content-Type"), content); err != nil {
		return push{}, &failure{status: http.StatusBadRequest, code: codeManifestInvalid, message: "manifest invalid: " + err.Error()}
	}
	if p.digest = c.digest(); p.digest == "" {
		p.digest = digest.SHA256.FromBytes(content)
		p.tags = []string{c.reference}
	} else {
		if p.digest.Algorithm().FromBytes(content) != p.digest {
			return push{}, &failure{status: http.StatusBadRequest, code: codeDigestInvalid, message: "provided digest did not match uploaded content"}
		}
		p.tags = req.URL.Query()["tag"]
	}
	slices.Sort(p.tags)
	p.tags = slices.Compact(p.tags)
	if len(p.tags) > maxTagParameters {
		return push{}, &failure{status: http.StatusRequestURITooLong, code: codeTagInvalid, message: fmt.Sprintf("more than %d tags", maxTagParameters)}
	}
	for _, tag := range p.tags {
		if !validTag(tag) {
			return push{}, &failure{status: http.StatusBadRequest, code: codeTagInvalid, message: fmt.Sprintf("invalid tag %q", tag)}
		}
	}
	return p, nil
}

func (r *Registry) deleteManifest(w http.ResponseWriter, req *http.Request, c call) {
	var err error
	if d := c.digest(); d != "" {
		err = r.removeManifest(req.Context(), c.operator, c.repository, d)
	} else {
		err = r.removeTag(req.Context(), c.operator, c.repository, c.reference, "")
	}
	if problem.Is(err, problem.NotFound) {
		fail(w, http.StatusNotFound, codeManifestUnknown, "manifest unknown")
		return
	}
	if err != nil {
		r.fault(w, req, err)
		return
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
}

// change runs f, which changes the storage and records it, to its end: a client
// that goes away must not leave a change without its record.
func (r *Registry) change(ctx context.Context, f func(ctx context.Context) error) error {
	r.changes.Add(1)
	defer r.changes.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	// A request has passed the gate as a whole; what changes something without one has not.
	leave, ok := r.gate.enter(hasPassed(ctx), nil)
	if !ok {
		return problem.New(problem.Denied, "%s", readOnlyMessage)
	}
	defer leave()
	return f(ctx)
}
