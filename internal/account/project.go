package account

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Project is a namespace of repositories with members.
type Project struct {
	ID           int64
	Name         string
	OwnerID      int64
	OwnerName    string // "" when the owner was deleted
	Public       bool
	Metadata     map[string]string // as in Harbor's API, "public" included
	RepoCount    int64
	Role         Role // of who asks, 0: none (Harbor: current_user_role_id)
	CreationTime time.Time
	UpdateTime   time.Time
}

// NewProject is a project to create.
type NewProject struct {
	Name     string
	Metadata map[string]string // Harbor's; "public" is "true" or "false"
	Public   *bool             // the older way to say it; Metadata comes first
}

// CreateProject makes a project and returns its id. Its creator becomes its owner
// and first project admin; for robots and Lighterage itself the first
// administrator does.
func (s *Service) CreateProject(ctx context.Context, p Principal, n NewProject) (id int64, err error) {
	if err := s.CheckCreateProject(ctx, p); err != nil {
		return 0, err
	}
	public, metadata, err := readMetadata(n)
	if err != nil {
		return 0, err
	}
	if len(n.Name) < 1 || len(n.Name) > 255 {
		return 0, problem.New(problem.BadRequest, "Project name %s is illegal in length. (greater than 255 or less than 1)", n.Name)
	}
	if !namePattern.MatchString(n.Name) {
		return 0, problem.New(problem.BadRequest, "project name is not in lower case or contains illegal characters")
	}
	owner := int64(adminID)
	if p.Kind == KindUser {
		owner = p.ID
	}
	err = s.change(ctx, func(tx *store.Tx) error {
		id, err = s.insertProject(ctx, tx, n.Name, owner, public, metadata)
		return err
	})
	return id, err
}

// CheckCreateProject refuses who may not create projects. Harbor's
// project_creation_restriction says whether all users may or administrators only;
// robots need the system permission project:create in either case.
func (s *Service) CheckCreateProject(ctx context.Context, p Principal) error {
	switch {
	case p.SysAdmin:
		return nil
	case !p.Authenticated():
		return refusal(p)
	case p.Kind == KindRobot && p.robotProject != 0:
		return problem.New(problem.Forbidden, "Only system level robot can create project")
	case p.Kind == KindRobot:
		return s.Check(ctx, p, 0, "project", "create")
	}
	restriction, err := s.setting(ctx, "project_creation_restriction", "everyone")
	if err != nil {
		return err
	}
	if restriction != "everyone" {
		return problem.New(problem.Forbidden, "Only system admin can create project")
	}
	return nil
}

func (s *Service) insertProject(ctx context.Context, tx *store.Tx, name string, owner int64, public bool, metadata map[string]string) (id int64, err error) {
	now := store.Millis(s.now())
	err = tx.QueryRowContext(ctx,
		`INSERT INTO projects (name, owner_id, public, metadata, creation_time, update_time)
		 VALUES ($1, $2, $3, $4, $5, $5) RETURNING id`,
		name, owner, public, store.JSON(metadata), now).Scan(&id)
	if store.IsConflict(err) {
		return 0, problem.New(problem.Conflict, "The project named %s already exists", name)
	}
	if err != nil {
		return 0, fmt.Errorf("create project %s: %w", name, err)
	}
	return id, s.makeOwnerMember(ctx, tx, id)
}

// readMetadata separates the visibility from the rest.
func readMetadata(n NewProject) (public bool, rest map[string]string, err error) {
	rest = maps.Clone(n.Metadata)
	if rest == nil {
		rest = map[string]string{}
	}
	text := rest["public"]
	if text == "" && n.Public != nil {
		text = strconv.FormatBool(*n.Public)
	}
	delete(rest, "public")
	if rest["retention_id"] != "" {
		return false, nil, problem.New(problem.BadRequest,
			"the retention_id in the request's payload when creating a project should be omitted, alternatively passing an empty string")
	}
	delete(rest, "retention_id")
	if text == "" {
		text = "false"
	}
	public, err = parsePublic(text)
	if err != nil {
		return false, nil, err
	}
	return public, rest, checkMetadata(rest)
}

func parsePublic(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, problem.New(problem.BadRequest, "metadata.public should only be 'true' or 'false', but got: '%s'", text)
	}
	return text == "true", nil
}

// checkQueryText refuses texts to look for that PostgreSQL would refuse as a
// failure of its own.
func checkQueryText(texts ...string) error {
	for _, text := range texts {
		if !validText(text) {
			return problem.New(problem.BadRequest, "the query string must be UTF-8 text")
		}
	}
	return nil
}

