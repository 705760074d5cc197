package account

import (
	"context"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// User is an account of a person.
type User struct {
	ID           int64
	Username     string
	Email        string
	Realname     string
	Comment      string
	SysAdmin     bool
	CreationTime time.Time
	UpdateTime   time.Time
}

// NewUser is a user to create.
type NewUser struct {
	Username, Email, Realname, Comment, Password string
}

// UserProfile is what users may say about themselves; it is replaced as a whole.
type UserProfile struct {
	Email, Realname, Comment string
}

// adminID is the first administrator, who can be neither deleted nor demoted.
const adminID = 1

// CreateUser makes a user and returns its id. Names and the password must keep
// Harbor's rules; a name or e-mail address that is taken is a problem.Conflict.
func (s *Service) CreateUser(ctx context.Context, p Principal, u NewUser) (id int64, err error) {
	if err := s.Check(ctx, p, 0, "user", "create"); err != nil {
		return 0, err
	}
	if err := checkPassword(u.Password); err != nil {
		return 0, err
	}
	if err := checkProfile(UserProfile{u.Email, u.Realname, u.Comment}); err != nil {
		return 0, err
	}
	if err := s.checkUsername(ctx, u.Username); err != nil {
		return 0, err
	}
	hash, err := s.hasher.hash(ctx, u.Password)
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *store.Tx) error {
		if err := refuseEmailInUse(ctx, tx, u.Username, u.Email, 0); err != nil {
			return err
		}
		now := store.Millis(s.now())
		err := tx.QueryRowContext(ctx,
			`INSERT INTO users (username, email, realname, comment, password_hash, sysadmin, creation_time, update_time)
			 VALUES ($1, $2, $3, $4, $5, FALSE, $6, $6) RETURNING id`,
			u.Username, u.Email, u.Realname, u.Comment, hash, now).Scan(&id)
		if store.IsConflict(err) {
			return userConflict(u.Username, u.Email)
		}
		if err != nil {
			return fmt.Errorf("create user %s: %w", u.Username, err)
		}
		return nil
	})
	return id, err
}

func userConflict(username, email string) error {
	return problem.New(problem.Conflict, "user %s or email %s already exists", username, email)
}

