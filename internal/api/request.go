package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
)

// maxBody is how large the body of a request may be. Bytes.
const maxBody = 1 << 20

// request is what handlers need to know of the HTTP request they answer.
type request struct {
	id            string
	url           url.URL // as the client sent it
	scheme, host  string  // under which the client reached the server
	remote        string  // address of the client
	authorization string
	principal     *account.Principal // whose session it is part of; nil: of none
	operation     operation
	isName        *bool // what X-Is-Resource-Name says

	asked  bool // who makes it has been found out
	who    account.Principal
	whoErr error
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return &request{}
	}
	return r
}

type operationKey struct{}

// NoteOperation returns a context for a request to New's handler, and a function that
// tells the id of the operation that the request was for once it has been answered,
// such as createRegistry; "" if it was for none.
func NoteOperation(ctx context.Context) (context.Context, func() string) {
	id := new(string)
	return context.WithValue(ctx, operationKey{}, id), func() string { return *id }
}

func requestID(ctx context.Context) string { return requestOf(ctx).id }

// RequestID gives every answer the id that its request came with, or a new one,
// in the header X-Request-Id. New's handler does so by itself; this is for what
// is served beside it.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identify(w, r)
		next.ServeHTTP(w, r)
	})
}

func identify(w http.ResponseWriter, r *http.Request) (id string) {
	if id = w.Header().Get("X-Request-Id"); id != "" {
		return id
	}
	id = r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 {
		id = newRequestID()
	}
	w.Header().Set("X-Request-Id", id)
	return id
}

// ServeHTTP gives the request an id, finds its operation and checks it against
// the specification before the generated code sees it.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := identify(w, r)
	about := &request{id: id, url: *r.URL, scheme: "http", host: r.Host, remote: a.o.Remote(r), authorization: r.Header.Get("Authorization")}
	if r.TLS != nil {
		about.scheme = "https"
	}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, about))
	defer a.recover(w, r)
	trimSlash(r)
	switch r.URL.Path {
	case "/api/version":
		a.serveVersion(w, r)
	case "/api/openapi.yaml":
		serveSpec(w, r)
	case "/service/token":
		a.serveToken(w, r)
	case "/c/login":
		a.serveLogin(w, r, about)
	case "/c/log_out":
		a.serveLogout(w, r, about)
	default:
		a.serveOperation(w, r, about)
	}
}

func (a *api) serveOperation(w http.ResponseWriter, r *http.Request, about *request) {
	if escaped := r.URL.EscapedPath(); path.Clean(escaped) != escaped {
		a.notFound(w, r) // the router would answer with a redirect
		return
	}
	_, pattern := a.mux.Handler(r)
	operation, known := a.operations[pattern]
	if !known {
		a.notFound(w, r)
		return
	}
	about.operation = operation
	if says := r.Header.Values("X-Is-Resource-Name"); len(says) > 0 {
		isName := isTrue(says[len(says)-1])
		about.isName = &isName
	}
	if note, ok := r.Context().Value(operationKey{}).(*string); ok {
		*note = operation.id
	}
	values := pathValues(pattern, r.URL.EscapedPath())
	clean, body, err := a.admit(w, r, pattern, values)
	if err != nil {
		a.refuse(w, r, values, err)
		return
	}
	a.serveAudited(w, clean, values, body)
}

// admit checks a request before its handler gets it. It returns the request as the generated
// code understands it, and its body.
func (a *api) admit(w http.ResponseWriter, r *http.Request, pattern string, values map[string]string) (clean *http.Request, body []byte, err error) {
	about := requestOf(r.Context())
	if err := a.origins.Check(r); err != nil { // a browser, sent here by a page of another site
		return nil, nil, problem.Wrap(problem.Forbidden, err, "refused")
	}
	if err := a.resume(w, r, about); err != nil {
		return nil, nil, err
	}
	if err := a.refuseWhatIsElsewhere(pattern); err != nil {
		return nil, nil, err
	}
	if err := a.refuseWhenReadOnly(r.Method, about.operation.id); err != nil {
		return nil, nil, err
	}
	if clean, err = about.operation.validate(r, values); err != nil {
		return nil, nil, err
	}
	if about.operation.body != "" {
		if body, err = readBody(w, clean); err != nil {
			return nil, nil, err
		}
	}
	return clean, body, nil
}

// readBody reads the whole body, so that one that is too large is refused before
// anything is made of it. U+0000 is refused too: no name has it, and PostgreSQL
// cannot store it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, err
	}
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "read the body")
	}
	if bytes.Contains(body, []byte(`\u0000`)) {
		return nil, problem.New(problem.BadRequest, "the body contains the character U+0000")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// pathValues reads the parameters of a path that fits a pattern: the router tells
// them to a handler only, and the generated ones read them before anything else.
func pathValues(pattern, escaped string) map[string]string {
	_, template, _ := strings.Cut(pattern, " ")
	values := map[string]string{}
	parts := strings.Split(escaped, "/")
	for i, name := range strings.Split(template, "/") {
		if name, found := strings.CutPrefix(name, "{"); found && i < len(parts) {
			value, err := url.PathUnescape(parts[i])
			if err != nil {
				value = parts[i]
			}
			values[strings.TrimSuffix(name, "}")] = value
		}
	}
	return values
}

// notFound answers a path that does not exist, or not with this method.
func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"POST", "GET", "HEAD", "PUT", "PATCH", "DELETE"} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); strings.HasPrefix(pattern, method+" ") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 || slices.Contains(allowed, r.Method) {
		writeError(w, problem.NotFound, fmt.Sprintf("path %s was not found", r.URL.Path))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeError(w, problem.NotAllowed, fmt.Sprintf("method %s is not allowed, but [%s] are", r.Method, strings.Join(allowed, ",")))
}

// recover turns a panic in a handler into an answer and a log record.
func (a *api) recover(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	a.fail(w, r, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
}

// trimSlash makes /registries/ the same as /registries, as Harbor does.
func trimSlash(r *http.Request) {
	if len(r.URL.Path) > 1 && strings.HasSuffix(r.URL.Path, "/") {
		u := *r.URL
		u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
		r.URL = &u
	}
}

// newRequestID returns a random UUID (RFC 9562, version 4).
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
