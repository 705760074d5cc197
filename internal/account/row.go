package account

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// accountRow is a user or a robot, as far as logging in and permissions go.
type accountRow struct {
	principal Principal
	hash      string
	disabled  bool
	expires   time.Time // zero: never
}

// usable says why an account whose password was right may still not be used.
func (a *accountRow) usable(now time.Time) error {
	switch {
	case a.disabled:
		return problem.New(problem.Unauthorized, "the robot account %s is disabled", a.principal.Name)
	case !a.expires.IsZero() && !now.Before(a.expires):
		return problem.New(problem.Unauthorized, "the robot account %s expired at %s",
			a.principal.Name, a.expires.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}

// account returns the account that logs in with name; nil when there is none.
func (s *Service) account(ctx context.Context, name string) (*accountRow, error) {
	if name == "" || !validText(name) {
		return nil, nil // PostgreSQL would refuse the very question
	}
	return s.accounts.load(name, func() (*accountRow, bool, error) {
		row, err := s.readAccount(ctx, name)
		return row, row != nil, err
	})
}

// readAccount looks for a robot first when the name could be one, as Harbor does.
func (s *Service) readAccount(ctx context.Context, name string) (*accountRow, error) {
	prefix, err := s.robotPrefix(ctx)
	if err != nil {
		return nil, err
	}
	if robot, found := strings.CutPrefix(name, prefix); found {
		row, err := s.readRobotRow(ctx, robot, name)
		if row != nil || err != nil {
			return row, err
		}
	}
	return s.readUserRow(ctx, name)
}

func (s *Service) readUserRow(ctx context.Context, name string) (*accountRow, error) {
	row := &accountRow{principal: Principal{Kind: KindUser, Name: name}}
	err := s.db.QueryRowContext(ctx, `SELECT id, sysadmin, password_hash FROM users WHERE username = $1`, name).
		Scan(&row.principal.ID, &row.principal.SysAdmin, &row.hash)
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read user %s: %w", name, err)
	}
	return s.finish(row)
}

func (s *Service) readRobotRow(ctx context.Context, stored, name string) (*accountRow, error) {
	row := &accountRow{principal: Principal{Kind: KindRobot, Name: name}}
	var permissions string
	var expires int64
	err := s.db.QueryRowContext(ctx,
		`SELECT id, project_id, secret_hash, permissions, disabled, expires_at FROM robots WHERE name = $1`, stored).
		Scan(&row.principal.ID, &row.principal.robotProject, &row.hash, &permissions, &row.disabled, &expires)
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read robot account %s: %w", name, err)
	}
	if expires != neverExpires {
		row.expires = time.Unix(expires, 0)
	}
	if row.principal.grants, err = parseGrants(permissions); err != nil {
		return nil, fmt.Errorf("read robot account %s: %w", name, err)
	}
	return s.finish(row)
}

func (s *Service) finish(row *accountRow) (*accountRow, error) {
	p, err := parsePasswordHash(row.hash)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", row.principal.Name, err)
	}
	// The salt is new with every password, and stays when a hash is only brought
	// up to today's cost.
	row.principal.Generation = s.tokens.fingerprint(row.principal.Kind.String(), strconv.FormatInt(row.principal.ID, 10), string(p.salt))
	return row, nil
}

// projectKey asks for a project by name, or by id if that is not 0, and for the
// role of a user in it (0: no user).
type projectKey struct {
	name string
	id   int64
	user int64
}

// projectRow is what permissions depend on; the zero one stands for no project.
type projectRow struct {
	id     int64
	name   string
	public bool
	role   Role
}

func (s *Service) project(ctx context.Context, key projectKey) (projectRow, error) {
	if !validText(key.name) {
		return projectRow{}, nil
	}
	return s.projects.load(key, func() (projectRow, bool, error) {
		row, err := s.readProjectRow(ctx, key)
		return row, row.id != 0, err
	})
}

func (s *Service) readProjectRow(ctx context.Context, key projectKey) (projectRow, error) {
	query := `SELECT p.id, p.name, p.public, COALESCE(m.role_id, 0) FROM projects p
		LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $1 WHERE `
	args := []any{key.user}
	if key.id != 0 {
		query, args = query+`p.id = $2`, append(args, key.id)
	} else {
		query, args = query+`p.name = $2`, append(args, key.name)
	}
	var row projectRow
	err := s.db.QueryRowContext(ctx, query, args...).Scan(&row.id, &row.name, &row.public, &row.role)
	if store.IsNotFound(err) {
		return projectRow{}, nil
	}
	if err != nil {
		return projectRow{}, fmt.Errorf("read project %s: %w", key, err)
	}
	return row, nil
}

// String is the project as messages call it.
func (k projectKey) String() string {
	if k.id != 0 {
		return strconv.FormatInt(k.id, 10)
	}
	return k.name
}

type settingRow struct {
	value string
	found bool
}

// setting returns a configuration item, fallback when it is not set. Values may
// be plain or JSON strings.
func (s *Service) setting(ctx context.Context, name, fallback string) (string, error) {
	row, err := s.settings.load(name, func() (settingRow, bool, error) {
		value, found, err := s.options.Setting(ctx, name)
		return settingRow{value, found}, true, err
	})
	if err != nil {
		return "", err
	}
	if !row.found {
		return fallback, nil
	}
	if strings.HasPrefix(row.value, `"`) {
		var text string
		if err := json.Unmarshal([]byte(row.value), &text); err != nil {
			return "", fmt.Errorf("setting %s is %s: %w", name, row.value, err)
		}
		return text, nil
	}
	return row.value, nil
}

func (s *Service) robotPrefix(ctx context.Context) (string, error) {
	return s.setting(ctx, "robot_name_prefix", "robot$")
}

// validText reports whether both databases can store and compare the text.
func validText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}
