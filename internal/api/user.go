package api

import (
	"context"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api/gen"
)

func (a *api) ListUsers(ctx context.Context, r gen.ListUsersRequestObject) (gen.ListUsersResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	users, total, err := a.o.Accounts.ListUsers(ctx, p, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.UserResp, 0, len(users))
	for _, u := range users {
		body = append(body, wireUser(u))
	}
	return gen.ListUsers200JSONResponse{Body: body, Headers: gen.ListUsers200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) SearchUsers(ctx context.Context, r gen.SearchUsersRequestObject) (gen.SearchUsersResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	query, err := listQuery("", "", r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	users, total, err := a.o.Accounts.SearchUsers(ctx, p, r.Params.Username, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.UserSearchRespItem, 0, len(users))
	for _, u := range users {
		body = append(body, gen.UserSearchRespItem{UserID: u.ID, Username: u.Username})
	}
	return gen.SearchUsers200JSONResponse{Body: body, Headers: gen.SearchUsers200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) CreateUser(ctx context.Context, r gen.CreateUserRequestObject) (gen.CreateUserResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	id, err := a.o.Accounts.CreateUser(ctx, p, account.NewUser{
		Username: r.Body.Username, Email: r.Body.Email, Realname: r.Body.Realname, Comment: r.Body.Comment, Password: r.Body.Password,
	})
	if err != nil {
		return nil, err
	}
	return created("users", id), nil
}

func (a *api) GetCurrentUserInfo(ctx context.Context, _ gen.GetCurrentUserInfoRequestObject) (gen.GetCurrentUserInfoResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	u, err := a.o.Accounts.CurrentUser(ctx, p)
	if err != nil {
		return nil, err
	}
	return gen.GetCurrentUserInfo200JSONResponse(wireUser(u)), nil
}

func (a *api) GetCurrentUserPermissions(ctx context.Context, r gen.GetCurrentUserPermissionsRequestObject) (gen.GetCurrentUserPermissionsResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	permissions, err := a.o.Accounts.Permissions(ctx, p, r.Params.Scope, r.Params.Relative)
	if err != nil {
		return nil, err
	}
	body := make(gen.GetCurrentUserPermissions200JSONResponse, 0, len(permissions))
	for _, permission := range permissions {
		body = append(body, gen.Permission{Resource: permission.Resource, Action: permission.Action})
	}
	return body, nil
}

func (a *api) GetUser(ctx context.Context, r gen.GetUserRequestObject) (gen.GetUserResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	u, err := a.o.Accounts.GetUser(ctx, p, r.UserID)
	if err != nil {
		return nil, err
	}
	return gen.GetUser200JSONResponse(wireUser(u)), nil
}

func (a *api) UpdateUserProfile(ctx context.Context, r gen.UpdateUserProfileRequestObject) (gen.UpdateUserProfileResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	profile := account.UserProfile{Email: r.Body.Email, Realname: r.Body.Realname, Comment: r.Body.Comment}
	if err := a.o.Accounts.UpdateUser(ctx, p, r.UserID, profile); err != nil {
		return nil, err
	}
	return gen.UpdateUserProfile200Response{}, nil
}

func (a *api) DeleteUser(ctx context.Context, r gen.DeleteUserRequestObject) (gen.DeleteUserResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.o.Accounts.DeleteUser(ctx, p, r.UserID); err != nil {
		return nil, err
	}
	return gen.DeleteUser200Response{}, nil
}

func (a *api) UpdateUserPassword(ctx context.Context, r gen.UpdateUserPasswordRequestObject) (gen.UpdateUserPasswordResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.o.Accounts.SetPassword(ctx, p, r.UserID, r.Body.OldPassword, r.Body.NewPassword); err != nil {
		return nil, err
	}
	return gen.UpdateUserPassword200Response{}, nil
}

func (a *api) SetUserSysAdmin(ctx context.Context, r gen.SetUserSysAdminRequestObject) (gen.SetUserSysAdminResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.o.Accounts.SetSysAdmin(ctx, p, r.UserID, r.Body.SysadminFlag); err != nil {
		return nil, err
	}
	return gen.SetUserSysAdmin200Response{}, nil
}

func wireUser(u account.User) gen.UserResp {
	return gen.UserResp{
		UserID: u.ID, Username: u.Username, Email: u.Email, Realname: u.Realname, Comment: u.Comment, SysadminFlag: u.SysAdmin,
		CreationTime: gen.Time{Time: u.CreationTime}, UpdateTime: gen.Time{Time: u.UpdateTime},
	}
}
