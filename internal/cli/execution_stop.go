package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) executionStop(s *serverFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "stop EXECUTION",
		Short:   "Stop an execution at once",
		Long:    "Stop an execution at once. What was replicated stays; \"execution retry\" goes on.",
		Example: "  lighterage execution stop 7",
		Args:    takes("EXECUTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.connectTo(s, "EXECUTION", args[0])
			if err != nil {
				return err
			}
			r, err := c.StopReplicationWithResponse(cmd.Context(), id)
			if err != nil {
				return c.check(err, nil, nil, "stop execution %d", id)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "stop execution %d", id); err != nil {
				return err
			}
			e, err := c.execution(cmd.Context(), id)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Execution %d: %s\n", id, e.Status)
			return err
		},
	}
}

func (a *app) executionRetry(s *serverFlags) *cobra.Command {
	var w waiting
	var wait bool
	cmd := &cobra.Command{
		Use:   "retry EXECUTION [TASK]",
		Short: "Run failed and stopped tasks again: all, or one",
		Long: `Run the failed and stopped tasks of an execution again, or one of them. What they
did already is not done again, and what could not be planned is planned. With --wait
the command follows the execution to its end, and the exit code tells how that was.`,
		Example: `  lighterage execution retry 7 --wait
  lighterage execution retry 7 31`,
		Args: takes("EXECUTION", "[TASK]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.connectTo(s, "EXECUTION", args[0])
			if err != nil {
				return err
			}
			if len(args) == 2 {
				task, err := parseID("TASK", args[1])
				if err != nil {
					return err
				}
				if err := c.retryTask(cmd.Context(), id, task); err != nil {
					return err
				}
				if wait {
					return a.watch(cmd.Context(), c, id, w, false)
				}
				_, err = fmt.Fprintf(a.Stdout, "Task %d runs again. Follow it with: lighterage execution log %d %d -f\n", task, id, task)
				return err
			}
			before, err := c.execution(cmd.Context(), id)
			if err != nil {
				return err
			}
			tasks, err := c.retryExecution(cmd.Context(), id)
			if err != nil {
				return err
			}
			if planned := before.Status == "Succeed" || before.StatusText == ""; tasks == 0 && planned {
				_, err = fmt.Fprintf(a.Stdout, "Execution %d has no failed or stopped tasks\n", id)
				return err
			}
			if wait {
				return a.watch(cmd.Context(), c, id, w, false)
			}
			if tasks == 0 {
				_, err = fmt.Fprintf(a.Stdout, "Execution %d is planned again. Follow it with: lighterage execution watch %d\n", id, id)
				return err
			}
			verb := "run"
			if tasks == 1 {
				verb = "runs"
			}
			_, err = fmt.Fprintf(a.Stdout, "%s of execution %d %s again. Follow it with: lighterage execution watch %d\n",
				term.Count(tasks, "task"), id, verb, id)
			return err
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "follow it to its end")
	w.add(cmd)
	return cmd
}

// retryExecution has all failed and stopped tasks run again and returns how many
// these are.
func (c *api) retryExecution(ctx context.Context, id int64) (int64, error) {
	r, err := c.RetryReplicationWithResponse(ctx, id)
	if err != nil {
		return 0, c.check(err, nil, nil, "retry execution %d", id)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "retry execution %d", id); err != nil {
		return 0, err
	}
	if r.JSON200 == nil {
		return 0, nil
	}
	return r.JSON200.Tasks, nil
}

func (c *api) retryTask(ctx context.Context, execution, id int64) error {
	r, err := c.RetryReplicationTaskWithResponse(ctx, execution, id)
	if err != nil {
		return c.check(err, nil, nil, "retry task %d", id)
	}
	return c.check(nil, r.HTTPResponse, r.Body, "retry task %d", id)
}
