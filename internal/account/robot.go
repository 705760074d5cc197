package account

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Robot is an account for programs.
type Robot struct {
	ID           int64
	Name         string // as it is logged in with: robot$name, robot$project+name
	Description  string
	Level        Level
	ProjectID    int64 // of the project level, else 0
	Disabled     bool
	Duration     int64 // days from its creation, -1: for ever
	ExpiresAt    int64 // seconds since 1970, -1: never
	Permissions  []RobotPermission
	CreatorType  string // "local" (a user) or "robot"
	CreatorID    int64
	CreationTime time.Time
	UpdateTime   time.Time
}

// NewRobot is a robot to create. A project robot has one permission, whose
// namespace is its project.
type NewRobot struct {
	Name        string // without prefix and project
	Description string
	Level       Level
	Disabled    bool
	Duration    int64  // days, -1: for ever
	Secret      string // "": a random one is made
	Permissions []RobotPermission
}

// RobotUpdate replaces what can be changed of a robot.
type RobotUpdate struct {
	Name        string // full name; as it is
	Level       Level  // as it is
	Description string
	Disabled    bool
	Duration    *int64 // nil: as it is
	Permissions []RobotPermission
}

const secretLength = 32 // letters and digits of random secrets: 190 bits

// CreateRobot makes a robot and returns it with its secret, which cannot be read
// again. Robots can make robots that may do no more than themselves.
func (s *Service) CreateRobot(ctx context.Context, p Principal, n NewRobot) (Robot, string, error) {
	if !p.Authenticated() {
		return Robot{}, "", refusal(p)
	}
	if !namePattern.MatchString(n.Name) || len(n.Name) > 255 {
		return Robot{}, "", problem.New(problem.BadRequest, "robot name is not in lower case or contains illegal characters")
	}
	if err := checkNewRobot(n); err != nil {
		return Robot{}, "", err
	}
	place, grants, err := s.placeRobot(ctx, p, n.Level, n.Permissions, "create")
	if err != nil {
		return Robot{}, "", err
	}
	if err := checkCreatorScope(p, grants); err != nil {
		return Robot{}, "", err
	}
	name := n.Name
	if n.Level == LevelProject {
		name = place.Name + "+" + n.Name
	}
	secret := n.Secret
	if secret == "" {
		secret = randomPassword(secretLength)
	}
	id, err := s.insertRobot(ctx, p, n, name, place.ID, grants, secret)
	if err != nil {
		return Robot{}, "", err
	}
	robot, err := s.readRobot(ctx, id)
	return robot, secret, err
}

func checkNewRobot(n NewRobot) error {
	if err := checkDuration(n.Duration); err != nil {
		return err
	}
	if n.Level != LevelSystem && n.Level != LevelProject {
		return problem.New(problem.BadRequest, "bad request error level input: %s", n.Level)
	}
	if err := checkDescription(n.Description); err != nil {
		return err
	}
	if n.Secret != "" {
		if err := checkSecret(n.Secret); err != nil {
			return err
		}
	}
	return checkPermissions(n.Level, n.Permissions)
}

func checkDescription(text string) error {
	if len(text) > maxTextLength || !validText(text) {
		return problem.New(problem.BadRequest, "the description is longer than %d bytes or no text", maxTextLength)
	}
	return nil
}

func checkSecret(secret string) error {
	if !validPassword(secret) {
		return problem.New(problem.BadRequest, "the secret %s", passwordRule)
	}
	return nil
}

// placeRobot finds the project of a project robot and checks that p may do action
// on robots there, or on system robots.
func (s *Service) placeRobot(ctx context.Context, p Principal, level Level, permissions []RobotPermission, action string) (Project, []grant, error) {
	var place Project
	if level == LevelSystem {
		if err := s.Check(ctx, p, 0, "robot", action); err != nil {
			return Project{}, nil, err
		}
	} else {
		var err error
		isName := true
		if place, err = s.CheckProject(ctx, p, permissions[0].Namespace, &isName, "robot", action); err != nil {
			return Project{}, nil, err
		}
	}
	grants, err := s.resolve(ctx, permissions)
	return place, grants, err
}

