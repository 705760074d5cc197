package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/manifest"
)

// applyRobots are the kind Robot. A robot's secret comes from the files (secretFrom), or
// the server makes one, which is shown once or goes into a file (secretTo).
type applyRobots struct{ *applying }

// robot is a robot with the project that it belongs to, "" for the system.
type robot struct {
	gen.RobotCreate
	project  string
	fullName string // at the server
	secretTo struct {
		File string `yaml:"file"`
	}
}

func (k applyRobots) read(d manifest.Document) (thing, error) {
	var r robot
	err := d.Decode(&r.RobotCreate, manifest.Rules{
		ReadOnly: []string{"name"},
		Extra:    map[string]any{"project": &r.project, "secretTo": &r.secretTo},
		Secrets:  []string{"secret"}, Getenv: k.app.Getenv,
	})
	if err != nil {
		return thing{}, err
	}
	r.Name = d.Name
	r.Level = cmp.Or(r.Level, map[bool]string{true: "system", false: "project"}[r.project == ""])
	switch {
	case r.Level == "project" && r.project == "":
		return thing{}, d.Errorf("level", "spec.project is missing: whose robot is it?")
	case r.Level == "system" && r.project != "":
		return thing{}, d.Errorf("project", "spec.project: a robot of the system belongs to no project")
	case r.Duration == 0:
		return thing{}, d.Errorf("duration", "spec.duration is missing: for how many days is it, or -1 for ever?")
	case r.Secret != "" && r.secretTo.File != "":
		return thing{}, d.Errorf("secretTo", "spec.secretTo: the secret comes from a file already")
	}
	if r.project != "" {
		k.refer(d, "project", "Project", r.project)
	}
	if r.secretTo.File != "" {
		r.secretTo.File = d.Path(r.secretTo.File)
	}
	canon, err := r.canon()
	return thing{key: r.key(), body: &r, canon: canon, secret: r.Secret, doc: d}, err
}

func (r robot) key() string {
	if r.project == "" {
		return r.Name
	}
	return r.project + "/" + r.Name
}

func (r robot) canon() (map[string]any, error) {
	permissions := make([]gen.RobotPermission, len(r.Permissions))
	for i, p := range r.Permissions {
		p.Access = slices.Clone(p.Access)
		for j := range p.Access {
			if p.Access[j].Effect == "allow" {
				p.Access[j].Effect = ""
			}
		}
		slices.SortFunc(p.Access, func(a, b gen.Access) int {
			return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Effect, b.Effect))
		})
		permissions[i] = p
	}
	slices.SortFunc(permissions, func(a, b gen.RobotPermission) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace))
	})
	r.Permissions = permissions
	fields, err := canonical(r.RobotCreate, "name", "secret")
	if err == nil && r.project != "" {
		fields["project"] = r.project
	}
	return fields, err
}

func (k applyRobots) list(ctx context.Context) (map[string]thing, error) {
	prefix, err := k.api.robotPrefix(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]thing{}
	add := func(project, query string) error {
		all, err := pages(0, func(page, size *int64) (*[]gen.Robot, error) {
			r, err := k.api.ListRobotWithResponse(ctx, &gen.ListRobotParams{Q: query, Sort: "id", Page: page, PageSize: size})
			if err != nil {
				return nil, k.api.check(err, nil, nil, "list robots")
			}
			return r.JSON200, k.api.check(nil, r.HTTPResponse, r.Body, "list robots")
		})
		if err != nil {
			return err
		}
		for _, one := range all {
			r := robot{project: project, fullName: one.Name, RobotCreate: gen.RobotCreate{
				Name: strings.TrimPrefix(one.Name, prefix), Description: one.Description, Disable: one.Disable, Level: one.Level, Permissions: one.Permissions,
			}}
			r.Name = strings.TrimPrefix(r.Name, project+"+")
			if one.Duration != nil {
				r.Duration = *one.Duration
			}
			canon, err := r.canon()
			if err != nil {
				return err
			}
			found[r.key()] = thing{key: r.key(), id: one.ID, body: &r, canon: canon}
		}
		return nil
	}
	if err := add("", ""); err != nil {
		return nil, err
	}
	for name, p := range k.projects {
		if err := add(name, fmt.Sprintf("Level=project,ProjectID=%d", p.ProjectID)); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// robotPrefix is what stands before the names of robots at the server.
func (c *api) robotPrefix(ctx context.Context) (string, error) {
	const usual = "robot$"
	r, err := c.GetConfigurationsWithResponse(ctx)
	if err != nil {
		return "", c.check(err, nil, nil, "get configurations")
	}
	if r.JSON200 == nil {
		return usual, nil // who may not see the setting takes it to be untouched
	}
	if item, ok := (*r.JSON200)["robot_name_prefix"]; ok {
		if text, ok := item.Value.(string); ok && text != "" {
			return text, nil
		}
	}
	return usual, nil
}

func (k applyRobots) fit(have, _ thing) thing { return have }

// create makes a robot. A file for its secret is made before it: a secret that cannot be
// kept would be lost.
func (k applyRobots) create(ctx context.Context, want thing) error {
	r := want.body.(*robot)
	var file *os.File
	if r.secretTo.File != "" {
		var err error
		if file, err = os.OpenFile(r.secretTo.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("the file for its secret: %w", err)
		}
	}
	answer, err := k.api.CreateRobotWithResponse(ctx, r.RobotCreate)
	if err != nil {
		err = k.api.check(err, nil, nil, "create")
	} else {
		err = k.api.check(nil, answer.HTTPResponse, answer.Body, "create")
	}
	if err != nil {
		if file != nil {
			_ = file.Close()
			_ = os.Remove(r.secretTo.File) // it is empty
		}
		return err
	}
	made := answer.JSON201
	if file != nil {
		_, err := fmt.Fprintln(file, made.Secret)
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			return fmt.Errorf("its secret could not be written, so it is shown: %s: %w", made.Secret, err)
		}
		k.say(want, fmt.Sprintf("its secret is in %s", r.secretTo.File))
		return nil
	}
	if r.Secret == "" {
		k.reveal(want, made.Name, made.Secret)
	}
	return nil
}

func (k applyRobots) update(ctx context.Context, have, want thing, secret bool) error {
	r := want.body.(*robot)
	answer, err := k.api.UpdateRobotWithResponse(ctx, have.id, gen.Robot{
		Name: have.body.(*robot).fullName, Level: r.Level, Description: r.Description, Disable: r.Disable, Duration: &r.Duration, Permissions: r.Permissions,
	})
	if err != nil {
		return k.api.check(err, nil, nil, "update")
	}
	if err := k.api.check(nil, answer.HTTPResponse, answer.Body, "update"); err != nil || !secret {
		return err
	}
	changed, err := k.api.RefreshSecWithResponse(ctx, have.id, gen.RobotSec{Secret: want.secret})
	if err != nil {
		return k.api.check(err, nil, nil, "set the secret")
	}
	return k.api.check(nil, changed.HTTPResponse, changed.Body, "set the secret")
}

func (k applyRobots) remove(ctx context.Context, have thing) error {
	r, err := k.api.DeleteRobotWithResponse(ctx, have.id)
	if err != nil {
		return k.api.check(err, nil, nil, "delete")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "delete")
}
