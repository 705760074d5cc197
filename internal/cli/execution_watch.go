package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

// waiting is how a command waits for an execution.
type waiting struct{ quiet, allowEmpty bool }

func (w *waiting) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&w.quiet, "quiet", "q", false, "show no progress")
	cmd.Flags().BoolVar(&w.allowEmpty, "allow-empty", false, "that nothing matches is fine")
}

func (a *app) executionWatch(s *serverFlags) *cobra.Command {
	var output string
	var w waiting
	cmd := &cobra.Command{
		Use:   "watch EXECUTION",
		Short: "Follow an execution to its end",
		Long: `Follow an execution to its end. The exit code tells how that was; an interrupt
ends the watching, not the execution.

` + exitCodes,
		Example: "  lighterage execution watch 7\n  lighterage execution watch 7 --quiet && kubectl rollout restart deployment/app",
		Args:    takes("EXECUTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.connectTo(s, "EXECUTION", args[0])
			if err != nil {
				return err
			}
			return a.watch(cmd.Context(), c, id, w, output == "json")
		},
	}
	outputFlag(cmd, &output, "text", "json")
	w.add(cmd)
	return cmd
}

// pollInterval is how often the server is asked how far an execution is.
const pollInterval = 500 * time.Millisecond

// watch waits until an execution has ended and tells how. A server that cannot
// be reached for a while is asked again: an execution survives a restart.
func (a *app) watch(ctx context.Context, c *api, id int64, w waiting, asJSON bool) error {
	progress := executionProgress{}
	live := a.screen.NewLive(w.quiet, progress.line)
	e, err := a.poll(ctx, c, id, &progress, live)
	live.Stop()
	if err != nil {
		if ctx.Err() != nil {
			return &failure{exitInterrupted, errInterrupted, fmt.Sprintf("Execution %d goes on. Stop it with: lighterage execution stop %d", id, id)}
		}
		return err
	}
	var tasks []gen.ReplicationTask
	if e.Failed > 0 {
		if tasks, err = c.tasks(ctx, id, "Failed"); err != nil {
			return err
		}
	}
	if asJSON {
		err = writeJSON(a.Stdout, e)
	} else {
		err = a.tellEnd(a.Stdout, e, tasks)
	}
	if err != nil {
		return err
	}
	switch {
	case e.Status != "Succeed":
		return silent(exitFailed)
	case e.Total == 0 && !w.allowEmpty:
		return &failure{exitNothing, errors.New("nothing matched: the source has nothing that the rule's filters want"),
			"\"lighterage policy view\" shows the filters. If nothing is fine, say --allow-empty."}
	}
	return nil
}

func (a *app) poll(ctx context.Context, c *api, id int64, progress *executionProgress, live *term.Live) (gen.ReplicationExecution, error) {
	const patience = time.Minute
	var lostSince time.Time
	for {
		e, err := c.execution(ctx, id)
		switch {
		case ctx.Err() != nil:
			return e, context.Cause(ctx)
		case err == nil:
			lostSince = time.Time{}
			progress.set(e)
			if e.Status != "InProgress" {
				return e, nil
			}
		case !mayComeBack(err):
			return e, err
		case lostSince.IsZero():
			lostSince = time.Now()
			live.Note("The server does not answer; trying again")
		case time.Since(lostSince) > patience:
			return e, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

// mayComeBack tells a server that restarts from one that refuses.
func mayComeBack(err error) bool {
	if refusal, ok := errors.AsType[*apiError](err); ok {
		return refusal.status >= 500
	}
	f, ok := errors.AsType[*failure](err)
	return ok && f.code == exitUnreachable
}

// tellEnd says how an execution ended, and why tasks failed.
func (a *app) tellEnd(out io.Writer, e gen.ReplicationExecution, failed []gen.ReplicationTask) error {
	cell := statusCell(e.Status)
	text := fmt.Sprintf("Execution %d: %s, %s%s; %s sent in %s\n", e.ID, a.screen.Paint(cell.Style, cell.Text),
		term.Count(e.Total, "task"), taskCounts(e), term.Bytes(e.BytesSent), took(e.StartTime, e.EndTime))
	if e.StatusText != "" {
		text += "  " + term.Safe(e.StatusText) + "\n"
	}
	for _, t := range failed {
		text += fmt.Sprintf("  task %d, %s: %s\n", t.ID, term.Safe(taskSource(t)), term.Safe(taskReason(t)))
	}
	if len(failed) > 0 {
		text += fmt.Sprintf("See why with \"lighterage execution log %d\", try again with \"lighterage execution retry %d\"\n", e.ID, e.ID)
	}
	_, err := io.WriteString(out, text)
	return err
}

// executionProgress turns what the server says into a line of progress.
type executionProgress struct {
	mu    sync.Mutex
	now   gen.ReplicationExecution
	meter term.Meter
}

func (p *executionProgress) set(e gen.ReplicationExecution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = e
	p.meter.Observe(time.Now(), e.BytesSent)
}

func (p *executionProgress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.now
	if e.ID == 0 {
		return ""
	}
	more := ""
	if !e.Planned {
		more = "+"
	}
	text := fmt.Sprintf("%d/%d%s tasks", e.Total-e.InProgress, e.Total, more)
	if e.Failed > 0 {
		text += fmt.Sprintf(", %d failed", e.Failed)
	}
	if e.BytesTotal > 0 {
		text += fmt.Sprintf(", %s of %s%s", term.Bytes(e.BytesSent), term.Bytes(e.BytesTotal), more)
	}
	if rate := p.meter.Rate(); rate >= 1 {
		text += ", " + term.Bytes(int64(rate)) + "/s"
		if left, ok := p.meter.Left(e.BytesTotal - e.BytesSent); ok && e.Planned && left > time.Second {
			text += ", " + term.Duration(left) + " left"
		}
	}
	return text
}