func (s *Service) insertRobot(ctx context.Context, p Principal, n NewRobot, name string, project int64, grants []grant, secret string) (id int64, err error) {
	hash, err := s.hasher.hash(ctx, secret)
	if err != nil {
		return 0, err
	}
	now := s.now()
	err = s.change(ctx, func(tx *store.Tx) error {
		err := tx.QueryRowContext(ctx,
			`INSERT INTO robots (name, level, project_id, description, secret_hash, permissions, disabled, duration,
			 expires_at, creator_type, creator_ref, creation_time, update_time)
			 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) RETURNING id`,
			name, string(n.Level), project, n.Description, hash, store.JSON(grants), n.Disabled, n.Duration,
			expiry(now, n.Duration), p.Kind.String(), p.ID, store.Millis(now)).Scan(&id)
		if store.IsConflict(err) {
			return problem.New(problem.Conflict, "robot account %d:%s already exists", project, name)
		}
		if err != nil {
			return fmt.Errorf("create robot %s: %w", name, err)
		}
		return nil
	})
	return id, err
}

func expiry(created time.Time, days int64) int64 {
	if days == neverExpires {
		return neverExpires
	}
	return created.AddDate(0, 0, int(days)).Unix()
}

const robotSelect = `SELECT id, name, description, level, project_id, disabled, duration, expires_at, permissions,
	creator_type, creator_ref, creation_time, update_time FROM robots`

func scanRobot(row scanner) (Robot, error) {
	var r Robot
	var permissions string
	var created, updated int64
	err := row.Scan(&r.ID, &r.Name, &r.Description, &r.Level, &r.ProjectID, &r.Disabled, &r.Duration, &r.ExpiresAt,
		&permissions, &r.CreatorType, &r.CreatorID, &created, &updated)
	if err != nil {
		return Robot{}, err
	}
	grants, err := parseGrants(permissions)
	r.Permissions = permissionsOf(grants)
	r.CreationTime, r.UpdateTime = store.Time(created), store.Time(updated)
	return r, err
}

func (s *Service) readRobot(ctx context.Context, id int64) (Robot, error) {
	prefix, err := s.robotPrefix(ctx)
	if err != nil {
		return Robot{}, err
	}
	r, err := scanRobot(s.db.QueryRowContext(ctx, robotSelect+` WHERE id = $1`, id))
	if store.IsNotFound(err) {
		return Robot{}, problem.New(problem.NotFound, "robot %d not found", id)
	}
	if err != nil {
		return Robot{}, fmt.Errorf("read robot %d: %w", id, err)
	}
	r.Name = prefix + r.Name
	return r, nil
}

// findRobot reads a robot and checks that p may do action on it.
func (s *Service) findRobot(ctx context.Context, p Principal, id int64, action string) (Robot, error) {
	if !p.Authenticated() {
		return Robot{}, refusal(p)
	}
	r, err := s.readRobot(ctx, id)
	if err != nil {
		return Robot{}, err
	}
	return r, s.Check(ctx, p, r.ProjectID, "robot", action)
}

// GetRobot returns a robot.
func (s *Service) GetRobot(ctx context.Context, p Principal, id int64) (Robot, error) {
	return s.findRobot(ctx, p, id, "read")
}

func robotColumns() store.Columns {
	return store.Columns{
		"id":            {SQL: "id", Kind: store.Integer},
		"name":          {SQL: "name"},
		"description":   {SQL: "description"},
		"level":         {SQL: "level"},
		"project_id":    {SQL: "project_id", Kind: store.Integer},
		"disabled":      {SQL: "disabled", Kind: store.Boolean},
		"disable":       {SQL: "disabled", Kind: store.Boolean},
		"duration":      {SQL: "duration", Kind: store.Integer},
		"expires_at":    {SQL: "expires_at", Kind: store.Integer},
		"creation_time": {SQL: "creation_time", Kind: store.Instant},
		"update_time":   {SQL: "update_time", Kind: store.Instant},
	}
}

