package api

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
)

func (a *api) ListProjectMembers(ctx context.Context, r gen.ListProjectMembersRequestObject) (gen.ListProjectMembersResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	query, err := listQuery("", "", r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	members, total, err := a.o.Accounts.ListMembers(ctx, p, r.ProjectNameOrID, r.Params.XIsResourceName, r.Params.Entityname, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.ProjectMemberEntity, 0, len(members))
	for _, m := range members {
		body = append(body, wireMember(m))
	}
	return gen.ListProjectMembers200JSONResponse{
		Body: body, Headers: gen.ListProjectMembers200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

func (a *api) CreateProjectMember(ctx context.Context, r gen.CreateProjectMemberRequestObject) (gen.CreateProjectMemberResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if r.Body.MemberGroup != nil && len(*r.Body.MemberGroup) > 0 {
		return nil, problem.New(problem.BadRequest, "member_group: this version has no groups; use member_user")
	}
	id, err := a.o.Accounts.AddMember(ctx, p, r.ProjectNameOrID, r.Params.XIsResourceName, account.NewMember{
		UserID: r.Body.MemberUser.UserID, Username: r.Body.MemberUser.Username, Role: account.Role(r.Body.RoleID),
	})
	if err != nil {
		return nil, err
	}
	project, err := a.o.Accounts.GetProject(ctx, r.ProjectNameOrID, r.Params.XIsResourceName)
	if err != nil {
		return nil, err
	}
	return created(fmt.Sprintf("projects/%d/members", project.ID), id), nil
}

func (a *api) GetProjectMember(ctx context.Context, r gen.GetProjectMemberRequestObject) (gen.GetProjectMemberResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	m, err := a.o.Accounts.GetMember(ctx, p, r.ProjectNameOrID, r.Params.XIsResourceName, r.Mid)
	if err != nil {
		return nil, err
	}
	return gen.GetProjectMember200JSONResponse(wireMember(m)), nil
}

func (a *api) UpdateProjectMember(ctx context.Context, r gen.UpdateProjectMemberRequestObject) (gen.UpdateProjectMemberResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	err = a.o.Accounts.UpdateMember(ctx, p, r.ProjectNameOrID, r.Params.XIsResourceName, r.Mid, account.Role(r.Body.RoleID))
	if err != nil {
		return nil, err
	}
	return gen.UpdateProjectMember200Response{}, nil
}

func (a *api) DeleteProjectMember(ctx context.Context, r gen.DeleteProjectMemberRequestObject) (gen.DeleteProjectMemberResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.o.Accounts.RemoveMember(ctx, p, r.ProjectNameOrID, r.Params.XIsResourceName, r.Mid); err != nil {
		return nil, err
	}
	return gen.DeleteProjectMember200Response{}, nil
}

func wireMember(m account.Member) gen.ProjectMemberEntity {
	return gen.ProjectMemberEntity{
		ID: m.ID, ProjectID: m.ProjectID, EntityID: m.UserID, EntityName: m.Username, EntityType: "u",
		RoleID: int64(m.Role), RoleName: m.Role.String(),
	}
}
