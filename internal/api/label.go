package api

import (
	"context"
	"strconv"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
)

func (a *api) ListLabels(ctx context.Context, r gen.ListLabelsRequestObject) (gen.ListLabelsResponseObject, error) {
	scope := home.Scope(r.Params.Scope)
	switch scope {
	case home.GlobalScope:
		if _, err := a.authenticated(ctx); err != nil {
			return nil, err
		}
	case home.ProjectScope:
		if r.Params.ProjectID == 0 {
			return nil, problem.New(problem.BadRequest, "must with project ID when to query project labels")
		}
		if err := a.allowLabel(ctx, home.Label{Scope: scope, ProjectID: r.Params.ProjectID}, "list"); err != nil {
			return nil, err
		}
	default:
		return nil, problem.New(problem.BadRequest, "invalid scope: %s", r.Params.Scope)
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize, contains("name", r.Params.Name))
	if err != nil {
		return nil, err
	}
	labels, total, err := a.o.Index.ListLabels(ctx, scope, r.Params.ProjectID, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.Label, 0, len(labels))
	for _, l := range labels {
		body = append(body, wireLabel(l))
	}
	return gen.ListLabels200JSONResponse{Body: body, Headers: gen.ListLabels200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) CreateLabel(ctx context.Context, r gen.CreateLabelRequestObject) (gen.CreateLabelResponseObject, error) {
	l := home.Label{
		Name: r.Body.Name, Description: r.Body.Description, Color: r.Body.Color, Scope: home.Scope(r.Body.Scope), ProjectID: r.Body.ProjectID,
	}
	if err := a.allowLabel(ctx, l, "create"); err != nil {
		return nil, err
	}
	if l.Scope == home.ProjectScope && l.ProjectID > 0 { // an administrator may everywhere, even where nothing is
		if _, err := a.o.Accounts.GetProject(ctx, strconv.FormatInt(l.ProjectID, 10), nil); err != nil {
			return nil, err
		}
	}
	id, err := a.o.Index.CreateLabel(ctx, l)
	if err != nil {
		return nil, err
	}
	return created("labels", id), nil
}

func (a *api) GetLabelByID(ctx context.Context, r gen.GetLabelByIDRequestObject) (gen.GetLabelByIDResponseObject, error) {
	l, err := a.label(ctx, r.LabelID, "read")
	if err != nil {
		return nil, err
	}
	return gen.GetLabelByID200JSONResponse(wireLabel(l)), nil
}

func (a *api) UpdateLabel(ctx context.Context, r gen.UpdateLabelRequestObject) (gen.UpdateLabelResponseObject, error) {
	l, err := a.label(ctx, r.LabelID, "update")
	if err != nil {
		return nil, err
	}
	l.Name, l.Description, l.Color = r.Body.Name, r.Body.Description, r.Body.Color
	if err := a.o.Index.UpdateLabel(ctx, l); err != nil {
		return nil, err
	}
	return gen.UpdateLabel200Response{}, nil
}

func (a *api) DeleteLabel(ctx context.Context, r gen.DeleteLabelRequestObject) (gen.DeleteLabelResponseObject, error) {
	l, err := a.label(ctx, r.LabelID, "delete")
	if err != nil {
		return nil, err
	}
	if err := a.o.Index.DeleteLabel(ctx, l.ID); err != nil {
		return nil, err
	}
	return gen.DeleteLabel200Response{}, nil
}

// label returns a label if the caller may do something with it. Nobody who has
// not logged in learns which labels there are.
func (a *api) label(ctx context.Context, id int64, action string) (home.Label, error) {
	if _, err := a.authenticated(ctx); err != nil {
		return home.Label{}, err
	}
	l, err := a.o.Index.GetLabel(ctx, id)
	if err != nil {
		return l, err
	}
	return l, a.allowLabel(ctx, l, action)
}

// allowLabel checks the right to a label. Everybody who has logged in may read
// the global ones.
func (a *api) allowLabel(ctx context.Context, l home.Label, action string) error {
	p, err := a.authenticated(ctx)
	if err != nil {
		return err
	}
	switch {
	case l.Scope != home.GlobalScope && l.Scope != home.ProjectScope:
		return problem.New(problem.BadRequest, "unsupported label scope")
	case l.Scope == home.ProjectScope:
		return a.o.Accounts.Check(ctx, p, l.ProjectID, "label", action)
	case action == "read" || action == "list":
		return nil
	default:
		return a.o.Accounts.Check(ctx, p, 0, "label", action)
	}
}

func wireLabel(l home.Label) gen.Label {
	return gen.Label{
		ID: l.ID, Name: l.Name, Description: l.Description, Color: l.Color, Scope: string(l.Scope), ProjectID: l.ProjectID,
		CreationTime: gen.Time{Time: l.CreationTime}, UpdateTime: gen.Time{Time: l.UpdateTime},
	}
}
