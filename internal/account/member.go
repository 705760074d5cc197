package account

import (
	"context"
	"fmt"
	"slices"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Member is a user with a role in a project.
type Member struct {
	ID        int64 // of the membership
	ProjectID int64
	UserID    int64  // Harbor: entity_id, entity_type "u"
	Username  string // Harbor: entity_name
	Role      Role
}

// NewMember names the user by id or, if that is 0, by name.
type NewMember struct {
	UserID   int64
	Username string
	Role     Role
}

// AddMember makes a user a member of a project and returns the membership's id.
func (s *Service) AddMember(ctx context.Context, p Principal, nameOrID string, isName *bool, n NewMember) (id int64, err error) {
	project, err := s.CheckProject(ctx, p, nameOrID, isName, "member", "create")
	if err != nil {
		return 0, err
	}
	user, err := s.findMemberUser(ctx, n)
	if err != nil {
		return 0, err
	}
	if err := checkRole(n.Role); err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *store.Tx) error {
		err := tx.QueryRowContext(ctx,
			`INSERT INTO project_members (project_id, user_id, role_id, creation_time, update_time)
			 VALUES ($1, $2, $3, $4, $4) RETURNING id`,
			project.ID, user, int64(n.Role), store.Millis(s.now())).Scan(&id)
		switch {
		case store.IsConflict(err):
			return problem.New(problem.Conflict, "The project member specified already exist")
		case store.IsReferenced(err):
			return problem.New(problem.NotFound, "project %s or user %d is not there any more", project.Name, user)
		case err != nil:
			return fmt.Errorf("add user %d to project %s: %w", user, project.Name, err)
		}
		return nil
	})
	return id, err
}

func checkRole(r Role) error {
	if !slices.Contains(allRoles(), r) {
		return problem.New(problem.BadRequest, "Failed to update project member, role is not in 1,2,3,4,5")
	}
	return nil
}

func (s *Service) findMemberUser(ctx context.Context, n NewMember) (id int64, err error) {
	switch {
	case n.UserID > 0:
		if _, err := s.readUser(ctx, n.UserID); problem.Is(err, problem.NotFound) {
			return 0, problem.New(problem.BadRequest, "User %d not found", n.UserID)
		} else if err != nil {
			return 0, err
		}
		return n.UserID, nil
	case n.Username == "":
		return 0, problem.New(problem.BadRequest, "at least one of member_user or member_group must be provided")
	case !validText(n.Username):
		return 0, problem.New(problem.NotFound, "user %q not found", n.Username)
	}
	err = s.db.QueryRowContext(ctx, `SELECT id FROM users WHERE username = $1`, n.Username).Scan(&id)
	if store.IsNotFound(err) {
		return 0, problem.New(problem.NotFound, "user %s not found", n.Username)
	}
	if err != nil {
		return 0, fmt.Errorf("read user %s: %w", n.Username, err)
	}
	return id, nil
}

const memberSelect = `SELECT m.id, m.project_id, m.user_id, u.username, m.role_id
	FROM project_members m JOIN users u ON u.id = m.user_id`

func scanMember(row scanner) (Member, error) {
	var m Member
	err := row.Scan(&m.ID, &m.ProjectID, &m.UserID, &m.Username, &m.Role)
	return m, err
}

// GetMember returns one member of a project.
func (s *Service) GetMember(ctx context.Context, p Principal, nameOrID string, isName *bool, id int64) (Member, error) {
	project, err := s.CheckProject(ctx, p, nameOrID, isName, "member", "read")
	if err != nil {
		return Member{}, err
	}
	m, err := scanMember(s.db.QueryRowContext(ctx, memberSelect+` WHERE m.project_id = $1 AND m.id = $2`, project.ID, id))
	if store.IsNotFound(err) {
		return Member{}, memberNotFound(project.ID, id)
	}
	if err != nil {
		return Member{}, fmt.Errorf("read member %d of project %s: %w", id, project.Name, err)
	}
	return m, nil
}

