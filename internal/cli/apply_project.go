package cli

import (
	"context"
	"strconv"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/manifest"
)

// applyProjects are the kind Project. Of metadata only what a file says counts: the server
// keeps the rest.
type applyProjects struct{ *applying }

func (k applyProjects) read(d manifest.Document) (thing, error) {
	var p gen.ProjectReq
	err := d.Decode(&p, manifest.Rules{ReadOnly: []string{"project_name", "cve_allowlist", "registry_id", "storage_limit"}})
	if err != nil {
		return thing{}, err
	}
	p.ProjectName = d.Name
	metadata := gen.ProjectMetadata{"public": "false"}
	if p.Public != nil {
		metadata["public"] = strconv.FormatBool(*p.Public)
	}
	for name, value := range p.Metadata {
		metadata[name] = value
	}
	p.Metadata, p.Public = metadata, nil
	return thing{key: d.Name, body: &p, canon: canonProject(metadata), doc: d}, nil
}

func canonProject(metadata map[string]string) map[string]any {
	fields := map[string]any{}
	for name, value := range metadata {
		fields[name] = value
	}
	return map[string]any{"metadata": fields}
}

func (k applyProjects) list(ctx context.Context) (map[string]thing, error) {
	found := map[string]thing{}
	for name, p := range k.projects {
		found[name] = thing{key: name, id: p.ProjectID, body: &p, canon: canonProject(p.Metadata)}
	}
	return found, nil
}

// fit leaves out the metadata that is not asked for.
func (k applyProjects) fit(have, want thing) thing {
	metadata := map[string]string{}
	for name := range want.body.(*gen.ProjectReq).Metadata {
		if value, ok := have.body.(*gen.Project).Metadata[name]; ok {
			metadata[name] = value
		}
	}
	have.canon = canonProject(metadata)
	return have
}

func (k applyProjects) create(ctx context.Context, want thing) error {
	r, err := k.api.CreateProjectWithResponse(ctx, &gen.CreateProjectParams{}, *want.body.(*gen.ProjectReq))
	if err != nil {
		return k.api.check(err, nil, nil, "create")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "create")
}

func (k applyProjects) update(ctx context.Context, have, want thing, _ bool) error {
	isName := true
	r, err := k.api.UpdateProjectWithResponse(ctx, have.key, &gen.UpdateProjectParams{XIsResourceName: &isName}, gen.ProjectReq{Metadata: want.body.(*gen.ProjectReq).Metadata})
	if err != nil {
		return k.api.check(err, nil, nil, "update")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "update")
}

func (k applyProjects) remove(ctx context.Context, have thing) error {
	isName := true
	r, err := k.api.DeleteProjectWithResponse(ctx, have.key, &gen.DeleteProjectParams{XIsResourceName: &isName})
	if err != nil {
		return k.api.check(err, nil, nil, "delete")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "delete")
}

// listProjects returns the projects of the server by name.
func (c *api) listProjects(ctx context.Context) (map[string]gen.Project, error) {
	all, err := pages(0, func(page, size *int64) (*[]gen.Project, error) {
		r, err := c.ListProjectsWithResponse(ctx, &gen.ListProjectsParams{Sort: "id", Page: page, PageSize: size})
		if err != nil {
			return nil, c.check(err, nil, nil, "list projects")
		}
		return r.JSON200, c.check(nil, r.HTTPResponse, r.Body, "list projects")
	})
	found := map[string]gen.Project{}
	for _, p := range all {
		found[p.Name] = p
	}
	return found, err
}
