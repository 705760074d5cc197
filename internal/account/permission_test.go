package account_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
)

// What each role may do with what this version has, as in Harbor's tables. The
// letters are the roles: admin (a), maintainer (m), developer (d), guest (g),
// limited guest (l), and who is no member of a public project (p).
func TestRolesMayDoWhatHarborSays(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	private := f.project(t, "team-a")
	who := map[rune]account.Principal{'p': f.user(t, "stranger")}
	for letter, role := range map[rune]account.Role{
		'a': account.ProjectAdmin, 'm': account.Maintainer, 'd': account.Developer, 'g': account.Guest, 'l': account.LimitedGuest,
	} {
		who[letter] = f.user(t, role.String())
		f.member(t, "team-a", role.String(), role)
	}
	for _, test := range []struct{ resource, action, may string }{
		{"repository", "pull", "amdglp"}, {"repository", "push", "amd"}, {"repository", "list", "amdglp"}, {"repository", "read", "amdgl"},
		{"repository", "update", "amd"}, {"repository", "delete", "am"},
		{"artifact", "read", "amdglp"}, {"artifact", "list", "amdglp"}, {"artifact", "create", "amd"}, {"artifact", "delete", "am"},
		{"tag", "list", "amdglp"}, {"tag", "create", "amd"}, {"tag", "delete", "am"},
		{"artifact-label", "create", "amd"}, {"artifact-label", "delete", "amd"}, {"accessory", "list", "amdglp"},
		{"label", "read", "amdgp"}, {"label", "list", "amdgp"}, {"label", "create", "am"}, {"label", "delete", "am"},
		{"member", "list", "amdg"}, {"member", "create", "a"}, {"member", "delete", "a"},
		{"robot", "list", "amdg"}, {"robot", "create", "a"}, {"robot", "delete", "a"},
		{"project", "read", "amdglp"}, {"project", "update", "a"}, {"project", "delete", "a"},
		{"log", "list", "a"}, {"metadata", "read", "am"}, {"metadata", "update", "a"}, {"quota", "read", "amdgl"},
		{"repository", "fly", ""}, {"registry", "list", ""},
	} {
		for letter, p := range who {
			project, expected := private, letter != 'p' && slices.Contains([]rune(test.may), letter)
			if got := f.Can(t.Context(), p, project, test.resource, test.action); got != expected {
				t.Errorf("%s, %s %s in its project: got %t", p.Name, test.resource, test.action, got)
			}
			public := slices.Contains([]rune(test.may), 'p')
			if got := f.Can(t.Context(), p, 1, test.resource, test.action); got != public {
				t.Errorf("%s, %s %s in a public project of others: got %t", p.Name, test.resource, test.action, got)
			}
		}
		for id, public := range map[int64]bool{private: false, 1: slices.Contains([]rune(test.may), 'p')} {
			if got := f.Can(t.Context(), account.Anonymous(), id, test.resource, test.action); got != public {
				t.Errorf("anonymous, %s %s in project %d: got %t", test.resource, test.action, id, got)
			}
			if !f.Can(t.Context(), f.admin, id, test.resource, test.action) {
				t.Errorf("admin, %s %s in project %d: refused", test.resource, test.action, id)
			}
		}
	}
}

func TestSystemIsForAdministrators(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.project(t, "team-a")
	dev := f.user(t, "dev1")
	f.member(t, "team-a", "dev1", account.ProjectAdmin)
	for _, resource := range []string{"registry", "replication", "replication-policy", "replication-adapter", "project", "robot", "label", "user", "configuration", "catalog"} {
		for _, action := range []string{"create", "read", "update", "delete", "list"} {
			for _, p := range []account.Principal{f.admin, account.System("replication")} {
				if err := f.Check(t.Context(), p, 0, resource, action); err != nil {
					t.Errorf("%s, %s %s: %v", p.Name, action, resource, err)
				}
			}
			wantProblem(t, f.Check(t.Context(), dev, 0, resource, action), problem.Forbidden, "dev1")
			wantProblem(t, f.Check(t.Context(), account.Anonymous(), 0, resource, action), problem.Unauthorized, "unauthorized")
		}
	}
}

