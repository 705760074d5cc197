package account

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// Authorize answers whether a request to the registry may go on, and returns who
// makes it ("anonymous" for nobody known). authorization is the Authorization
// header: Basic, Bearer (a token of IssueToken) or "". repository is the full
// name, project included; "" is the registry itself. Actions are pull, push and
// delete of a repository; base (any account will do) and catalog of the registry.
// All of them must be allowed. Who it is that may not is returned too.
//
// A token is checked against the account it was made for: it ends when the
// account does, is disabled, or gets another password. And it only narrows what
// the account may do now: who is removed from a project does not keep its images
// for the rest of the token's life.
//
// Errors: problem.Unauthorized (no, wrong or outdated credentials, nobody known
// where somebody has to be, or a token that leaves out what its account may do),
// problem.Forbidden (not allowed), problem.NotFound (no such project),
// problem.TooManyRequest (see Authenticate). Harbor answers the first three with
// 401 UNAUTHORIZED and these texts.
func (s *Service) Authorize(ctx context.Context, authorization, repository string, actions ...string) (operator string, err error) {
	p, token, err := s.identify(ctx, authorization)
	if err != nil {
		return "", err
	}
	for _, action := range actions {
		if err := s.authorize(ctx, p, token, repository, action); err != nil {
			return p.Operator(), s.explain(err, p, repository, action)
		}
	}
	return p.Operator(), nil
}

// identify returns who sent an Authorization header, and what a token narrows
// them to (nil: they sent none).
func (s *Service) identify(ctx context.Context, authorization string) (Principal, *claims, error) {
	if authorization == "" {
		return Anonymous(), nil, nil
	}
	scheme, value, _ := strings.Cut(authorization, " ")
	value = strings.TrimSpace(value)
	switch {
	case strings.EqualFold(scheme, "Basic"):
		name, password, ok := parseBasic(value)
		if !ok {
			return Principal{}, nil, problem.New(problem.Unauthorized, "unauthorized: malformed Basic credentials")
		}
		p, err := s.Authenticate(ctx, name, password)
		return p, nil, err
	case strings.EqualFold(scheme, "Bearer"):
		return s.identifyBearer(ctx, value)
	default:
		return Principal{}, nil, problem.New(problem.Unauthorized, "unauthorized: want Basic or Bearer authorization")
	}
}

func parseBasic(value string) (name, password string, ok bool) {
	decoded, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(decoded), ":")
}

func (s *Service) identifyBearer(ctx context.Context, text string) (Principal, *claims, error) {
	token, err := s.tokens.verify(text)
	if err != nil {
		return Principal{}, nil, problem.Wrap(problem.Unauthorized, err, "unauthorized")
	}
	if token.Subject == "" {
		return Anonymous(), &token, nil
	}
	row, err := s.account(ctx, token.Subject)
	if err != nil {
		return Principal{}, nil, err
	}
	if row == nil || row.principal.Generation != token.Generation {
		return Principal{}, nil, problem.New(problem.Unauthorized, "unauthorized: the token is older than the account's password")
	}
	if err := row.usable(s.now()); err != nil {
		return Principal{}, nil, err
	}
	return row.principal, &token, nil
}

// errNotAllowed is turned into the text for the place by explain.
var errNotAllowed = errors.New("not allowed")

func (s *Service) authorize(ctx context.Context, p Principal, token *claims, repository, action string) error {
	scope := Scope{Type: "repository", Name: repository}
	if repository == "" {
		if action == "base" {
			if !p.Authenticated() {
				return errNotAllowed
			}
			return nil
		}
		scope = Scope{Type: "registry", Name: action}
		action = "*"
	}
	if token != nil && !token.allows(scope, action) {
		return s.narrow(ctx, p, repository, action)
	}
	if repository != "" {
		return s.admit(ctx, p, repository, action)
	}
	allowed, err := s.allowed(ctx, p, projectKey{}, scope.Name, "read")
	if err != nil {
		return err
	}
	if !allowed || scope.Name != "catalog" {
		return errNotAllowed
	}
	return nil
}

func (c *claims) allows(wanted Scope, action string) bool {
	for _, scope := range c.Access {
		if scope.Type == wanted.Type && scope.Name == wanted.Name && scope.allows(action) {
			return true
		}
	}
	return false
}

// errNarrowToken says that the account may, and that another token would do.
var errNarrowToken = errors.New("the token is not for this")

// narrow tells a token that is not enough from an account that is not.
func (s *Service) narrow(ctx context.Context, p Principal, repository, action string) error {
	if repository == "" {
		return errNotAllowed
	}
	if err := s.checkRepository(ctx, p, repository, action); err != nil {
		return err
	}
	return errNarrowToken
}

// admit is checkRepository that makes the project of a push if it is to.
func (s *Service) admit(ctx context.Context, p Principal, repository, action string) error {
	if err := s.checkRepository(ctx, p, repository, action); err != nil {
		return err
	}
	name, _, _ := strings.Cut(repository, "/")
	if action != "push" || !s.options.AutoCreateProjects {
		return nil
	}
	row, err := s.project(ctx, projectKey{name: name, user: memberOf(p)})
	if err != nil || row.id != 0 {
		return err
	}
	_, err = s.CreateProject(ctx, p, NewProject{Name: name})
	if problem.Is(err, problem.Conflict) {
		// Somebody else was faster, and it may be their project now.
		s.projects.clear()
		return s.checkRepository(ctx, p, repository, action)
	}
	if err != nil {
		return fmt.Errorf("create project %s for a push to %s: %w", name, repository, err)
	}
	return nil
}

// checkRepository decides for an action on a repository. Where projects are made
// by pushing, whoever may make one may look for what is in it before it is there:
// clients look before they push.
func (s *Service) checkRepository(ctx context.Context, p Principal, repository, action string) error {
	name, _, inProject := strings.Cut(repository, "/")
	var row projectRow
	var err error
	if inProject {
		row, err = s.project(ctx, projectKey{name: name, user: memberOf(p)})
	}
	switch {
	case err != nil:
		return err
	case row.id != 0 && s.allowedIn(row, p, "repository", action):
		return nil
	case row.id != 0:
		return errNotAllowed
	case !inProject || !s.options.AutoCreateProjects || action == "delete" || !namePattern.MatchString(name):
		return projectNotFound(name)
	}
	err = s.CheckCreateProject(ctx, p)
	if problem.Is(err, problem.Forbidden) || problem.Is(err, problem.Unauthorized) {
		return projectNotFound(name)
	}
	return err
}

// explain gives a refusal Harbor's text (server/middleware/v2auth/auth.go). Harbor
// says it twice; clients that were tested against its answers may look for it.
// Nobody unknown is told which projects there are.
func (s *Service) explain(err error, p Principal, repository, action string) error {
	kind, text := problem.Forbidden, ""
	switch {
	case problem.Is(err, problem.NotFound) && p.Authenticated():
		kind, text = problem.NotFound, err.Error()
	case !errors.Is(err, errNotAllowed) && !errors.Is(err, errNarrowToken) && !problem.Is(err, problem.NotFound):
		return err
	case repository == "" && action == "base":
		text = "unauthorized"
	case repository == "":
		text = "unauthorized to list " + action
	case !p.Authenticated() && action == "pull":
		text = "authorize header needed to send HEAD to repository"
	default:
		text = fmt.Sprintf("unauthorized to access repository: %s, action: %s", repository, action)
	}
	if !p.Authenticated() || errors.Is(err, errNarrowToken) {
		kind = problem.Unauthorized
	}
	return problem.Wrap(kind, errors.New(text), "%s", text)
}
