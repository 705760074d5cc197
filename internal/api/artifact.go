package api

import (
	"github.com/opencontainers/go-digest"

	"context"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
)

func (a *api) ListArtifacts(ctx context.Context, r gen.ListArtifactsRequestObject) (gen.ListArtifactsResponseObject, error) {
	p, project, err := a.requireProject(ctx, r.ProjectName, byName(), "artifact", "list")
	if err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	repository := fullName(r.ProjectName, r.RepositoryName)
	artifacts, total, err := a.o.Index.ListArtifacts(ctx, repository, home.ArtifactQuery{
		ListQuery: query, WithLabels: r.Params.WithLabel || r.Params.WithReplication, WithAccessories: r.Params.WithAccessory,
	})
	if err != nil {
		return nil, err
	}
	with := parts{tags: r.Params.WithTag, labels: r.Params.WithLabel, accessories: r.Params.WithAccessory}
	if r.Params.WithReplication && a.o.Accounts.Can(ctx, p, project.ID, "repository", "read") {
		if with.standings, err = a.standings(ctx, repository, artifacts); err != nil {
			return nil, err
		}
	}
	body := make([]gen.Artifact, 0, len(artifacts))
	for _, artifact := range artifacts {
		body = append(body, a.wireArtifact(artifact, with))
	}
	return gen.ListArtifacts200JSONResponse{Body: body, Headers: gen.ListArtifacts200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) GetArtifact(ctx context.Context, r gen.GetArtifactRequestObject) (gen.GetArtifactResponseObject, error) {
	p, project, err := a.requireProject(ctx, r.ProjectName, byName(), "artifact", "read")
	if err != nil {
		return nil, err
	}
	artifact, err := a.o.Index.GetArtifact(ctx, fullName(r.ProjectName, r.RepositoryName), r.Reference)
	if err != nil {
		return nil, err
	}
	with := parts{tags: r.Params.WithTag, labels: r.Params.WithLabel, accessories: r.Params.WithAccessory}
	if r.Params.WithReplication && a.o.Accounts.Can(ctx, p, project.ID, "repository", "read") {
		if with.standings, err = a.standings(ctx, artifact.RepositoryName, []home.Artifact{artifact}); err != nil {
			return nil, err
		}
	}
	return gen.GetArtifact200JSONResponse(a.wireArtifact(artifact, with)), nil
}

func (a *api) DeleteArtifact(ctx context.Context, r gen.DeleteArtifactRequestObject) (gen.DeleteArtifactResponseObject, error) {
	p, _, err := a.requireProject(ctx, r.ProjectName, byName(), "artifact", "delete")
	if err != nil {
		return nil, err
	}
	artifact, err := a.o.Index.GetArtifact(ctx, fullName(r.ProjectName, r.RepositoryName), r.Reference)
	if err != nil {
		return nil, err
	}
	if err := a.o.Contents.DeleteArtifact(ctx, p.Operator(), artifact.RepositoryName, digest.Digest(artifact.Digest)); err != nil {
		return nil, err
	}
	return gen.DeleteArtifact200Response{}, nil
}

func (a *api) ListAccessories(ctx context.Context, r gen.ListAccessoriesRequestObject) (gen.ListAccessoriesResponseObject, error) {
	if _, _, err := a.requireProject(ctx, r.ProjectName, byName(), "accessory", "list"); err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	accessories, total, err := a.o.Index.ListAccessories(ctx, fullName(r.ProjectName, r.RepositoryName), r.Reference, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.Accessory, 0, len(accessories))
	for _, accessory := range accessories {
		body = append(body, wireAccessory(accessory))
	}
	return gen.ListAccessories200JSONResponse{Body: body, Headers: gen.ListAccessories200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) ListTags(ctx context.Context, r gen.ListTagsRequestObject) (gen.ListTagsResponseObject, error) {
	if _, _, err := a.requireProject(ctx, r.ProjectName, byName(), "tag", "list"); err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	tags, total, err := a.o.Index.ListTags(ctx, fullName(r.ProjectName, r.RepositoryName), r.Reference, query)
	if err != nil {
		return nil, err
	}
	return gen.ListTags200JSONResponse{Body: wireTags(tags), Headers: gen.ListTags200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) CreateTag(ctx context.Context, r gen.CreateTagRequestObject) (gen.CreateTagResponseObject, error) {
	p, _, err := a.requireProject(ctx, r.ProjectName, byName(), "tag", "create")
	if err != nil {
		return nil, err
	}
	if err := rule.ValidateTag(r.Body.Name); err != nil {
		return nil, err
	}
	repository := fullName(r.ProjectName, r.RepositoryName)
	artifact, err := a.o.Index.GetArtifact(ctx, repository, r.Reference)
	if err != nil {
		return nil, err
	}
	_, err = a.o.Index.GetArtifact(ctx, repository, r.Body.Name)
	if err == nil {
		return nil, problem.New(problem.Conflict, "tag %s already exists under the repository %d", r.Body.Name, artifact.RepositoryID)
	}
	if !problem.Is(err, problem.NotFound) {
		return nil, err
	}
	if err := a.o.Contents.CreateTag(ctx, p.Operator(), repository, r.Body.Name, digest.Digest(artifact.Digest)); err != nil {
		return nil, err
	}
	return gen.CreateTag201Response{}, nil
}

func (a *api) DeleteTag(ctx context.Context, r gen.DeleteTagRequestObject) (gen.DeleteTagResponseObject, error) {
	p, _, err := a.requireProject(ctx, r.ProjectName, byName(), "tag", "delete")
	if err != nil {
		return nil, err
	}
	repository := fullName(r.ProjectName, r.RepositoryName)
	artifact, err := a.o.Index.GetArtifact(ctx, repository, r.Reference)
	if err != nil {
		return nil, err
	}
	for _, tag := range artifact.Tags {
		if tag.Name != r.TagName {
			continue
		}
		if err := a.o.Contents.DeleteTag(ctx, p.Operator(), repository, tag.Name); err != nil {
			return nil, err
		}
		return gen.DeleteTag200Response{}, nil
	}
	return nil, problem.New(problem.NotFound, "tag %s attached to artifact %d not found", r.TagName, artifact.ID)
}

func (a *api) AddLabel(ctx context.Context, r gen.AddLabelRequestObject) (gen.AddLabelResponseObject, error) {
	if _, _, err := a.requireProject(ctx, r.ProjectName, byName(), "artifact-label", "create"); err != nil {
		return nil, err
	}
	if err := a.o.Index.AddLabel(ctx, fullName(r.ProjectName, r.RepositoryName), r.Reference, r.Body.ID); err != nil {
		return nil, err
	}
	return gen.AddLabel200Response{}, nil
}

func (a *api) RemoveLabel(ctx context.Context, r gen.RemoveLabelRequestObject) (gen.RemoveLabelResponseObject, error) {
	if _, _, err := a.requireProject(ctx, r.ProjectName, byName(), "artifact-label", "delete"); err != nil {
		return nil, err
	}
	if err := a.o.Index.RemoveLabel(ctx, fullName(r.ProjectName, r.RepositoryName), r.Reference, r.LabelID); err != nil {
		return nil, err
	}
	return gen.RemoveLabel200Response{}, nil
}

// parts says what of an artifact a request asked for.
type parts struct {
	tags                *bool // nil: yes
	labels, accessories bool
	standings           map[string][]replication.Standing // by digest; nil: not asked for
}

// wireArtifact leaves out what was not asked for: null, as Harbor writes it.
func (a *api) wireArtifact(artifact home.Artifact, p parts) gen.Artifact {
	w := gen.Artifact{
		ID: artifact.ID, ProjectID: artifact.ProjectID, RepositoryID: artifact.RepositoryID, RepositoryName: artifact.RepositoryName,
		Digest: artifact.Digest, Type: artifact.Type, MediaType: artifact.MediaType, ManifestMediaType: artifact.ManifestMediaType,
		ArtifactType: artifact.ArtifactType, Size: artifact.Size, Icon: artifact.Icon,
		ExtraAttrs: artifact.ExtraAttrs, Annotations: artifact.Annotations, AdditionLinks: a.additionLinks(artifact),
		PushTime: gen.Time{Time: artifact.PushTime}, PullTime: gen.Time{Time: artifact.PullTime},
	}
	for _, r := range artifact.References {
		w.References = append(w.References, wireReference(r))
	}
	if (p.tags == nil || *p.tags) && len(artifact.Tags) > 0 {
		w.Tags = wireTags(artifact.Tags)
	}
	if p.labels {
		for _, l := range artifact.Labels {
			w.Labels = append(w.Labels, wireLabel(l))
		}
	}
	if p.accessories {
		for _, accessory := range artifact.Accessories {
			w.Accessories = append(w.Accessories, wireAccessory(accessory))
		}
	}
	if p.standings != nil {
		w.Replication = wireStandings(p.standings[artifact.Digest])
	}
	return w
}

func wireReference(r home.Reference) gen.Reference {
	w := gen.Reference{ParentID: r.ParentID, ChildID: r.ChildID, ChildDigest: r.ChildDigest, Annotations: r.Annotations, Urls: r.URLs}
	if p := r.Platform; p != nil {
		w.Platform = &gen.Platform{
			Architecture: p.Architecture, Os: p.OS, OsVersion: p.OSVersion, OsFeatures: p.OSFeatures, Variant: p.Variant,
		}
	}
	return w
}

func wireTags(tags []home.Tag) []gen.Tag {
	list := make([]gen.Tag, 0, len(tags))
	for _, t := range tags {
		list = append(list, gen.Tag{
			ID: t.ID, ArtifactID: t.ArtifactID, RepositoryID: t.RepositoryID, Name: t.Name,
			PushTime: gen.Time{Time: t.PushTime}, PullTime: gen.Time{Time: t.PullTime},
		})
	}
	return list
}

func wireAccessory(accessory home.Accessory) gen.Accessory {
	return gen.Accessory{
		ID: accessory.ID, ArtifactID: accessory.ArtifactID, Digest: accessory.Digest, Type: accessory.Type, Size: accessory.Size,
		Icon: accessory.Icon, SubjectArtifactID: accessory.SubjectArtifactID, SubjectArtifactDigest: accessory.SubjectArtifactDigest,
		SubjectArtifactRepo: accessory.SubjectArtifactRepo, CreationTime: gen.Time{Time: accessory.CreationTime},
	}
}