func checkMetadata(metadata map[string]string) error {
	for name, value := range metadata {
		if len(name) > 255 || len(value) > maxTextLength || !validText(name) || !validText(value) {
			return problem.New(problem.BadRequest, "metadata %q is too long or no text", name)
		}
	}
	return nil
}

// GetProject returns a project as it is named in a URL: by id if the text is a
// number and isName does not say that it is a name nevertheless (Harbor's header
// X-Is-Resource-Name), else by name. Role is not filled.
func (s *Service) GetProject(ctx context.Context, nameOrID string, isName *bool) (Project, error) {
	id, err := strconv.ParseInt(nameOrID, 10, 64)
	if err != nil || isName != nil && *isName {
		return s.ProjectByName(ctx, nameOrID)
	}
	return s.readProject(ctx, Anonymous(), `p.id = $2`, id, nameOrID)
}

// ProjectByName returns the project with a name. Role is not filled.
func (s *Service) ProjectByName(ctx context.Context, name string) (Project, error) {
	if !validText(name) {
		return Project{}, problem.New(problem.NotFound, "project %q not found", name)
	}
	return s.readProject(ctx, Anonymous(), `p.name = $2`, name, name)
}

// ReadProject is GetProject for p, who must be allowed to see the project.
func (s *Service) ReadProject(ctx context.Context, p Principal, nameOrID string, isName *bool) (Project, error) {
	project, err := s.CheckProject(ctx, p, nameOrID, isName, "project", "read")
	if err != nil {
		return Project{}, err
	}
	return s.readProject(ctx, p, `p.id = $2`, project.ID, nameOrID)
}

// $1 is the user whose role is asked for.
const projectFrom = ` FROM projects p
	LEFT JOIN users u ON u.id = p.owner_id
	LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $1`

const projectSelect = `SELECT p.id, p.name, p.owner_id, COALESCE(u.username, ''), p.public, p.metadata,
	p.creation_time, p.update_time, COALESCE(m.role_id, 0),
	(SELECT COUNT(*) FROM repositories r WHERE r.project_id = p.id)` + projectFrom

func scanProject(row scanner) (Project, error) {
	var p Project
	var metadata string
	var created, updated int64
	err := row.Scan(&p.ID, &p.Name, &p.OwnerID, &p.OwnerName, &p.Public, &metadata, &created, &updated, &p.Role, &p.RepoCount)
	if err != nil {
		return Project{}, err
	}
	if err := store.FromJSON(metadata, &p.Metadata); err != nil {
		return Project{}, err
	}
	p.Metadata["public"] = strconv.FormatBool(p.Public)
	p.CreationTime, p.UpdateTime = store.Time(created), store.Time(updated)
	return p, nil
}

func (s *Service) readProject(ctx context.Context, p Principal, condition string, value any, called string) (Project, error) {
	project, err := scanProject(s.db.QueryRowContext(ctx, projectSelect+` WHERE `+condition, memberOf(p), value))
	if store.IsNotFound(err) {
		return Project{}, projectNotFound(called)
	}
	if err != nil {
		return Project{}, fmt.Errorf("read project %s: %w", called, err)
	}
	return project, nil
}

func projectNotFound(called string) error {
	return problem.New(problem.NotFound, "project %s not found", called)
}

// memberOf is the user whose memberships count for p; no user has the id 0.
func memberOf(p Principal) int64 {
	if p.Kind == KindUser {
		return p.ID
	}
	return 0
}

// UpdateProject sets metadata; what is not in it stays as it is.
func (s *Service) UpdateProject(ctx context.Context, p Principal, nameOrID string, isName *bool, metadata map[string]string) error {
	project, err := s.CheckProject(ctx, p, nameOrID, isName, "project", "update")
	if err != nil {
		return err
	}
	if err := checkMetadata(metadata); err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		// Read here, so that two changes at the same time do not undo each other.
		current, err := lockProject(ctx, tx, project.ID)
		if err != nil {
			return err
		}
		if id := metadata["retention_id"]; id != "" && id != current.Metadata["retention_id"] {
			return problem.New(problem.BadRequest, "the retention_id in the request's payload when updating a project should be omitted, "+
				"alternatively passing the one that has already been associated to this project")
		}
		maps.Copy(current.Metadata, metadata)
		public, err := parsePublic(current.Metadata["public"])
		if err != nil {
			return err
		}
		delete(current.Metadata, "public")
		_, err = tx.ExecContext(ctx, `UPDATE projects SET public = $1, metadata = $2, update_time = $3 WHERE id = $4`,
			public, store.JSON(current.Metadata), store.Millis(s.now()), project.ID)
		if err != nil {
			return fmt.Errorf("update project %s: %w", project.Name, err)
		}
		return nil
	})
}

