package account

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Level says where a robot belongs and where a permission holds.
type Level string

// Harbor's levels of robots and kinds of permissions.
const (
	LevelSystem  Level = "system"
	LevelProject Level = "project"
)

// everyProject is the namespace of permissions that hold in all projects.
const everyProject = "*"

// RobotPermission is what a robot may do somewhere.
type RobotPermission struct {
	Kind      Level    `json:"kind"`
	Namespace string   `json:"namespace"` // of kind system: "/"; of kind project: a project's name or "*"
	Access    []Access `json:"access"`
}

// Access is one permission of a robot.
type Access struct {
	Resource string `json:"resource"`
	Action   string `json:"action"`
	Effect   string `json:"effect,omitempty"` // "" or "allow", or "deny", which wins
}

func (a Access) denies() bool { return a.Effect == "deny" }

// grant is a RobotPermission as it is stored: with the id of the project, so that
// a later project of the same name is another one.
type grant struct {
	RobotPermission
	ProjectID int64 `json:"project_id,omitempty"`
}

func parseGrants(text string) ([]grant, error) {
	var grants []grant
	if err := store.FromJSON(text, &grants); err != nil {
		return nil, err
	}
	return grants, nil
}

func permissionsOf(grants []grant) []RobotPermission {
	permissions := make([]RobotPermission, 0, len(grants))
	for _, g := range grants {
		permissions = append(permissions, g.RobotPermission)
	}
	return permissions
}

// checkPermissions is Harbor's check of what a robot is to be allowed
// (server/v2.0/handler/robot.go).
func checkPermissions(level Level, permissions []RobotPermission) error {
	if len(permissions) == 0 {
		return problem.New(problem.BadRequest, "bad request empty permission")
	}
	if level == LevelProject && len(permissions) > 1 {
		return problem.New(problem.BadRequest, "bad request permission")
	}
	for _, p := range permissions {
		if err := checkPermission(level, p); err != nil {
			return err
		}
	}
	return nil
}

func checkPermission(level Level, p RobotPermission) error {
	if len(p.Access) == 0 {
		return problem.New(problem.BadRequest, "bad request empty access")
	}
	var possible []Permission
	switch {
	case p.Kind == LevelSystem && level == LevelSystem:
		possible = RobotSystemPermissions()
		if p.Namespace != "/" {
			return problem.New(problem.BadRequest, "unknown namespace")
		}
	case p.Kind == LevelProject && (level == LevelSystem || p.Namespace != everyProject):
		possible = RobotProjectPermissions()
	default:
		return problem.New(problem.BadRequest, "bad request permission level: %s", p.Kind)
	}
	for _, a := range p.Access {
		if !slices.Contains(possible, Permission{a.Resource, a.Action}) {
			return problem.New(problem.BadRequest, "bad request permission: %s:%s", a.Resource, a.Action)
		}
		if a.Effect != "" && a.Effect != "allow" && a.Effect != "deny" {
			return problem.New(problem.BadRequest, "bad request permission effect: %s", a.Effect)
		}
	}
	return nil
}

// resolve turns permissions into grants; it reads the projects they name.
func (s *Service) resolve(ctx context.Context, permissions []RobotPermission) ([]grant, error) {
	var grants []grant
	for _, p := range permissions {
		g := grant{RobotPermission: p}
		if p.Kind == LevelProject && p.Namespace != everyProject {
			project, err := s.ProjectByName(ctx, p.Namespace)
			if err != nil {
				return nil, err
			}
			g.ProjectID = project.ID
		}
		grants = mergeGrant(grants, g)
	}
	return grants, nil
}

// mergeGrant adds g to the grant for the same place if there is one.
func mergeGrant(grants []grant, g grant) []grant {
	for i := range grants {
		if grants[i].Kind == g.Kind && grants[i].Namespace == g.Namespace {
			for _, a := range g.Access {
				if !slices.Contains(grants[i].Access, a) {
					grants[i].Access = append(grants[i].Access, a)
				}
			}
			return grants
		}
	}
	g.Access = slices.Clone(g.Access)
	return append(grants, g)
}

// checkCreatorScope keeps robots from making robots that may do more than they
// may themselves.
func checkCreatorScope(creator Principal, grants []grant) error {
	if creator.Kind != KindRobot {
		return nil
	}
	for _, g := range grants {
		for _, a := range g.Access {
			if !creatorHas(creator, g, a) {
				return problem.New(problem.Denied,
					"permission scope is invalid. It must be equal to or more restrictive than the creator robot's permissions: %s", creator.Name)
			}
		}
	}
	return nil
}

func creatorHas(creator Principal, g grant, a Access) bool {
	if a.denies() {
		return true
	}
	wanted := Permission{a.Resource, a.Action}
	switch {
	case g.Kind == LevelSystem:
		return grantedSystem(creator, wanted)
	case g.Namespace == everyProject:
		return creator.robotProject == 0 && grantedEverywhere(creator, wanted)
	default:
		wanted.Resource = projectResource(wanted.Resource)
		granted, denied := grantedIn(creator, g.ProjectID, wanted)
		return granted && !denied
	}
}

// grantedEverywhere reports whether a robot has a permission in all projects,
// with none excepted.
func grantedEverywhere(p Principal, wanted Permission) bool {
	granted := false
	for _, g := range p.grants {
		for _, a := range g.Access {
			if g.Kind == LevelProject && a.Resource == wanted.Resource && a.Action == wanted.Action {
				if a.denies() {
					return false
				}
				granted = granted || g.Namespace == everyProject
			}
		}
	}
	return granted
}

// removeProjectFromRobots deletes the robots of a project and what other robots
// were allowed in it.
func removeProjectFromRobots(ctx context.Context, tx *store.Tx, projectID int64) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM robots WHERE project_id = $1`, projectID); err != nil {
		return fmt.Errorf("delete its robots: %w", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, permissions FROM robots ORDER BY id`)
	if err != nil {
		return fmt.Errorf("read robots: %w", err)
	}
	type robot struct {
		id          int64
		permissions string
	}
	robots, err := scanAll(rows, func(row scanner) (r robot, err error) { return r, row.Scan(&r.id, &r.permissions) })
	if err != nil {
		return fmt.Errorf("read robots: %w", err)
	}
	for _, r := range robots {
		grants, err := parseGrants(r.permissions)
		if err != nil {
			return fmt.Errorf("read permissions of robot %d: %w", r.id, err)
		}
		kept := slices.DeleteFunc(slices.Clone(grants), func(g grant) bool { return g.ProjectID == projectID })
		if len(kept) == len(grants) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE robots SET permissions = $1 WHERE id = $2`, store.JSON(kept), r.id); err != nil {
			return fmt.Errorf("take its permissions from robot %d: %w", r.id, err)
		}
	}
	return nil
}

// neverExpires is the duration, and the time of expiry, of robots that live for ever.
const neverExpires = -1

func checkDuration(days int64) error {
	if days != neverExpires && (days <= 0 || days >= math.MaxInt32) {
		return problem.New(problem.BadRequest,
			"bad request error duration input: %d, duration must be either -1(Never) or a positive integer", days)
	}
	return nil
}
