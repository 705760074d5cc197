package account

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// Can reports whether p may do action on resource in a project (projectID 0:
// outside of projects), by Harbor's tables. The project itself is the resource
// "project". A database that fails denies; Check tells that failure.
func (s *Service) Can(ctx context.Context, p Principal, projectID int64, resource, action string) bool {
	allowed, err := s.allowed(ctx, p, projectKey{id: projectID}, resource, action)
	if err != nil {
		s.log.ErrorContext(ctx, "permission could not be checked and is denied",
			"account", p.Name, "project", projectID, "resource", resource, "action", action, "error", err)
	}
	return allowed
}

// Check is Can with the reason: problem.Unauthorized for who has not logged in,
// else problem.Forbidden, with Harbor's texts.
func (s *Service) Check(ctx context.Context, p Principal, projectID int64, resource, action string) error {
	allowed, err := s.allowed(ctx, p, projectKey{id: projectID}, resource, action)
	switch {
	case err != nil:
		return err
	case allowed:
		return nil
	case projectID == 0 && p.Authenticated():
		return problem.New(problem.Forbidden, "%s", p.Name)
	default:
		return refusal(p)
	}
}

// refusal is what Harbor answers who may not do something in a project.
func refusal(p Principal) error {
	if !p.Authenticated() {
		return problem.New(problem.Unauthorized, "unauthorized")
	}
	return problem.New(problem.Forbidden, "forbidden")
}

// CheckProject finds a project as it is named in a URL (see GetProject) and checks
// that p may do action on resource in it. Who may not is told the same about
// projects that are not there.
func (s *Service) CheckProject(ctx context.Context, p Principal, nameOrID string, isName *bool, resource, action string) (Project, error) {
	project, err := s.GetProject(ctx, nameOrID, isName)
	if problem.Is(err, problem.NotFound) && !p.SysAdmin {
		return Project{}, refusal(p)
	}
	if err != nil {
		return Project{}, err
	}
	if err := s.Check(ctx, p, project.ID, resource, action); err != nil {
		return Project{}, err
	}
	return project, nil
}

// allowed decides. A key without id and name means outside of projects.
func (s *Service) allowed(ctx context.Context, p Principal, key projectKey, resource, action string) (bool, error) {
	if p.SysAdmin {
		return true, nil
	}
	if key.id == 0 && key.name == "" {
		return p.Kind == KindRobot && grantedSystem(p, Permission{resource, action}), nil
	}
	if p.Kind == KindUser {
		key.user = p.ID
	}
	project, err := s.project(ctx, key)
	if err != nil || project.id == 0 {
		return false, err
	}
	return s.allowedIn(project, p, resource, action), nil
}

// allowedIn decides for a project and the role that p has in it.
func (s *Service) allowedIn(project projectRow, p Principal, resource, action string) bool {
	if p.SysAdmin {
		return true
	}
	wanted := Permission{projectResource(resource), action}
	if p.Kind == KindRobot {
		granted, denied := grantedIn(p, project.id, wanted)
		if granted || denied {
			return !denied
		}
	}
	if project.public && s.rights.public[wanted] {
		return true
	}
	return p.Kind == KindUser && s.rights.roles[project.role][wanted]
}

func grantedSystem(p Principal, wanted Permission) bool {
	granted := false
	for _, g := range p.grants {
		for _, a := range g.Access {
			if g.Kind == LevelSystem && a.Resource == wanted.Resource && a.Action == wanted.Action {
				if a.denies() {
					return false
				}
				granted = true
			}
		}
	}
	return granted
}

// grantedIn looks for a permission of a robot in a project. As in Harbor, project
// robots that may push may pull.
func grantedIn(p Principal, projectID int64, wanted Permission) (granted, denied bool) {
	if p.robotProject != 0 && p.robotProject != projectID {
		return false, false
	}
	for _, g := range p.grants {
		if g.Kind != LevelProject || g.ProjectID != projectID && g.Namespace != everyProject {
			continue
		}
		for _, a := range g.Access {
			have := Permission{projectResource(a.Resource), a.Action}
			pushed := p.robotProject != 0 && have == Permission{"repository", "push"} && wanted == Permission{"repository", "pull"}
			switch {
			case have == wanted && a.denies():
				denied = true
			case have == wanted || pushed && !a.denies():
				granted = true
			}
		}
	}
	return granted, denied
}

// Permissions is the answer to GET /users/current/permissions: what p may do in a
// scope, "/project/<id>" or "/system". Other scopes have no permissions. Resources
// are paths ("/project/1/repository"), or relative to the scope ("repository",
// "." for the scope itself).
func (s *Service) Permissions(ctx context.Context, p Principal, scope string, relative bool) ([]Permission, error) {
	if !p.Authenticated() {
		return nil, refusal(p)
	}
	key, universe, found := parseScopePath(scope)
	if !found {
		return []Permission{}, nil
	}
	permissions := []Permission{}
	for _, candidate := range universe {
		allowed, err := s.allowed(ctx, p, key, candidate.Resource, candidate.Action)
		if err != nil {
			return nil, fmt.Errorf("list permissions in %s: %w", scope, err)
		}
		if allowed {
			permissions = append(permissions, Permission{resourcePath(key, candidate.Resource, relative), candidate.Action})
		}
	}
	return permissions, nil
}

func parseScopePath(scope string) (key projectKey, universe []Permission, found bool) {
	scope = strings.TrimSuffix(scope, "/")
	if scope == "/system" {
		return projectKey{}, systemPermissions(), true
	}
	text, isProject := strings.CutPrefix(scope, "/project/")
	id, err := strconv.ParseInt(text, 10, 64)
	if !isProject || err != nil || id <= 0 {
		return projectKey{}, nil, false
	}
	return projectKey{id: id}, projectPermissions(), true
}

func resourcePath(key projectKey, resource string, relative bool) string {
	switch {
	case relative && resource == self:
		return "."
	case relative:
		return resource
	case key.id == 0:
		return "/system/" + resource
	case resource == self:
		return "/project/" + key.String()
	default:
		return "/project/" + key.String() + "/" + resource
	}
}
