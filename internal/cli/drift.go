package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/replication"
)

func (a *app) driftCommand() *cobra.Command {
	var s serverFlags
	var output string
	var deep, repair bool
	f := replicateFlags{override: true, source: endFlags{end: "src"}, destination: endFlags{end: "dest"}}
	cmd := &cobra.Command{
		Use:   "drift {POLICY | SRC DST}",
		Short: "Prove that the destinations of a rule, or a registry, are as they should be",
		Long: `Compare a source with its destination now, and show what is missing or different
there. What somebody changed at a destination by hand is found, and what no event
ever told. Only HEAD requests are made; --deep reads each manifest at the destination
and looks for every blob too.

  drift POLICY   has a server verify one of its rules. It also knows what the rule has
                 put at the destination and has no reason for any more (extra).
                 --repair has just what is found made good, and waits for that.
  drift SRC DST  compares two registries without a server and without a rule. SRC,
                 DST and the flags are those of replicate, which makes good what is
                 found. Nothing is changed.

Exit codes:
  0    all is in sync
  1    there is drift: something is missing, different or extra
  2    the command line or its input is wrong; nothing was done
  3    a registry or the server cannot be reached, or refuses the credential
  4    nothing matched at SRC, so nothing was compared (--allow-empty makes it 0)
  5    it could not be found out: a listing is not complete, something could not be
       verified, or a request failed; also when there is drift beside that
  130  interrupted`,
		Example: `  lighterage drift all-to-cluster1
  lighterage drift all-to-cluster1 --deep --repair
  lighterage drift all-to-cluster1 --output json

  # without a server
  lighterage drift 'harbor.example.com/library/**' registry.cluster1:5000
  lighterage drift 'harbor.example.com/apps/**:v*' registry.cluster1:5000/mirror --deep --output json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return advise(usage("POLICY is missing, or SRC and DST"), "Usage: %s", cmd.UseLine())
			}
			return takes("POLICY or SRC", "[DST]")(cmd, args)
		},
		ValidArgsFunction: a.completePolicy(&s),
	}
	s.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	cmd.Flags().BoolVar(&deep, "deep", false, "look for every blob, not only for every tag")
	ofPolicy := pflag.NewFlagSet("", pflag.ContinueOnError)
	ofPolicy.BoolVar(&repair, "repair", false, "have what is found made good (with POLICY)")
	ofRegistries := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.addRoute(ofRegistries)
	cmd.Flags().AddFlagSet(ofPolicy)
	cmd.Flags().AddFlagSet(ofRegistries)
	completeRoute(cmd)
	ofPolicy.AddFlagSet(cmd.PersistentFlags()) // which server
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.output = output
		if len(args) == 2 {
			if err := without(ofPolicy, "drift SRC DST"); err != nil {
				return err
			}
			return a.driftBetween(cmd.Context(), args[0], args[1], f, deep)
		}
		if err := without(ofRegistries, "drift POLICY"); err != nil {
			return err
		}
		return a.driftOfPolicy(cmd.Context(), &s, args[0], output == "json", deep, repair)
	}
	return cmd
}

// without refuses flags that another form of a command has.
func without(flags *pflag.FlagSet, form string) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed && err == nil {
			err = usage("%s has no --%s", form, f.Name)
		}
	})
	return err
}

// undecided keeps apart what could not be found out from drift that was found.
func undecided(err error) error {
	if err == nil || exitCode(err) != exitFailed {
		return err
	}
	advice := ""
	if f, ok := errors.AsType[*failure](err); ok {
		advice = f.advice
	}
	return &failure{exitUnknown, err, advice}
}

// verdict is how drift ends. What could not be found out weighs more than what was.
func verdict(d gen.ReplicationDrift) error {
	unknown := d.Check.Error != ""
	for _, c := range d.Counts {
		unknown = unknown || c.State == string(replication.NotVerified) && c.Count > 0
	}
	switch {
	case unknown:
		return silent(exitUnknown)
	case d.Drift > 0:
		return silent(exitFailed)
	case !d.InSync: // the rule was changed while it was verified
		return silent(exitUnknown)
	}
	return nil
}

// driftOfPolicy has a server verify a rule.
func (a *app) driftOfPolicy(ctx context.Context, s *serverFlags, policy string, asJSON, deep, repair bool) error {
	c, err := a.connect(s)
	if err != nil {
		return err
	}
	p, err := c.policy(ctx, policy)
	if err != nil {
		return undecided(err)
	}
	d, err := c.verifyDrift(ctx, p, deep)
	if err != nil {
		return undecided(err)
	}
	if repair && d.Drift > 0 {
		if err := a.repair(ctx, c, p); err != nil {
			return undecided(err)
		}
		if d, err = c.verifyDrift(ctx, p, deep); err != nil {
			return undecided(err)
		}
	}
	if err := a.showDrift(p, d, asJSON); err != nil {
		return undecided(err)
	}
	return verdict(d)
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
		if _, err := fmt.Fprintln(a.Stdout, a.driftLine(i, names[i.RegistryID])); err != nil {
			return err
		}
	}
	text := driftSummary(d)
	if d.Waiting > 0 {
		text += fmt.Sprintf("; %s not done yet", term.Count(int(d.Waiting), "task"))
	}
	if at := clock(d.Check.EndTime); at != "" {
		text += "; verified at " + at
	}
	if _, err := fmt.Fprintln(a.Stdout, text); err != nil {
		return err
	}
	if d.Check.Error != "" {
		fmt.Fprintln(a.Stderr, term.Safe(d.Check.Error))
	}
	return nil
}

// driftLine is one artifact, or a repository that could not be compared at all.
func (a *app) driftLine(i gen.ReplicationDriftItem, destination string) string {
	name := cmp.Or(i.DstRepository, i.SrcRepository)
	if i.Reference != "" {
		name = reference(name, i.Reference)
	}
	line := fmt.Sprintf("%s  %s at %s", a.screen.Paint(driftStyle(i.State), fmt.Sprintf("%-12s", i.State)), term.Safe(name), term.Safe(destination))
	if i.Reason != "" {
		line += "  " + a.screen.Paint(term.Faint, "("+term.Safe(i.Reason)+")")
	}
	return line
}

// driftSummary is the sum, in one line.
func driftSummary(d gen.ReplicationDrift) string {
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
	word, nothing := "Drift", "nothing matches"
	switch exitCode(verdict(d)) {
	case exitOK:
		word = "In sync"
	case exitUnknown:
		word, nothing = "Could not be found out", "nothing was compared"
	}
	return word + ": " + cmp.Or(strings.Join(parts, ", "), nothing)
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
