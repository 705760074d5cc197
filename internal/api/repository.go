package api

import (
	"context"
	"net/url"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/home"
)

func (a *api) ListAllRepositories(ctx context.Context, r gen.ListAllRepositoriesRequestObject) (gen.ListAllRepositoriesResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	visible, err := a.visible(ctx, p)
	if err != nil {
		return nil, err
	}
	repositories, total, err := a.o.Index.ListRepositories(ctx, 0, visible, query)
	if err != nil {
		return nil, err
	}
	return gen.ListAllRepositories200JSONResponse{
		Body: wireRepositories(repositories), Headers: gen.ListAllRepositories200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

func (a *api) ListRepositories(ctx context.Context, r gen.ListRepositoriesRequestObject) (gen.ListRepositoriesResponseObject, error) {
	_, project, err := a.requireProject(ctx, r.ProjectName, byName(), "repository", "list")
	if err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	repositories, total, err := a.o.Index.ListRepositories(ctx, project.ID, nil, query)
	if err != nil {
		return nil, err
	}
	return gen.ListRepositories200JSONResponse{
		Body: wireRepositories(repositories), Headers: gen.ListRepositories200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

func (a *api) GetRepository(ctx context.Context, r gen.GetRepositoryRequestObject) (gen.GetRepositoryResponseObject, error) {
	if _, _, err := a.requireProject(ctx, r.ProjectName, byName(), "repository", "read"); err != nil {
		return nil, err
	}
	repository, err := a.o.Index.GetRepository(ctx, fullName(r.ProjectName, r.RepositoryName))
	if err != nil {
		return nil, err
	}
	return gen.GetRepository200JSONResponse(wireRepository(repository)), nil
}

func (a *api) UpdateRepository(ctx context.Context, r gen.UpdateRepositoryRequestObject) (gen.UpdateRepositoryResponseObject, error) {
	if _, _, err := a.requireProject(ctx, r.ProjectName, byName(), "repository", "update"); err != nil {
		return nil, err
	}
	if err := a.o.Index.DescribeRepository(ctx, fullName(r.ProjectName, r.RepositoryName), r.Body.Description); err != nil {
		return nil, err
	}
	return gen.UpdateRepository200Response{}, nil
}

func (a *api) DeleteRepository(ctx context.Context, r gen.DeleteRepositoryRequestObject) (gen.DeleteRepositoryResponseObject, error) {
	p, _, err := a.requireProject(ctx, r.ProjectName, byName(), "repository", "delete")
	if err != nil {
		return nil, err
	}
	name := fullName(r.ProjectName, r.RepositoryName)
	if _, err := a.o.Index.GetRepository(ctx, name); err != nil {
		return nil, err
	}
	if err := a.o.Contents.DeleteRepository(ctx, p.Operator(), name); err != nil {
		return nil, err
	}
	return gen.DeleteRepository200Response{}, nil
}

// visible returns the projects that a caller may see, nil for all.
func (a *api) visible(ctx context.Context, p account.Principal) ([]int64, error) {
	ids, all, err := a.o.Accounts.VisibleProjects(ctx, p)
	if err != nil || all {
		return nil, err
	}
	return append([]int64{}, ids...), nil
}

// byName says that a project in a path is a name, never an id.
func byName() *bool {
	yes := true
	return &yes
}

// fullName is the name of a repository with its project. Clients encode the
// slashes of the repository once or twice; routing has decoded it once.
func fullName(project, repository string) string {
	if plain, err := url.PathUnescape(repository); err == nil {
		repository = plain
	}
	return project + "/" + repository
}

func wireRepositories(repositories []home.Repository) []gen.Repository {
	list := make([]gen.Repository, 0, len(repositories))
	for _, r := range repositories {
		list = append(list, wireRepository(r))
	}
	return list
}

func wireRepository(r home.Repository) gen.Repository {
	return gen.Repository{
		ID: r.ID, ProjectID: r.ProjectID, Name: r.Name, Description: r.Description, ArtifactCount: r.ArtifactCount, PullCount: r.PullCount,
		CreationTime: gen.Time{Time: r.CreationTime}, UpdateTime: gen.Time{Time: r.UpdateTime},
	}
}
