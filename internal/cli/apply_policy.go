package cli

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/manifest"
)

// applyPolicies are the kind Policy.
type applyPolicies struct{ *applying }

func (k applyPolicies) read(d manifest.Document) (thing, error) {
	var p gen.ReplicationPolicy
	err := d.Decode(&p, manifest.Rules{ReadOnly: []string{"id", "name", "next_run_time", "creation_time", "update_time"}})
	if err != nil {
		return thing{}, err
	}
	p.Name = d.Name
	if err := k.checkSides(d, &p); err != nil {
		return thing{}, err
	}
	canon, err := canonPolicy(p)
	return thing{key: d.Name, body: &p, canon: canon, doc: d}, err
}

// checkSides wants registries named: an id means something else at every server.
func (k applyPolicies) checkSides(d manifest.Document, p *gen.ReplicationPolicy) error {
	check := func(field string, r *gen.Registry) error {
		switch {
		case r == nil:
			return nil
		case r.ID != 0 || r.Name == "":
			return d.Errorf(field, "spec.%s: say which registry by its name: {name: NAME}", field)
		case isHome(r):
			return nil
		}
		k.refer(d, field, "Registry", r.Name)
		return nil
	}
	if err := check("src_registry", p.SrcRegistry); err != nil {
		return err
	}
	if err := check("dest_registry", p.DestRegistry); err != nil {
		return err
	}
	for i := range p.MoreDestRegistries {
		if err := check("more_dest_registries", &p.MoreDestRegistries[i]); err != nil {
			return err
		}
	}
	return nil
}

// isHome reports whether a side is the home registry: absent, or by the name that
// either we or Harbor give it.
func isHome(r *gen.Registry) bool {
	return r == nil || r.ID == 0 && (r.Name == "" || r.Name == "home" || r.Name == "Local")
}

func canonPolicy(p gen.ReplicationPolicy) (map[string]any, error) {
	p.Deletion, p.ReplicateDeletion = p.Deletion || p.ReplicateDeletion, false
	if p.Speed != nil && *p.Speed < 0 {
		p.Speed = nil // no limit, as 0
	}
	if p.Trigger == nil {
		p.Trigger = &gen.ReplicationTrigger{Type: "manual"}
	}
	if p.Accessories == "all" {
		p.Accessories = ""
	}
	if p.PlatformMode == "sparse" {
		p.PlatformMode = ""
	}
	side := func(r *gen.Registry) any {
		if isHome(r) {
			return nil
		}
		return map[string]any{"name": r.Name}
	}
	source, destination, more := side(p.SrcRegistry), side(p.DestRegistry), []any{}
	for i := range p.MoreDestRegistries {
		more = append(more, side(&p.MoreDestRegistries[i]))
	}
	count := int64(-1)
	if p.DestNamespaceReplaceCount != nil {
		count = int64(*p.DestNamespaceReplaceCount)
	}
	canon, err := canonical(p, "id", "name", "next_run_time", "creation_time", "update_time", "src_registry", "dest_registry", "more_dest_registries")
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{"src_registry": source, "dest_registry": destination} {
		if value != nil {
			canon[name] = value
		}
	}
	if len(more) > 0 {
		canon["more_dest_registries"] = more
	}
	delete(canon, "dest_namespace_replace_count")
	if count >= 0 {
		canon["dest_namespace_replace_count"] = count
	}
	canon["enabled"] = p.Enabled // said in any case: a rule that does nothing should be seen to
	return canon, nil
}

func (k applyPolicies) list(ctx context.Context) (map[string]thing, error) {
	all, err := k.api.policies(ctx, "")
	if err != nil {
		return nil, err
	}
	found := map[string]thing{}
	for _, p := range all {
		canon, err := canonPolicy(p)
		if err != nil {
			return nil, err
		}
		found[p.Name] = thing{key: p.Name, id: p.ID, body: &p, canon: canon}
	}
	return found, nil
}

func (k applyPolicies) fit(have, _ thing) thing { return have }

// body puts the ids of this server into a rule.
func (k applyPolicies) body(want thing) (gen.ReplicationPolicy, error) {
	p := *want.body.(*gen.ReplicationPolicy)
	find := func(r *gen.Registry) (*gen.Registry, error) {
		if isHome(r) {
			return nil, nil
		}
		id, ok := k.ids["Registry"][r.Name]
		if !ok {
			return nil, fmt.Errorf("the registry %s is not there", r.Name)
		}
		return &gen.Registry{ID: id}, nil
	}
	var err error
	if p.SrcRegistry, err = find(p.SrcRegistry); err != nil {
		return p, err
	}
	if p.DestRegistry, err = find(p.DestRegistry); err != nil {
		return p, err
	}
	more := make([]gen.Registry, len(p.MoreDestRegistries))
	for i := range more {
		found, err := find(&p.MoreDestRegistries[i])
		if err != nil {
			return p, err
		}
		if found != nil {
			more[i] = *found
		}
	}
	p.MoreDestRegistries = more
	if p.Trigger == nil {
		p.Trigger = &gen.ReplicationTrigger{Type: "manual"}
	}
	return p, nil
}

func (k applyPolicies) create(ctx context.Context, want thing) error {
	p, err := k.body(want)
	if err != nil {
		return err
	}
	r, err := k.api.CreateReplicationPolicyWithResponse(ctx, p)
	if err != nil {
		return k.api.check(err, nil, nil, "create")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "create")
}

func (k applyPolicies) update(ctx context.Context, have, want thing, _ bool) error {
	p, err := k.body(want)
	if err != nil {
		return err
	}
	p.ID = have.id
	r, err := k.api.UpdateReplicationPolicyWithResponse(ctx, p.ID, p)
	if err != nil {
		return k.api.check(err, nil, nil, "update")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "update")
}

func (k applyPolicies) remove(ctx context.Context, have thing) error {
	r, err := k.api.DeleteReplicationPolicyWithResponse(ctx, have.id)
	if err != nil {
		return k.api.check(err, nil, nil, "delete")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "delete")
}
