package cli

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/manifest"
	"github.com/lighterage/lighterage/internal/registry"
)

// applyRegistries are the kind Registry.
type applyRegistries struct{ *applying }

func (k applyRegistries) read(d manifest.Document) (thing, error) {
	var r gen.Registry
	err := d.Decode(&r, manifest.Rules{
		ReadOnly: []string{"id", "name", "status", "status_reason", "checked_time", "creation_time", "update_time"},
		Secrets:  []string{"access_secret"}, Getenv: k.app.Getenv,
	})
	if err != nil {
		return thing{}, err
	}
	r.Name = d.Name
	if r.Type == "" {
		return thing{}, d.Errorf("", "spec.type is missing: what is it? docker-registry, harbor, ...")
	}
	if r.URL, err = registry.NormalizeURL(r.URL); err != nil {
		return thing{}, d.Errorf("url", "spec.url: %w", err)
	}
	t := thing{key: d.Name, body: &r, doc: d}
	if c := r.Credential; c != nil {
		if c.Type == "" {
			c.Type = "basic"
		}
		t.secret = c.AccessSecret
		if t.secret == maskedSecret {
			return thing{}, d.Errorf("credential.access_secret", "spec.credential: %s stands for a secret and is none; say accessSecretFrom", maskedSecret)
		}
	}
	t.canon, err = canonRegistry(r)
	return t, err
}

const maskedSecret = "*****" // what the API shows in the place of a secret

func canonRegistry(r gen.Registry) (map[string]any, error) {
	if r.Credential != nil {
		c := *r.Credential
		c.AccessSecret = ""
		if c.AccessKey == "" && r.Credential.AccessSecret == "" {
			c.Type = ""
		}
		r.Credential = &c
	}
	return canonical(r, "id", "name", "status", "status_reason", "checked_time", "creation_time", "update_time")
}

func (k applyRegistries) list(ctx context.Context) (map[string]thing, error) {
	all, err := k.api.registries(ctx, "")
	if err != nil {
		return nil, err
	}
	found := map[string]thing{}
	for _, r := range all {
		canon, err := canonRegistry(r)
		if err != nil {
			return nil, err
		}
		found[r.Name] = thing{key: r.Name, id: r.ID, body: &r, canon: canon}
	}
	return found, nil
}

func (k applyRegistries) fit(have, _ thing) thing { return have }

func (k applyRegistries) create(ctx context.Context, want thing) error {
	r, err := k.api.CreateRegistryWithResponse(ctx, *want.body.(*gen.Registry))
	if err != nil {
		return k.api.check(err, nil, nil, "create")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "create")
}

func (k applyRegistries) update(ctx context.Context, have, want thing, secret bool) error {
	before, after := have.body.(*gen.Registry), want.body.(*gen.Registry)
	if before.Type != after.Type {
		return usage("its type is %s and cannot become %s: delete it first, or give the new one another name", before.Type, after.Type)
	}
	if before.URL != after.URL && want.secret != "" {
		secret = true // a secret goes only to the address that it was given for
	}
	body, err := registryUpdate(*after, secret || want.secret == "" && after.Credential == nil)
	if err != nil {
		return err
	}
	r, err := k.api.UpdateRegistryWithResponse(ctx, have.id, body)
	if err != nil {
		return k.api.check(err, nil, nil, "update")
	}
	err = k.api.check(nil, r.HTTPResponse, r.Body, "update")
	if err == nil && before.URL != after.URL && want.secret == "" && before.Credential != nil && before.Credential.AccessSecret != "" {
		k.say(want, "its secret was dropped because the URL changed, and the file gives none")
	}
	return err
}

// registryUpdate sets every field that can be changed: what a file does not say is to
// be as if it had never been said.
func registryUpdate(r gen.Registry, secret bool) (gen.RegistryUpdate, error) {
	fields := map[string]any{}
	if r.Credential == nil {
		r.Credential = &gen.RegistryCredential{}
	}
	for _, part := range []any{r, *r.Credential} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if part == any(*r.Credential) && name == "type" {
				name = "credential_type"
			}
			fields[name] = v.Field(i).Interface()
		}
	}
	var update gen.RegistryUpdate
	set := map[string]any{}
	for i := range reflect.TypeFor[gen.RegistryUpdate]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[gen.RegistryUpdate]().Field(i).Tag.Get("json"), ",")
		if name != "access_secret" || secret {
			set[name] = fields[name]
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		return update, err
	}
	return update, json.Unmarshal(text, &update)
}

func (k applyRegistries) remove(ctx context.Context, have thing) error {
	r, err := k.api.DeleteRegistryWithResponse(ctx, have.id)
	if err != nil {
		return k.api.check(err, nil, nil, "delete")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "delete")
}
