package cli

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) registryCommand() *cobra.Command {
	var s serverFlags
	cmd := a.family(&cobra.Command{
		Use:   "registry",
		Short: "Manage the registries that rules replicate to and from",
		Long:  "Manage the registries (endpoints) that rules replicate to and from. A registry is\nnamed by its name or its id.",
		Example: `  lighterage registry create cluster1 --url https://registry.cluster1:5000
  lighterage registry ping cluster1
  lighterage registry list`,
		Aliases: []string{"registries", "endpoint"},
	})
	s.add(cmd)
	cmd.AddCommand(a.registryList(&s), a.registryView(&s), a.registryCreate(&s), a.registryUpdate(&s), a.registryDelete(&s), a.registryPing(&s))
	return cmd
}

func (a *app) registryList(s *serverFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the registries and how they are",
		Example: "  lighterage registry list\n  lighterage registry list --output json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			all, err := c.registries(cmd.Context(), "")
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, all)
			}
			if len(all) == 0 {
				fmt.Fprintf(a.Stderr, "There are no registries yet. Make one with: lighterage registry create NAME --url URL\n")
				return nil
			}
			table := term.Table{Header: []string{"ID", "NAME", "STATUS", "URL", "TYPE", "REASON"}}
			for _, r := range all {
				table.Row(term.Text(strconv.FormatInt(r.ID, 10)), term.Text(r.Name), health(r.Status), term.Text(r.URL), term.Text(r.Type), term.Text(r.StatusReason))
			}
			return table.Write(a.screen)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func health(status string) term.Cell {
	cell := term.Cell{Text: status, Style: term.Good}
	if status != "healthy" {
		cell.Style = term.Bad
	}
	return cell
}

