package account_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

func ask(t testing.TB, q string) store.ListQuery {
	t.Helper()
	query, err := store.ParseListQuery(q, "", 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	return query
}

func TestSystemRobotIsCreatedAsHarborDoes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		permissions := []account.RobotPermission{
			{Kind: account.LevelSystem, Namespace: "/", Access: []account.Access{{Resource: "registry", Action: "list"}, {Resource: "replication", Action: "create"}}},
			{Kind: account.LevelProject, Namespace: "*", Access: []account.Access{pull(), push()}},
			{Kind: account.LevelProject, Namespace: "library", Access: []account.Access{{Resource: "artifact", Action: "delete"}}},
		}
		got, secret, err := f.CreateRobot(t.Context(), f.admin, account.NewRobot{
			Name: "repl", Description: "replication", Level: account.LevelSystem, Duration: -1, Permissions: permissions})
		if err != nil {
			t.Fatal(err)
		}
		want := account.Robot{ID: 1, Name: "robot$repl", Description: "replication", Level: account.LevelSystem, Duration: -1, ExpiresAt: -1,
			Permissions: permissions, CreatorType: "local", CreatorID: 1, CreationTime: f.clock.Now(), UpdateTime: f.clock.Now()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(secret) != 32 {
			t.Errorf("the secret has %d characters", len(secret))
		}
		p := f.login(t, "robot$repl", secret)
		if p.Kind != account.KindRobot || p.SysAdmin || p.Name != "robot$repl" {
			t.Errorf("logged in as %+v", p)
		}
		listed, total, err := f.ListRobots(t.Context(), f.admin, ask(t, ""))
		if diff := cmp.Diff([]account.Robot{want}, listed); err != nil || total != 1 || diff != "" {
			t.Errorf("list: %d, %v (-want +got):\n%s", total, err, diff)
		}
	})
}

func TestProjectRobotBelongsToItsProject(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	ctx := t.Context()
	id := f.project(t, "team-a")
	f.project(t, "team-b")
	dev := f.user(t, "dev1")
	f.member(t, "team-a", "dev1", account.ProjectAdmin)
	n := account.NewRobot{Name: "ci", Level: account.LevelProject, Duration: 30,
		Permissions: []account.RobotPermission{{Kind: account.LevelProject, Namespace: "team-a", Access: []account.Access{push()}}}}
	r, secret, err := f.CreateRobot(ctx, dev, n)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "robot$team-a+ci" || r.ProjectID != id || r.ExpiresAt != f.clock.Now().AddDate(0, 0, 30).Unix() {
		t.Errorf("got %+v", r)
	}
	p := f.login(t, r.Name, secret)
	if !f.Can(ctx, p, id, "repository", "push") || !f.Can(ctx, p, id, "repository", "pull") {
		t.Error("it may not push, or not pull what it may push")
	}
	if f.Can(ctx, p, id, "repository", "delete") || f.Can(ctx, p, 3, "repository", "push") {
		t.Error("it may do what it was not allowed")
	}
	n.Name, n.Permissions[0].Namespace = "ci2", "team-b"
	_, _, err = f.CreateRobot(ctx, dev, n)
	wantProblem(t, err, problem.Forbidden, "forbidden")

	listed, total, err := f.ListRobots(ctx, dev, ask(t, "Level=project,ProjectID=2"))
	if err != nil || total != 1 || listed[0].ID != r.ID {
		t.Errorf("list: %+v, %d, %v", listed, total, err)
	}
	_, _, err = f.ListRobots(ctx, dev, ask(t, "Level=project,ProjectID=3"))
	wantProblem(t, err, problem.Forbidden, "forbidden")
	_, _, err = f.ListRobots(ctx, dev, ask(t, ""))
	wantProblem(t, err, problem.Forbidden, "dev1")
	for q, text := range map[string]string{
		"Level=galaxy":              "bad request error level input",
		"Level=~project":            "bad request error level input",
		"Level=project":             "must with project ID when to query project robots",
		"Level=project,ProjectID=x": "ProjectID must be a positive integer",
		"level=project,ProjectID=0": "ProjectID must be a positive integer",
	} {
		_, _, err := f.ListRobots(ctx, f.admin, ask(t, q))
		wantProblem(t, err, problem.BadRequest, text)
	}
}

