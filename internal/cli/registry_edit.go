package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
)

// registryFlags describe a registry on the command line.
type registryFlags struct {
	kind, url, description, accessID, caFile, file string
	secretStdin, insecure                          bool
	bandwidth                                      speed
}

// bandwidthFlag asks for what is not looked at when a registry is tested.
func (f *registryFlags) bandwidthFlag(cmd *cobra.Command) {
	cmd.Flags().Var(&f.bandwidth, "bandwidth", "most bytes a second that all rules together read from it and write to it, such as 50M (default no limit, as is 0)")
}

func (f *registryFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", "", "where the registry is: http(s)://host[:port]")
	flags.StringVar(&f.description, "description", "", "what it is for")
	flags.StringVar(&f.accessID, "access-id", "", "user, robot account or access key at the registry")
	flags.BoolVar(&f.secretStdin, "access-secret-stdin", false, "read its password from standard input (or set LIGHTERAGE_ACCESS_SECRET)")
	flags.BoolVar(&f.insecure, "insecure", false, "do not verify the registry's certificate")
	flags.StringVar(&f.caFile, "ca-file", "", "PEM file of the authority that signed the registry's certificate")
	_ = cmd.MarkFlagFilename("ca-file") // fails for unknown flags only
}

// typeFlag asks for the provider type. The server knows which there are.
func typeFlag(cmd *cobra.Command, kind *string) {
	cmd.Flags().StringVar(kind, "type", registry.ProviderDockerRegistry,
		"what it is: docker-registry (any OCI registry) or one of\n"+wrap(registry.ProviderTypes(), 60))
	complete(cmd, "type", registry.ProviderTypes()...)
}

// wrap joins words with commas, in lines of about so many characters.
func wrap(words []string, width int) string {
	var b strings.Builder
	line := 0
	for i, word := range words {
		if i > 0 {
			b.WriteString(",")
			if line += len(word) + 2; line > width {
				b.WriteString("\n")
				line = len(word)
			} else {
				b.WriteString(" ")
			}
		}
		b.WriteString(word)
	}
	return b.String()
}

// accessSecret returns the access secret if one was given.
func (a *app) accessSecret(f *registryFlags) (string, error) {
	if f.secretStdin {
		return a.secretFromStdin("--access-secret-stdin")
	}
	return a.Getenv("LIGHTERAGE_ACCESS_SECRET"), nil
}

func (a *app) registryCreate(s *serverFlags) *cobra.Command {
	var f registryFlags
	var output string
	cmd := &cobra.Command{
		Use:   "create NAME --url URL | create -f FILE",
		Short: "Add a registry",
		Long: `Add a registry. It is tested, and added even if it does not answer now: its
status says why. A file has the API's form in JSON or YAML; flags beside it win.`,
		Example: `  lighterage registry create cluster1 --url http://registry.cluster1:5000
  echo "$PASSWORD" | lighterage registry create prod --type harbor \
    --url https://harbor.prod --access-id 'robot$sync' --access-secret-stdin
  lighterage registry create -f cluster1.yaml`,
		Args: takes("[NAME]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := gen.Registry{Type: f.kind}
			if f.file != "" {
				if err := a.readBody(f.file, &body); err != nil {
					return err
				}
			}
			if len(args) == 1 {
				body.Name = args[0]
			}
			if err := a.fillRegistry(cmd, &f, &body); err != nil {
				return err
			}
			switch {
			case body.Name == "":
				return advise(usage("NAME is missing"), "Usage: %s", cmd.UseLine())
			case body.URL == "":
				return advise(usage("--url is missing: where is the registry %s?", body.Name), "Usage: %s", cmd.UseLine())
			}
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			return a.createRegistry(cmd.Context(), c, body, output == "json")
		},
	}
	f.add(cmd)
	f.bandwidthFlag(cmd)
	typeFlag(cmd, &f.kind)
	outputFlag(cmd, &output, "text", "json")
	fileFlag(cmd, &f.file)
	return cmd
}

