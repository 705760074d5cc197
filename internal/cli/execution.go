package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) executionCommand() *cobra.Command {
	var s serverFlags
	cmd := a.family(&cobra.Command{
		Use:   "execution",
		Short: "Run rules, and see what became of it",
		Long:  "Run rules, and see what became of it: executions, their tasks and the tasks' logs.",
		Example: `  lighterage execution start all-to-cluster1 --wait
  lighterage execution list
  lighterage execution tasks 7
  lighterage execution log 7`,
		Aliases: []string{"executions", "exec"},
	})
	s.add(cmd)
	cmd.AddCommand(a.executionStart(&s), a.executionList(&s), a.executionView(&s), a.executionTasks(&s), a.executionLog(&s),
		a.executionStop(&s), a.executionRetry(&s), a.executionRelease(&s), a.executionDiscard(&s), a.executionWatch(&s))
	return cmd
}

func (a *app) executionStart(s *serverFlags) *cobra.Command {
	var output string
	var w waiting
	var wait bool
	var plan int64
	cmd := &cobra.Command{
		Use:   "start POLICY",
		Short: "Run a rule now",
		Long: `Run a rule now. With --wait the command follows it to its end, and the exit code
tells how that was. An interrupt ends the waiting, not the execution.

--plan has a plan carried out that "lighterage plan POLICY --keep" has kept: exactly
what it showed, by digest. What cannot be done any more as it was shown fails, and the
task says why. A plan is carried out once, and not when the rule was changed since.

` + exitCodes,
		Example: `  lighterage execution start all-to-cluster1
  lighterage execution start all-to-cluster1 --wait
  lighterage execution start all-to-cluster1 --wait --output json
  lighterage execution start all-to-cluster1 --plan 12 --wait`,
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
			if plan < 0 || plan == 0 && cmd.Flags().Changed("plan") {
				return advise(usage("--plan %d: want the number of a plan", plan), "\"lighterage plan POLICY --keep\" makes one.")
			}
			id, err := c.startExecution(cmd.Context(), p, plan)
			if err != nil {
				return err
			}
			if wait {
				fmt.Fprintf(a.Stderr, "Execution %d of policy %s has begun\n", id, p.Name)
				return a.watch(cmd.Context(), c, id, w, output == "json")
			}
			if output == "json" {
				e, err := c.execution(cmd.Context(), id)
				if err != nil {
					return err
				}
				return writeJSON(a.Stdout, e)
			}
			_, err = fmt.Fprintf(a.Stdout, "Execution %d of policy %s has begun. Follow it with: lighterage execution watch %d\n", id, p.Name, id)
			return err
		},
	}
	outputFlag(cmd, &output, "text", "json")
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "follow it to its end")
	cmd.Flags().Int64Var(&plan, "plan", 0, "have this plan carried out, as it was shown")
	w.add(cmd)
	return cmd
}

func (c *api) startExecution(ctx context.Context, p gen.ReplicationPolicy, plan int64) (int64, error) {
	r, err := c.StartReplicationWithResponse(ctx, nil, gen.StartReplicationExecution{PolicyID: p.ID, PlanID: plan})
	if err != nil {
		return 0, c.check(err, nil, nil, "run policy %s", p.Name)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "run policy %s", p.Name); err != nil {
		if !p.Enabled {
			return 0, advise(err, "Let it run with: lighterage policy enable %s", quoted(p.Name))
		}
		return 0, err
	}
	return created(r.HTTPResponse)
}

func (a *app) executionList(s *serverFlags) *cobra.Command {
	var output, status, trigger string
	var limit int
	cmd := &cobra.Command{
		Use:     "list [POLICY]",
		Aliases: []string{"ls"},
		Short:   "List executions, the newest first",
		Example: `  lighterage execution list
  lighterage execution list all-to-cluster1 --status Failed --limit 0`,
		Args:              takes("[POLICY]"),
		ValidArgsFunction: a.completePolicy(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usage("--limit %d: want a number of executions, or 0 for all", limit)
			}
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			wanted := gen.ListReplicationExecutionsParams{Status: status, Trigger: trigger}
			if len(args) == 1 {
				p, err := c.policy(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				wanted.PolicyID = p.ID
			}
			all, err := c.executions(cmd.Context(), limit, wanted)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, all)
			}
			names, err := c.policyNames(cmd.Context())
			if err != nil {
				return err
			}
			return a.listExecutions(all, names)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	cmd.Flags().Var(&choice{&status, []string{"InProgress", "Succeed", "Failed", "Stopped"}}, "status", "only those that are InProgress, Succeed, Failed or Stopped")
	cmd.Flags().Var(&choice{&trigger, []string{"manual", "event_based", "scheduled"}}, "trigger", "only those begun this way: manual, event_based or scheduled")
	cmd.Flags().IntVar(&limit, "limit", 20, "most executions to list; 0: all")
	complete(cmd, "status", "InProgress", "Succeed", "Failed", "Stopped")
	complete(cmd, "trigger", "manual", "event_based", "scheduled")
	return cmd
}