func memberNotFound(project, id int64) error {
	return problem.New(problem.NotFound, "the project member is not found, project id %d, member id %d", project, id)
}

// ListMembers returns the members of a project by name, only the one called
// username unless that is "", and how many there are on all pages.
func (s *Service) ListMembers(ctx context.Context, p Principal, nameOrID string, isName *bool, username string, q store.ListQuery) (members []Member, total int64, err error) {
	project, err := s.CheckProject(ctx, p, nameOrID, isName, "member", "list")
	if err != nil {
		return nil, 0, err
	}
	if err := checkQueryText(username); err != nil {
		return nil, 0, err
	}
	columns := store.Columns{"entity_name": {SQL: "u.username"}, "role_id": {SQL: "m.role_id", Kind: store.Integer}, "id": {SQL: "m.id", Kind: store.Integer}}
	q.Conditions = slices.Clone(q.Conditions)
	if username != "" {
		q.Conditions = append(q.Conditions, store.Condition{Field: "entity_name", Match: store.Exact, Values: []string{username}})
	}
	where, args := q.Where(columns, `m.project_id = $1`, []any{project.ID})
	count := `SELECT COUNT(*) FROM project_members m JOIN users u ON u.id = m.user_id`
	if err := s.db.QueryRowContext(ctx, count+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count members of project %s: %w", project.Name, err)
	}
	rows, err := s.db.QueryContext(ctx, memberSelect+where+q.OrderLimit(columns, "u.username, m.id"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list members of project %s: %w", project.Name, err)
	}
	if members, err = scanAll(rows, scanMember); err != nil {
		return nil, 0, fmt.Errorf("list members of project %s: %w", project.Name, err)
	}
	return members, total, nil
}

// CountMembers returns how many members of each role a project has.
func (s *Service) CountMembers(ctx context.Context, projectID int64) (map[Role]int64, error) {
	counts := map[Role]int64{}
	rows, err := s.db.QueryContext(ctx, `SELECT role_id, COUNT(*) FROM project_members WHERE project_id = $1 GROUP BY role_id`, projectID)
	if err != nil {
		return nil, fmt.Errorf("count members of project %d: %w", projectID, err)
	}
	_, err = scanAll(rows, func(row scanner) (none struct{}, err error) {
		var role Role
		var count int64
		err = row.Scan(&role, &count)
		counts[role] = count
		return none, err
	})
	if err != nil {
		return nil, fmt.Errorf("count members of project %d: %w", projectID, err)
	}
	return counts, nil
}

// UpdateMember gives a member another role.
func (s *Service) UpdateMember(ctx context.Context, p Principal, nameOrID string, isName *bool, id int64, role Role) error {
	project, err := s.CheckProject(ctx, p, nameOrID, isName, "member", "update")
	if err != nil {
		return err
	}
	if err := checkRole(role); err != nil {
		return err
	}
	return s.changeMember(ctx, project, id, `UPDATE project_members SET role_id = $3, update_time = $4 WHERE project_id = $1 AND id = $2`,
		int64(role), store.Millis(s.now()))
}

// RemoveMember ends a membership.
func (s *Service) RemoveMember(ctx context.Context, p Principal, nameOrID string, isName *bool, id int64) error {
	project, err := s.CheckProject(ctx, p, nameOrID, isName, "member", "delete")
	if err != nil {
		return err
	}
	return s.changeMember(ctx, project, id, `DELETE FROM project_members WHERE project_id = $1 AND id = $2`)
}

func (s *Service) changeMember(ctx context.Context, project Project, id int64, statement string, args ...any) error {
	return s.change(ctx, func(tx *store.Tx) error {
		found, err := execOne(ctx, tx, statement, append([]any{project.ID, id}, args...)...)
		if err != nil {
			return fmt.Errorf("change member %d of project %s: %w", id, project.Name, err)
		}
		if !found {
			return memberNotFound(project.ID, id)
		}
		return nil
	})
}
