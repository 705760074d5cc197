package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) executionRelease(s *serverFlags) *cobra.Command {
	var w waiting
	var wait bool
	cmd := &cobra.Command{
		Use:   "release EXECUTION",
		Short: "Let an execution that is held make its deletions",
		Long: `Let an execution that is held make the deletions that it lists, and no others. What
the source has again is not deleted, nor what somebody else has put in its place. With
--wait the command follows the execution to its end, and the exit code tells how that
was.`,
		Example: `  lighterage execution view 7        # what is to be deleted
  lighterage execution release 7 --wait`,
		Args: takes("EXECUTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.connectTo(s, "EXECUTION", args[0])
			if err != nil {
				return err
			}
			r, err := c.ReleaseReplicationWithResponse(cmd.Context(), id)
			if err != nil {
				return c.check(err, nil, nil, "release execution %d", id)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "release execution %d", id); err != nil {
				return err
			}
			if wait {
				return a.watch(cmd.Context(), c, id, w, false)
			}
			_, err = fmt.Fprintf(a.Stdout, "Execution %d is released. Follow it with: lighterage execution watch %d\n", id, id)
			return err
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "follow it to its end")
	w.add(cmd)
	return cmd
}

func (a *app) executionDiscard(s *serverFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "discard EXECUTION",
		Short: "Keep what an execution that is held would delete",
		Long: `Drop the deletions that an execution that is held lists. What it lists stays at its
destinations, and nobody is asked about it again, until the rule puts something else
there.`,
		Example: "  lighterage execution discard 7",
		Args:    takes("EXECUTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.connectTo(s, "EXECUTION", args[0])
			if err != nil {
				return err
			}
			e, err := c.execution(cmd.Context(), id)
			if err != nil {
				return err
			}
			if e.Hold == "" {
				return advise(fmt.Errorf("execution %d is not held", id), "Stop it, if it is in progress, with: lighterage execution stop %d", id)
			}
			r, err := c.StopReplicationWithResponse(cmd.Context(), id)
			if err != nil {
				return c.check(err, nil, nil, "discard execution %d", id)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "discard execution %d", id); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Execution %d is discarded; nothing is deleted\n", id)
			return err
		},
	}
}

// showHeld lists what an execution would do, and says how to have it done.
func (a *app) showHeld(ctx context.Context, c *api, e gen.ReplicationExecution) error {
	tasks, err := c.tasks(ctx, e.ID, "")
	if err != nil {
		return err
	}
	registries, err := c.registries(ctx, "")
	if err != nil {
		return err
	}
	names := map[int64]string{0: "home"}
	for _, r := range registries {
		names[r.ID] = r.Name
	}
	if _, err := fmt.Fprintln(a.Stdout); err != nil {
		return err
	}
	for _, t := range tasks {
		for _, item := range t.Items {
			_, err := fmt.Fprintf(a.Stdout, "%s  %s at %s  %s\n", a.screen.Paint(term.Bad, item.Action),
				term.Safe(reference(repositoryOf(t.DstResource), item.Reference)), term.Safe(names[t.DestRegistryID]),
				a.screen.Paint(term.Faint, "("+shortReference(item.Digest)+")"))
			if err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(a.Stderr, "Have it done with: lighterage execution release %d, or keep what it lists with: lighterage execution discard %d\n", e.ID, e.ID)
	return nil
}
