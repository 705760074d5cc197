package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/problem"
)

// configItem is one of Harbor's configuration items. All of them are listed, for
// there are clients that fail when one is missing.
type configItem struct {
	name  string
	value any // Harbor's default: string, int64 or bool
	kept  bool
}

// configItems returns the items in Harbor's order. Those that are not kept
// belong to abilities that this version does not have: they can be set to their
// default only, so that nobody believes they had an effect.
func configItems() []configItem {
	item := func(name string, value any) configItem { return configItem{name, value, false} }
	kept := func(name string, value any) configItem { return configItem{name, value, true} }
	return []configItem{
		item("audit_log_forward_endpoint", ""),
		kept(audit.RetentionSetting, int64(audit.DefaultRetention)),
		item("auth_mode", "db_auth"),
		kept("banner_message", ""),
		kept("disabled_audit_log_event_types", ""),
		item("http_authproxy_admin_groups", ""),
		item("http_authproxy_admin_usernames", ""),
		item("http_authproxy_endpoint", ""),
		item("http_authproxy_server_certificate", ""),
		item("http_authproxy_skip_search", false),
		item("http_authproxy_tokenreview_endpoint", ""),
		item("http_authproxy_verify_cert", true),
		item("ldap_base_dn", ""),
		item("ldap_filter", ""),
		item("ldap_group_admin_dn", ""),
		item("ldap_group_attach_parallel", false),
		item("ldap_group_attribute_name", ""),
		item("ldap_group_base_dn", ""),
		item("ldap_group_membership_attribute", "memberof"),
		item("ldap_group_search_filter", ""),
		item("ldap_group_search_scope", int64(2)),
		item("ldap_scope", int64(2)),
		item("ldap_search_dn", ""),
		item("ldap_timeout", int64(5)),
		item("ldap_uid", "cn"),
		item("ldap_url", ""),
		item("ldap_verify_cert", true),
		kept("notification_enable", true),
		item("oidc_admin_group", ""),
		item("oidc_auto_onboard", false),
		item("oidc_client_id", ""),
		item("oidc_endpoint", ""),
		item("oidc_extra_redirect_parms", "{}"),
		item("oidc_group_filter", ""),
		item("oidc_groups_claim", ""),
		item("oidc_logout", false),
		item("oidc_name", ""),
		item("oidc_scope", ""),
		item("oidc_user_claim", ""),
		item("oidc_verify_cert", true),
		item("primary_auth_mode", false),
		kept("project_creation_restriction", "everyone"),
		kept("quota_per_project_enable", true),
		kept("read_only", false),
		kept("robot_name_prefix", "robot$"),
		kept("robot_token_duration", int64(30)),
		kept("scanner_skip_update_pulltime", false),
		item("self_registration", false),
		kept("session_timeout", int64(60)),
		kept("skip_audit_log_database", false),
		item("storage_per_project", int64(-1)),
		kept("token_expiration", int64(30)),
		item("uaa_client_id", ""),
		item("uaa_client_secret", ""),
		item("uaa_endpoint", ""),
		item("uaa_verify_cert", false),
	}
}

func item(name string) (configItem, bool) {
	items := configItems()
	i := slices.IndexFunc(items, func(i configItem) bool { return i.name == name })
	if i < 0 {
		return configItem{}, false
	}
	return items[i], true
}

func (a *api) GetConfigurations(ctx context.Context, _ gen.GetConfigurationsRequestObject) (gen.GetConfigurationsResponseObject, error) {
	if _, err := a.require(ctx, "configuration", "read"); err != nil {
		return nil, err
	}
	body := gen.GetConfigurations200JSONResponse{"scan_all_policy": {}}
	for _, i := range configItems() {
		value, err := a.o.Settings.Get(ctx, i.name)
		if err != nil {
			return nil, err
		}
		editable := i.name != "auth_mode" // fixed from the first user on, as in Harbor
		body[i.name] = gen.ConfigItem{Editable: &editable, Value: value}
	}
	return body, nil
}

func (a *api) UpdateConfigurations(ctx context.Context, r gen.UpdateConfigurationsRequestObject) (gen.UpdateConfigurationsResponseObject, error) {
	p, err := a.require(ctx, "configuration", "update")
	if err != nil {
		return nil, err
	}
	values, err := changes(*r.Body)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return gen.UpdateConfigurations200Response{}, nil
	}
	if err := a.o.Settings.set(ctx, values); err != nil {
		return nil, fmt.Errorf("update configurations: %w", err)
	}
	a.o.Log.InfoContext(ctx, "configuration changed", "by", p.Name, "items", values)
	return gen.UpdateConfigurations200Response{}, nil
}

// changes returns the items that a request sets, checked. Names that are no items
// were dropped when the request was decoded, as Harbor does.
func changes(c gen.Configurations) (map[string]any, error) {
	sent, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("read configurations: %w", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(sent)))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("read configurations: %w", err)
	}
	values := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := all[name]
		if n, ok := value.(json.Number); ok {
			if value, err = n.Int64(); err != nil {
				return nil, problem.New(problem.BadRequest, "%s: %s is not a whole number", name, n)
			}
		}
		i, known := item(name)
		if known && i.kept {
			if err := checkItem(name, value); err != nil {
				return nil, err
			}
			values[name] = value
			continue
		}
		// Secrets (of LDAP and OIDC) are items that are never shown; their default is "".
		if known && value != i.value || !known && value != "" {
			return nil, problem.New(problem.BadRequest, "%s: this version cannot be configured so; leave it at its default", name)
		}
	}
	return values, nil
}

func checkItem(name string, value any) error {
	switch name {
	case "project_creation_restriction":
		if value != "everyone" && value != "adminonly" {
			return problem.New(problem.BadRequest, "invalid %s: %v, it must be everyone or adminonly", name, value)
		}
	case "robot_name_prefix":
		prefix, _ := value.(string)
		if prefix == "" || len(prefix) > 64 || strings.ContainsAny(prefix, ":/ \t\n") {
			return problem.New(problem.BadRequest, "invalid %s: it must have 1 to 64 characters, without blanks, colons and slashes", name)
		}
	case audit.RetentionSetting:
		if n, _ := value.(int64); n < 0 || n > 1_000_000 {
			return problem.New(problem.BadRequest, "invalid %s: %v, it must be at most 1000000, or 0 to keep entries for ever", name, value)
		}
	case "token_expiration", "session_timeout", "robot_token_duration":
		if n, _ := value.(int64); n < 1 || n > 1_000_000 {
			return problem.New(problem.BadRequest, "invalid %s: %v, it must be at least 1 and at most 1000000", name, value)
		}
	case "banner_message", "disabled_audit_log_event_types":
		if text, _ := value.(string); len(text) > 4096 {
			return problem.New(problem.BadRequest, "invalid %s: it is longer than 4096 bytes", name)
		}
	}
	return nil
}
