package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/notification"
)

// notificationFlags describe a notification on the command line.
type notificationFlags struct {
	description, url, format, caFile string
	events, policies                 []string
	secretStdin, insecure, enabled   bool
}

func (f *notificationFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.format = string(notification.Default)
	flags.StringVar(&f.description, "description", "", "what it is for")
	flags.StringVar(&f.url, "url", "", "where the requests go: http(s)://host[:port]/path")
	flags.BoolVar(&f.secretStdin, "auth-header-stdin", false, `read the value of the header Authorization from standard input, such as "Bearer abc" (or set LIGHTERAGE_AUTH_HEADER)`)
	flags.Var(&choice{&f.format, []string{string(notification.Default), string(notification.CloudEvents)}}, "format", "Default (as Harbor's webhooks) or CloudEvents")
	flags.StringSliceVar(&f.events, "events", []string{string(notification.Changed)}, "finished: each execution; failed: those that failed; changed: a rule fails somewhere, or works there again; held: deletions wait to be released")
	flags.StringSliceVar(&f.policies, "policy", nil, "rules that it is about (default all)")
	flags.BoolVar(&f.insecure, "insecure", false, "do not verify the certificate")
	flags.StringVar(&f.caFile, "ca-file", "", "PEM file of the authority that signed the certificate")
	flags.BoolVar(&f.enabled, "enabled", true, "tell what happens")
	complete(cmd, "format", string(notification.Default), string(notification.CloudEvents))
	complete(cmd, "events", string(notification.Finished), string(notification.Failed), string(notification.Changed))
	_ = cmd.MarkFlagFilename("ca-file") // fails for unknown flags only
}

func (a *app) notificationCreate(s *serverFlags) *cobra.Command {
	var f notificationFlags
	cmd := &cobra.Command{
		Use:   "create NAME --url URL",
		Short: "Tell somebody",
		Long: `Have an address told what happens from now on. Without --events it is told only
when a rule fails at a destination, and when it works there again.`,
		Example: `  lighterage notification create ops --url https://hooks.example.com/x
  echo "Bearer $TOKEN" | lighterage notification create ci --url https://ci.example.com/hook \
    --auth-header-stdin --events finished --format CloudEvents --policy releases`,
		Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.url == "" {
				return advise(usage("--url is missing: where do the requests go?"), "Usage: %s", cmd.UseLine())
			}
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			n := gen.Notification{Name: args[0]}
			if err := a.fillNotification(cmd, c, &f, &n, true); err != nil {
				return err
			}
			r, err := c.CreateNotificationWithResponse(cmd.Context(), n)
			if err != nil {
				return c.check(err, nil, nil, "create notification %s", n.Name)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "create notification %s", n.Name); err != nil {
				return err
			}
			id, err := created(r.HTTPResponse)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Stdout, "Notification %s is made with id %d\n", n.Name, id)
			fmt.Fprintf(a.Stderr, "Try it with: lighterage notification test %s\n", quoted(n.Name))
			return nil
		},
	}
	f.add(cmd)
	a.completePolicyFlag(s, cmd)
	return cmd
}

func (a *app) completePolicyFlag(s *serverFlags, cmd *cobra.Command) {
	names := a.completePolicy(s)
	err := cmd.RegisterFlagCompletionFunc("policy", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return names(cmd, nil, prefix)
	})
	if err != nil {
		panic(err) // the flag does not exist: a mistake in this package
	}
}

func (a *app) notificationUpdate(s *serverFlags) *cobra.Command {
	var f notificationFlags
	var name string
	cmd := &cobra.Command{
		Use:   "update NOTIFICATION",
		Short: "Change who is told what",
		Long: `Change what the flags say and leave the rest. A URL of another host needs the
secret anew: it is never sent to a host that it was not given for.`,
		Example:           "  lighterage notification update ops --events failed,changed --enabled=false",
		Args:              takes("NOTIFICATION"),
		ValidArgsFunction: a.completeNotification(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().NFlag() == 0 {
				return advise(usage("nothing to change"), "See: %s --help", cmd.CommandPath())
			}
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			n, err := c.notification(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			n.AuthHeader = nil
			if err := a.fillNotification(cmd, c, &f, &n, false); err != nil {
				return err
			}
			if cmd.Flags().Changed("name") {
				n.Name = name
			}
			r, err := c.UpdateNotificationWithResponse(cmd.Context(), n.ID, n)
			if err != nil {
				return c.check(err, nil, nil, "update notification %s", n.Name)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "update notification %s", n.Name); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Notification %s is changed\n", n.Name)
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "a new name")
	a.completePolicyFlag(s, cmd)
	return cmd
}

// fillNotification puts flags into a notification: all of them into a fresh one, else
// those that were given.
func (a *app) fillNotification(cmd *cobra.Command, c *api, f *notificationFlags, n *gen.Notification, fresh bool) error {
	given := func(flag string) bool { return fresh || cmd.Flags().Changed(flag) }
	if given("description") {
		n.Description = f.description
	}
	if given("url") {
		n.URL = f.url
	}
	if given("format") {
		n.PayloadFormat = f.format
	}
	if given("events") {
		n.Events = f.events
	}
	if given("insecure") {
		n.SkipCertVerify = f.insecure
	}
	if given("enabled") {
		n.Enabled = f.enabled
	}
	if given("ca-file") {
		n.CaCertificate = "" // --ca-file "" takes the certificate away
		if f.caFile != "" {
			pem, err := readFile("--ca-file", f.caFile)
			if err != nil {
				return err
			}
			n.CaCertificate = pem
		}
	}
	if given("policy") {
		n.PolicyIds = nil
		for _, name := range f.policies {
			p, err := c.policy(cmd.Context(), name)
			if err != nil {
				return err
			}
			n.PolicyIds = append(n.PolicyIds, p.ID)
		}
	}
	secret := a.Getenv("LIGHTERAGE_AUTH_HEADER")
	if f.secretStdin {
		var err error
		if secret, err = a.secretFromStdin("--auth-header-stdin"); err != nil {
			return err
		}
	}
	if secret != "" {
		n.AuthHeader = &secret
	}
	return nil
}