func TestBadRobotsAreRefusedWithHarborsWords(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.robot(t, "taken", "", account.Access{Resource: "registry", Action: "list"})
	good := func() account.NewRobot {
		return account.NewRobot{Name: "ci", Level: account.LevelSystem, Duration: -1, Permissions: []account.RobotPermission{
			{Kind: account.LevelProject, Namespace: "library", Access: []account.Access{pull()}}}}
	}
	const name = "robot name is not in lower case or contains illegal characters"
	const secret = "the secret must be 8-128, inclusively, characters long with at least 1 uppercase letter, 1 lowercase letter and 1 number"
	for _, test := range []struct {
		name   string
		change func(n *account.NewRobot)
		kind   problem.Kind
		text   string
	}{
		{"plus in the name", func(n *account.NewRobot) { n.Name = "a+b" }, problem.BadRequest, name},
		{"prefix in the name", func(n *account.NewRobot) { n.Name = "robot$ci" }, problem.BadRequest, name},
		{"no name", func(n *account.NewRobot) { n.Name = "" }, problem.BadRequest, name},
		{"long name", func(n *account.NewRobot) { n.Name = strings.Repeat("a", 256) }, problem.BadRequest, name},
		{"no duration", func(n *account.NewRobot) { n.Duration = 0 }, problem.BadRequest,
			"bad request error duration input: 0, duration must be either -1(Never) or a positive integer"},
		{"level", func(n *account.NewRobot) { n.Level = "galaxy" }, problem.BadRequest, "bad request error level input: galaxy"},
		{"no permissions", func(n *account.NewRobot) { n.Permissions = nil }, problem.BadRequest, "bad request empty permission"},
		{"no access", func(n *account.NewRobot) { n.Permissions[0].Access = nil }, problem.BadRequest, "bad request empty access"},
		{"kind", func(n *account.NewRobot) { n.Permissions[0].Kind = "x" }, problem.BadRequest, "bad request permission level: x"},
		{"unknown permission", func(n *account.NewRobot) { n.Permissions[0].Access[0].Action = "fly" }, problem.BadRequest,
			"bad request permission: repository:fly"},
		{"system permission in a project", func(n *account.NewRobot) {
			n.Permissions[0].Access[0] = account.Access{Resource: "registry", Action: "list"}
		}, problem.BadRequest, "bad request permission: registry:list"},
		{"effect", func(n *account.NewRobot) { n.Permissions[0].Access[0].Effect = "maybe" }, problem.BadRequest, ""},
		{"two permissions of a project robot", func(n *account.NewRobot) {
			n.Level, n.Permissions = account.LevelProject, append(n.Permissions, n.Permissions...)
		}, problem.BadRequest, "bad request permission"},
		{"project robot everywhere", func(n *account.NewRobot) {
			n.Level, n.Permissions[0].Namespace = account.LevelProject, "*"
		}, problem.BadRequest, ""},
		{"system namespace", func(n *account.NewRobot) {
			n.Permissions[0] = account.RobotPermission{Kind: account.LevelSystem, Namespace: "library", Access: []account.Access{{Resource: "registry", Action: "list"}}}
		}, problem.BadRequest, "unknown namespace"},
		{"unknown project", func(n *account.NewRobot) { n.Permissions[0].Namespace = "nope" }, problem.NotFound, "project nope not found"},
		{"weak secret", func(n *account.NewRobot) { n.Secret = "short" }, problem.BadRequest, secret},
		{"long description", func(n *account.NewRobot) { n.Description = strings.Repeat("x", 1025) }, problem.BadRequest, ""},
		{"name taken", func(n *account.NewRobot) { n.Name = "taken" }, problem.Conflict, "robot account 0:taken already exists"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := good()
			test.change(&n)
			_, _, err := f.CreateRobot(t.Context(), f.admin, n)
			wantProblem(t, err, test.kind, test.text)
		})
	}
}

