package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
)

func unauthorized() error { return problem.New(problem.Unauthorized, "unauthorized") }

// caller returns who makes the request. Wrong credentials are none, as in Harbor:
// what needs a login answers 401, what does not is served. They are looked at once a
// request.
func (a *api) caller(ctx context.Context) (account.Principal, error) {
	r := requestOf(ctx)
	if r.asked {
		return r.who, r.whoErr
	}
	r.who, r.whoErr = a.identify(ctx, r)
	r.asked = true
	return r.who, r.whoErr
}

func (a *api) identify(ctx context.Context, r *request) (account.Principal, error) {
	name, password, ok := basicAuth(r.authorization)
	if !ok {
		if r.principal != nil {
			return *r.principal, nil
		}
		return account.Anonymous(), nil
	}
	p, err := a.o.Accounts.Authenticate(account.WithRemote(ctx, r.remote), name, password)
	switch {
	case problem.Is(err, problem.Unauthorized):
		a.noteLogin(ctx, name, err)
		return account.Anonymous(), nil
	case problem.Is(err, problem.TooManyRequest):
		a.noteLogin(ctx, name, err)
	}
	return p, err
}

// authenticated returns who makes the request, 401 if nobody has logged in.
func (a *api) authenticated(ctx context.Context) (account.Principal, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return p, err
	}
	if !p.Authenticated() {
		return p, unauthorized()
	}
	return p, nil
}

// require returns the caller if it may do something to a resource of the system.
func (a *api) require(ctx context.Context, resource, action string) (account.Principal, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return p, err
	}
	return p, a.o.Accounts.Check(ctx, p, 0, resource, action)
}

// requireProject returns the caller and the project if the caller may do
// something there.
func (a *api) requireProject(ctx context.Context, nameOrID string, isName *bool, resource, action string) (account.Principal, account.Project, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return p, account.Project{}, err
	}
	project, err := a.o.Accounts.CheckProject(ctx, p, nameOrID, isName, resource, action)
	return p, project, err
}

// basicAuth reads an Authorization header.
func basicAuth(header string) (name, password string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

// badBody answers a body that the generated code could not decode.
func (a *api) badBody(w http.ResponseWriter, r *http.Request, err error) {
	a.fail(w, r, requestOf(r.Context()).operation.badBody(err))
}