func refuseEmailInUse(ctx context.Context, tx *store.Tx, username, email string, except int64) error {
	var id int64
	err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE email = $1 AND id <> $2 LIMIT 1`, email, except).Scan(&id)
	if store.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for users with e-mail address %s: %w", email, err)
	}
	return userConflict(username, email)
}

// GetUser returns a user: themselves, or any for who may read users.
func (s *Service) GetUser(ctx context.Context, p Principal, id int64) (User, error) {
	if !p.Authenticated() {
		return User{}, refusal(p)
	}
	if !isUser(p, id) && !s.Can(ctx, p, 0, "user", "read") {
		return User{}, problem.New(problem.Forbidden, "Not authorized to read user: %d", id)
	}
	return s.readUser(ctx, id)
}

// CurrentUser returns the user that p is. Robots are none: problem.Precondition,
// as Harbor answers them.
func (s *Service) CurrentUser(ctx context.Context, p Principal) (User, error) {
	if !p.Authenticated() {
		return User{}, refusal(p)
	}
	if p.Kind != KindUser {
		return User{}, problem.New(problem.Precondition, "get current user not available for security context: %s", p.Kind)
	}
	if p.visits() {
		return s.visitingUser(p)
	}
	return s.readUser(ctx, p.ID)
}

const userSelect = `SELECT id, username, email, realname, comment, sysadmin, creation_time, update_time FROM users`

func (s *Service) readUser(ctx context.Context, id int64) (User, error) {
	u, err := scanUser(s.db.QueryRowContext(ctx, userSelect+` WHERE id = $1`, id))
	if store.IsNotFound(err) {
		return User{}, problem.New(problem.NotFound, "user %d not found", id)
	}
	if err != nil {
		return User{}, fmt.Errorf("read user %d: %w", id, err)
	}
	return u, nil
}

type scanner interface{ Scan(into ...any) error }

func scanUser(row scanner) (User, error) {
	var u User
	var created, updated int64
	err := row.Scan(&u.ID, &u.Username, &u.Email, &u.Realname, &u.Comment, &u.SysAdmin, &created, &updated)
	u.CreationTime, u.UpdateTime = store.Time(created), store.Time(updated)
	return u, err
}

func userColumns() store.Columns {
	return store.Columns{
		"user_id":       {SQL: "id", Kind: store.Integer},
		"username":      {SQL: "username"},
		"email":         {SQL: "email"},
		"realname":      {SQL: "realname"},
		"comment":       {SQL: "comment"},
		"sysadmin_flag": {SQL: "sysadmin", Kind: store.Boolean},
		"creation_time": {SQL: "creation_time", Kind: store.Instant},
		"update_time":   {SQL: "update_time", Kind: store.Instant},
	}
}

// ListUsers returns the users that a query selects, by name, and how many there
// are on all pages.
func (s *Service) ListUsers(ctx context.Context, p Principal, q store.ListQuery) (users []User, total int64, err error) {
	if err := s.Check(ctx, p, 0, "user", "list"); err != nil {
		return nil, 0, err
	}
	return s.listUsers(ctx, q)
}

// SearchUsers returns the users whose names contain text. Everybody who is logged
// in may search: project admins have to find whom to make a member.
func (s *Service) SearchUsers(ctx context.Context, p Principal, text string, q store.ListQuery) (users []User, total int64, err error) {
	if !p.Authenticated() {
		return nil, 0, refusal(p)
	}
	if err := checkQueryText(text); err != nil {
		return nil, 0, err
	}
	q.Conditions = []store.Condition{{Field: "username", Match: store.Fuzzy, Values: []string{text}}}
	return s.listUsers(ctx, q)
}

func (s *Service) listUsers(ctx context.Context, q store.ListQuery) (users []User, total int64, err error) {
	where, args := q.Where(userColumns(), "", nil)
	if err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM users`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count users: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, userSelect+where+q.OrderLimit(userColumns(), "username, id"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list users: %w", err)
	}
	users, err = scanAll(rows, scanUser)
	if err != nil {
		return nil, 0, fmt.Errorf("list users: %w", err)
	}
	return users, total, nil
}

// UpdateUser replaces a user's profile: their own, or any for who may update users.
func (s *Service) UpdateUser(ctx context.Context, p Principal, id int64, profile UserProfile) error {
	if err := s.requireModifiable(p, id); err != nil {
		return err
	}
	if err := checkProfile(profile); err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		if err := refuseEmailInUse(ctx, tx, fmt.Sprint(id), profile.Email, id); err != nil {
			return err
		}
		return updateUser(ctx, tx, id, "update the profile",
			`UPDATE users SET email = $1, realname = $2, comment = $3, update_time = $4 WHERE id = $5`,
			profile.Email, profile.Realname, profile.Comment, store.Millis(s.now()), id)
	})
}

// SetSysAdmin makes a user a system administrator or an ordinary user again. Only
// administrators may do that: a robot that may update users must not be able to
// make itself one.
func (s *Service) SetSysAdmin(ctx context.Context, p Principal, id int64, sysAdmin bool) error {
	if !p.Authenticated() {
		return refusal(p)
	}
	if !p.SysAdmin {
		return problem.New(problem.Forbidden, "%s", p.Name)
	}
	if id == adminID && !sysAdmin {
		return problem.New(problem.Forbidden, "User with ID %d can't be updated", id)
	}
	return s.changeUser(ctx, id, "set the administrator flag", `UPDATE users SET sysadmin = $1, update_time = $2 WHERE id = $3`,
		sysAdmin, store.Millis(s.now()), id)
}

