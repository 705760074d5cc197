package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// StageOptions say how a release's images are brought to the bucket while it is in use.
type StageOptions struct {
	// Window is what the copy in the window may take: further copies are made until one
	// takes no longer.
	Window time.Duration
	// Copies is the most copies; the registry may be busier than the copy is fast.
	Copies int
	// Begin is told of each Job before it runs.
	Begin func(step Step, round int)
	Following
	// End is told how it ended.
	End func(step Step, o Outcome)
}

// Staged is what is known when a release's images are in the bucket.
type Staged struct {
	Preflight map[string]any `json:"preflight,omitempty"`
	// Blobs is the sum of what the shards reported, where there are several.
	Blobs  map[string]any   `json:"blobs,omitempty"`
	Copies []map[string]any `json:"copies"`
	Check  map[string]any   `json:"check,omitempty"`
	// LastCopy is what the last copy took, without the start of its pod: about what the
	// one in the window will take.
	LastCopy float64 `json:"last_copy_seconds"`
	// Short: the last copy took no longer than was wished.
	Short bool `json:"short"`
}

// Stage does all that can be done while a Harbor is in use: tries out the bucket from
// inside the cluster, copies until little is left, proves everything. It may be
// repeated at any time, and by another machine; nothing that was copied is sent again.
func (c *Cluster) Stage(ctx context.Context, r *Release, t Target, o StageOptions) (Staged, error) {
	staged := Staged{Copies: []map[string]any{}}
	out, err := c.stageStep(ctx, r, t, o, PreflightStep, 1)
	if err != nil {
		return staged, err
	}
	staged.Preflight = out.Reports["preflight"]
	if out.Failed {
		return staged, c.failed(ctx, out, PreflightStep, "preflight")
	}
	if t.Shards > 1 {
		if out, err = c.stageStep(ctx, r, t, o, BlobsStep, 1); err != nil {
			return staged, err
		}
		staged.Blobs = out.Reports["copy"]
		if out.Failed {
			return staged, c.failed(ctx, out, BlobsStep, "copy")
		}
	}
	for round := 1; ; round++ {
		if out, err = c.stageStep(ctx, r, t, o, CopyStep, round); err != nil {
			return staged, err
		}
		report := out.Reports["copy"]
		if report != nil {
			staged.Copies = append(staged.Copies, report)
			staged.LastCopy = number(report, "seconds")
		}
		if out.Failed {
			return staged, c.failed(ctx, out, CopyStep, "copy")
		}
		staged.Short = report != nil && staged.LastCopy <= o.Window.Seconds()
		if staged.Short || round >= o.Copies || report == nil {
			break
		}
	}
	if out, err = c.stageStep(ctx, r, t, o, CheckStep, 1); err != nil {
		return staged, err
	}
	staged.Check = out.Reports["check"]
	if out.Failed && !onlyNew(out, c.Lines(ctx, out, "check", "difference")) {
		return staged, c.failed(ctx, out, CheckStep, "check")
	}
	return staged, nil
}

func (c *Cluster) stageStep(ctx context.Context, r *Release, t Target, o StageOptions, step Step, round int) (Outcome, error) {
	if o.Begin != nil {
		o.Begin(step, round)
	}
	out, err := c.RunJob(ctx, r.Job(step, t), o.Following)
	if err != nil {
		return out, fmt.Errorf("run the Job %s: %w", r.JobName(step), err)
	}
	if o.End != nil {
		o.End(step, out)
	}
	return out, nil
}

// onlyNew reports whether a check differs only in what was pushed, moved or deleted
// since the copy: that is no fault of the copy, and the next one sees to it. Of files
// only the link of a tag changes in a registry.
func onlyNew(o Outcome, differences []map[string]any) bool {
	report := o.Reports["check"]
	if report == nil || o.Exits["check"] != 1 || number(report, "unreadable") > 0 {
		return false
	}
	moved := 0.0
	for _, d := range differences {
		if d["sign"] == "*" && strings.HasSuffix(textAt(d, "name"), "/current/link") {
			moved++
		}
	}
	different := number(report, "different")
	return different == moved && number(report, "missing")+number(report, "extra")+different > 0
}

// failed says why a step failed, with what its log has to say.
func (c *Cluster) failed(ctx context.Context, o Outcome, step Step, container string) error {
	var lines []string
	for _, line := range c.Lines(ctx, o, container, "row", "damage", "failure", "difference", "summary") {
		switch {
		case line["event"] == "row" && line["state"] == "fail":
			lines = append(lines, fmt.Sprintf("%v: %v", line["name"], line["found"]))
		case line["event"] == "summary" && textAt(line, "error") != "":
			lines = append(lines, textAt(line, "error"))
		case line["event"] == "damage", line["event"] == "difference":
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%v %v%v", line["kind"], line["path"], line["name"])))
		case line["event"] == "failure":
			lines = append(lines, fmt.Sprintf("%v: %v", line["name"], line["error"]))
		}
		if len(lines) == 10 {
			lines = append(lines, "...")
			break
		}
	}
	text := fmt.Sprintf("the step %q failed: %s", step, o.Reason)
	if code, known := o.Exits[container]; known {
		text = fmt.Sprintf("the step %q ended with exit code %d", step, code)
	}
	if failed := o.failedShards(); len(failed) > 0 {
		text += ", in " + shardWords(failed)
	}
	if len(lines) > 0 {
		text += "\n" + strings.Join(lines, "\n")
	}
	return problem.New(problem.Precondition, "%s", text)
}
