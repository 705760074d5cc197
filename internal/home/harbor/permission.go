package harbor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
)

// Lack is a permission that the credential of home does not have.
type Lack struct {
	Permission string   // as Harbor's form for robot accounts names it: "repository: pull"
	Projects   []string // empty: it is one of the system
	Need       string   // what does not work without it
}

// String is the lack as a sentence.
func (l Lack) String() string {
	of := "of the system"
	if n := len(l.Projects); n > 0 {
		of = "of the project " + strings.Join(l.Projects[:min(n, 3)], ", ")
		if n > 3 {
			of += fmt.Sprintf(" and %d more", n-3)
		}
	}
	return fmt.Sprintf("the permission %q %s is missing: %s", l.Permission, of, l.Need)
}

type permission struct {
	Resource string `json:"resource"`
	Action   string `json:"action"`
}

// needed are the permissions that replication needs in a project.
var needed = []struct {
	permission
	need string
}{
	{permission{"repository", "list"}, "rules do not see what is in it"},
	{permission{"artifact", "list"}, "rules do not see what is in it"},
	{permission{"artifact", "read"}, "rules cannot look at a pushed artifact"},
	{permission{"repository", "pull"}, "nothing can be copied from it"},
	{permission{"repository", "push"}, "pull-based rules cannot bring anything into it"},
}

// projectsToLookAt bounds how many projects are asked about.
const projectsToLookAt = 1000

// Permissions tells what the credential of home may not do. A credential that the
// Harbor refuses is a problem.Unauthorized.
func (h *Home) Permissions(ctx context.Context) ([]Lack, error) {
	admin, err := h.isAdmin(ctx)
	if err != nil || admin {
		return nil, err
	}
	var lacks []Lack
	system, err := h.permissionsOf(ctx, "/system")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(system, permission{"audit-log", "list"}) {
		lacks = append(lacks, Lack{Permission: "audit log: list",
			Need: "a webhook that is lost, and tags that are added or deleted in the Harbor's console, are only noticed when everything is compared"})
	}
	projects, err := h.projects(ctx)
	if err != nil {
		return nil, err
	}
	if len(projects) == 0 {
		return append(lacks, Lack{Permission: "project: list", Need: "no project is visible to " + h.api.Account()}), nil
	}
	projects = projects[:min(len(projects), projectsToLookAt)]
	granted := make([][]permission, len(projects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(projectsAtOnce)
	for i, p := range projects {
		group.Go(func() (err error) {
			granted[i], err = h.permissionsOf(ctx, "/project/"+strconv.FormatInt(p.ID, 10))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, n := range needed {
		lack := Lack{Permission: n.Resource + ": " + n.Action, Need: n.need}
		for i, p := range projects {
			if !slices.Contains(granted[i], n.permission) {
				lack.Projects = append(lack.Projects, p.Name)
			}
		}
		if len(lack.Projects) > 0 {
			lacks = append(lacks, lack)
		}
	}
	return lacks, nil
}

// isAdmin asks whether the credential is that of an administrator, who may do everything.
func (h *Home) isAdmin(ctx context.Context) (bool, error) {
	var user registry.HarborUser
	err := h.api.Get(ctx, &user, nil, "users", "current")
	e, _ := errors.AsType[*registry.Error](err)
	switch {
	case err == nil:
		return user.SysAdmin || user.AdminByGroup, nil
	case e != nil && e.Status == 412: // a robot account, whose secret was right
		return false, nil
	case registry.IsUnauthorized(err):
		return false, problem.Wrap(problem.Unauthorized, err, "%s refuses the credential of %s", h.URL(), h.api.Account())
	default:
		return false, err
	}
}

func (h *Home) permissionsOf(ctx context.Context, scope string) ([]permission, error) {
	var list []permission
	err := h.api.Get(ctx, &list, url.Values{"scope": {scope}, "relative": {"true"}}, "users", "current", "permissions")
	if err != nil {
		return nil, fmt.Errorf("ask %s for the permissions of %s: %w", h.api.Client().Host(), h.api.Account(), err)
	}
	return list, nil
}
