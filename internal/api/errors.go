package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
)

// status is the HTTP status that a kind of failure is answered with.
func status(kind problem.Kind) int {
	switch kind {
	case problem.BadRequest, problem.Unsupported:
		return http.StatusBadRequest
	case problem.Unauthorized:
		return http.StatusUnauthorized
	case problem.Forbidden, problem.Denied:
		return http.StatusForbidden
	case problem.NotFound:
		return http.StatusNotFound
	case problem.NotAllowed:
		return http.StatusMethodNotAllowed
	case problem.Conflict:
		return http.StatusConflict
	case problem.Precondition:
		return http.StatusPreconditionFailed
	case problem.TooLarge:
		return http.StatusRequestEntityTooLarge
	case problem.Unprocessable:
		return http.StatusUnprocessableEntity
	case problem.TooManyRequest:
		return http.StatusTooManyRequests
	case problem.NotImplemented:
		return http.StatusNotImplemented
	default:
		return http.StatusInternalServerError
	}
}

// fail answers a request with an error. An error without a kind went wrong in
// the server: it is logged, and the client learns no more than the request's id.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = problem.New(problem.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	}
	var p *problem.Error
	if !errors.As(err, &p) || status(p.Kind) == http.StatusInternalServerError {
		if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
			return // the client has gone, nobody reads an answer
		}
		a.o.Log.ErrorContext(r.Context(), "request failed", "request_id", requestID(r.Context()),
			"method", r.Method, "path", r.URL.Path, "error", err)
		p = &problem.Error{Kind: problem.Unknown, Message: "internal server error"}
	}
	writeError(w, p.Kind, p.Error())
}

func writeError(w http.ResponseWriter, kind problem.Kind, message string) {
	body, err := json.Marshal(gen.Errors{Errors: []gen.Error{{Code: string(kind), Message: message}}})
	if err != nil {
		panic(fmt.Sprintf("api: error as JSON: %v", err)) // two strings always have a JSON form
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status(kind))
	_, _ = w.Write(append(body, '\n'))
}
