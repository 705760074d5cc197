package account_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

func TestMembersComeChangeAndGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		project := f.project(t, "team-a")
		dev := f.user(t, "dev1")
		id := f.member(t, "team-a", "dev1", account.Guest)
		got, err := f.GetMember(ctx, dev, "team-a", nil, id)
		want := account.Member{ID: id, ProjectID: project, UserID: dev.ID, Username: "dev1", Role: account.Guest}
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if f.Can(ctx, dev, project, "repository", "push") {
			t.Error("a guest may push")
		}
		if err := f.UpdateMember(ctx, f.admin, "team-a", nil, id, account.Developer); err != nil {
			t.Fatal(err)
		}
		if !f.Can(ctx, dev, project, "repository", "push") {
			t.Error("a developer may not push")
		}
		members, total, err := f.ListMembers(ctx, dev, "team-a", nil, "", store.ListQuery{})
		if err != nil || total != 2 || len(members) != 2 || members[0].Username != "admin" || members[1].Role != account.Developer {
			t.Errorf("got %+v, %d, %v", members, total, err)
		}
		members, total, err = f.ListMembers(ctx, dev, "team-a", nil, "dev1", store.ListQuery{})
		if err != nil || total != 1 || members[0].ID != id {
			t.Errorf("by name: got %+v, %d, %v", members, total, err)
		}
		counts, err := f.CountMembers(ctx, project)
		if diff := cmp.Diff(map[account.Role]int64{account.ProjectAdmin: 1, account.Developer: 1}, counts); err != nil || diff != "" {
			t.Errorf("counts, %v (-want +got):\n%s", err, diff)
		}
		if err := f.RemoveMember(ctx, f.admin, "team-a", nil, id); err != nil {
			t.Fatal(err)
		}
		if f.Can(ctx, dev, project, "repository", "pull") {
			t.Error("who was removed may still pull")
		}
		wantProblem(t, f.RemoveMember(ctx, f.admin, "team-a", nil, id), problem.NotFound, "")
		_, err = f.GetMember(ctx, f.admin, "team-a", nil, id)
		wantProblem(t, err, problem.NotFound, "")
	})
}

func TestBadMembersAreRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		f.project(t, "team-a")
		dev := f.user(t, "dev1")
		id := f.member(t, "team-a", "dev1", account.Developer)
		for _, test := range []struct {
			member account.NewMember
			kind   problem.Kind
			text   string
		}{
			{account.NewMember{UserID: dev.ID, Role: account.Guest}, problem.Conflict, "The project member specified already exist"},
			{account.NewMember{Username: "admin", Role: 6}, problem.BadRequest, ""},
			{account.NewMember{Username: "nobody", Role: account.Guest}, problem.NotFound, "user nobody not found"},
			{account.NewMember{Username: "\x00", Role: account.Guest}, problem.NotFound, ""},
			{account.NewMember{UserID: 77, Role: account.Guest}, problem.BadRequest, "User 77 not found"},
			{account.NewMember{Role: account.Guest}, problem.BadRequest, "at least one of member_user or member_group must be provided"},
		} {
			_, err := f.AddMember(ctx, f.admin, "team-a", nil, test.member)
			wantProblem(t, err, test.kind, test.text)
		}
		wantProblem(t, f.UpdateMember(ctx, f.admin, "team-a", nil, id, 0), problem.BadRequest, "")
		// A developer sees the members and manages none.
		_, err := f.AddMember(ctx, dev, "team-a", nil, account.NewMember{Username: "admin", Role: account.Guest})
		wantProblem(t, err, problem.Forbidden, "forbidden")
		wantProblem(t, f.UpdateMember(ctx, dev, "team-a", nil, id, account.ProjectAdmin), problem.Forbidden, "forbidden")
		wantProblem(t, f.RemoveMember(ctx, dev, "team-a", nil, id), problem.Forbidden, "forbidden")
	})
}

func TestMembershipIsOfOneProject(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.project(t, "team-a")
	f.project(t, "team-b")
	f.user(t, "dev1")
	id := f.member(t, "team-a", "dev1", account.Developer)
	_, err := f.GetMember(t.Context(), f.admin, "team-b", nil, id)
	wantProblem(t, err, problem.NotFound, "")
	wantProblem(t, f.UpdateMember(t.Context(), f.admin, "team-b", nil, id, account.Guest), problem.NotFound, "")
	wantProblem(t, f.RemoveMember(t.Context(), f.admin, "team-b", nil, id), problem.NotFound, "")
}
