package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/manifest"
)

// applyNotifications are the kind Notification. Rules are named in the field policies.
type applyNotifications struct{ *applying }

// told is a notification with the names of its rules.
type told struct {
	gen.Notification
	policies []string
}

func (k applyNotifications) read(d manifest.Document) (thing, error) {
	var n told
	err := d.Decode(&n.Notification, manifest.Rules{
		ReadOnly: []string{"id", "name", "policy_ids", "waiting", "last_attempt", "creation_time", "update_time"},
		Extra:    map[string]any{"policies": &n.policies},
		Secrets:  []string{"auth_header"}, Getenv: k.app.Getenv,
	})
	if err != nil {
		return thing{}, err
	}
	n.Name = d.Name
	t := thing{key: d.Name, body: &n, doc: d}
	if n.AuthHeader != nil {
		if t.secret = *n.AuthHeader; t.secret == maskedSecret {
			return thing{}, d.Errorf("auth_header", "spec.auth_header: %s stands for a secret and is none; say authHeaderFrom", maskedSecret)
		}
	}
	for _, name := range n.policies {
		k.refer(d, "policies", "Policy", name)
	}
	t.canon, err = n.canon()
	return t, err
}

func (n told) canon() (map[string]any, error) {
	if n.PayloadFormat == "Default" {
		n.PayloadFormat = ""
	}
	fields, err := canonical(n.Notification, "id", "name", "policy_ids", "auth_header", "waiting", "last_attempt", "creation_time", "update_time")
	if err != nil {
		return nil, err
	}
	sortedTexts(fields, "events")
	fields["enabled"] = n.Enabled
	if len(n.policies) > 0 {
		names := []any{}
		for _, name := range slices.Compact(slices.Sorted(slices.Values(n.policies))) {
			names = append(names, name)
		}
		fields["policies"] = names
	}
	return fields, nil
}

func (k applyNotifications) list(ctx context.Context) (map[string]thing, error) {
	all, err := k.api.notifications(ctx, "")
	if e, refused := asAPIError(err); refused && (e.status == http.StatusNotFound || e.status == http.StatusForbidden) && !k.wants["Notification"] {
		return map[string]thing{}, nil // a Harbor, or a robot's login, and nothing to do with them
	}
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for name, id := range k.ids["Policy"] {
		names[id] = name
	}
	found := map[string]thing{}
	for _, one := range all {
		n := told{Notification: one}
		for _, id := range one.PolicyIds {
			name, known := names[id]
			if !known {
				name = fmt.Sprintf("id:%d (gone)", id)
			}
			n.policies = append(n.policies, name)
		}
		canon, err := n.canon()
		if err != nil {
			return nil, err
		}
		found[n.Name] = thing{key: n.Name, id: n.ID, body: &n, canon: canon}
	}
	return found, nil
}

func (k applyNotifications) fit(have, _ thing) thing { return have }

func (k applyNotifications) wire(want thing) (gen.Notification, error) {
	n := *want.body.(*told)
	n.PolicyIds = nil
	for _, name := range n.policies {
		id, ok := k.ids["Policy"][name]
		if !ok {
			return n.Notification, fmt.Errorf("the policy %s is not there", name)
		}
		n.PolicyIds = append(n.PolicyIds, id)
	}
	return n.Notification, nil
}

func (k applyNotifications) create(ctx context.Context, want thing) error {
	n, err := k.wire(want)
	if err != nil {
		return err
	}
	r, err := k.api.CreateNotificationWithResponse(ctx, n)
	if err != nil {
		return k.api.check(err, nil, nil, "create")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "create")
}

func (k applyNotifications) update(ctx context.Context, have, want thing, secret bool) error {
	n, err := k.wire(want)
	if err != nil {
		return err
	}
	moved := have.body.(*told).URL != n.URL
	if !secret && !(moved && want.secret != "") {
		n.AuthHeader = nil
	}
	r, err := k.api.UpdateNotificationWithResponse(ctx, have.id, n)
	if err != nil {
		return k.api.check(err, nil, nil, "update")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "update")
}

func (k applyNotifications) remove(ctx context.Context, have thing) error {
	r, err := k.api.DeleteNotificationWithResponse(ctx, have.id)
	if err != nil {
		return k.api.check(err, nil, nil, "delete")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "delete")
}
