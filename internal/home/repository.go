package home

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// topLevel selects the artifacts a (of repositories r) that a list shows: not the
// accessories, and the children of an index only when they have a tag (Harbor:
// pkg/artifact/dao).
const topLevel = `a.accessory_of = '' AND (EXISTS (SELECT 1 FROM tags t WHERE t.artifact_id = a.id) OR NOT ` + isChild + `)`

const isChild = `EXISTS (SELECT 1 FROM artifact_references ref JOIN artifacts parent ON parent.id = ref.parent_id
	WHERE ref.child_digest = a.digest AND parent.repository_id = a.repository_id)`

const repositoryFields = `r.id, r.project_id, r.name, r.description, r.pull_count, r.creation_time, r.update_time,
	(SELECT COUNT(*) FROM artifacts a WHERE a.repository_id = r.id AND ` + topLevel + `)`

var repositoryColumns = store.Columns{
	"id":            {SQL: "r.id", Kind: store.Integer},
	"repository_id": {SQL: "r.id", Kind: store.Integer},
	"project_id":    {SQL: "r.project_id", Kind: store.Integer},
	"name":          {SQL: "r.name", Kind: store.Text},
	"description":   {SQL: "r.description", Kind: store.Text},
	"pull_count":    {SQL: "r.pull_count", Kind: store.Integer},
	"creation_time": {SQL: "r.creation_time", Kind: store.Instant},
	"update_time":   {SQL: "r.update_time", Kind: store.Instant},
}

func scanRepository(s scanner) (Repository, error) {
	var r Repository
	var created, updated int64
	err := s.Scan(&r.ID, &r.ProjectID, &r.Name, &r.Description, &r.PullCount, &created, &updated, &r.ArtifactCount)
	r.CreationTime, r.UpdateTime = store.Time(created), store.Time(updated)
	return r, err
}

// ListRepositories returns one page of the repositories of a project (0: of all
// projects), newest first, and how many there are. visible are the projects that
// the caller may see, nil for all. Besides columns, q may ask for blob_digest.
func (x *Index) ListRepositories(ctx context.Context, projectID int64, visible []int64, q store.ListQuery) ([]Repository, int64, error) {
	var args []any
	base := "1 = 1"
	if projectID != 0 {
		args = append(args, projectID)
		base += fmt.Sprintf(" AND r.project_id = $%d", len(args))
	}
	if visible != nil {
		if len(visible) == 0 {
			return nil, 0, nil
		}
		base += " AND r.project_id IN (" + placeholders(len(args)+1, len(visible)) + ")"
		args = append(args, anys(visible)...)
	}
	if c, ok := q.Condition("blob_digest"); ok && len(c.Values) == 1 {
		args = append(args, c.Values[0])
		base += " AND " + hasBlob(len(args))
	}
	where, args := q.Where(repositoryColumns, base, args)
	var total int64
	if err := x.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM repositories r`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count repositories: %w", err)
	}
	// Artifacts are counted of the repositories on the page only.
	const order = "r.creation_time DESC, r.id DESC"
	again := store.ListQuery{Sort: q.Sort}
	repositories, err := collect(ctx, x.db, scanRepository, `SELECT `+repositoryFields+` FROM (SELECT r.* FROM repositories r`+where+
		q.OrderLimit(repositoryColumns, order)+`) r`+again.OrderLimit(repositoryColumns, order), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list repositories: %w", err)
	}
	return repositories, total, nil
}

// hasBlob selects the repositories r that use the blob or manifest in argument n.
func hasBlob(n int) string {
	return fmt.Sprintf(`EXISTS (SELECT 1 FROM artifacts a WHERE a.repository_id = r.id AND (a.digest = $%[1]d
		OR EXISTS (SELECT 1 FROM artifact_blobs b WHERE b.artifact_id = a.id AND b.digest = $%[1]d)))`, n)
}

// GetRepository returns a repository; problem.NotFound when it is not there.
func (x *Index) GetRepository(ctx context.Context, name string) (Repository, error) {
	r, err := scanRepository(x.db.QueryRowContext(ctx, `SELECT `+repositoryFields+` FROM repositories r WHERE r.name = $1`, name))
	if store.IsNotFound(err) {
		return Repository{}, problem.New(problem.NotFound, "repository %s not found", name)
	}
	if err != nil {
		return Repository{}, fmt.Errorf("get repository %s: %w", name, err)
	}
	return r, nil
}

// DescribeRepository sets a repository's description.
func (x *Index) DescribeRepository(ctx context.Context, name, description string) error {
	return x.db.InTx(ctx, func(tx *store.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE repositories SET description = $2, update_time = $3 WHERE name = $1`,
			name, description, store.Millis(time.Now()))
		if err != nil {
			return fmt.Errorf("describe repository %s: %w", name, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return problem.New(problem.NotFound, "repository %s not found", name)
	})
}