func (a *app) registryView(s *serverFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "view REGISTRY",
		Aliases:           []string{"get", "show"},
		Short:             "Show one registry",
		Example:           "  lighterage registry view cluster1\n  lighterage registry view 3 --output json",
		Args:              takes("REGISTRY"),
		ValidArgsFunction: a.completeRegistry(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			r, err := c.registry(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, r)
			}
			return a.showRegistry(r)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (a *app) showRegistry(r gen.Registry) error {
	access, checked := "", ""
	if r.Credential != nil {
		access = r.Credential.AccessKey
	}
	if r.CheckedTime != nil {
		checked = clock(*r.CheckedTime)
	}
	verified := "verified by the system's authorities"
	switch {
	case r.CaCertificate != "":
		verified = "verified by its own CA certificate too"
	case r.Insecure:
		verified = "not verified"
	}
	if strings.HasPrefix(r.URL, "http://") {
		verified = ""
	}
	return a.screen.Fields([][2]string{
		{"id", strconv.FormatInt(r.ID, 10)},
		{"name", r.Name},
		{"description", r.Description},
		{"type", r.Type},
		{"url", r.URL},
		{"access id", access},
		{"certificate", verified},
		{"bandwidth", bandwidthText(&r.Speed)},
		{"status", r.Status},
		{"reason", r.StatusReason},
		{"checked", checked},
		{"created", clock(r.CreationTime)},
		{"updated", clock(r.UpdateTime)},
	}...)
}

func (a *app) registryDelete(s *serverFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "delete REGISTRY",
		Aliases:           []string{"rm"},
		Short:             "Remove a registry that no rule uses",
		Long:              "Remove a registry that no rule uses. What was replicated to it stays there.",
		Example:           "  lighterage registry delete cluster1",
		Args:              takes("REGISTRY"),
		ValidArgsFunction: a.completeRegistry(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			old, err := c.registry(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.DeleteRegistryWithResponse(cmd.Context(), old.ID)
			if err != nil {
				return c.check(err, nil, nil, "delete registry %s", old.Name)
			}
			err = c.check(nil, r.HTTPResponse, r.Body, "delete registry %s", old.Name)
			if r.HTTPResponse.StatusCode == http.StatusPreconditionFailed {
				return advise(err, "\"lighterage policy list\" shows the rules. Delete those that use it first.")
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Registry %s is removed\n", old.Name)
			return err
		},
	}
}

func (a *app) registryPing(s *serverFlags) *cobra.Command {
	var f registryFlags
	cmd := &cobra.Command{
		Use:   "ping REGISTRY | ping --url URL",
		Short: "Test whether the server reaches a registry and its credential is good",
		Long: `Have the server test a registry that is stored, or one that is described by flags
and is not stored.`,
		Example: `  lighterage registry ping cluster1
  lighterage registry ping --url https://registry.cluster1:5000 --insecure`,
		Args:              takes("[REGISTRY]"),
		ValidArgsFunction: a.completeRegistry(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (f.url != "") {
				return advise(usage("name a registry or say --url, one of them"), "Usage: %s", cmd.UseLine())
			}
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			var body gen.RegistryPing
			what, credential := f.url, false
			if len(args) == 1 {
				stored, err := c.registry(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				body.ID, what = &stored.ID, stored.Name
				credential = stored.Credential != nil && stored.Credential.AccessKey != ""
			} else {
				var described gen.Registry
				if err := a.fillRegistry(cmd, &f, &described); err != nil {
					return err
				}
				body = gen.RegistryPing{Type: &described.Type, URL: &described.URL, Insecure: &described.Insecure}
				if described.CaCertificate != "" {
					body.CaCertificate = &described.CaCertificate
				}
				if k := described.Credential; k != nil {
					credential = true
					body.CredentialType, body.AccessKey, body.AccessSecret = &k.Type, &k.AccessKey, &k.AccessSecret
				}
			}
			r, err := c.PingRegistryWithResponse(cmd.Context(), body)
			if err != nil {
				return c.check(err, nil, nil, "ping registry %s", what)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "ping registry %s", what); err != nil {
				if r.HTTPResponse.StatusCode == http.StatusBadRequest {
					return &failure{exitUnreachable, err, ""}
				}
				return err
			}
			result := "answers and takes the credential"
			if !credential {
				result = "answers; it has no credential here, so what needs one was not tried"
			}
			_, err = fmt.Fprintf(a.Stdout, "Registry %s %s\n", what, result)
			return err
		},
	}
	f.add(cmd)
	typeFlag(cmd, &f.kind)
	return cmd
}

// registries lists those whose name contains a text; "" is all.
func (c *api) registries(ctx context.Context, name string) ([]gen.Registry, error) {
	return pages(0, func(page, size *int64) (*[]gen.Registry, error) {
		r, err := c.ListRegistriesWithResponse(ctx, &gen.ListRegistriesParams{Name: name, Sort: "id", Page: page, PageSize: size})
		if err != nil {
			return nil, c.check(err, nil, nil, "list registries")
		}
		return r.JSON200, c.check(nil, r.HTTPResponse, r.Body, "list registries")
	})
}

func (c *api) getRegistry(ctx context.Context, id int64) (gen.Registry, error) {
	r, err := c.GetRegistryWithResponse(ctx, id)
	if err != nil {
		return gen.Registry{}, c.check(err, nil, nil, "get registry %d", id)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "get registry %d", id); err != nil {
		return gen.Registry{}, err
	}
	return *r.JSON200, nil
}

// registry finds a registry by name or id.
func (c *api) registry(ctx context.Context, nameOrID string) (gen.Registry, error) {
	return find(ctx, "registry", nameOrID, c.registries, c.getRegistry,
		func(r gen.Registry) (string, int64) { return r.Name, r.ID })
}

func (a *app) completeRegistry(s *serverFlags) cobra.CompletionFunc {
	return a.completeNames(s, func(ctx context.Context, c *api, prefix string) ([]string, error) {
		all, err := c.registries(ctx, prefix)
		var names []string
		for _, r := range all {
			names = append(names, r.Name+"\t"+r.URL)
		}
		return names, err
	})
}
