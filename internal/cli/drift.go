package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) driftCommand() *cobra.Command {
	var s serverFlags
	var output string
	var deep, repair bool
	cmd := &cobra.Command{
		Use:   "drift POLICY",
		Short: "Prove that the destinations of a rule are as it wants them",
		Long: `Compare the source of a rule with each of its destinations now, and show what is
missing, different or too much there. What somebody changed at a destination by hand is
found, and what no event ever told. Only HEAD requests are made; --deep reads each
manifest at the destination and looks for every blob too. --repair has just what is
found made good, and waits for that.

Exit codes: 0 in sync, 1 drift (or it could not be found out), 2 the command line is
wrong, 3 the server cannot be reached.`,
		Example: `  lighterage drift all-to-cluster1
  lighterage drift all-to-cluster1 --deep --repair
  lighterage drift all-to-cluster1 --output json`,
		Args:              takes("POLICY"),
		ValidArgsFunction: a.completePolicy(&s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(&s)
			if err != nil {
				return err
			}
			p, err := c.policy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			d, err := c.verifyDrift(cmd.Context(), p, deep)
			if err != nil {
				return err
			}
			if repair && d.Drift > 0 {
				if err := a.repair(cmd.Context(), c, p); err != nil {
					return err
				}
				if d, err = c.verifyDrift(cmd.Context(), p, deep); err != nil {
					return err
				}
			}
			if err := a.showDrift(p, d, output == "json"); err != nil {
				return err
			}
			if !d.InSync {
				return silent(exitFailed)
			}
			return nil
		},
	}
	s.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	cmd.Flags().BoolVar(&deep, "deep", false, "look for every blob, not only for every tag")
	cmd.Flags().BoolVar(&repair, "repair", false, "have what is found made good")
	return cmd
}

// driftPoll is how often it is asked whether a verification has ended.
const driftPoll = 300 * time.Millisecond

// verifyDrift has a rule verified, waits for the end of it and returns all that is drift.
func (c *api) verifyDrift(ctx context.Context, p gen.ReplicationPolicy, deep bool) (gen.ReplicationDrift, error) {
	r, err := c.VerifyReplicationDriftWithResponse(ctx, p.ID, &gen.VerifyReplicationDriftParams{Deep: deep})
	if err != nil {
		return gen.ReplicationDrift{}, c.check(err, nil, nil, "verify policy %s", p.Name)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "verify policy %s", p.Name); err != nil {
		return gen.ReplicationDrift{}, err
	}
	if r.JSON200 == nil {
		return gen.ReplicationDrift{}, fmt.Errorf("verify policy %s: %s cannot verify; it is not a Lighterage server", p.Name, c.url)
	}
	ticker := time.NewTicker(driftPoll)
	defer ticker.Stop()
	one := int64(1)
	for {
		d, err := c.driftPage(ctx, p, nil, &one) // as little as can be had: there may be much drift
		if err != nil {
			return d, err
		}
		if d.Check.Done >= r.JSON200.Number {
			return c.drift(ctx, p)
		}
		select {
		case <-ctx.Done():
			return d, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// drift reads how a rule stands, with all references that are drift.
func (c *api) drift(ctx context.Context, p gen.ReplicationPolicy) (gen.ReplicationDrift, error) {
	var d gen.ReplicationDrift
	items, err := pages(0, func(page, size *int64) (*[]gen.ReplicationDriftItem, error) {
		part, err := c.driftPage(ctx, p, page, size)
		if err != nil {
			return nil, err
		}
		d = part
		return &part.Items, nil
	})
	d.Items = items
	return d, err
}

func (c *api) driftPage(ctx context.Context, p gen.ReplicationPolicy, page, size *int64) (gen.ReplicationDrift, error) {
	r, err := c.GetReplicationDriftWithResponse(ctx, p.ID, &gen.GetReplicationDriftParams{DriftOnly: true, Page: page, PageSize: size})
	if err != nil {
		return gen.ReplicationDrift{}, c.check(err, nil, nil, "read drift of policy %s", p.Name)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "read drift of policy %s", p.Name); err != nil {
		return gen.ReplicationDrift{}, err
	}
	if r.JSON200 == nil {
		return gen.ReplicationDrift{}, fmt.Errorf("read drift of policy %s: %s has none; it is not a Lighterage server", p.Name, c.url)
	}
	return *r.JSON200, nil
}

// repair has drift made good and waits for the end of it.
func (a *app) repair(ctx context.Context, c *api, p gen.ReplicationPolicy) error {
	r, err := c.RepairReplicationDriftWithResponse(ctx, p.ID)
	if err != nil {
		return c.check(err, nil, nil, "repair policy %s", p.Name)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "repair policy %s", p.Name); err != nil {
		return err
	}
	if r.JSON200.ExecutionID == 0 {
		fmt.Fprintln(a.Stderr, "The rule has nothing that could be repaired: it does not override, or the other side could not be asked.")
		return nil
	}
	fmt.Fprintf(a.Stderr, "Execution %d repairs %s\n", r.JSON200.ExecutionID, term.Count(int(r.JSON200.Items), "artifact"))
	ticker := time.NewTicker(driftPoll)
	defer ticker.Stop()
	for {
		e, err := c.GetReplicationExecutionWithResponse(ctx, r.JSON200.ExecutionID)
		if err != nil {
			return c.check(err, nil, nil, "get execution %d", r.JSON200.ExecutionID)
		}
		if err := c.check(nil, e.HTTPResponse, e.Body, "get execution %d", r.JSON200.ExecutionID); err != nil {
			return err
		}
		if e.JSON200.Status != "InProgress" {
			return nil // how it stands then is what the next verification tells
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func (a *app) showDrift(p gen.ReplicationPolicy, d gen.ReplicationDrift, asJSON bool) error {
	if asJSON {
		return writeJSON(a.Stdout, d)
	}
	names := map[int64]string{}
	for i, r := range append([]gen.Registry{*p.DestRegistry}, p.MoreDestRegistries...) {
		names[r.ID] = destinationNames(p)[i]
	}
	for _, i := range d.Items {
		line := fmt.Sprintf("%s  %s at %s", a.screen.Paint(driftStyle(i.State), fmt.Sprintf("%-12s", i.State)),
			term.Safe(reference(i.DstRepository, i.Reference)), term.Safe(names[i.RegistryID]))
		if i.Reason != "" {
			line += "  " + a.screen.Paint(term.Faint, "("+term.Safe(i.Reason)+")")
		}
		if _, err := fmt.Fprintln(a.Stdout, line); err != nil {
			return err
		}
	}
	counts := map[string]int64{}
	for _, c := range d.Counts {
		counts[c.State] += c.Count
	}
	var parts []string
	for _, state := range []string{"in_sync", "missing", "different", "extra", "not_verified"} {
		if counts[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[state], strings.ReplaceAll(state, "_", " ")))
		}
	}
	if parts == nil {
		parts = []string{"nothing matches the rule"}
	}
	word := "In sync"
	if !d.InSync {
		word = "Drift"
	}
	text := word + ": " + strings.Join(parts, ", ")
	if d.Waiting > 0 {
		text += fmt.Sprintf("; %s not done yet", term.Count(int(d.Waiting), "task"))
	}
	if _, err := fmt.Fprintln(a.Stdout, text); err != nil {
		return err
	}
	if d.Check.Error != "" {
		fmt.Fprintln(a.Stderr, term.Safe(d.Check.Error))
	}
	return nil
}

func driftStyle(state string) term.Style {
	switch state {
	case "missing", "not_verified":
		return term.Bad
	case "different", "extra":
		return term.Note
	}
	return term.Plain
}