func (a *app) listExecutions(all []gen.ReplicationExecution, names map[int64]string) error {
	if len(all) == 0 {
		fmt.Fprintln(a.Stderr, "There are no such executions. Run a rule with: lighterage execution start POLICY")
		return nil
	}
	table := term.Table{Header: []string{"ID", "POLICY", "STATUS", "TRIGGER", "TASKS", "FAILED", "SENT", "BEGUN", "TOOK"}}
	noted := slices.ContainsFunc(all, func(e gen.ReplicationExecution) bool { return e.StatusText != "" })
	if noted {
		table.Header = append(table.Header, "NOTE")
	}
	for _, e := range all {
		row := []term.Cell{number(e.ID), term.Text(names[e.PolicyID]), statusCell(e.Status), term.Text(e.Trigger),
			number(e.Total), number(e.Failed), term.Text(term.Bytes(e.BytesSent)), term.Text(clock(e.StartTime)), term.Text(took(e.StartTime, e.EndTime))}
		if noted {
			row = append(row, term.Text(e.StatusText))
		}
		table.Row(row...)
	}
	return table.Write(a.screen)
}

func number(n int64) term.Cell { return term.Text(strconv.FormatInt(n, 10)) }

func statusCell(status string) term.Cell {
	style := map[string]term.Style{"Succeed": term.Good, "Failed": term.Bad, "Stopped": term.Note}[status]
	return term.Cell{Text: status, Style: style}
}

func (a *app) executionView(s *serverFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "view EXECUTION",
		Aliases: []string{"get", "show"},
		Short:   "Show one execution",
		Example: "  lighterage execution view 7\n  lighterage execution view 7 --output json",
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
			if output == "json" {
				return writeJSON(a.Stdout, e)
			}
			names, err := c.policyNames(cmd.Context())
			if err != nil {
				return err
			}
			var failed []gen.ReplicationTask
			if e.Failed > 0 {
				if failed, err = c.tasks(cmd.Context(), id, "Failed"); err != nil {
					return err
				}
			}
			if err := a.showExecution(e, names[e.PolicyID], failed); err != nil || e.Hold == "" {
				return err
			}
			return a.showHeld(cmd.Context(), c, e)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (a *app) showExecution(e gen.ReplicationExecution, policy string, failed []gen.ReplicationTask) error {
	status := e.Status
	if e.Status == "InProgress" && !e.Planned {
		status += " (planning)"
	}
	reason := e.StatusText
	if reason == "" && len(failed) > 0 {
		reason = fmt.Sprintf("task %d, %s: %s", failed[0].ID, taskSource(failed[0]), taskReason(failed[0]))
		if more := len(failed) - 1; more > 0 {
			reason += fmt.Sprintf("\n%s more: lighterage execution tasks %d --status Failed", term.Count(more, "failure"), e.ID)
		}
	}
	return a.screen.Fields([][2]string{
		{"id", strconv.FormatInt(e.ID, 10)},
		{"policy", policy},
		{"trigger", e.Trigger},
		{"status", status},
		{"reason", reason},
		{"tasks", strconv.FormatInt(e.Total, 10) + taskCounts(e)},
		{"sent", term.Bytes(e.BytesSent)},
		{"begun", clock(e.StartTime)},
		{"ended", clock(e.EndTime)},
		{"took", took(e.StartTime, e.EndTime)},
	}...)
}

// taskCounts goes behind the number of tasks: ": 3 succeeded, 1 failed".
func taskCounts(e gen.ReplicationExecution) string {
	text := ""
	separator := ": "
	for _, c := range []struct {
		n    int64
		word string
	}{{e.Succeed, "succeeded"}, {e.Failed, "failed"}, {e.InProgress, "in progress"}, {e.Stopped, "stopped"}} {
		if c.n > 0 {
			text += fmt.Sprintf("%s%d %s", separator, c.n, c.word)
			separator = ", "
		}
	}
	return text
}

// connectTo connects for a command whose argument is an id.
func (a *app) connectTo(s *serverFlags, what, text string) (*api, int64, error) {
	id, err := parseID(what, text)
	if err != nil {
		return nil, 0, err
	}
	c, err := a.connect(s)
	return c, id, err
}

func parseID(what, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, advise(usage("%s %q: want a number", what, text), "\"lighterage execution list\" shows the executions, \"lighterage execution tasks EXECUTION\" their tasks.")
	}
	return id, nil
}

func (c *api) executions(ctx context.Context, limit int, wanted gen.ListReplicationExecutionsParams) ([]gen.ReplicationExecution, error) {
	return pages(limit, func(page, size *int64) (*[]gen.ReplicationExecution, error) {
		wanted.Page, wanted.PageSize = page, size
		r, err := c.ListReplicationExecutionsWithResponse(ctx, &wanted)
		if err != nil {
			return nil, c.check(err, nil, nil, "list executions")
		}
		return r.JSON200, c.check(nil, r.HTTPResponse, r.Body, "list executions")
	})
}

func (c *api) execution(ctx context.Context, id int64) (gen.ReplicationExecution, error) {
	r, err := c.GetReplicationExecutionWithResponse(ctx, id)
	if err != nil {
		return gen.ReplicationExecution{}, c.check(err, nil, nil, "get execution %d", id)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "get execution %d", id); err != nil {
		return gen.ReplicationExecution{}, err
	}
	return *r.JSON200, nil
}

// policyNames maps the ids of rules to their names.
func (c *api) policyNames(ctx context.Context) (map[int64]string, error) {
	all, err := c.policies(ctx, "")
	names := make(map[int64]string, len(all))
	for _, p := range all {
		names[p.ID] = p.Name
	}
	return names, err
}
