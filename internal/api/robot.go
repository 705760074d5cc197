package api

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api/gen"
)

func (a *api) ListRobot(ctx context.Context, r gen.ListRobotRequestObject) (gen.ListRobotResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	robots, total, err := a.o.Accounts.ListRobots(ctx, p, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.Robot, 0, len(robots))
	for _, robot := range robots {
		body = append(body, wireRobot(robot))
	}
	return gen.ListRobot200JSONResponse{Body: body, Headers: gen.ListRobot200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) CreateRobot(ctx context.Context, r gen.CreateRobotRequestObject) (gen.CreateRobotResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	robot, secret, err := a.o.Accounts.CreateRobot(ctx, p, account.NewRobot{
		Name: r.Body.Name, Description: r.Body.Description, Level: account.Level(r.Body.Level), Disabled: r.Body.Disable,
		Duration: r.Body.Duration, Secret: r.Body.Secret, Permissions: permissions(r.Body.Permissions),
	})
	if err != nil {
		return nil, err
	}
	return gen.CreateRobot201JSONResponse{
		Headers: gen.CreateRobot201ResponseHeaders{Location: fmt.Sprintf("%s/robots/%d", basePath, robot.ID)},
		Body: gen.RobotCreated{
			ID: robot.ID, Name: robot.Name, Secret: secret, ExpiresAt: robot.ExpiresAt, CreationTime: gen.Time{Time: robot.CreationTime},
		},
	}, nil
}

func (a *api) GetRobotByID(ctx context.Context, r gen.GetRobotByIDRequestObject) (gen.GetRobotByIDResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	robot, err := a.o.Accounts.GetRobot(ctx, p, r.RobotID)
	if err != nil {
		return nil, err
	}
	return gen.GetRobotByID200JSONResponse(wireRobot(robot)), nil
}

func (a *api) UpdateRobot(ctx context.Context, r gen.UpdateRobotRequestObject) (gen.UpdateRobotResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	err = a.o.Accounts.UpdateRobot(ctx, p, r.RobotID, account.RobotUpdate{
		Name: r.Body.Name, Level: account.Level(r.Body.Level), Description: r.Body.Description, Disabled: r.Body.Disable,
		Duration: r.Body.Duration, Permissions: permissions(r.Body.Permissions),
	})
	if err != nil {
		return nil, err
	}
	return gen.UpdateRobot200Response{}, nil
}

// RefreshSec shows the new secret only if the client did not bring it.
func (a *api) RefreshSec(ctx context.Context, r gen.RefreshSecRequestObject) (gen.RefreshSecResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := a.o.Accounts.RefreshSecret(ctx, p, r.RobotID, r.Body.Secret)
	if err != nil {
		return nil, err
	}
	if r.Body.Secret != "" {
		secret = ""
	}
	return gen.RefreshSec200JSONResponse{Secret: secret}, nil
}

func (a *api) DeleteRobot(ctx context.Context, r gen.DeleteRobotRequestObject) (gen.DeleteRobotResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.o.Accounts.DeleteRobot(ctx, p, r.RobotID); err != nil {
		return nil, err
	}
	return gen.DeleteRobot200Response{}, nil
}

func permissions(list []gen.RobotPermission) []account.RobotPermission {
	permissions := make([]account.RobotPermission, 0, len(list))
	for _, w := range list {
		p := account.RobotPermission{Kind: account.Level(w.Kind), Namespace: w.Namespace}
		for _, access := range w.Access {
			p.Access = append(p.Access, account.Access{Resource: access.Resource, Action: access.Action, Effect: access.Effect})
		}
		permissions = append(permissions, p)
	}
	return permissions
}

func wireRobot(r account.Robot) gen.Robot {
	w := gen.Robot{
		ID: r.ID, Name: r.Name, Description: r.Description, Level: string(r.Level), Disable: r.Disabled, Editable: true,
		Duration: &r.Duration, ExpiresAt: r.ExpiresAt, CreatorType: r.CreatorType, CreatorRef: r.CreatorID,
		Permissions:  make([]gen.RobotPermission, 0, len(r.Permissions)),
		CreationTime: gen.Time{Time: r.CreationTime}, UpdateTime: gen.Time{Time: r.UpdateTime},
	}
	for _, p := range r.Permissions {
		permission := gen.RobotPermission{Kind: string(p.Kind), Namespace: p.Namespace, Access: make([]gen.Access, 0, len(p.Access))}
		for _, access := range p.Access {
			permission.Access = append(permission.Access, gen.Access{Resource: access.Resource, Action: access.Action, Effect: access.Effect})
		}
		w.Permissions = append(w.Permissions, permission)
	}
	return w
}
