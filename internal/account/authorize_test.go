package account_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func TestRequestsAreAnsweredAsHarborAnswersThem(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.project(t, "team-a")
	f.user(t, "dev1")
	f.user(t, "dev2")
	f.member(t, "team-a", "dev2", account.Developer)
	_, robot, secret := f.robot(t, "ci", "team-a", push())
	admin, dev1, dev2 := basic("admin", adminPassword), basic("dev1", "Passw0rd1"), basic("dev2", "Passw0rd1")
	const noHeader = "authorize header needed to send HEAD to repository: authorize header needed to send HEAD to repository"
	for _, test := range []struct {
		name, authorization, repository, action string
		operator                                string
		kind                                    problem.Kind
		text                                    string
	}{
		{"admin pushes", admin, "team-a/app", "push", "admin", "", ""},
		{"admin deletes", admin, "team-a/app", "delete", "admin", "", ""},
		{"developer pushes", dev2, "team-a/nested/app", "push", "dev2", "", ""},
		{"developer deletes", dev2, "team-a/app", "delete", "", problem.Forbidden,
			"unauthorized to access repository: team-a/app, action: delete: unauthorized to access repository: team-a/app, action: delete"},
		{"stranger pushes", dev1, "team-a/app", "push", "", problem.Forbidden,
			"unauthorized to access repository: team-a/app, action: push: unauthorized to access repository: team-a/app, action: push"},
		{"stranger pulls public", dev1, "library/app", "pull", "dev1", "", ""},
		{"robot pushes", basic(robot.Name, secret), "team-a/app", "push", "robot$team-a+ci", "", ""},
		{"robot pushes elsewhere", basic(robot.Name, secret), "library/app", "push", "", problem.Forbidden, ""},
		{"anonymous pulls public", "", "library/app", "pull", "anonymous", "", ""},
		{"anonymous pulls private", "", "team-a/api", "pull", "", problem.Unauthorized, noHeader},
		{"anonymous pulls unknown", "", "nope/api", "pull", "", problem.Unauthorized, noHeader},
		{"anonymous pushes public", "", "library/app", "push", "", problem.Unauthorized,
			"unauthorized to access repository: library/app, action: push: unauthorized to access repository: library/app, action: push"},
		{"unknown project", admin, "nope/app", "pull", "", problem.NotFound, "project nope not found: project nope not found"},
		{"push to unknown project", admin, "nope/app", "push", "", problem.NotFound, "project nope not found: project nope not found"},
		{"no project", admin, "app", "push", "", problem.NotFound, "project app not found: project app not found"},
		{"unknown action", dev2, "team-a/app", "fly", "", problem.Forbidden, ""},
		{"base", dev1, "", "base", "dev1", "", ""},
		{"anonymous base", "", "", "base", "", problem.Unauthorized, "unauthorized: unauthorized"},
		{"catalog", admin, "", "catalog", "admin", "", ""},
		{"catalog for others", dev1, "", "catalog", "", problem.Forbidden, "unauthorized to list catalog: unauthorized to list catalog"},
		{"anonymous catalog", "", "", "catalog", "", problem.Unauthorized, "unauthorized to list catalog: unauthorized to list catalog"},
		{"unknown of the registry", admin, "", "fly", "", problem.Forbidden, ""},
		{"wrong password", basic("admin", "Wr0ngPassword"), "library/app", "pull", "", problem.Unauthorized, "unauthorized"},
		{"not base64", "Basic ***", "library/app", "pull", "", problem.Unauthorized, ""},
		{"no colon", "Basic YWJj", "library/app", "pull", "", problem.Unauthorized, ""},
		{"another scheme", "Negotiate abc", "library/app", "pull", "", problem.Unauthorized, ""},
		{"scheme in small letters", strings.Replace(admin, "Basic", "basic", 1), "", "base", "admin", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			operator, err := f.Authorize(t.Context(), test.authorization, test.repository, test.action)
			if test.kind != "" {
				wantProblem(t, err, test.kind, test.text)
				return
			}
			if err != nil || operator != test.operator {
				t.Errorf("got %q, %v, want %q", operator, err, test.operator)
			}
		})
	}
}

func TestAllActionsMustBeAllowed(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.user(t, "dev1")
	dev := basic("dev1", "Passw0rd1")
	_, err := f.Authorize(t.Context(), dev, "library/app", "pull", "push")
	wantProblem(t, err, problem.Forbidden, "")
	_, err = f.Authorize(t.Context(), basic("admin", adminPassword), "library/app", "pull", "push", "delete")
	if err != nil {
		t.Error(err)
	}
}

