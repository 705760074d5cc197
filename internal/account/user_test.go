package account_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

func TestFirstStartMakesAdminAndLibrary(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		want := account.User{ID: 1, Username: "admin", Realname: "system admin", Comment: "admin user", SysAdmin: true,
			CreationTime: f.clock.Now(), UpdateTime: f.clock.Now()}
		got, err := f.CurrentUser(t.Context(), f.admin)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("admin (-want +got):\n%s", diff)
		}
		library, err := f.ReadProject(t.Context(), f.admin, "library", nil)
		if err != nil {
			t.Fatal(err)
		}
		if library.ID != 1 || !library.Public || library.OwnerName != "admin" || library.Role != account.ProjectAdmin {
			t.Errorf("library is %+v", library)
		}
		// The ids that follow are free.
		if id := f.project(t, "second"); id != 2 {
			t.Errorf("the next project has id %d", id)
		}
		if p := f.user(t, "second"); p.ID != 2 {
			t.Errorf("the next user has id %d", p.ID)
		}
	})
}

func TestLaterStartsChangeNothing(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	if err := f.DeleteProject(t.Context(), f.admin, "library", nil); err != nil {
		t.Fatal(err)
	}
	generated, err := f.EnsureAdmin(t.Context(), "0therPassword")
	if err != nil || generated != "" {
		t.Fatalf("got %q, %v", generated, err)
	}
	f.login(t, "admin", adminPassword)
	if _, err := f.ProjectByName(t.Context(), "library"); !problem.Is(err, problem.NotFound) {
		t.Errorf("library is back: %v", err)
	}
}

func TestAdminPasswordIsMadeUpOnce(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.exec(t, `DELETE FROM users`)
	generated, err := f.EnsureAdmin(t.Context(), "")
	if err != nil || len(generated) < 16 {
		t.Fatalf("got %q, %v", generated, err)
	}
	f.clock.Advance(2e9)
	f.login(t, "admin", generated)
	if tell, err := f.TellAdminPassword(t.Context()); err != nil || !tell {
		t.Errorf("the password is not to be shown: %v", err)
	}
	if tell, err := f.TellAdminPassword(t.Context()); err != nil || tell {
		t.Errorf("the password is to be shown twice: %v", err)
	}
	if again, err := f.EnsureAdmin(t.Context(), ""); err != nil || again != "" {
		t.Errorf("the second start says %q, %v", again, err)
	}
	f.login(t, "admin", generated)
}

// A first start can end before it shows the password: its storage cannot be
// reached, or it is killed while it builds the index.
func TestAdminPasswordThatNobodyWasToldIsReplaced(t *testing.T) {
	t.Parallel()
	for _, given := range []string{"", "0therPassword"} {
		each(t, func(t *testing.T, f *fixture) {
			f.exec(t, `DELETE FROM users`)
			lost, err := f.EnsureAdmin(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			start := func() *account.Service {
				s, err := account.New(t.Context(), f.db, account.Options{PasswordCost: cheap()})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			second := start()
			shown, err := second.EnsureAdmin(t.Context(), given)
			if err != nil || shown == lost || (shown == "") != (given != "") {
				t.Fatalf("the second start says %q, %v", shown, err)
			}
			if tell, err := f.TellAdminPassword(t.Context()); err != nil || tell {
				t.Errorf("the password that was replaced is to be shown: %v", err)
			}
			if tell, err := second.TellAdminPassword(t.Context()); err != nil || tell != (given == "") {
				t.Errorf("the password of the second start: %t, %v", tell, err)
			}
			if _, err := second.Authenticate(t.Context(), "admin", given+shown); err != nil {
				t.Errorf("%q is not the password: %v", given+shown, err)
			}
			if again, err := start().EnsureAdmin(t.Context(), ""); err != nil || again != "" {
				t.Errorf("the third start says %q, %v", again, err)
			}
		})
	}
}

func TestWeakAdminPasswordIsRefused(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.exec(t, `DELETE FROM users`)
	_, err := f.EnsureAdmin(t.Context(), "weak")
	wantProblem(t, err, problem.BadRequest, "")
}

func TestUserIsCreatedReadChangedAndDeleted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		id, err := f.CreateUser(ctx, f.admin, account.NewUser{
			Username: "dev1", Email: "dev1@example.com", Realname: "王 小明", Comment: "数据平台", Password: "Passw0rd1"})
		if err != nil {
			t.Fatal(err)
		}
		dev := f.login(t, "dev1", "Passw0rd1")
		if dev.ID != id || dev.SysAdmin || dev.Kind != account.KindUser {
			t.Errorf("logged in as %+v", dev)
		}
		if err := f.UpdateUser(ctx, dev, id, account.UserProfile{Email: "d@example.com", Realname: "Dev", Comment: ""}); err != nil {
			t.Fatal(err)
		}
		got, err := f.GetUser(ctx, dev, id)
		if err != nil || got.Email != "d@example.com" || got.Realname != "Dev" || got.Comment != "" {
			t.Errorf("after the change: %+v, %v", got, err)
		}
		if err := f.DeleteUser(ctx, f.admin, id); err != nil {
			t.Fatal(err)
		}
		_, err = f.Authenticate(ctx, "dev1", "Passw0rd1")
		wantProblem(t, err, problem.Unauthorized, "unauthorized")
		_, err = f.GetUser(ctx, f.admin, id)
		wantProblem(t, err, problem.NotFound, "")
		wantProblem(t, f.DeleteUser(ctx, f.admin, id), problem.NotFound, "")
	})
}