// fillRegistry puts the flags that were given into a registry.
func (a *app) fillRegistry(cmd *cobra.Command, f *registryFlags, body *gen.Registry) error {
	given := cmd.Flags().Changed
	if given("type") || body.Type == "" {
		body.Type = f.kind
	}
	if given("url") {
		body.URL = f.url
	}
	if given("description") {
		body.Description = f.description
	}
	if given("insecure") {
		body.Insecure = f.insecure
	}
	if given("bandwidth") {
		body.Speed = f.bandwidth.kilobits
	}
	if f.caFile != "" {
		pem, err := readFile("--ca-file", f.caFile)
		if err != nil {
			return err
		}
		body.CaCertificate = pem
	}
	secret, err := a.accessSecret(f)
	if err != nil {
		return err
	}
	if k := body.Credential; k != nil && k.AccessSecret == replication.MaskedSecret && secret == "" {
		return usage("the file has a masked password (%s): give the real one with --access-secret-stdin", k.AccessSecret)
	}
	if f.accessID == "" && secret == "" {
		return nil
	}
	if body.Credential == nil {
		body.Credential = &gen.RegistryCredential{Type: "basic"}
	}
	if f.accessID != "" {
		body.Credential.AccessKey = f.accessID
	}
	if secret != "" {
		body.Credential.AccessSecret = secret
	}
	if body.Credential.AccessKey == "" {
		return usage("there is a password but no --access-id")
	}
	return nil
}

func (a *app) createRegistry(ctx context.Context, c *api, body gen.Registry, asJSON bool) error {
	r, err := c.CreateRegistryWithResponse(ctx, body)
	if err != nil {
		return c.check(err, nil, nil, "create registry %s", body.Name)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "create registry %s", body.Name); err != nil {
		return err
	}
	id, err := created(r.HTTPResponse)
	if err != nil {
		return err
	}
	now, err := c.getRegistry(ctx, id)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(a.Stdout, now)
	} else {
		_, err = fmt.Fprintf(a.Stdout, "Registry %s is added with id %d\n", now.Name, now.ID)
	}
	a.warnUnhealthy(now)
	return err
}

// warnUnhealthy says that a registry that was stored does not work now.
func (a *app) warnUnhealthy(r gen.Registry) {
	if r.Status != "healthy" {
		fmt.Fprintf(a.Stderr, "It does not work now: %s\n", term.Safe(r.StatusReason))
	}
}

func (a *app) registryUpdate(s *serverFlags) *cobra.Command {
	var f registryFlags
	var name string
	cmd := &cobra.Command{
		Use:   "update REGISTRY",
		Short: "Change a registry",
		Long: `Change what the flags say and leave the rest. A new URL without a new password
drops the stored one, so that it is never sent to an address it was not given for.`,
		Example: `  lighterage registry update cluster1 --url https://registry.cluster1
  echo "$PASSWORD" | lighterage registry update cluster1 --access-secret-stdin`,
		Args:              takes("REGISTRY"),
		ValidArgsFunction: a.completeRegistry(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := a.registryUpdateBody(cmd, &f, name)
			if err != nil {
				return err
			}
			if body == (gen.RegistryUpdate{}) {
				return advise(usage("nothing to change"), "See: %s --help", cmd.CommandPath())
			}
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			old, err := c.registry(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.UpdateRegistryWithResponse(cmd.Context(), old.ID, body)
			if err != nil {
				return c.check(err, nil, nil, "update registry %s", old.Name)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "update registry %s", old.Name); err != nil {
				return err
			}
			now, err := c.getRegistry(cmd.Context(), old.ID)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Stdout, "Registry %s is changed\n", now.Name)
			if body.URL != nil && now.URL != old.URL && body.AccessSecret == nil && old.Credential != nil {
				fmt.Fprintln(a.Stderr, "Its password was dropped because the URL changed. Set it with --access-secret-stdin.")
			}
			a.warnUnhealthy(now)
			return nil
		},
	}
	f.add(cmd)
	f.bandwidthFlag(cmd)
	cmd.Flags().StringVar(&name, "name", "", "a new name")
	return cmd
}

func (a *app) registryUpdateBody(cmd *cobra.Command, f *registryFlags, name string) (gen.RegistryUpdate, error) {
	var body gen.RegistryUpdate
	text := func(flag, value string) *string {
		if cmd.Flags().Changed(flag) {
			return &value
		}
		return nil
	}
	body.Name, body.URL, body.Description, body.AccessKey = text("name", name), text("url", f.url), text("description", f.description), text("access-id", f.accessID)
	if cmd.Flags().Changed("insecure") {
		body.Insecure = &f.insecure
	}
	if cmd.Flags().Changed("bandwidth") {
		body.Speed = &f.bandwidth.kilobits
	}
	if cmd.Flags().Changed("ca-file") {
		pem := "" // --ca-file "" takes the certificate away
		if f.caFile != "" {
			var err error
			if pem, err = readFile("--ca-file", f.caFile); err != nil {
				return body, err
			}
		}
		body.CaCertificate = &pem
	}
	secret, err := a.accessSecret(f)
	if err != nil {
		return body, err
	}
	if secret != "" {
		body.AccessSecret = &secret
	}
	return body, nil
}
