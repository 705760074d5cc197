package cli

import (
	"context"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/manifest"
)

// applyLabels are the kind Label: global, or of a project that the field project names.
type applyLabels struct{ *applying }

// label is a label with the name of its project.
type label struct {
	gen.Label
	project string
}

func (k applyLabels) read(d manifest.Document) (thing, error) {
	var l label
	err := d.Decode(&l.Label, manifest.Rules{
		ReadOnly: []string{"id", "name", "scope", "project_id", "creation_time", "update_time"},
		Extra:    map[string]any{"project": &l.project},
	})
	if err != nil {
		return thing{}, err
	}
	l.Name = d.Name
	if l.project != "" {
		k.refer(d, "project", "Project", l.project)
	}
	canon, err := l.canon()
	return thing{key: l.key(), body: &l, canon: canon, doc: d}, err
}

func (l label) key() string {
	if l.project == "" {
		return l.Name
	}
	return l.project + "/" + l.Name
}

func (l label) canon() (map[string]any, error) {
	fields, err := canonical(l.Label, "id", "name", "scope", "project_id", "creation_time", "update_time")
	if err == nil && l.project != "" {
		fields["project"] = l.project
	}
	return fields, err
}

func (k applyLabels) list(ctx context.Context) (map[string]thing, error) {
	found := map[string]thing{}
	add := func(scope, project string, id int64) error {
		all, err := pages(0, func(page, size *int64) (*[]gen.Label, error) {
			r, err := k.api.ListLabelsWithResponse(ctx, &gen.ListLabelsParams{Scope: scope, ProjectID: id, Sort: "id", Page: page, PageSize: size})
			if err != nil {
				return nil, k.api.check(err, nil, nil, "list labels")
			}
			return r.JSON200, k.api.check(nil, r.HTTPResponse, r.Body, "list labels")
		})
		if err != nil {
			return err
		}
		for _, one := range all {
			l := label{one, project}
			canon, err := l.canon()
			if err != nil {
				return err
			}
			found[l.key()] = thing{key: l.key(), id: l.ID, body: &l, canon: canon}
		}
		return nil
	}
	if err := add("g", "", 0); err != nil {
		return nil, err
	}
	for name, p := range k.projects {
		if err := add("p", name, p.ProjectID); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (k applyLabels) fit(have, _ thing) thing { return have }

// wire is the label in the API's form for this server.
func (k applyLabels) wire(want thing) gen.Label {
	l := *want.body.(*label)
	l.Scope = "g"
	if l.project != "" {
		l.Scope, l.ProjectID = "p", k.ids["Project"][l.project]
	}
	return l.Label
}

func (k applyLabels) create(ctx context.Context, want thing) error {
	r, err := k.api.CreateLabelWithResponse(ctx, k.wire(want))
	if err != nil {
		return k.api.check(err, nil, nil, "create")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "create")
}

func (k applyLabels) update(ctx context.Context, have, want thing, _ bool) error {
	r, err := k.api.UpdateLabelWithResponse(ctx, have.id, k.wire(want))
	if err != nil {
		return k.api.check(err, nil, nil, "update")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "update")
}

func (k applyLabels) remove(ctx context.Context, have thing) error {
	r, err := k.api.DeleteLabelWithResponse(ctx, have.id)
	if err != nil {
		return k.api.check(err, nil, nil, "delete")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "delete")
}
