package account_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

const adminPassword = "Harbor12345"

// cheap makes hashing fast; what it costs is tested apart.
func cheap() account.Cost { return account.Cost{MemoryKiB: 8, Passes: 1} }

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 4, 19, 24, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a server's accounts after its first start.
type fixture struct {
	*account.Service
	db    *store.DB
	clock *clock
	admin account.Principal
}

func setup(t testing.TB, db *store.DB, o account.Options) *fixture {
	t.Helper()
	f := &fixture{db: db, clock: newClock()}
	o.PasswordCost = cheap()
	o.Clock = f.clock.Now
	o.Log = slog.New(slog.DiscardHandler)
	s, err := account.New(t.Context(), db, o)
	if err != nil {
		t.Fatal(err)
	}
	f.Service = s
	s.SetPause(func(_ context.Context, d time.Duration) error {
		f.clock.Advance(max(d, 0))
		return nil
	})
	if _, err := s.EnsureAdmin(t.Context(), adminPassword); err != nil {
		t.Fatal(err)
	}
	f.admin = f.login(t, "admin", adminPassword)
	return f
}

func open(t testing.TB, o account.Options) *fixture {
	t.Helper()
	return setup(t, storetest.Open(t), o)
}

// each runs a test on SQLite and on PostgreSQL.
func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { test(t, setup(t, db, account.Options{})) })
}

func (f *fixture) login(t testing.TB, name, password string) account.Principal {
	t.Helper()
	p, err := f.Authenticate(t.Context(), name, password)
	if err != nil {
		t.Fatalf("log in as %s: %v", name, err)
	}
	return p
}

// user makes a user with the password Passw0rd1.
func (f *fixture) user(t testing.TB, name string) account.Principal {
	t.Helper()
	_, err := f.CreateUser(t.Context(), f.admin, account.NewUser{
		Username: name, Email: name + "@example.com", Realname: name, Password: "Passw0rd1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return f.login(t, name, "Passw0rd1")
}

// project makes a private project.
func (f *fixture) project(t testing.TB, name string) int64 {
	t.Helper()
	id, err := f.CreateProject(t.Context(), f.admin, account.NewProject{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (f *fixture) member(t testing.TB, project, username string, role account.Role) int64 {
	t.Helper()
	id, err := f.AddMember(t.Context(), f.admin, project, nil, account.NewMember{Username: username, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// robot makes a system robot, or a project robot if there is a project.
func (f *fixture) robot(t testing.TB, name, project string, access ...account.Access) (account.Robot, account.Principal, string) {
	t.Helper()
	n := account.NewRobot{Name: name, Level: account.LevelSystem, Duration: -1, Permissions: []account.RobotPermission{
		{Kind: account.LevelSystem, Namespace: "/", Access: access},
	}}
	if project != "" {
		n.Level = account.LevelProject
		n.Permissions = []account.RobotPermission{{Kind: account.LevelProject, Namespace: project, Access: access}}
	}
	return f.newRobot(t, n)
}

func (f *fixture) newRobot(t testing.TB, n account.NewRobot) (account.Robot, account.Principal, string) {
	t.Helper()
	r, secret, err := f.CreateRobot(t.Context(), f.admin, n)
	if err != nil {
		t.Fatal(err)
	}
	return r, f.login(t, r.Name, secret), secret
}

func (f *fixture) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	err := f.db.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// repository puts a repository into the index.
func (f *fixture) repository(t testing.TB, project int64, name string) {
	t.Helper()
	f.exec(t, `INSERT INTO repositories (project_id, name, creation_time, update_time) VALUES ($1, $2, 0, 0)`, project, name)
}

func (f *fixture) set(t testing.TB, name, value string) {
	t.Helper()
	err := f.db.InTx(t.Context(), func(tx *store.Tx) error { return store.SetSetting(t.Context(), tx, name, value) })
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(2 * time.Second) // settings are read once a second
}

func pull() account.Access { return account.Access{Resource: "repository", Action: "pull"} }
func push() account.Access { return account.Access{Resource: "repository", Action: "push"} }

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// wantProblem checks the kind of an error and, unless it is "", its whole text.
func wantProblem(t testing.TB, err error, kind problem.Kind, text string) {
	t.Helper()
	if problem.KindOf(err) != kind || err == nil {
		t.Errorf("got %v (%s), want a problem %s", err, problem.KindOf(err), kind)
		return
	}
	if text != "" && err.Error() != text {
		t.Errorf("got %q, want %q", err.Error(), text)
	}
}