func TestBadUsersAreRefusedWithHarborsWords(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.user(t, "taken")
	const rule = "the password or secret must be 8-128, inclusively, characters long with at least 1 uppercase letter, 1 lowercase letter and 1 number"
	good := account.NewUser{Username: "dev2", Email: "dev2@example.com", Realname: "dev", Password: "Passw0rd1"}
	for _, test := range []struct {
		name   string
		change func(u *account.NewUser)
		kind   problem.Kind
		text   string
	}{
		{"short password", func(u *account.NewUser) { u.Password = "Abcdef1" }, problem.BadRequest, rule},
		{"long password", func(u *account.NewUser) { u.Password = "A1" + strings.Repeat("a", 127) }, problem.BadRequest, rule},
		{"no upper case", func(u *account.NewUser) { u.Password = "passw0rd1" }, problem.BadRequest, rule},
		{"no lower case", func(u *account.NewUser) { u.Password = "PASSW0RD1" }, problem.BadRequest, rule},
		{"no digit", func(u *account.NewUser) { u.Password = "Password" }, problem.BadRequest, rule},
		{"no name", func(u *account.NewUser) { u.Username = "" }, problem.BadRequest, "username with illegal length"},
		{"long name", func(u *account.NewUser) { u.Username = strings.Repeat("a", 256) }, problem.BadRequest, "username with illegal length"},
		{"robot's name", func(u *account.NewUser) { u.Username = "robot$x" }, problem.BadRequest, "username contains illegal characters"},
		{"colon", func(u *account.NewUser) { u.Username = "a:b" }, problem.BadRequest, "username contains illegal characters"},
		{"control character", func(u *account.NewUser) { u.Username = "a\x00b" }, problem.BadRequest, "username contains illegal characters"},
		{"no e-mail", func(u *account.NewUser) { u.Email = "" }, problem.BadRequest, "email can't be empty"},
		{"bad e-mail", func(u *account.NewUser) { u.Email = "dev2@localhost" }, problem.BadRequest, "email with illegal format"},
		{"e-mail with name", func(u *account.NewUser) { u.Email = "x <x@example.com>" }, problem.BadRequest, "email with illegal format"},
		{"no real name", func(u *account.NewUser) { u.Realname = "" }, problem.BadRequest, "realname with illegal length"},
		{"bad real name", func(u *account.NewUser) { u.Realname = "a#b" }, problem.BadRequest, "realname contains illegal characters"},
		{"long comment", func(u *account.NewUser) { u.Comment = strings.Repeat("x", 31) }, problem.BadRequest, "comment with illegal length"},
		{"name taken", func(u *account.NewUser) { u.Username = "taken" }, problem.Conflict, "user taken or email dev2@example.com already exists"},
		{"e-mail taken", func(u *account.NewUser) { u.Email = "taken@example.com" }, problem.Conflict, "user dev2 or email taken@example.com already exists"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := good
			test.change(&u)
			_, err := f.CreateUser(t.Context(), f.admin, u)
			wantProblem(t, err, test.kind, test.text)
		})
	}
	if _, err := f.CreateUser(t.Context(), f.admin, good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestUsersAreManagedByAdministratorsOnly(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	ctx := t.Context()
	dev, other := f.user(t, "dev1"), f.user(t, "dev2")
	profile := account.UserProfile{Email: "x@example.com", Realname: "x"}
	_, createErr := f.CreateUser(ctx, dev, account.NewUser{Username: "x", Email: "x@example.com", Realname: "x", Password: "Passw0rd1"})
	_, _, listErr := f.ListUsers(ctx, dev, store.ListQuery{})
	_, readErr := f.GetUser(ctx, dev, other.ID)
	for _, test := range []struct {
		name, text string
		err        error
	}{
		{"create", "dev1", createErr},
		{"list", "dev1", listErr},
		{"read", "Not authorized to read user: 3", readErr},
		{"update", "User with ID 3 can't be updated", f.UpdateUser(ctx, dev, other.ID, profile)},
		{"delete", "Not authorized to delete users", f.DeleteUser(ctx, dev, other.ID)},
		{"make an administrator", "dev1", f.SetSysAdmin(ctx, dev, dev.ID, true)},
		{"set a password", "User with ID 3 can't be updated", f.SetPassword(ctx, dev, other.ID, "", "N3wPassword")},
		{"delete the first administrator", "User with ID 1 cannot be deleted", f.DeleteUser(ctx, f.admin, 1)},
		{"demote the first administrator", "User with ID 1 can't be updated", f.SetSysAdmin(ctx, f.admin, 1, false)},
	} {
		t.Run(test.name, func(t *testing.T) { wantProblem(t, test.err, problem.Forbidden, test.text) })
	}
	_, err := f.GetUser(ctx, account.Anonymous(), 1)
	wantProblem(t, err, problem.Unauthorized, "unauthorized")
}

func TestAdministratorsAreMadeAndUnmade(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	dev := f.user(t, "dev1")
	for _, want := range []bool{true, false} {
		if err := f.SetSysAdmin(t.Context(), f.admin, dev.ID, want); err != nil {
			t.Fatal(err)
		}
		if got := f.login(t, "dev1", "Passw0rd1"); got.SysAdmin != want {
			t.Errorf("after setting it to %t: %+v", want, got)
		}
	}
	if err := f.SetSysAdmin(t.Context(), f.admin, dev.ID, true); err != nil {
		t.Fatal(err)
	}
	second := f.login(t, "dev1", "Passw0rd1")
	wantProblem(t, f.DeleteUser(t.Context(), second, second.ID), problem.Forbidden, "User with ID 2 cannot be deleted")
}

func TestRobotsThatManageUsersCannotBecomeAdministrators(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	_, robot, _ := f.robot(t, "users", "", account.Access{Resource: "user", Action: "update"}, account.Access{Resource: "user", Action: "create"})
	dev := f.user(t, "dev1")
	if err := f.SetPassword(t.Context(), robot, dev.ID, "", "N3wPassword"); err != nil {
		t.Errorf("an ordinary user's password: %v", err)
	}
	wantProblem(t, f.SetPassword(t.Context(), robot, 1, "", "N3wPassword"), problem.Forbidden, "")
	wantProblem(t, f.SetSysAdmin(t.Context(), robot, dev.ID, true), problem.Forbidden, "robot$users")
}

func TestPasswordIsChangedByWhoKnowsTheOldOne(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	ctx := t.Context()
	dev := f.user(t, "dev1")
	wantProblem(t, f.SetPassword(ctx, dev, dev.ID, "wrong", "N3wPassword"), problem.Forbidden, "Current password is incorrect")
	wantProblem(t, f.SetPassword(ctx, dev, dev.ID, "Passw0rd1", "weak"), problem.BadRequest, "")
	wantProblem(t, f.SetPassword(ctx, dev, dev.ID, "Passw0rd1", "Passw0rd1"), problem.BadRequest, "New password is identical to old password")
	if err := f.SetPassword(ctx, dev, dev.ID, "Passw0rd1", "N3wPassword"); err != nil {
		t.Fatal(err)
	}
	f.login(t, "dev1", "N3wPassword")
	if err := f.SetPassword(ctx, f.admin, dev.ID, "", "Fr0mAdmin"); err != nil {
		t.Fatal(err)
	}
	f.login(t, "dev1", "Fr0mAdmin")
}

func TestUsersAreListedSearchedAndPaged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		f.user(t, "bob")
		alice := f.user(t, "Alice")
		list := func(q, sort string, page, size int64) (names []string, total int64) {
			t.Helper()
			query, err := store.ParseListQuery(q, sort, page, size)
			if err != nil {
				t.Fatal(err)
			}
			users, total, err := f.ListUsers(ctx, f.admin, query)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range users {
				names = append(names, u.Username)
			}
			return names, total
		}
		for _, test := range []struct {
			q, sort    string
			page, size int64
			want       []string
			total      int64
		}{
			{"", "", 0, 0, []string{"Alice", "admin", "bob"}, 3},
			{"", "-username", 1, 2, []string{"bob", "admin"}, 3},
			{"username=~AL", "", 1, 10, []string{"Alice"}, 1},
			{"sysadmin_flag=true", "", 1, 10, []string{"admin"}, 1},
			{"user_id=2", "", 1, 10, []string{"bob"}, 1},
			{"nonsense=1", "", 2, 2, []string{"bob"}, 3},
		} {
			got, total := list(test.q, test.sort, test.page, test.size)
			if diff := cmp.Diff(test.want, got); diff != "" || total != test.total {
				t.Errorf("q=%s sort=%s page %d of %d: %d in total, (-want +got):\n%s", test.q, test.sort, test.page, test.size, total, diff)
			}
		}
		found, total, err := f.SearchUsers(ctx, alice, "o", store.ListQuery{})
		if err != nil || total != 1 || found[0].Username != "bob" {
			t.Errorf("search: %v, %d, %v", found, total, err)
		}
		_, _, err = f.SearchUsers(ctx, account.Anonymous(), "o", store.ListQuery{})
		wantProblem(t, err, problem.Unauthorized, "")
		_, _, err = f.SearchUsers(ctx, alice, "\x00", store.ListQuery{})
		wantProblem(t, err, problem.BadRequest, "")
	})
}

func TestRobotsAreNotCurrentUsers(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	_, robot, _ := f.robot(t, "ci", "library", pull())
	_, err := f.CurrentUser(t.Context(), robot)
	wantProblem(t, err, problem.Precondition, "get current user not available for security context: robot")
	_, err = f.CurrentUser(t.Context(), account.Anonymous())
	wantProblem(t, err, problem.Unauthorized, "unauthorized")
}
