package cli

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) harborCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:   "harbor",
		Short: "The Harbor that is home: how it is, and its webhooks",
		Long: `A server that runs with "serve --home URL" replicates what is pushed to a Harbor.
"attach" has the Harbor tell it of pushes and deletions at once.`,
		Example: `  lighterage harbor status
  lighterage harbor attach`,
	}
	s.add(cmd)
	cmd.AddCommand(a.harborStatus(&s), a.harborAttach(&s), a.harborDetach(&s))
	return a.family(cmd)
}

func (a *app) harborStatus(s *serverFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the Harbor is, and what the server's account may not do",
		Long: `Show whether the Harbor answers, which projects send their webhooks to the server,
and which permissions its account there lacks. The exit code is 1 when the Harbor
does not answer.`,
		Example: "  lighterage harbor status",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			r, err := c.GetHarborHomeWithResponse(cmd.Context())
			if err != nil {
				return c.check(err, nil, nil, "look at home")
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "look at home"); err != nil {
				return err
			}
			if output == "json" {
				err = writeJSON(a.Stdout, r.JSON200)
			} else {
				err = a.showHarbor(*r.JSON200)
			}
			if err == nil && !r.JSON200.Healthy {
				err = silent(exitFailed)
			}
			return err
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (a *app) showHarbor(h gen.HarborHome) error {
	health := "healthy"
	if !h.Healthy {
		health = "unhealthy: " + h.Reason
	}
	webhooks := "none; have them sent with: lighterage harbor attach"
	if h.Attachment != nil {
		webhooks = "of all projects"
		if p := h.Attachment.Projects; len(p) > 0 {
			webhooks = "of " + strings.Join(p, ", ")
		}
		webhooks += ", to " + h.Attachment.Address
	}
	fields := [][2]string{{"Home", h.URL}, {"Status", health}, {"Webhooks", webhooks}}
	for _, l := range h.Lacks {
		of := "the system"
		if len(l.Projects) > 0 {
			of = strings.Join(l.Projects, ", ")
		}
		fields = append(fields, [2]string{"Missing", fmt.Sprintf("%q of %s: %s", l.Permission, of, l.Need)})
	}
	return a.screen.Fields(fields...)
}

// attachFlags are those of attach and detach.
type attachFlags struct {
	address, output         string
	cloudEvents, skipVerify bool
}

func (a *app) harborAttach(s *serverFlags) *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use:   "attach [PROJECT...]",
		Short: "Have projects of the Harbor send their webhooks to the server",
		Long: `Make a webhook policy in each project of the Harbor, or in those that a pattern
matches, so that the server learns of pushes and deletions at once. What is as it
should be is left alone, so the command can be run again. The server keeps at it:
projects that are made later get the policy within a few minutes.

The Harbor must reach the server at --address, by default its external URL.`,
		Example: `  lighterage harbor attach
  lighterage harbor attach library 'team-*' --address https://lighterage.example.com/webhook/harbor`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			r, err := c.AttachHarborHomeWithResponse(cmd.Context(), f.body(args))
			if err != nil {
				return c.check(err, nil, nil, "attach")
			}
			return a.showAttached(c, f, r.HTTPResponse, r.Body, r.JSON200, "attach")
		},
	}
	cmd.Flags().StringVar(&f.address, "address", "", "where the Harbor reaches the server: http(s)://HOST[:PORT]/webhook/harbor")
	cmd.Flags().BoolVar(&f.cloudEvents, "cloud-events", false, "webhooks in the format CloudEvents, for what else reads them (Harbor 2.8 and later)")
	cmd.Flags().BoolVar(&f.skipVerify, "skip-cert-verify", false, "the Harbor does not verify the server's certificate")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func (a *app) harborDetach(s *serverFlags) *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use:   "detach [PROJECT...]",
		Short: "Remove the server's webhook policies from projects of the Harbor",
		Long: `Remove the webhook policies that "attach" has made, from all projects or from those
that a pattern matches. Other policies are left alone. Without patterns the server
makes none any more either; with them "attach" for the others must be run again.`,
		Example: "  lighterage harbor detach",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			r, err := c.DetachHarborHomeWithResponse(cmd.Context(), f.body(args))
			if err != nil {
				return c.check(err, nil, nil, "detach")
			}
			return a.showAttached(c, f, r.HTTPResponse, r.Body, r.JSON200, "detach")
		},
	}
	cmd.Flags().StringVar(&f.address, "address", "", "where the policies send to, if that is not where attach was told")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func (f attachFlags) body(projects []string) gen.HarborAttachment {
	return gen.HarborAttachment{Projects: projects, Address: f.address, CloudEvents: f.cloudEvents, SkipCertVerify: f.skipVerify}
}

// showAttached tells what was done in each project. A project in which it failed makes
// the command fail.
func (a *app) showAttached(c *api, f attachFlags, response *http.Response, body []byte, done *[]gen.HarborAttached, op string) error {
	if err := c.check(nil, response, body, "%s", op); err != nil {
		return err
	}
	failed := 0
	table := term.Table{Header: []string{"PROJECT", "WEBHOOK", "REASON"}}
	for _, d := range *done {
		if d.Action == "failed" {
			failed++
		}
		table.Row(term.Text(d.Project), term.Text(d.Action), term.Text(d.Reason))
	}
	var err error
	switch {
	case f.output == "json":
		err = writeJSON(a.Stdout, done)
	case table.Len() == 0:
		_, err = fmt.Fprintln(a.Stdout, "No project matches")
	default:
		err = table.Write(a.screen)
	}
	switch {
	case err != nil:
		return err
	case failed > 0:
		return silent(exitFailed)
	case table.Len() == 0:
		return silent(exitNothing)
	}
	return nil
}
