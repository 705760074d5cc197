package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) executionTasks(s *serverFlags) *cobra.Command {
	var output, status string
	cmd := &cobra.Command{
		Use:   "tasks EXECUTION",
		Short: "List the tasks of an execution with the reasons of failures",
		Example: `  lighterage execution tasks 7
  lighterage execution tasks 7 --status Failed --output json`,
		Args: takes("EXECUTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.connectTo(s, "EXECUTION", args[0])
			if err != nil {
				return err
			}
			all, err := c.tasks(cmd.Context(), id, status)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, all)
			}
			return a.listTasks(all)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	cmd.Flags().Var(&choice{&status, []string{"Pending", "InProgress", "Succeed", "Failed", "Stopped"}}, "status", "only those that are Pending, InProgress, Succeed, Failed or Stopped")
	complete(cmd, "status", "Pending", "InProgress", "Succeed", "Failed", "Stopped")
	return cmd
}

func (a *app) listTasks(all []gen.ReplicationTask) error {
	if len(all) == 0 {
		fmt.Fprintln(a.Stderr, "There are no such tasks.")
		return nil
	}
	table := term.Table{Header: []string{"TASK", "STATUS", "OPERATION", "SOURCE", "DESTINATION", "SENT", "TOOK", "REASON"}}
	for _, t := range all {
		table.Row(number(t.ID), statusCell(t.Status), term.Text(t.Operation), term.Text(taskSource(t)), term.Text(repositoryOf(t.DstResource)),
			term.Text(term.Bytes(t.BytesSent)), term.Text(took(t.StartTime, t.EndTime)), term.Text(taskReason(t)))
	}
	return table.Write(a.screen)
}

// taskReason is why a task failed and when it is tried again by itself.
func taskReason(t gen.ReplicationTask) string {
	if t.NextAttemptTime == nil || t.NextAttemptTime.IsZero() {
		return t.Reason
	}
	return t.Reason + " (tried again at " + clock(*t.NextAttemptTime) + ")"
}

// taskSource names what a task is about: the repository with its artifacts, of
// which there may be thousands. Harbor tells only how many these are.
func taskSource(t gen.ReplicationTask) string {
	const most = 3
	name := repositoryOf(t.SrcResource)
	switch n := len(t.Items); {
	case n == 0:
		return t.SrcResource
	case n == 1:
		reference := shortReference(t.Items[0].Reference)
		if reference != t.Items[0].Reference {
			return name + "@" + reference
		}
		return name + ":" + reference
	default:
		var names []string
		for _, item := range t.Items[:min(n, most)] {
			names = append(names, shortReference(item.Reference))
		}
		if n > most {
			names = append(names, fmt.Sprintf("%d more", n-most))
		}
		return fmt.Sprintf("%s (%s)", name, strings.Join(names, ", "))
	}
}

// repositoryOf takes the number of items off Harbor's "library/app [3 item(s) in total]".
func repositoryOf(resource string) string {
	name, _, _ := strings.Cut(resource, " [")
	return name
}

// shortReference shortens a digest to what tells it from others; a tag is left alone.
func shortReference(reference string) string {
	if algorithm, hex, ok := strings.Cut(reference, ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return reference
}

// tasks lists the tasks of an execution, the oldest first; status "" is all.
func (c *api) tasks(ctx context.Context, execution int64, status string) ([]gen.ReplicationTask, error) {
	all, err := pages(0, func(page, size *int64) (*[]gen.ReplicationTask, error) {
		r, err := c.ListReplicationTasksWithResponse(ctx, execution, &gen.ListReplicationTasksParams{Status: status, Sort: "id", Page: page, PageSize: size})
		if err != nil {
			return nil, c.check(err, nil, nil, "list tasks of execution %d", execution)
		}
		return r.JSON200, c.check(nil, r.HTTPResponse, r.Body, "list tasks of execution %d", execution)
	})
	slices.SortFunc(all, func(x, y gen.ReplicationTask) int { return int(x.ID - y.ID) })
	return all, err
}
