package account

import (
	"context"
	"fmt"
)

// ProjectCounts says how many projects there are, and repositories in them.
type ProjectCounts struct {
	Public, Private                         int64
	PublicRepositories, PrivateRepositories int64
}

// CountProjects counts all projects, whoever may see them.
func (s *Service) CountProjects(ctx context.Context) (ProjectCounts, error) {
	var c ProjectCounts
	var all, repositories int64
	err := s.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(CASE WHEN public THEN 1 ELSE 0 END), 0) FROM projects`).Scan(&all, &c.Public)
	if err == nil {
		err = s.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(CASE WHEN p.public THEN 1 ELSE 0 END), 0)
			FROM repositories r JOIN projects p ON p.id = r.project_id`).Scan(&repositories, &c.PublicRepositories)
	}
	if err != nil {
		return ProjectCounts{}, fmt.Errorf("count projects: %w", err)
	}
	c.Private, c.PrivateRepositories = all-c.Public, repositories-c.PublicRepositories
	return c, nil
}