func TestRobotsMayDoWhatTheyWereAllowed(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	a, b := f.project(t, "team-a"), f.project(t, "team-b")
	_, system, _ := f.newRobot(t, account.NewRobot{Name: "sys", Level: account.LevelSystem, Duration: -1, Permissions: []account.RobotPermission{
		{Kind: account.LevelSystem, Namespace: "/", Access: []account.Access{{Resource: "registry", Action: "list"}}},
		{Kind: account.LevelProject, Namespace: "*", Access: []account.Access{pull(), {Resource: "project", Action: "read"}}},
		{Kind: account.LevelProject, Namespace: "team-a", Access: []account.Access{push()}},
		{Kind: account.LevelProject, Namespace: "team-b", Access: []account.Access{{Resource: "repository", Action: "pull", Effect: "deny"}}},
	}})
	_, project, _ := f.robot(t, "ci", "team-a", push())
	for _, test := range []struct {
		p                account.Principal
		project          int64
		resource, action string
		want             bool
	}{
		{system, 0, "registry", "list", true},
		{system, 0, "registry", "create", false},
		{system, 0, "repository", "pull", false},
		{system, a, "repository", "pull", true},
		{system, a, "repository", "push", true},
		{system, a, "project", "read", true},
		{system, a, "registry", "list", false},
		{system, b, "repository", "pull", false},
		{system, b, "repository", "push", false},
		{system, 1, "repository", "pull", true},
		{system, 99, "repository", "pull", false},
		{project, 0, "robot", "list", false},
		{project, a, "repository", "push", true},
		{project, a, "repository", "pull", true},
		{project, a, "project", "read", false},
		{project, b, "repository", "push", false},
		{project, 1, "repository", "push", false},
		{project, 1, "repository", "pull", true}, // as everybody
	} {
		if got := f.Can(t.Context(), test.p, test.project, test.resource, test.action); got != test.want {
			t.Errorf("%s, %s %s in project %d: got %t", test.p.Name, test.action, test.resource, test.project, got)
		}
	}
}

func TestPermissionsAreListedAsHarborListsThem(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	dev := f.user(t, "dev1")
	// Recorded: GET /users/current/permissions?scope=/project/1&relative=true
	recorded := []account.Permission{
		{Resource: ".", Action: "read"}, {Resource: "label", Action: "read"}, {Resource: "label", Action: "list"},
		{Resource: "repository", Action: "list"}, {Resource: "repository", Action: "pull"},
		{Resource: "scan", Action: "read"}, {Resource: "scanner", Action: "read"}, {Resource: "tag", Action: "list"},
		{Resource: "accessory", Action: "list"}, {Resource: "artifact", Action: "read"}, {Resource: "artifact", Action: "list"},
		{Resource: "artifact-addition", Action: "read"},
	}
	got, err := f.Permissions(t.Context(), dev, "/project/1", true)
	if diff := cmp.Diff(recorded, got); err != nil || diff != "" {
		t.Errorf("%v (-recorded +got):\n%s", err, diff)
	}
	got, err = f.Permissions(t.Context(), dev, "/project/1/", false)
	if err != nil || got[0].Resource != "/project/1" || got[1].Resource != "/project/1/label" {
		t.Errorf("absolute: %v, %v", got, err)
	}
	for scope, most := range map[string]int{"": 0, "/": 0, "/project": 0, "/project/x": 0, "/project/-1": 0, "/project/99": 0, "/system": 0} {
		if got, err := f.Permissions(t.Context(), dev, scope, true); err != nil || got == nil || len(got) != most {
			t.Errorf("scope %q: got %v, %v, want an empty list", scope, got, err)
		}
	}
	got, err = f.Permissions(t.Context(), f.admin, "/system", false)
	if err != nil || !slices.Contains(got, account.Permission{Resource: "/system/registry", Action: "create"}) {
		t.Errorf("admin: %v, %v", got, err)
	}
	_, err = f.Permissions(t.Context(), account.Anonymous(), "/project/1", true)
	wantProblem(t, err, problem.Unauthorized, "unauthorized")
}

func TestFailingDatabaseDenies(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	dev := f.user(t, "dev1")
	project := f.project(t, "team-a")
	f.exec(t, `DROP TABLE project_members`)
	if f.Can(t.Context(), dev, project, "repository", "pull") {
		t.Error("allowed")
	}
	if err := f.Check(t.Context(), dev, project, "repository", "pull"); err == nil || problem.KindOf(err) != problem.Unknown {
		t.Errorf("got %v, want the database's failure", err)
	}
	if _, err := f.Authorize(t.Context(), basic("dev1", "Passw0rd1"), "team-a/app", "pull"); err == nil || problem.KindOf(err) != problem.Unknown {
		t.Errorf("got %v, want the database's failure", err)
	}
}

func TestEveryPermissionOfRobotsIsOnceInItsTable(t *testing.T) {
	t.Parallel()
	for name, table := range map[string][]account.Permission{"system": account.RobotSystemPermissions(), "project": account.RobotProjectPermissions()} {
		seen := map[account.Permission]bool{}
		for _, p := range table {
			if seen[p] {
				t.Errorf("%s: %s is there twice", name, fmt.Sprint(p))
			}
			seen[p] = true
		}
	}
}
