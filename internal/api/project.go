package api

import (
	"context"
	"fmt"
	"maps"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
)

func (a *api) ListProjects(ctx context.Context, r gen.ListProjectsRequestObject) (gen.ListProjectsResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	projects, total, err := a.o.Accounts.ListProjects(ctx, p, account.ProjectQuery{
		ListQuery: query, Name: r.Params.Name, Owner: r.Params.Owner, Public: r.Params.Public,
	})
	if err != nil {
		return nil, err
	}
	body := make([]gen.Project, 0, len(projects))
	for _, project := range projects {
		body = append(body, wireProject(p, project))
	}
	return gen.ListProjects200JSONResponse{Body: body, Headers: gen.ListProjects200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) HeadProject(ctx context.Context, r gen.HeadProjectRequestObject) (gen.HeadProjectResponseObject, error) {
	if _, err := a.authenticated(ctx); err != nil {
		return nil, err
	}
	if _, err := a.o.Accounts.ProjectByName(ctx, r.Params.ProjectName); err != nil {
		return nil, err
	}
	return gen.HeadProject200Response{}, nil
}

func (a *api) CreateProject(ctx context.Context, r gen.CreateProjectRequestObject) (gen.CreateProjectResponseObject, error) {
	p, err := a.authenticated(ctx)
	if err != nil {
		return nil, err
	}
	if err := refuseUnsupported(*r.Body); err != nil {
		return nil, err
	}
	id, err := a.o.Accounts.CreateProject(ctx, p, account.NewProject{
		Name: r.Body.ProjectName, Metadata: metadata(*r.Body), Public: r.Body.Public,
	})
	if err != nil {
		return nil, err
	}
	if r.Params.XResourceNameInLocation {
		return createdAt(basePath + "/projects/" + r.Body.ProjectName), nil
	}
	return created("projects", id), nil
}

func (a *api) GetProject(ctx context.Context, r gen.GetProjectRequestObject) (gen.GetProjectResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	project, err := a.o.Accounts.ReadProject(ctx, p, r.ProjectNameOrID, r.Params.XIsResourceName)
	if err != nil {
		return nil, err
	}
	return gen.GetProject200JSONResponse(wireProject(p, project)), nil
}

func (a *api) UpdateProject(ctx context.Context, r gen.UpdateProjectRequestObject) (gen.UpdateProjectResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := refuseUnsupported(*r.Body); err != nil {
		return nil, err
	}
	if err := a.o.Accounts.UpdateProject(ctx, p, r.ProjectNameOrID, r.Params.XIsResourceName, metadata(*r.Body)); err != nil {
		return nil, err
	}
	return gen.UpdateProject200Response{}, nil
}

func (a *api) DeleteProject(ctx context.Context, r gen.DeleteProjectRequestObject) (gen.DeleteProjectResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.o.Accounts.DeleteProject(ctx, p, r.ProjectNameOrID, r.Params.XIsResourceName); err != nil {
		return nil, err
	}
	return gen.DeleteProject200Response{}, nil
}

func (a *api) GetProjectDeletable(ctx context.Context, r gen.GetProjectDeletableRequestObject) (gen.GetProjectDeletableResponseObject, error) {
	_, project, err := a.requireProject(ctx, r.ProjectNameOrID, r.Params.XIsResourceName, "project", "delete")
	if err != nil {
		return nil, err
	}
	if project.RepoCount > 0 {
		return gen.GetProjectDeletable200JSONResponse{Message: "the project contains repositories, can not be deleted"}, nil
	}
	return gen.GetProjectDeletable200JSONResponse{Deletable: true}, nil
}

func (a *api) GetProjectSummary(ctx context.Context, r gen.GetProjectSummaryRequestObject) (gen.GetProjectSummaryResponseObject, error) {
	p, project, err := a.requireProject(ctx, r.ProjectNameOrID, r.Params.XIsResourceName, "project", "read")
	if err != nil {
		return nil, err
	}
	body := gen.GetProjectSummary200JSONResponse{RepoCount: project.RepoCount}
	if a.o.Accounts.Can(ctx, p, project.ID, "member", "list") {
		members, err := a.o.Accounts.CountMembers(ctx, project.ID)
		if err != nil {
			return nil, err
		}
		body.ProjectAdminCount, body.MaintainerCount = members[account.ProjectAdmin], members[account.Maintainer]
		body.DeveloperCount, body.GuestCount, body.LimitedGuestCount = members[account.Developer], members[account.Guest], members[account.LimitedGuest]
	}
	if a.o.Accounts.Can(ctx, p, project.ID, "quota", "read") {
		stored, err := a.o.Index.Statistics(ctx, []int64{project.ID})
		if err != nil {
			return nil, err
		}
		body.Quota = gen.ProjectSummaryQuota{Hard: gen.ResourceList{"storage": -1}, Used: gen.ResourceList{"storage": stored.Bytes}}
	}
	return body, nil
}

// ListImmuRules is for clients that look for immutable tag rules before they
// delete a project. There never are any.
func (a *api) ListImmuRules(ctx context.Context, r gen.ListImmuRulesRequestObject) (gen.ListImmuRulesResponseObject, error) {
	if _, _, err := a.requireProject(ctx, r.ProjectNameOrID, r.Params.XIsResourceName, "immutable-tag", "list"); err != nil {
		return nil, err
	}
	return gen.ListImmuRules200JSONResponse{Body: []map[string]any{}}, nil
}

// refuseUnsupported refuses what a project could not keep to.
func refuseUnsupported(w gen.ProjectReq) error {
	if w.RegistryID != nil && *w.RegistryID != 0 {
		return problem.New(problem.BadRequest, "registry_id: this version has no proxy cache projects; leave it out")
	}
	if w.StorageLimit != nil && *w.StorageLimit > 0 {
		return problem.New(problem.BadRequest, "storage_limit: this version has no quotas; use -1 for no limit")
	}
	return nil
}

// metadata returns the settings of a project that are not empty: clients send
// empty ones for what they do not set.
func metadata(w gen.ProjectReq) map[string]string {
	settings := maps.Clone(w.Metadata)
	maps.DeleteFunc(settings, func(_, value string) bool { return value == "" })
	if w.Public != nil && settings["public"] == "" {
		if settings == nil {
			settings = map[string]string{}
		}
		settings["public"] = fmt.Sprint(*w.Public)
	}
	return settings
}

func wireProject(p account.Principal, project account.Project) gen.Project {
	role := int64(project.Role)
	if p.SysAdmin {
		role = int64(account.ProjectAdmin)
	}
	w := gen.Project{
		ProjectID: project.ID, Name: project.Name, OwnerID: project.OwnerID, OwnerName: project.OwnerName,
		Metadata: project.Metadata, RepoCount: project.RepoCount, CurrentUserRoleID: role, CurrentUserRoleIds: []int32{},
		CreationTime: gen.Time{Time: project.CreationTime}, UpdateTime: gen.Time{Time: project.UpdateTime},
		CveAllowlist: gen.CVEAllowlist{ID: project.ID, ProjectID: project.ID, Items: []gen.CVEAllowlistItem{}},
	}
	if role != 0 {
		w.CurrentUserRoleIds = append(w.CurrentUserRoleIds, int32(role))
	}
	return w
}
