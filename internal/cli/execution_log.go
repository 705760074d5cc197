package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) executionLog(s *serverFlags) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "log EXECUTION [TASK]",
		Short: "Show the log of a task, or of all tasks of an execution",
		Long: `Show the log of a task, or of all tasks of an execution. With --follow new lines
are shown as they come, until the tasks have ended.`,
		Example: `  lighterage execution log 7
  lighterage execution log 7 31 --follow`,
		Args: takes("EXECUTION", "[TASK]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.connectTo(s, "EXECUTION", args[0])
			if err != nil {
				return err
			}
			l := logReader{api: c, out: a.Stdout, execution: id, shown: map[int64]int{}}
			if len(args) == 2 {
				if l.task, err = parseID("TASK", args[1]); err != nil {
					return err
				}
			}
			return l.show(cmd.Context(), follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show new lines until the end")
	return cmd
}

// logReader shows the logs of an execution's tasks.
type logReader struct {
	*api
	out       io.Writer
	execution int64
	task      int64 // 0: all
	shown     map[int64]int
	last      int64 // task whose lines were written last
	headed    bool  // several tasks: each part begins with the name of its task
}

func (l *logReader) show(ctx context.Context, follow bool) error {
	for {
		e, err := l.api.execution(ctx, l.execution)
		if err != nil {
			return err
		}
		// The tasks are listed after the execution was looked at: one that had
		// ended then has all its tasks, and they all their lines.
		over, err := l.showNew(ctx, e.Status != "InProgress")
		if err != nil {
			return err
		}
		if !follow || over {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollInterval):
		}
	}
}

// showNew writes the lines that are new. over reports that there will be no more.
func (l *logReader) showNew(ctx context.Context, ended bool) (over bool, err error) {
	tasks, err := l.tasks(ctx, l.execution, "")
	if err != nil {
		return false, err
	}
	if l.task != 0 {
		tasks = only(tasks, l.task)
		if len(tasks) == 0 {
			return false, &failure{exitFailed, fmt.Errorf("execution %d has no task %d", l.execution, l.task),
				fmt.Sprintf("See: lighterage execution tasks %d", l.execution)}
		}
		ended = tasks[0].Status != "InProgress" && tasks[0].Status != "Pending"
	}
	l.headed = l.headed || len(tasks) > 1
	for _, t := range tasks {
		if err := l.showTask(ctx, t); err != nil {
			return false, err
		}
	}
	if len(tasks) == 0 && ended {
		return true, writeLine(l.out, fmt.Sprintf("Execution %d has no tasks, so there is no log.", l.execution))
	}
	return ended, nil
}

func only(tasks []gen.ReplicationTask, id int64) []gen.ReplicationTask {
	for _, t := range tasks {
		if t.ID == id {
			return []gen.ReplicationTask{t}
		}
	}
	return nil
}

func (l *logReader) showTask(ctx context.Context, t gen.ReplicationTask) error {
	r, err := l.GetReplicationLogWithResponse(ctx, l.execution, t.ID)
	if err != nil {
		return l.check(err, nil, nil, "read log of task %d", t.ID)
	}
	if err := l.check(nil, r.HTTPResponse, r.Body, "read log of task %d", t.ID); err != nil {
		return err
	}
	whole := string(r.Body)
	fresh := whole[min(l.shown[t.ID], len(whole)):]
	l.shown[t.ID] = len(whole)
	if fresh == "" {
		return nil
	}
	if l.headed && l.last != t.ID {
		if err := writeLine(l.out, fmt.Sprintf("==> task %d: %s of %s <==", t.ID, t.Operation, term.Safe(taskSource(t)))); err != nil {
			return err
		}
	}
	l.last = t.ID
	return writeLine(l.out, strings.TrimSuffix(term.SafeLines(fresh), "\n"))
}

func writeLine(out io.Writer, line string) error {
	_, err := fmt.Fprintln(out, line)
	return err
}
