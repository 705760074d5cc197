package account

import (
	"context"
	"fmt"
	"slices"
)

// LogProjects returns the ids of the projects whose audit logs p may list; all is true for
// who may list the whole log, what belongs to no project included.
func (s *Service) LogProjects(ctx context.Context, p Principal) (ids []int64, all bool, err error) {
	if !p.Authenticated() {
		return nil, false, refusal(p)
	}
	if p.SysAdmin || grantedSystem(p, Permission{"audit-log", "list"}) {
		return nil, true, nil
	}
	if p.Kind == KindRobot {
		ids, err = s.robotLogs(ctx, p)
		return ids, false, err
	}
	rows, err := s.db.QueryContext(ctx, `SELECT project_id, role_id FROM project_members WHERE user_id = $1 ORDER BY project_id`, memberOf(p))
	if err != nil {
		return nil, false, fmt.Errorf("list the projects of %s: %w", p.Name, err)
	}
	type membership struct {
		project int64
		role    Role
	}
	memberships, err := scanAll(rows, func(row scanner) (m membership, err error) { return m, row.Scan(&m.project, &m.role) })
	if err != nil {
		return nil, false, fmt.Errorf("list the projects of %s: %w", p.Name, err)
	}
	ids = make([]int64, 0, len(memberships)) // nil would be everything
	for _, m := range memberships {
		if s.rights.roles[m.role][listLogs] {
			ids = append(ids, m.project)
		}
	}
	return ids, false, nil
}

// listLogs is the right to the audit log of a project.
var listLogs = Permission{"log", "list"}

// robotLogs returns the ids of the projects whose logs a robot may list.
func (s *Service) robotLogs(ctx context.Context, p Principal) ([]int64, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id FROM projects ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	all, err := scanAll(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	return slices.DeleteFunc(all, func(id int64) bool {
		granted, denied := grantedIn(p, id, listLogs)
		return !granted || denied
	}), nil
}
