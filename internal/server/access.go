package server

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/problem"
)

// auditedAccess decides about requests to the registry, and has the audit log say which
// passwords were wrong and who was not let push or delete. Pulls that are refused are not
// recorded, as reading is not elsewhere.
type auditedAccess struct {
	accounts *account.Service
	log      *audit.Log
}

// Authorize implements embedded.Access.
func (a auditedAccess) Authorize(ctx context.Context, authorization, repository string, actions ...string) (operator string, err error) {
	operator, err = a.accounts.Authorize(ctx, authorization, repository, actions...)
	if err == nil {
		return operator, nil
	}
	name, basic := basicName(authorization)
	switch {
	case problem.Is(err, problem.TooManyRequest):
		a.log.NoteRefusedLogin(ctx, name, account.RemoteOf(ctx))
	case problem.Is(err, problem.Unauthorized) && basic:
		a.log.NoteFailedLogin(ctx, name, account.RemoteOf(ctx))
	case problem.Is(err, problem.Forbidden):
		a.noteRefused(ctx, operator, repository, actions)
	}
	return "", err
}

func (a auditedAccess) noteRefused(ctx context.Context, operator, repository string, actions []string) {
	e := audit.Entry{Username: operator, Resource: repository, Failed: true}
	switch {
	case slices.Contains(actions, "push"):
		e.Kind, e.Description = audit.CreateArtifact, "push to "+repository
	case slices.Contains(actions, "delete"):
		e.Kind, e.Description = audit.DeleteArtifact, "delete from "+repository
	default:
		return
	}
	e.Project, _, _ = strings.Cut(repository, "/")
	a.log.NoteFailed(ctx, e)
}

// basicName is the name that an Authorization header brings a password for.
func basicName(authorization string) (name string, ok bool) {
	scheme, encoded, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", false
	}
	name, _, ok = strings.Cut(string(plain), ":")
	return name, ok
}
