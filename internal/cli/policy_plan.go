package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/replication"
)

func (a *app) policyPlan(s *serverFlags) *cobra.Command {
	var output string
	var verbose, allowEmpty bool
	cmd := &cobra.Command{
		Use:   "plan POLICY",
		Short: "Show what running a rule now would do",
		Long: `Show what running a rule now would do, and change nothing: what would be copied,
overwritten, skipped because it is there already, or left alone because something
else is there and the rule does not override. A rule that is disabled can be
planned too.

` + exitCodes,
		Example: `  lighterage policy plan releases
  lighterage policy plan releases --verbose
  lighterage policy plan releases --output json`,
		Args:              takes("POLICY"),
		ValidArgsFunction: a.completePolicy(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			p, err := c.policy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.PlanReplicationPolicyWithResponse(cmd.Context(), p.ID)
			if err != nil {
				return c.check(err, nil, nil, "plan policy %s", p.Name)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "plan policy %s", p.Name); err != nil {
				return err
			}
			if r.JSON200 == nil {
				return fmt.Errorf("plan policy %s: %s cannot plan; it is not a Lighterage server", p.Name, c.url)
			}
			if filterText(p.Filters) == "everything" && p.Select == nil {
				fmt.Fprintln(a.Stderr, a.screen.Paint(term.Note, "NO FILTER IS SET: the rule takes EVERYTHING that the source has."))
			}
			return a.showPlan(*r.JSON200, output == "json", verbose, allowEmpty)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show what would be skipped too")
	cmd.Flags().BoolVar(&allowEmpty, "allow-empty", false, "that nothing matches is fine")
	return cmd
}

func (a *app) showPlan(plan gen.ReplicationPlan, asJSON, verbose, allowEmpty bool) error {
	var t tally
	lines := planLines{screen: a.screen, verbose: verbose}
	for _, repository := range plan.Repositories {
		known := fromAPI(repository)
		t.add(known)
		if asJSON {
			continue
		}
		if err := lines.write(a.Stdout, known); err != nil {
			return err
		}
	}
	if asJSON {
		if err := writeJSON(a.Stdout, plan); err != nil {
			return err
		}
	} else if err := t.planned(a.Stdout, true); err != nil {
		return err
	}
	switch {
	case t.failed > 0:
		return silent(exitFailed)
	case t.repositories == 0 && !allowEmpty:
		fmt.Fprintln(a.Stderr, "Nothing matched: the source has nothing that the rule's filters want.")
		return silent(exitNothing)
	}
	return nil
}

// fromAPI brings a plan that came over the wire into the form of one made here.
func fromAPI(r gen.ReplicationRepositoryPlan) replication.RepositoryPlan {
	plan := replication.RepositoryPlan{SourceRepository: r.SrcRepository, DestinationRepository: r.DstRepository, ResourceType: r.ResourceType}
	if r.Error != "" {
		plan.Err = errors.New(r.Error)
	}
	for _, i := range r.Items {
		plan.Items = append(plan.Items, replication.Item{
			Reference: i.Reference, Digest: i.Digest, Size: i.Size, Reason: i.Reason,
			Action: replication.Action(i.Action), Outcome: replication.Outcome(i.Outcome), BytesSent: i.BytesSent,
		})
	}
	return plan
}