func TestRobotIsChanged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		r, p, secret := f.robot(t, "ci", "library", push())
		days := int64(10)
		update := account.RobotUpdate{Name: r.Name, Level: r.Level, Description: "new", Duration: &days, Permissions: []account.RobotPermission{
			{Kind: account.LevelProject, Namespace: "library", Access: []account.Access{pull(), {Resource: "repository", Action: "delete"}}}}}
		if err := f.UpdateRobot(ctx, f.admin, r.ID, update); err != nil {
			t.Fatal(err)
		}
		got, err := f.GetRobot(ctx, f.admin, r.ID)
		if err != nil || got.Description != "new" || got.Duration != 10 || got.ExpiresAt != r.CreationTime.AddDate(0, 0, 10).Unix() {
			t.Errorf("got %+v, %v", got, err)
		}
		p = f.login(t, p.Name, secret)
		if f.Can(ctx, p, 1, "repository", "push") || !f.Can(ctx, p, 1, "repository", "delete") {
			t.Error("the permissions are still the old ones")
		}
		update.Name = "robot$other"
		wantProblem(t, f.UpdateRobot(ctx, f.admin, r.ID, update), problem.BadRequest, "cannot update the level or name of robot")
		f.project(t, "team-a")
		update.Name, update.Permissions[0].Namespace = r.Name, "team-a"
		wantProblem(t, f.UpdateRobot(ctx, f.admin, r.ID, update), problem.BadRequest, "cannot update the project id of robot")
		wantProblem(t, f.UpdateRobot(ctx, f.admin, 77, update), problem.NotFound, "robot 77 not found")
		wantProblem(t, f.UpdateRobot(ctx, account.Anonymous(), r.ID, update), problem.Unauthorized, "unauthorized")
		if err := f.DeleteRobot(ctx, f.admin, r.ID); err != nil {
			t.Fatal(err)
		}
		_, err = f.Authenticate(ctx, p.Name, secret)
		wantProblem(t, err, problem.Unauthorized, "unauthorized")
	})
}

func TestDisabledAndExpiredRobotsAreRefusedAndSayWhy(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	ctx := t.Context()
	r, _, secret := f.robot(t, "ci", "library", push())
	set := func(disabled bool, days int64) {
		t.Helper()
		err := f.UpdateRobot(ctx, f.admin, r.ID, account.RobotUpdate{Name: r.Name, Level: r.Level, Disabled: disabled, Duration: &days, Permissions: r.Permissions})
		if err != nil {
			t.Fatal(err)
		}
	}
	set(true, -1)
	_, err := f.Authenticate(ctx, r.Name, secret)
	wantProblem(t, err, problem.Unauthorized, "the robot account robot$library+ci is disabled")
	_, err = f.Authenticate(ctx, r.Name, "Wr0ngSecret")
	wantProblem(t, err, problem.Unauthorized, "unauthorized")
	set(false, 1)
	f.login(t, r.Name, secret)
	f.clock.Advance(24*time.Hour - time.Second)
	f.login(t, r.Name, secret)
	f.clock.Advance(time.Second)
	_, err = f.Authenticate(ctx, r.Name, secret)
	wantProblem(t, err, problem.Unauthorized, "the robot account robot$library+ci expired at 2026-11-23T04:19:24Z")
}

func TestSecretIsRefreshed(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	ctx := t.Context()
	r, _, old := f.robot(t, "ci", "library", pull())
	made, err := f.RefreshSecret(ctx, f.admin, r.ID, "")
	if err != nil || len(made) != 32 || made == old {
		t.Fatalf("got %q, %v", made, err)
	}
	_, err = f.Authenticate(ctx, r.Name, old)
	wantProblem(t, err, problem.Unauthorized, "unauthorized")
	f.login(t, r.Name, made)
	shown, err := f.RefreshSecret(ctx, f.admin, r.ID, "MyOwnS3cret")
	if err != nil || shown != "" {
		t.Fatalf("a given secret is answered with %q, %v", shown, err)
	}
	f.login(t, r.Name, "MyOwnS3cret")
	_, err = f.RefreshSecret(ctx, f.admin, r.ID, "weak")
	wantProblem(t, err, problem.BadRequest, "")
	_, err = f.RefreshSecret(ctx, f.user(t, "dev1"), r.ID, "")
	wantProblem(t, err, problem.Forbidden, "forbidden")
}

func TestGivenSecretIsUsed(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	_, p, secret := f.newRobot(t, account.NewRobot{Name: "ci", Level: account.LevelProject, Duration: -1, Secret: "MyOwnS3cret",
		Permissions: []account.RobotPermission{{Kind: account.LevelProject, Namespace: "library", Access: []account.Access{pull()}}}})
	if secret != "MyOwnS3cret" || p.Name != "robot$library+ci" {
		t.Errorf("got %q for %s", secret, p.Name)
	}
}