func TestTokenNarrowsWhatItsAccountMayDo(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	token := "Bearer " + f.token(t, f.admin, "repository:library/app:pull", "repository:library/all:*", "registry:catalog:*")
	for _, test := range []struct {
		repository, action string
		want               bool
	}{
		{"library/app", "pull", true}, {"library/app", "push", false}, {"library/app2", "pull", false},
		{"library/all", "pull", true}, {"library/all", "delete", true}, {"", "catalog", true}, {"", "base", true},
	} {
		operator, err := f.Authorize(t.Context(), token, test.repository, test.action)
		if test.want && (err != nil || operator != "admin") {
			t.Errorf("%s of %q: %q, %v", test.action, test.repository, operator, err)
		}
		if !test.want { // the account may: another token would do
			wantProblem(t, err, problem.Unauthorized, "")
		}
	}
	f.user(t, "dev1")
	dev := "Bearer " + f.token(t, f.login(t, "dev1", "Passw0rd1"), "repository:library/other:pull")
	if _, err := f.Authorize(t.Context(), dev, "library/app", "pull"); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("a token for another repository that its account may pull: %v", err)
	}
	if _, err := f.Authorize(t.Context(), dev, "library/app", "push"); !problem.Is(err, problem.Forbidden) {
		t.Errorf("a token of an account that may not push, whatever the token: %v", err)
	}
	_, err := f.Authorize(t.Context(), "Bearer "+f.token(t, f.admin, "repository:library/app:pull"), "", "catalog")
	wantProblem(t, err, problem.Forbidden, "")
}

func TestAnonymousTokenPullsFromPublicProjects(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	token := "Bearer " + f.token(t, account.Anonymous(), "repository:library/app:pull,push")
	if operator, err := f.Authorize(t.Context(), token, "library/app", "pull"); err != nil || operator != "anonymous" {
		t.Errorf("got %q, %v", operator, err)
	}
	_, err := f.Authorize(t.Context(), token, "library/app", "push")
	wantProblem(t, err, problem.Unauthorized, "")
	_, err = f.Authorize(t.Context(), token, "", "base")
	wantProblem(t, err, problem.Unauthorized, "")
	if err := f.UpdateProject(t.Context(), f.admin, "library", nil, map[string]string{"public": "false"}); err != nil {
		t.Fatal(err)
	}
	_, err = f.Authorize(t.Context(), token, "library/app", "pull")
	wantProblem(t, err, problem.Unauthorized, "")
}

func TestTokenEndsWithWhatItWasMadeFor(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	ctx := t.Context()
	f.project(t, "team-a")
	dev := f.user(t, "dev1")
	member := f.member(t, "team-a", "dev1", account.Developer)
	r, robot, _ := f.robot(t, "ci", "team-a", push())
	const scope = "repository:team-a/app:pull,push"
	allowed := func(token string) error {
		_, err := f.Authorize(ctx, "Bearer "+token, "team-a/app", "push")
		return err
	}
	check := func(what, token string, kind problem.Kind, change func() error) {
		t.Helper()
		if err := allowed(token); err != nil {
			t.Fatalf("before: %s: %v", what, err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := allowed(token); !problem.Is(err, kind) {
			t.Errorf("after: %s: got %v, want %s", what, err, kind)
		}
	}
	update := account.RobotUpdate{Name: r.Name, Level: r.Level, Disabled: true, Permissions: r.Permissions}
	check("robot disabled", f.token(t, robot, scope), problem.Unauthorized, func() error { return f.UpdateRobot(ctx, f.admin, r.ID, update) })
	update.Disabled = false
	if err := f.UpdateRobot(ctx, f.admin, r.ID, update); err != nil {
		t.Fatal(err)
	}
	check("secret changed", f.token(t, robot, scope), problem.Unauthorized, func() error {
		_, err := f.RefreshSecret(ctx, f.admin, r.ID, "")
		return err
	})
	check("password changed", f.token(t, dev, scope), problem.Unauthorized, func() error { return f.SetPassword(ctx, f.admin, dev.ID, "", "N3wPassword") })
	dev = f.login(t, "dev1", "N3wPassword")
	check("role taken", f.token(t, dev, scope), problem.Forbidden, func() error { return f.UpdateMember(ctx, f.admin, "team-a", nil, member, account.Guest) })
	if err := f.UpdateMember(ctx, f.admin, "team-a", nil, member, account.Developer); err != nil {
		t.Fatal(err)
	}
	check("user deleted", f.token(t, dev, scope), problem.Unauthorized, func() error { return f.DeleteUser(ctx, f.admin, dev.ID) })
	check("project deleted", f.token(t, f.admin, scope), problem.NotFound, func() error { return f.DeleteProject(ctx, f.admin, "team-a", nil) })
	f.project(t, "team-a")
	check("time over", f.token(t, f.admin, scope), problem.Unauthorized, func() error { f.clock.Advance(31 * time.Minute); return nil })
}

func TestPushToAnUnknownProjectCreatesItWhenToldTo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := setup(t, db, account.Options{AutoCreateProjects: true})
		ctx := t.Context()
		dev := f.user(t, "dev1")
		_, inLibrary, secret := f.robot(t, "ci", "library", push())
		authorization := basic("dev1", "Passw0rd1")
		// Clients look before they push.
		if _, err := f.Authorize(ctx, authorization, "team-a/app", "pull"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ProjectByName(ctx, "team-a"); !problem.Is(err, problem.NotFound) {
			t.Errorf("looking has made the project: %v", err)
		}
		token := "Bearer " + f.token(t, dev, "repository:team-b/app:pull,push,delete")
		var wait sync.WaitGroup
		for _, push := range [][2]string{{authorization, "team-a/app"}, {token, "team-b/app"}} {
			for range 4 {
				wait.Go(func() {
					if operator, err := f.Authorize(ctx, push[0], push[1], "pull", "push"); err != nil || operator != "dev1" {
						t.Errorf("%s: %q, %v", push[1], operator, err)
					}
				})
			}
		}
		wait.Wait()
		for _, name := range []string{"team-a", "team-b"} {
			p, err := f.ReadProject(ctx, dev, name, nil)
			if err != nil || p.Public || p.OwnerID != dev.ID || p.Role != account.ProjectAdmin {
				t.Errorf("%s is %+v, %v", name, p, err)
			}
		}
		for _, test := range []struct {
			authorization, repository, action string
			kind                              problem.Kind
		}{
			{"", "team-c/app", "push", problem.Unauthorized},
			{authorization, "team-c/app", "delete", problem.NotFound},
			{authorization, "odd__name/app", "push", problem.NotFound},
			{authorization, "app", "push", problem.NotFound},
			{basic(inLibrary.Name, secret), "team-c/app", "push", problem.NotFound},
		} {
			_, err := f.Authorize(ctx, test.authorization, test.repository, test.action)
			wantProblem(t, err, test.kind, "")
		}
		f.set(t, "project_creation_restriction", "adminonly")
		_, err := f.Authorize(ctx, authorization, "team-c/app", "push")
		wantProblem(t, err, problem.NotFound, "project team-c not found: project team-c not found")
	})
}