// ListRobots returns the robots that a query selects, by name, and how many there
// are on all pages: system robots, or with the conditions Level=project and
// ProjectID=<id> those of a project, as in Harbor's q.
func (s *Service) ListRobots(ctx context.Context, p Principal, q store.ListQuery) (robots []Robot, total int64, err error) {
	if !p.Authenticated() {
		return nil, 0, refusal(p)
	}
	project, err := robotsOf(q)
	if err != nil {
		return nil, 0, err
	}
	if err := s.Check(ctx, p, project, "robot", "list"); err != nil {
		return nil, 0, err
	}
	prefix, err := s.robotPrefix(ctx)
	if err != nil {
		return nil, 0, err
	}
	where, args := q.Where(robotColumns(), `project_id = $1`, []any{project})
	if err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM robots`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count robots: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, robotSelect+where+q.OrderLimit(robotColumns(), "name, id"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list robots: %w", err)
	}
	if robots, err = scanAll(rows, scanRobot); err != nil {
		return nil, 0, fmt.Errorf("list robots: %w", err)
	}
	for i := range robots {
		robots[i].Name = prefix + robots[i].Name
	}
	return robots, total, nil
}

// robotsOf returns the project whose robots a query asks for, 0: system robots.
func robotsOf(q store.ListQuery) (project int64, err error) {
	level, found := condition(q, "Level", "level")
	if !found || level == string(LevelSystem) {
		return 0, nil
	}
	if level != string(LevelProject) {
		return 0, problem.New(problem.BadRequest, "bad request error level input")
	}
	text, found := condition(q, "ProjectID", "project_id")
	if !found {
		return 0, problem.New(problem.BadRequest, "must with project ID when to query project robots")
	}
	project, err = strconv.ParseInt(text, 10, 64)
	if err != nil || project <= 0 {
		return 0, problem.New(problem.BadRequest, "ProjectID must be a positive integer")
	}
	return project, nil
}

// condition returns the value of an exact condition; of another one "", which no
// caller takes for a good value.
func condition(q store.ListQuery, names ...string) (value string, found bool) {
	for _, c := range q.Conditions {
		if slices.Contains(names, c.Field) {
			if c.Match != store.Exact {
				return "", true
			}
			return c.Values[0], true
		}
	}
	return "", false
}

// UpdateRobot replaces a robot's description, state, duration and permissions.
func (s *Service) UpdateRobot(ctx context.Context, p Principal, id int64, u RobotUpdate) error {
	if !p.Authenticated() {
		return refusal(p)
	}
	r, err := s.readRobot(ctx, id)
	if err != nil {
		return err
	}
	duration := r.Duration
	if u.Duration != nil {
		duration = *u.Duration
	}
	if err := checkDuration(duration); err != nil {
		return err
	}
	if err := s.Check(ctx, p, r.ProjectID, "robot", "update"); err != nil {
		return err
	}
	if u.Level != r.Level || u.Name != r.Name {
		return problem.New(problem.BadRequest, "cannot update the level or name of robot")
	}
	if err := checkDescription(u.Description); err != nil {
		return err
	}
	if err := checkPermissions(u.Level, u.Permissions); err != nil {
		return err
	}
	grants, err := s.resolve(ctx, u.Permissions)
	if err != nil {
		return err
	}
	if r.Level == LevelProject && grants[0].ProjectID != r.ProjectID {
		return problem.New(problem.BadRequest, "cannot update the project id of robot")
	}
	if err := checkCreatorScope(p, grants); err != nil {
		return err
	}
	expires := r.ExpiresAt
	if duration != r.Duration {
		expires = expiry(r.CreationTime, duration)
	}
	return s.changeRobot(ctx, id, "update",
		`UPDATE robots SET description = $2, disabled = $3, duration = $4, expires_at = $5, permissions = $6, update_time = $7 WHERE id = $1`,
		u.Description, u.Disabled, duration, expires, store.JSON(grants), store.Millis(s.now()))
}

// RefreshSecret gives a robot a new secret: the given one, which must keep
// Harbor's rule, or if that is "" a random one, which is returned. The old one is
// refused from then on.
func (s *Service) RefreshSecret(ctx context.Context, p Principal, id int64, given string) (secret string, err error) {
	if _, err := s.findRobot(ctx, p, id, "update"); err != nil {
		return "", err
	}
	if given != "" {
		if err := checkSecret(given); err != nil {
			return "", err
		}
	} else {
		secret = randomPassword(secretLength)
		given = secret
	}
	hash, err := s.hasher.hash(ctx, given)
	if err != nil {
		return "", err
	}
	return secret, s.changeRobot(ctx, id, "refresh the secret of",
		`UPDATE robots SET secret_hash = $2, update_time = $3 WHERE id = $1`, hash, store.Millis(s.now()))
}

// DeleteRobot deletes a robot.
func (s *Service) DeleteRobot(ctx context.Context, p Principal, id int64) error {
	if _, err := s.findRobot(ctx, p, id, "delete"); err != nil {
		return err
	}
	return s.changeRobot(ctx, id, "delete", `DELETE FROM robots WHERE id = $1`)
}

func (s *Service) changeRobot(ctx context.Context, id int64, what, statement string, args ...any) error {
	return s.change(ctx, func(tx *store.Tx) error {
		found, err := execOne(ctx, tx, statement, append([]any{id}, args...)...)
		if err != nil {
			return fmt.Errorf("%s robot %d: %w", what, id, err)
		}
		if !found {
			return problem.New(problem.NotFound, "robot %d not found", id)
		}
		return nil
	})
}