// lockProject reads a project and keeps others from changing it until the
// transaction ends.
func lockProject(ctx context.Context, tx *store.Tx, id int64) (Project, error) {
	if _, err := tx.ExecContext(ctx, `UPDATE projects SET update_time = update_time WHERE id = $1`, id); err != nil {
		return Project{}, fmt.Errorf("lock project %d: %w", id, err)
	}
	project, err := scanProject(tx.QueryRowContext(ctx, projectSelect+` WHERE p.id = $2`, 0, id))
	if store.IsNotFound(err) {
		return Project{}, projectNotFound(strconv.FormatInt(id, 10))
	}
	if err != nil {
		return Project{}, fmt.Errorf("read project %d: %w", id, err)
	}
	return project, nil
}

// DeleteProject deletes a project with its members, robots and labels. One that
// has repositories is refused: problem.Precondition.
func (s *Service) DeleteProject(ctx context.Context, p Principal, nameOrID string, isName *bool) error {
	project, err := s.CheckProject(ctx, p, nameOrID, isName, "project", "delete")
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		current, err := lockProject(ctx, tx, project.ID)
		if err != nil {
			return err
		}
		if current.RepoCount > 0 {
			return projectInUse()
		}
		if err := removeProjectFromRobots(ctx, tx, project.ID); err != nil {
			return fmt.Errorf("delete project %s: %w", project.Name, err)
		}
		for _, statement := range []string{
			`DELETE FROM labels WHERE scope = 'p' AND project_id = $1`,
			`DELETE FROM projects WHERE id = $1`,
		} {
			_, err := tx.ExecContext(ctx, statement, project.ID)
			if store.IsReferenced(err) { // a repository that was made meanwhile
				return projectInUse()
			}
			if err != nil {
				return fmt.Errorf("delete project %s: %w", project.Name, err)
			}
		}
		return nil
	})
}

func projectInUse() error {
	return problem.New(problem.Precondition, "precondition failed: the project contains repositories, can not be deleted")
}

// EnsureProject returns the id of the project with a name and makes it, private
// and owned by the first administrator, if it is not there. It is for names that
// the storage already has and takes them as they are.
func (s *Service) EnsureProject(ctx context.Context, tx *store.Tx, name string) (id int64, err error) {
	if id, err = projectID(ctx, tx, name); !store.IsNotFound(err) {
		return id, err
	}
	tx.OnCommit(s.forget)
	_, err = tx.ExecContext(ctx,
		`INSERT INTO projects (name, owner_id, public, metadata, creation_time, update_time)
		 VALUES ($1, $2, FALSE, '{}', $3, $3) ON CONFLICT (name) DO NOTHING`, name, adminID, store.Millis(s.now()))
	if err != nil {
		return 0, fmt.Errorf("make project %s: %w", name, err)
	}
	if id, err = projectID(ctx, tx, name); err != nil {
		return 0, err
	}
	return id, s.makeOwnerMember(ctx, tx, id)
}

func projectID(ctx context.Context, tx *store.Tx, name string) (id int64, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT id FROM projects WHERE name = $1`, name).Scan(&id); err != nil {
		return 0, fmt.Errorf("read project %s: %w", name, err)
	}
	return id, nil
}

// makeOwnerMember makes the owner of a new project its first project admin, unless
// it has members already or the owner has been deleted meanwhile.
func (s *Service) makeOwnerMember(ctx context.Context, tx *store.Tx, project int64) error {
	_, err := tx.ExecContext(ctx,
		`INSERT INTO project_members (project_id, user_id, role_id, creation_time, update_time)
		 SELECT p.id, u.id, $1, $2, $2 FROM projects p JOIN users u ON u.id = p.owner_id WHERE p.id = $3
		 AND NOT EXISTS (SELECT 1 FROM project_members m WHERE m.project_id = p.id)`,
		int64(ProjectAdmin), store.Millis(s.now()), project)
	if err != nil {
		return fmt.Errorf("make the owner of project %d a member: %w", project, err)
	}
	return nil
}

// namePattern is Harbor's for the names of projects and robots.
var namePattern = regexp.MustCompile(`^[a-z0-9]+(?:[._-][a-z0-9]+)*$`)
