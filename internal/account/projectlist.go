package account

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/store"
)

// ProjectQuery selects projects.
type ProjectQuery struct {
	store.ListQuery
	Name   string // contained in the name; "": any
	Owner  string // the owner's name; "": any
	Public *bool  // nil: both
}

func projectColumns() store.Columns {
	return store.Columns{
		"project_id":    {SQL: "p.id", Kind: store.Integer},
		"name":          {SQL: "p.name"},
		"owner_id":      {SQL: "p.owner_id", Kind: store.Integer},
		"owner":         {SQL: "u.username"},
		"owner_name":    {SQL: "u.username"},
		"public":        {SQL: "p.public", Kind: store.Boolean},
		"creation_time": {SQL: "p.creation_time", Kind: store.Instant},
		"update_time":   {SQL: "p.update_time", Kind: store.Instant},
	}
}

// ListProjects returns the projects that p may see and the query selects, by
// name, and how many there are on all pages. Administrators see all; users the
// public ones and those they are members of; robots the public ones and those they
// have permissions in; everybody else the public ones.
func (s *Service) ListProjects(ctx context.Context, p Principal, q ProjectQuery) (projects []Project, total int64, err error) {
	if err := checkQueryText(q.Name, q.Owner); err != nil {
		return nil, 0, err
	}
	list := q.ListQuery
	list.Conditions = slices.Clone(list.Conditions)
	add := func(field string, match store.Match, value string) {
		list.Conditions = append(list.Conditions, store.Condition{Field: field, Match: match, Values: []string{value}})
	}
	if q.Name != "" {
		add("name", store.Fuzzy, q.Name)
	}
	if q.Owner != "" {
		add("owner", store.Exact, q.Owner)
	}
	if q.Public != nil {
		add("public", store.Exact, strconv.FormatBool(*q.Public))
	}
	where, args := list.Where(projectColumns(), visibleProjects(p), []any{memberOf(p)})
	if err := s.db.QueryRowContext(ctx, `SELECT COUNT(*)`+projectFrom+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count projects: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, projectSelect+where+list.OrderLimit(projectColumns(), "p.name, p.id"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list projects: %w", err)
	}
	if projects, err = scanAll(rows, scanProject); err != nil {
		return nil, 0, fmt.Errorf("list projects: %w", err)
	}
	return projects, total, nil
}

// VisibleProjects returns the ids of all projects that p may see; all is true
// when that is every project, and ids is nil then.
func (s *Service) VisibleProjects(ctx context.Context, p Principal) (ids []int64, all bool, err error) {
	visible := visibleProjects(p)
	if visible == "" {
		return nil, true, nil
	}
	rows, err := s.db.QueryContext(ctx, `SELECT p.id`+projectFrom+` WHERE `+visible+` ORDER BY p.id`, memberOf(p))
	if err != nil {
		return nil, false, fmt.Errorf("list visible projects: %w", err)
	}
	ids, err = scanAll(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return nil, false, fmt.Errorf("list visible projects: %w", err)
	}
	return ids, false, nil
}

// visibleProjects is the condition on projectFrom for what p may see, "" for everything.
func visibleProjects(p Principal) string {
	switch {
	case p.SysAdmin || grantedSystem(p, Permission{"project", "list"}):
		return ""
	case p.Kind == KindUser:
		return `p.public = TRUE OR m.user_id IS NOT NULL`
	}
	ids := []string{}
	for _, g := range p.grants {
		switch {
		case g.Kind != LevelProject:
		case g.Namespace == everyProject && p.robotProject == 0:
			return ""
		default:
			ids = append(ids, strconv.FormatInt(g.ProjectID, 10))
		}
	}
	if len(ids) == 0 {
		return `p.public = TRUE`
	}
	return `p.public = TRUE OR p.id IN (` + strings.Join(ids, ", ") + `)`
}