func TestPullsDoNotWriteAndHardlyRead(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	dev := f.user(t, "dev1")
	token := "Bearer " + f.token(t, dev, "repository:library/app:pull")
	authorizations := []string{basic("dev1", "Passw0rd1"), token, ""}
	for _, a := range authorizations {
		if _, err := f.Authorize(t.Context(), a, "library/app", "pull"); err != nil {
			t.Fatal(err)
		}
	}
	// For the rest of the second the database is not even asked.
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		for _, a := range authorizations {
			if _, err := f.Authorize(t.Context(), a, "library/app", "pull"); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.clock.Advance(2 * time.Second)
	if _, err := f.Authorize(t.Context(), token, "library/app", "pull"); err == nil {
		t.Error("after that it is asked, and a failure is no permission")
	}
}

func FuzzAuthorize(f *testing.F) {
	s := open(f, account.Options{})
	good := s.token(f, s.admin, "repository:library/app:pull")
	for _, seed := range []string{"", "Basic", "Basic YWRtaW46eA==", "Bearer", "Bearer a.b.c", "Bearer " + good, "Bearer " + good[:len(good)-2],
		"bearer  " + good, "Basic OjpgYA==", "Bearer eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed, "team/app")
	}
	f.Fuzz(func(t *testing.T, authorization, repository string) {
		if strings.HasSuffix(strings.TrimSpace(authorization), good) {
			return
		}
		// Nobody here knows a password: nothing but public pulls may be allowed.
		for _, action := range []string{"push", "delete", "base", "catalog"} {
			operator, err := s.Authorize(t.Context(), authorization, repository, action)
			switch kind := problem.KindOf(err); {
			case err == nil:
				t.Fatalf("%q: %s of %q is allowed for %q", authorization, action, repository, operator)
			case kind != problem.Unauthorized && kind != problem.TooManyRequest:
				t.Fatalf("%q: %s of %q: %v", authorization, action, repository, err)
			}
		}
	})
}

func BenchmarkAuthorizeBearer(b *testing.B) {
	f := open(b, account.Options{})
	token := "Bearer " + f.token(b, f.admin, "repository:library/app:pull")
	benchmarkAuthorize(b, f, token)
}

func BenchmarkAuthorizeBasic(b *testing.B) {
	benchmarkAuthorize(b, open(b, account.Options{}), basic("admin", adminPassword))
}

func benchmarkAuthorize(b *testing.B, f *fixture, authorization string) {
	b.Helper()
	for b.Loop() {
		if _, err := f.Authorize(b.Context(), authorization, "library/app", "pull"); err != nil {
			b.Fatal(err)
		}
	}
}