// RepositoryNames returns the names of at most limit repositories that come after
// a name, in the order of their bytes.
func (x *Index) RepositoryNames(ctx context.Context, after string, limit int) ([]string, error) {
	names, err := collect(ctx, x.db, scanText, `SELECT name FROM repositories WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list repository names: %w", err)
	}
	return names, nil
}

// Version is another one whenever something was pushed, tagged or deleted in a project.
func (x *Index) Version(ctx context.Context, projectID int64) (string, error) {
	version, err := scanText(x.db.QueryRowContext(ctx, `SELECT count(*) || ' ' || coalesce(sum(update_time), 0) FROM repositories WHERE project_id = $1`, projectID))
	if err != nil {
		return "", fmt.Errorf("look for changes in project %d: %w", projectID, err)
	}
	return version, nil
}

// BlobRepositories returns the names of the repositories in which a blob or a
// manifest is used.
func (x *Index) BlobRepositories(ctx context.Context, digest string) ([]string, error) {
	names, err := collect(ctx, x.db, scanText, `SELECT r.name FROM repositories r WHERE r.id IN (
			SELECT a.repository_id FROM artifacts a JOIN artifact_blobs b ON b.artifact_id = a.id WHERE b.digest = $1
			UNION SELECT a.repository_id FROM artifacts a WHERE a.digest = $1) ORDER BY r.name`, digest)
	if err != nil {
		return nil, fmt.Errorf("list repositories with blob %s: %w", digest, err)
	}
	return names, nil
}

// Statistics counts what is in the home registry.
type Statistics struct {
	Repositories int64
	Artifacts    int64 // as lists show them
	Bytes        int64 // of all different blobs and manifests
}

// Statistics counts what is in some projects, in all when projects is nil.
func (x *Index) Statistics(ctx context.Context, projects []int64) (Statistics, error) {
	repositories, artifacts, args := "1 = 1", "1 = 1", []any(nil)
	if projects != nil {
		if len(projects) == 0 {
			return Statistics{}, nil
		}
		args = anys(projects)
		in := " IN (" + placeholders(1, len(projects)) + ")"
		repositories, artifacts = "r.project_id"+in, "a.project_id"+in
	}
	var s Statistics
	count := func(into *int64, query string) error {
		return x.db.QueryRowContext(ctx, query, args...).Scan(into)
	}
	err := count(&s.Repositories, `SELECT COUNT(*) FROM repositories r WHERE `+repositories)
	if err == nil {
		err = count(&s.Artifacts, `SELECT COUNT(*) FROM artifacts a WHERE `+artifacts+` AND `+topLevel)
	}
	if err == nil {
		err = count(&s.Bytes, `SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM (
			SELECT MAX(b.size) AS size FROM artifact_blobs b JOIN artifacts a ON a.id = b.artifact_id WHERE `+artifacts+` GROUP BY b.digest
			UNION ALL
			SELECT MAX(a.manifest_size) AS size FROM artifacts a WHERE `+artifacts+` GROUP BY a.digest) AS sizes`)
	}
	if err != nil {
		return Statistics{}, fmt.Errorf("count repositories and artifacts: %w", err)
	}
	return s, nil
}
