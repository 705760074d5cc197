package account_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

func TestProjectIsCreatedReadChangedAndDeleted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		dev := f.user(t, "dev1")
		id, err := f.CreateProject(ctx, dev, account.NewProject{Name: "team-a", Metadata: map[string]string{"auto_scan": "true"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.ReadProject(ctx, dev, "team-a", nil)
		if err != nil {
			t.Fatal(err)
		}
		want := account.Project{ID: id, Name: "team-a", OwnerID: dev.ID, OwnerName: "dev1", Role: account.ProjectAdmin,
			Metadata: map[string]string{"public": "false", "auto_scan": "true"}, CreationTime: f.clock.Now(), UpdateTime: f.clock.Now()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := f.UpdateProject(ctx, dev, "team-a", nil, map[string]string{"public": "true", "severity": "low"}); err != nil {
			t.Fatal(err)
		}
		got, err = f.GetProject(ctx, "team-a", nil)
		if err != nil || !got.Public {
			t.Fatalf("after the change: %+v, %v", got, err)
		}
		wantMetadata := map[string]string{"public": "true", "auto_scan": "true", "severity": "low"}
		if diff := cmp.Diff(wantMetadata, got.Metadata); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
		if err := f.DeleteProject(ctx, dev, "team-a", nil); err != nil {
			t.Fatal(err)
		}
		_, err = f.GetProject(ctx, "team-a", nil)
		wantProblem(t, err, problem.NotFound, "project team-a not found")
	})
}

func TestProjectsAreNamedByNameOrID(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	id := f.project(t, "123")
	yes, no := true, false
	for _, test := range []struct {
		text   string
		isName *bool
		want   int64 // 0: not found
	}{
		{"library", nil, 1}, {"1", nil, 1}, {"1", &no, 1}, {"1", &yes, 0}, {"123", &yes, id}, {"123", nil, 0}, {"library", &no, 1}, {"\xff", nil, 0},
	} {
		got, err := f.GetProject(t.Context(), test.text, test.isName)
		if test.want == 0 {
			wantProblem(t, err, problem.NotFound, "")
		} else if err != nil || got.ID != test.want {
			t.Errorf("GetProject(%q): got %d, %v, want %d", test.text, got.ID, err, test.want)
		}
	}
}

func TestBadProjectsAreRefusedWithHarborsWords(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	const illegal = "project name is not in lower case or contains illegal characters"
	for _, test := range []struct {
		project account.NewProject
		kind    problem.Kind
		text    string
	}{
		{account.NewProject{Name: "library"}, problem.Conflict, "The project named library already exists"},
		{account.NewProject{Name: "Team"}, problem.BadRequest, illegal},
		{account.NewProject{Name: "a/b"}, problem.BadRequest, illegal},
		{account.NewProject{Name: "a..b"}, problem.BadRequest, illegal},
		{account.NewProject{Name: "-a"}, problem.BadRequest, illegal},
		{account.NewProject{Name: "a\n"}, problem.BadRequest, illegal},
		{account.NewProject{Name: ""}, problem.BadRequest, ""},
		{account.NewProject{Name: strings.Repeat("a", 256)}, problem.BadRequest, ""},
		{account.NewProject{Name: "ok", Metadata: map[string]string{"public": "yes"}}, problem.BadRequest,
			"metadata.public should only be 'true' or 'false', but got: 'yes'"},
		{account.NewProject{Name: "ok", Metadata: map[string]string{"retention_id": "1"}}, problem.BadRequest, ""},
		{account.NewProject{Name: "ok", Metadata: map[string]string{"severity": "\x00"}}, problem.BadRequest, ""},
	} {
		_, err := f.CreateProject(t.Context(), f.admin, test.project)
		wantProblem(t, err, test.kind, test.text)
	}
}

func TestPublicMayBeSaidInTheOldWay(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	yes := true
	for name, metadata := range map[string]map[string]string{"a": nil, "b": {"public": "true"}} {
		if _, err := f.CreateProject(t.Context(), f.admin, account.NewProject{Name: name, Metadata: metadata, Public: &yes}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.CreateProject(t.Context(), f.admin, account.NewProject{Name: "c", Metadata: map[string]string{"public": "false"}, Public: &yes}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a": true, "b": true, "c": false} {
		if p, err := f.ProjectByName(t.Context(), name); err != nil || p.Public != want {
			t.Errorf("%s: public is %t (%v), want %t", name, p.Public, err, want)
		}
	}
}

func TestHiddenProjectsLookLikeMissingOnes(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.project(t, "team-a")
	dev := f.user(t, "dev1")
	for _, name := range []string{"team-a", "no-such"} {
		_, err := f.ReadProject(t.Context(), dev, name, nil)
		wantProblem(t, err, problem.Forbidden, "forbidden")
		_, err = f.ReadProject(t.Context(), account.Anonymous(), name, nil)
		wantProblem(t, err, problem.Unauthorized, "unauthorized")
	}
	_, err := f.ReadProject(t.Context(), f.admin, "no-such", nil)
	wantProblem(t, err, problem.NotFound, "project no-such not found")
}

func TestProjectWithRepositoriesIsNotDeleted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		id := f.project(t, "team-a")
		f.repository(t, id, "team-a/api")
		f.repository(t, id, "team-a/web")
		p, err := f.ReadProject(t.Context(), f.admin, "team-a", nil)
		if err != nil || p.RepoCount != 2 {
			t.Errorf("%d repositories, %v", p.RepoCount, err)
		}
		wantProblem(t, f.DeleteProject(t.Context(), f.admin, "team-a", nil), problem.Precondition, "")
		if _, err := f.GetProject(t.Context(), "team-a", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestDeletingAProjectTakesWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		id := f.project(t, "team-a")
		f.project(t, "team-b")
		f.user(t, "dev1")
		f.member(t, "team-a", "dev1", account.Developer)
		_, own, ownSecret := f.robot(t, "ci", "team-a", pull())
		both, system, systemSecret := f.newRobot(t, account.NewRobot{Name: "both", Level: account.LevelSystem, Duration: -1,
			Permissions: []account.RobotPermission{
				{Kind: account.LevelProject, Namespace: "team-a", Access: []account.Access{pull()}},
				{Kind: account.LevelProject, Namespace: "team-b", Access: []account.Access{pull()}},
			}})
		f.exec(t, `INSERT INTO labels (name, scope, project_id, creation_time, update_time) VALUES ('l', 'p', $1, 0, 0)`, id)
		if err := f.DeleteProject(ctx, f.admin, "team-a", nil); err != nil {
			t.Fatal(err)
		}
		_, err := f.Authenticate(ctx, own.Name, ownSecret)
		wantProblem(t, err, problem.Unauthorized, "")
		again := f.project(t, "team-a")
		system = f.login(t, system.Name, systemSecret)
		if f.Can(ctx, system, again, "repository", "pull") {
			t.Error("a robot of the old project may pull from the new one of that name")
		}
		got, err := f.GetRobot(ctx, f.admin, both.ID)
		if err != nil || len(got.Permissions) != 1 || got.Permissions[0].Namespace != "team-b" {
			t.Errorf("the other robot is left with %+v, %v", got.Permissions, err)
		}
		var labels int
		if err := f.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM labels`).Scan(&labels); err != nil || labels != 0 {
			t.Errorf("%d labels are left, %v", labels, err)
		}
	})
}

func TestWhoMayCreateProjects(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	ctx := t.Context()
	dev := f.user(t, "dev1")
	_, creator, _ := f.robot(t, "creator", "", account.Access{Resource: "project", Action: "create"})
	_, other, _ := f.robot(t, "other", "", account.Access{Resource: "project", Action: "list"})
	_, inProject, _ := f.robot(t, "ci", "library", push())
	check := func(restriction string, p account.Principal, kind problem.Kind, text string) {
		t.Helper()
		f.set(t, "project_creation_restriction", restriction)
		err := f.CheckCreateProject(ctx, p)
		if kind == "" {
			if err != nil {
				t.Errorf("%s, %s: %v", restriction, p.Operator(), err)
			}
			return
		}
		wantProblem(t, err, kind, text)
	}
	check("everyone", dev, "", "")
	check(`"everyone"`, dev, "", "")
	check("adminonly", dev, problem.Forbidden, "Only system admin can create project")
	check("adminonly", f.admin, "", "")
	check("adminonly", account.System("replication"), "", "")
	check("adminonly", creator, "", "")
	check("everyone", other, problem.Forbidden, "robot$other")
	check("everyone", inProject, problem.Forbidden, "Only system level robot can create project")
	check("everyone", account.Anonymous(), problem.Unauthorized, "unauthorized")

	id, err := f.CreateProject(ctx, creator, account.NewProject{Name: "made-by-robot"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.GetProject(ctx, "made-by-robot", nil)
	if err != nil || p.ID != id || p.OwnerName != "admin" {
		t.Errorf("got %+v, %v, want admin as its owner", p, err)
	}
}

func TestProjectsAreListedForWhoMaySeeThem(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		dev := f.user(t, "dev1")
		f.project(t, "team-a")
		f.project(t, "team-b")
		f.project(t, "team-c")
		f.member(t, "team-b", "dev1", account.Guest)
		_, inProject, _ := f.robot(t, "ci", "team-a", pull())
		_, lister, _ := f.robot(t, "lister", "", account.Access{Resource: "project", Action: "list"})
		_, everywhere, _ := f.newRobot(t, account.NewRobot{Name: "all", Level: account.LevelSystem, Duration: -1,
			Permissions: []account.RobotPermission{{Kind: account.LevelProject, Namespace: "*", Access: []account.Access{pull()}}}})
		yes, no := true, false
		for _, test := range []struct {
			who   account.Principal
			query account.ProjectQuery
			want  []string
		}{
			{f.admin, account.ProjectQuery{}, []string{"library", "team-a", "team-b", "team-c"}},
			{dev, account.ProjectQuery{}, []string{"library", "team-b"}},
			{dev, account.ProjectQuery{Public: &no}, []string{"team-b"}},
			{account.Anonymous(), account.ProjectQuery{}, []string{"library"}},
			{account.Anonymous(), account.ProjectQuery{Public: &no}, nil},
			{inProject, account.ProjectQuery{}, []string{"library", "team-a"}},
			{lister, account.ProjectQuery{}, []string{"library", "team-a", "team-b", "team-c"}},
			{everywhere, account.ProjectQuery{Public: &no}, []string{"team-a", "team-b", "team-c"}},
			{f.admin, account.ProjectQuery{Public: &yes}, []string{"library"}},
			{f.admin, account.ProjectQuery{Name: "M-B"}, []string{"team-b"}},
			{f.admin, account.ProjectQuery{Owner: "dev1"}, nil},
			{f.admin, account.ProjectQuery{Owner: "admin", ListQuery: store.ListQuery{Page: 2, PageSize: 3}}, []string{"team-c"}},
		} {
			projects, total, err := f.ListProjects(ctx, test.who, test.query)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range projects {
				names = append(names, p.Name)
			}
			if diff := cmp.Diff(test.want, names); diff != "" {
				t.Errorf("%s, %+v (-want +got):\n%s", test.who.Operator(), test.query, diff)
			}
			if test.query.PageSize == 0 && total != int64(len(names)) {
				t.Errorf("%s, %+v: total %d", test.who.Operator(), test.query, total)
			}
			if test.query.PageSize == 0 && test.query.Public == nil && test.query.Name == "" && test.query.Owner == "" {
				checkVisible(t, f, test.who, projects)
			}
		}
		projects, _, err := f.ListProjects(ctx, dev, account.ProjectQuery{Name: "team-b"})
		if err != nil || len(projects) != 1 || projects[0].Role != account.Guest {
			t.Errorf("the role in the list: %+v, %v", projects, err)
		}
	})
}

// checkVisible checks that VisibleProjects says the same as the list.
func checkVisible(t *testing.T, f *fixture, p account.Principal, projects []account.Project) {
	t.Helper()
	ids, all, err := f.VisibleProjects(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if all {
		if ids != nil || len(projects) != 4 {
			t.Errorf("%s is said to see all, lists %d", p.Operator(), len(projects))
		}
		return
	}
	var want []int64
	for _, project := range projects {
		want = append(want, project.ID)
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("visible to %s (-want +got):\n%s", p.Operator(), diff)
	}
}

func TestEnsureProjectTakesEveryNameOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ensure := func(name string) (id int64) {
			t.Helper()
			err := f.db.InTx(t.Context(), func(tx *store.Tx) (err error) {
				id, err = f.EnsureProject(t.Context(), tx, name)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		if id := ensure("library"); id != 1 {
			t.Errorf("library is %d", id)
		}
		var ids sync.Map
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() { ids.Store(ensure("odd__name"), true) })
		}
		wait.Wait()
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("one name got %d ids", n)
		}
		p, err := f.ReadProject(t.Context(), f.admin, "odd__name", nil)
		if err != nil || p.Public || p.Role != account.ProjectAdmin {
			t.Errorf("got %+v, %v", p, err)
		}
	})
}

func TestEveryProjectNameThatIsAcceptedCanBePushedTo(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9._-]{1,12}`).Draw(t, "name")
		_, err := f.CreateProject(t.Context(), f.admin, account.NewProject{Name: name})
		if err != nil {
			if kind := problem.KindOf(err); kind != problem.BadRequest && kind != problem.Conflict {
				t.Fatal(err)
			}
			return
		}
		if _, err := account.ParseScope("repository:" + name + "/app:pull"); err != nil {
			t.Errorf("project %q: %v", name, err)
		}
		if _, err := f.Authorize(t.Context(), basic("admin", adminPassword), name+"/app", "push"); err != nil {
			t.Errorf("project %q: %v", name, err)
		}
	})
}

func FuzzProjectName(f *testing.F) {
	for _, seed := range []string{"library", "team-a", "a..b", "", "A", "a/b", "x\x00"} {
		f.Add(seed)
	}
	s := open(f, account.Options{})
	f.Fuzz(func(t *testing.T, name string) {
		_, err := s.CreateProject(t.Context(), s.admin, account.NewProject{Name: name})
		if err != nil {
			if problem.KindOf(err) == problem.Unknown {
				t.Fatalf("project %q: %v", name, err)
			}
			return
		}
		got, err := s.ProjectByName(t.Context(), name)
		if err != nil || got.Name != name {
			t.Fatalf("project %q reads as %q, %v", name, got.Name, err)
		}
		if err := s.DeleteProject(t.Context(), s.admin, name, new(true)); err != nil {
			t.Fatalf("project %q: %v", name, err)
		}
	})
}
