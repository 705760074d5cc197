package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// Access decides about requests to the registry.
type Access interface {
	// Authorize answers whether a request with this Authorization header ("":
	// anonymous) may do all of the actions to a repository: pull, push, delete. The
	// repository "" stands for the registry itself, with the actions base (log in)
	// and catalog. operator is who asks, "" for anonymous.
	//
	// Errors are problem.Unauthorized (no, wrong or too narrow credentials),
	// problem.Forbidden (not enough rights), problem.NotFound (no such project) or
	// problem.TooManyRequest (too many wrong passwords).
	Authorize(ctx context.Context, authorization, repository string, actions ...string) (operator string, err error)
}

// trusted lets everything pass: requests of this process to its own registry.
type trusted struct{ operator string }

func (t trusted) Authorize(context.Context, string, string, ...string) (string, error) {
	return t.operator, nil
}

// actionOf is what a method does to a repository, as Harbor sees it.
func actionOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "pull"
	case http.MethodDelete:
		return "delete"
	default:
		return "push"
	}
}

// scope is how a client asks the token service for an action.
func scope(repository, action string) string {
	if action == "push" {
		action = "pull,push"
	}
	return "repository:" + repository + ":" + action
}

// authorize checks a request. When it may not pass, it is answered as Harbor
// answers and ok is false.
func (r *Registry) authorize(w http.ResponseWriter, req *http.Request, access Access, rt route) (operator string, ok bool) {
	authorization := req.Header.Get("Authorization")
	repository, action, scopes := rt.repository, actionOf(req.Method), ""
	switch rt.endpoint {
	case endpointBase:
		action = "base"
	case endpointCatalog:
		action = "catalog"
	default:
		scopes = scope(repository, action)
	}
	mountsFrom := ""
	if rt.endpoint == endpointUploads && req.Method == http.MethodPost && req.URL.Query().Get("mount") != "" {
		mountsFrom = req.URL.Query().Get("from")
	}
	if validName(mountsFrom) { // told at once: there are clients that ask for one token only
		scopes += " " + scope(mountsFrom, "pull")
	}
	operator, err := access.Authorize(req.Context(), authorization, repository, action)
	if err == nil && mountsFrom != "" {
		err = r.authorizeMount(req, access, authorization, mountsFrom)
	}
	if err != nil {
		r.refuse(w, req, rt, action, scopes, err)
		return "", false
	}
	return operator, true
}

// authorizeMount checks that the source of a mount may be read. A client without
// credentials, or with a token that leaves out what its account may read, is sent
// for them; for another the mount is forgotten, and the specification's answer to
// a mount that cannot be is an upload.
func (r *Registry) authorizeMount(req *http.Request, access Access, authorization, from string) error {
	err := problem.New(problem.NotFound, "invalid repository name")
	if validName(from) {
		_, err = access.Authorize(req.Context(), authorization, from, "pull")
	}
	switch {
	case err == nil, problem.Is(err, problem.Unauthorized), problem.Is(err, problem.Unknown):
		return err
	default:
		query := req.URL.Query()
		query.Del("from")
		query.Del("mount")
		req.URL.RawQuery = query.Encode()
		return nil
	}
}

// refuse answers a request that Access did not let pass. Statuses, headers and
// texts are those of Harbor, which repeats its messages and answers 401 where 403
// and 404 would be clearer; clients rely on it.
//
// One difference is meant: Harbor sends a client whose Bearer token is expired or
// lacks a scope to Basic authentication, which ends a long push. Here it is told to
// get another token.
func (r *Registry) refuse(w http.ResponseWriter, req *http.Request, rt route, action, scopes string, err error) {
	authorization := req.Header.Get("Authorization")
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	message := fmt.Sprintf("unauthorized to access repository: %s, action: %s", rt.repository, action)
	switch kind := problem.KindOf(err); {
	case kind == problem.TooManyRequest:
		fail(w, http.StatusTooManyRequests, codeTooManyRequests, err.Error())
		return
	case kind != problem.Unauthorized && kind != problem.Forbidden && kind != problem.NotFound:
		if !errors.Is(err, context.Canceled) {
			r.log.Error("authorize registry request", slog.String("method", req.Method), slog.String("path", req.URL.Path), slog.Any("error", err))
		}
		fail(w, http.StatusInternalServerError, codeUnknown, "internal server error")
		return
	case rt.endpoint == endpointBase:
		message = "unauthorized"
	case rt.endpoint == endpointCatalog:
		message = "unauthorized to list catalog"
	case authorization == "" && reads:
		message = "authorize header needed to send HEAD to repository"
	case kind == problem.NotFound:
		w.Header()["Www-Authenticate"] = []string{""}
		fail(w, http.StatusUnauthorized, codeUnauthorized, twice(problemMessage(err)))
		return
	}
	w.Header().Set("Www-Authenticate", r.challenge(req, rt, authorization, scopes))
	fail(w, http.StatusUnauthorized, codeUnauthorized, twice(message))
}

func (r *Registry) challenge(req *http.Request, rt route, authorization, scopes string) string {
	scheme, _, _ := strings.Cut(authorization, " ")
	if rt.endpoint == endpointCatalog || authorization != "" && !strings.EqualFold(scheme, "Bearer") {
		return `Basic realm="harbor"`
	}
	challenge := fmt.Sprintf(`Bearer realm="%s",service="harbor-registry"`, r.tokenRealm(req))
	if scopes != "" {
		challenge += fmt.Sprintf(`,scope="%s"`, scopes)
	}
	return challenge
}

func problemMessage(err error) string {
	if p, ok := errors.AsType[*problem.Error](err); ok {
		return p.Message
	}
	return err.Error()
}

func twice(message string) string { return message + ": " + message }