func TestPrefixOfRobotNamesCanBeConfigured(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	ctx := t.Context()
	r, _, secret := f.robot(t, "ci", "library", pull())
	f.set(t, "robot_name_prefix", "bot-")
	f.login(t, "bot-library+ci", secret)
	_, err := f.Authenticate(ctx, r.Name, secret)
	wantProblem(t, err, problem.Unauthorized, "")
	if got, err := f.GetRobot(ctx, f.admin, r.ID); err != nil || got.Name != "bot-library+ci" {
		t.Errorf("its name is %s, %v", got.Name, err)
	}
	_, err = f.CreateUser(ctx, f.admin, account.NewUser{Username: "bot-x", Email: "x@example.com", Realname: "x", Password: "Passw0rd1"})
	wantProblem(t, err, problem.BadRequest, "username must not start with bot-, as robot accounts do")
}

func TestUserWithANameLikeARobotsCanLogIn(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.user(t, "bot-alice")
	f.set(t, "robot_name_prefix", "bot-")
	if p := f.login(t, "bot-alice", "Passw0rd1"); p.Kind != account.KindUser {
		t.Errorf("logged in as %+v", p)
	}
}

func TestRobotsMakeOnlyRobotsThatMayDoLess(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.project(t, "team-a")
	_, maker, _ := f.newRobot(t, account.NewRobot{Name: "maker", Level: account.LevelSystem, Duration: -1, Permissions: []account.RobotPermission{
		{Kind: account.LevelSystem, Namespace: "/", Access: []account.Access{{Resource: "robot", Action: "create"}, {Resource: "registry", Action: "list"}}},
		{Kind: account.LevelProject, Namespace: "*", Access: []account.Access{pull(), {Resource: "robot", Action: "create"}}},
		{Kind: account.LevelProject, Namespace: "library", Access: []account.Access{push(), {Resource: "project", Action: "read"}}},
	}})
	system := func(a account.Access) account.RobotPermission {
		return account.RobotPermission{Kind: account.LevelSystem, Namespace: "/", Access: []account.Access{a}}
	}
	in := func(project string, a account.Access) account.RobotPermission {
		return account.RobotPermission{Kind: account.LevelProject, Namespace: project, Access: []account.Access{a}}
	}
	for i, test := range []struct {
		permission account.RobotPermission
		want       bool
	}{
		{system(account.Access{Resource: "registry", Action: "list"}), true},
		{system(account.Access{Resource: "registry", Action: "create"}), false},
		{in("*", pull()), true},
		{in("*", push()), false},
		{in("library", push()), true},
		{in("library", account.Access{Resource: "project", Action: "read"}), true},
		{in("team-a", pull()), true},
		{in("team-a", push()), false},
	} {
		_, _, err := f.CreateRobot(t.Context(), maker, account.NewRobot{Name: "r" + string(rune('a'+i)), Level: account.LevelSystem,
			Duration: -1, Permissions: []account.RobotPermission{test.permission}})
		if test.want && err != nil {
			t.Errorf("%+v: %v", test.permission, err)
		}
		if !test.want {
			wantProblem(t, err, problem.Denied, "")
		}
	}
	r, _, err := f.CreateRobot(t.Context(), maker, account.NewRobot{Name: "ci", Level: account.LevelProject, Duration: -1,
		Permissions: []account.RobotPermission{in("team-a", pull())}})
	if err != nil || r.CreatorType != "robot" || r.CreatorID != maker.ID {
		t.Errorf("got %+v, %v", r, err)
	}
}

func FuzzRobotName(f *testing.F) {
	for _, seed := range []string{"ci", "a+b", "robot$x", "", "A", "a.b-c_d", "\x00"} {
		f.Add(seed)
	}
	s := open(f, account.Options{})
	permissions := []account.RobotPermission{{Kind: account.LevelProject, Namespace: "library", Access: []account.Access{pull()}}}
	f.Fuzz(func(t *testing.T, name string) {
		r, secret, err := s.CreateRobot(t.Context(), s.admin, account.NewRobot{Name: name, Level: account.LevelProject, Duration: -1, Permissions: permissions})
		if err != nil {
			if problem.KindOf(err) == problem.Unknown {
				t.Fatalf("robot %q: %v", name, err)
			}
			return
		}
		if _, err := s.Authorize(t.Context(), basic("robot$library+"+name, secret), "library/app", "pull"); err != nil {
			t.Fatalf("robot %q cannot log in: %v", name, err)
		}
		if err := s.DeleteRobot(t.Context(), s.admin, r.ID); err != nil {
			t.Fatal(err)
		}
	})
}
