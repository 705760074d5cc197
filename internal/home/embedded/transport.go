package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

type contextKey int

const (
	operatorKey contextKey = iota
	sparseKey
	passedKey
)

// WithOperator names who is behind requests through Transport; it stands in the
// events of what they change.
func WithOperator(ctx context.Context, operator string) context.Context {
	return context.WithValue(ctx, operatorKey, operator)
}

// AllowSparse lets a request through Transport push an index whose children are
// not all in the repository.
func AllowSparse(ctx context.Context) context.Context {
	return context.WithValue(ctx, sparseKey, true)
}

func sparseAllowed(ctx context.Context) bool {
	allowed, _ := ctx.Value(sparseKey).(bool)
	return allowed
}

// Transport returns a transport by which clients in this process reach the
// registry without a network, and without credentials: every request is allowed,
// except for writes in read-only mode. Only the path of a URL counts. Bodies are
// streams both ways, and a request ends when its context does.
func (r *Registry) Transport() http.RoundTripper { return transport{r} }

type transport struct{ registry *Registry }

// RoundTrip implements http.RoundTripper. The error of a request whose context
// ended is the cause.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := context.Cause(req.Context()); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	ctx, cancel := context.WithCancel(req.Context())
	body, pipe := io.Pipe()
	answer := &answerWriter{header: http.Header{}, pipe: pipe, ready: make(chan struct{}), head: req.Method == http.MethodHead}
	inner, closeBody := serverRequest(ctx, req)
	// What stalls in the client's body or the answer's ends with the context.
	stop := context.AfterFunc(ctx, func() {
		closeBody()
		_ = pipe.CloseWithError(context.Cause(ctx))
	})
	go func() {
		defer stop()
		defer closeBody()
		defer answer.finish(ctx)
		operator, _ := ctx.Value(operatorKey).(string)
		t.registry.serve(answer, inner, trusted{operator: operator})
	}()
	select {
	case <-answer.ready:
	case <-ctx.Done():
		cancel()
		return nil, context.Cause(req.Context())
	}
	if answer.failed != nil {
		cancel()
		return nil, answer.failed
	}
	return answer.response(req, &answerBody{ReadCloser: body, ctx: ctx, cancel: cancel}), nil
}

// serverRequest makes of a client's request what a server would see.
func serverRequest(ctx context.Context, req *http.Request) (inner *http.Request, closeBody func()) {
	inner = req.Clone(ctx)
	inner.RequestURI = req.URL.RequestURI()
	inner.RemoteAddr = "in-process"
	inner.Proto, inner.ProtoMajor, inner.ProtoMinor = "HTTP/1.1", 1, 1
	if inner.Host == "" {
		inner.Host = req.URL.Host
	}
	if req.Body == nil || req.Body == http.NoBody {
		inner.Body = http.NoBody
		inner.ContentLength = 0
		if req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch {
			inner.Header.Set("Content-Length", "0")
		}
		return inner, func() {}
	}
	if req.ContentLength > 0 {
		inner.Header.Set("Content-Length", strconv.FormatInt(req.ContentLength, 10))
		inner.Body = &exactBody{ReadCloser: req.Body, left: req.ContentLength}
	} else {
		inner.ContentLength = -1
	}
	return inner, sync.OnceFunc(func() { _ = req.Body.Close() })
}

// exactBody ends a body at its announced length, and fails when it ends before, as
// HTTP does.
type exactBody struct {
	io.ReadCloser
	left int64
}

func (b *exactBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if errors.Is(err, io.EOF) && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// answerWriter is the http.ResponseWriter of a request through the transport.
type answerWriter struct {
	header http.Header
	pipe   *io.PipeWriter
	head   bool
	ready  chan struct{} // closed when status and header are there, or the handler failed
	status int
	sent   http.Header
	failed error
}

// Header implements http.ResponseWriter.
func (w *answerWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *answerWriter) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	w.sent = w.header.Clone()
	close(w.ready)
}

// Write implements http.ResponseWriter.
func (w *answerWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.head {
		return len(p), nil
	}
	return w.pipe.Write(p)
}

// finish ends the answer, with an error when the handler panicked or gave up because
// the request had ended: a client must not take half an answer for a whole one.
func (w *answerWriter) finish(ctx context.Context) {
	if p := recover(); p != nil {
		err := fmt.Errorf("registry handler failed: %v", p)
		_ = w.pipe.CloseWithError(err)
		if w.status == 0 {
			w.failed = err
			close(w.ready)
		}
		return
	}
	w.WriteHeader(http.StatusOK)
	_ = w.pipe.CloseWithError(context.Cause(ctx)) // nil: it is complete
}

func (w *answerWriter) response(req *http.Request, body io.ReadCloser) *http.Response {
	length := int64(-1)
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		length = 0
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: length, Request: req,
	}
}

// answerBody ends with the request's context, and ends the request when it is closed.
type answerBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	return b.ReadCloser.Read(p)
}

// Close implements io.Closer.
func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}