// DeleteUser deletes a user with all memberships. Nobody can delete themselves or
// the first administrator. Projects that the user owned stay.
func (s *Service) DeleteUser(ctx context.Context, p Principal, id int64) error {
	if !p.Authenticated() {
		return refusal(p)
	}
	if !s.Can(ctx, p, 0, "user", "delete") {
		return problem.New(problem.Forbidden, "Not authorized to delete users")
	}
	if isUser(p, id) || id == adminID {
		return problem.New(problem.Forbidden, "User with ID %d cannot be deleted", id)
	}
	return s.changeUser(ctx, id, "delete", `DELETE FROM users WHERE id = $1`, id)
}

func (s *Service) changeUser(ctx context.Context, id int64, what, statement string, args ...any) error {
	return s.change(ctx, func(tx *store.Tx) error { return updateUser(ctx, tx, id, what, statement, args...) })
}

func updateUser(ctx context.Context, tx *store.Tx, id int64, what, statement string, args ...any) error {
	found, err := execOne(ctx, tx, statement, args...)
	if err != nil {
		return fmt.Errorf("%s of user %d: %w", what, id, err)
	}
	if !found {
		return problem.New(problem.NotFound, "user %d not found", id)
	}
	return nil
}

func (s *Service) requireModifiable(p Principal, id int64) error {
	if !p.Authenticated() {
		return refusal(p)
	}
	if !p.SysAdmin && !isUser(p, id) && !grantedSystem(p, Permission{"user", "update"}) {
		return problem.New(problem.Forbidden, "User with ID %d can't be updated", id)
	}
	return nil
}

func isUser(p Principal, id int64) bool { return p.Kind == KindUser && p.ID == id }

// Characters that Harbor refuses in names (common/const.go), and the colon, with
// which a name could not be used for Basic authentication.
const (
	illegalInRealname = `,"~#%$`
	illegalInUsername = illegalInRealname + ":"
)

func (s *Service) checkUsername(ctx context.Context, name string) error {
	if len(name) < 1 || len(name) > 255 {
		return problem.New(problem.BadRequest, "username with illegal length")
	}
	if strings.ContainsAny(name, illegalInUsername) || !printable(name) {
		return problem.New(problem.BadRequest, "username contains illegal characters")
	}
	prefix, err := s.robotPrefix(ctx)
	if err != nil {
		return err
	}
	if prefix != "" && strings.HasPrefix(name, prefix) {
		return problem.New(problem.BadRequest, "username must not start with %s, as robot accounts do", prefix)
	}
	return nil
}

func checkProfile(u UserProfile) error {
	switch {
	case u.Email == "":
		return problem.New(problem.BadRequest, "email can't be empty")
	case !validEmail(u.Email):
		return problem.New(problem.BadRequest, "email with illegal format")
	case len(u.Realname) < 1 || len(u.Realname) > 255:
		return problem.New(problem.BadRequest, "realname with illegal length")
	case strings.ContainsAny(u.Realname, illegalInRealname) || !printable(u.Realname):
		return problem.New(problem.BadRequest, "realname contains illegal characters")
	case len([]rune(u.Comment)) > 30:
		return problem.New(problem.BadRequest, "comment with illegal length")
	case !validText(u.Comment):
		return problem.New(problem.BadRequest, "comment contains illegal characters")
	}
	return nil
}

// validEmail accepts plain addresses at a domain with a dot, as Harbor does.
func validEmail(email string) bool {
	address, err := mail.ParseAddress(email)
	if err != nil || address.Name != "" || address.Address != email || len(email) > 255 {
		return false
	}
	domain := email[strings.LastIndexByte(email, '@')+1:]
	host, top, found := cutLast(domain, ".")
	return found && host != "" && len(top) >= 2
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

func printable(text string) bool {
	return validText(text) && !strings.ContainsFunc(text, unicode.IsControl)
}
