package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/chart"
	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/kube"
	"github.com/lighterage/lighterage/internal/tree"
)

// stageFlags are those of "migrate stage".
type stageFlags struct {
	targetFlags
	window time.Duration
	copies int
	quiet  bool
	output string
}

func (a *app) migrateStageCommand() *cobra.Command {
	var f stageFlags
	cmd := &cobra.Command{
		Use:   "stage DST",
		Short: "Bring the images of a Harbor on Kubernetes to S3 while it is in use",
		Long: `Do all of a migration that can be done while Harbor is in use, by Jobs in its
namespace: try out the bucket from inside the cluster, copy until a further copy takes
no longer than --max-window, prove everything. Harbor itself is not changed. At the end
it says how long the window will be; "manifests" writes what is done in it.

The Jobs are those of "manifests". This command runs them one after the other, shows
how far they are, and says what keeps a pod from starting: an image that cannot be
pulled, a volume that cannot be attached. It may be interrupted: the Job goes on, and
the same command, from any machine, follows it. Nothing that was copied is sent again.

A volume that many nodes can mount is copied by --shards pods at the same time, and
then by one that brings the links; what is shown is the sum of them.

DST is s3://BUCKET[/PREFIX]?endpoint=URL&region=R as the cluster reaches it. The keys of
the bucket are in the Secret of --secret. It is made from AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY where these are set, and else must be there.

What the account needs is in deploy/kubernetes/migration-role.yaml.

Exit codes:
  0    the images are in the bucket; the rest is for the window
  1    something stands in the way, the bucket lacks something, or images are damaged
  2    the command line, the kubeconfig or the Secret is wrong
  3    the cluster cannot be reached, or refuses the account
  130  interrupted; the Job goes on`,
		Example: `  lighterage migrate stage 's3://harbor?endpoint=http://minio.storage:9000' \
    --namespace harbor --image registry.example.com/tools/lighterage:1.0`,
		Args: takes("DST"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.migrateStage(cmd.Context(), args[0], f) },
	}
	f.targetFlags.add(cmd)
	flags := cmd.Flags()
	flags.DurationVar(&f.window, "max-window", 30*time.Second, "copy again until a copy takes no longer than this")
	flags.IntVar(&f.copies, "max-copies", 10, "most copies, for a registry that is busier than the copy is fast")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func (a *app) migrateStage(ctx context.Context, to string, f stageFlags) error {
	if f.window <= 0 || f.copies < 1 {
		return usage("--max-window and --max-copies must be more than nothing")
	}
	if err := f.readTarget(to); err != nil {
		return err
	}
	keys, err := tree.ParseLocation(to, a.Getenv)
	if err != nil {
		return usage("DST: %w", err)
	}
	c, err := a.connectKube(f.kubeFlags)
	if err != nil {
		return err
	}
	r, err := discoverOne(ctx, c, f.harbor)
	if err != nil {
		return err
	}
	if !r.Ready() {
		if f.output == "json" {
			return errors.Join(writeJSON(a.Stdout, map[string]any{"release": r}), silent(exitFailed))
		}
		a.showObstacles(r)
		return silent(exitFailed)
	}
	if err := f.settle(r); err != nil {
		return err
	}
	s := &staging{app: a, c: c, r: r, f: f}
	if made, err := c.EnsureSecret(ctx, f.target, keys.S3.AccessKey, keys.S3.SecretKey); err != nil {
		return err
	} else if made {
		s.say("made the Secret %s", f.target.S3.Secret)
	}
	return s.run(ctx)
}

// staging shows a stage while it goes on.
type staging struct {
	app    *app
	c      *kube.Cluster
	r      *kube.Release
	f      stageFlags
	live   *term.Live
	step   atomic.Value // of string: what goes on
	counts atomic.Value // of map[string]any: what the pods have counted

	drawing sync.Mutex
	drawn   jobLine
}

func (s *staging) run(ctx context.Context) error {
	s.step.Store("")
	s.counts.Store(map[string]any{})
	s.live = s.app.screen.NewLive(s.f.quiet, s.line)
	staged, err := s.c.Stage(ctx, s.r, s.f.target, kube.StageOptions{
		Window: s.f.window, Copies: s.f.copies,
		Begin: func(step kube.Step, round int) {
			s.counts.Store(map[string]any{})
			text := "Job " + s.r.JobName(step)
			if round > 1 {
				text += fmt.Sprintf(", copy %d", round)
			}
			s.step.Store(text)
		},
		Following: kube.Following{
			Progress: func(counts map[string]any) { s.counts.Store(counts) },
			Note:     func(text string) { s.say("%s", text) },
		},
		End: func(step kube.Step, o kube.Outcome) { s.ended(ctx, step, o) },
	})
	s.live.Stop()
	if s.f.output == "json" {
		if err := writeJSON(s.app.Stdout, staged); err != nil {
			return err
		}
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return &failure{exitInterrupted, errInterrupted, "The Job goes on in the cluster. Give the same command again to follow it."}
	}
	if err != nil {
		return err
	}
	if s.f.output == "text" {
		s.verdict(staged)
	}
	return nil
}

// say writes a line beside the progress.
func (s *staging) say(format string, args ...any) {
	text := term.Safe(fmt.Sprintf(format, args...))
	if s.live == nil {
		fmt.Fprintln(s.app.Stderr, text)
		return
	}
	s.live.Note(text)
}

func (s *staging) line() string {
	text, _ := s.step.Load().(string)
	counts, _ := s.counts.Load().(map[string]any)
	s.drawing.Lock()
	defer s.drawing.Unlock()
	return s.drawn.line(text, counts, time.Now())
}

// ended writes a line for a Job that is over.
func (s *staging) ended(ctx context.Context, step kube.Step, o kube.Outcome) {
	if s.f.output != "text" {
		return
	}
	report := o.Reports[string(step)]
	if step == kube.BlobsStep {
		report = o.Reports["copy"]
	}
	n := func(name string) int64 { v, _ := report[name].(float64); return int64(v) }
	seconds, _ := report["seconds"].(float64)
	text := ""
	switch {
	case report == nil:
		text = "ended without a report"
	case step == kube.PreflightStep:
		text = fmt.Sprintf("the bucket was tried out: %v", report["verdict"])
	case step == kube.CopyStep || step == kube.BlobsStep:
		text = fmt.Sprintf("copied %s, %s in %s; %s were there already", objects(n("copied")), term.Bytes(n("bytes")), term.Duration(time.Duration(seconds*float64(time.Second))), grouped(n("known")))
	default:
		text = fmt.Sprintf("checked %s: %s proven, %s new since the copy", objects(n("objects")), grouped(n("same")), grouped(n("missing")))
	}
	_ = s.live.Print(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%-10s %s\n", step, term.Safe(text))
		return err
	})
	if step == kube.PreflightStep {
		for _, row := range s.c.Lines(ctx, o, "preflight", "row") {
			if row["state"] == "warn" || row["state"] == "fail" {
				s.say("%v  %v: %v", row["state"], row["name"], row["found"])
			}
		}
		s.compareRegion(ctx, o)
	}
}

// compareRegion says when the bucket is in another region than the registry is going to
// be told.
func (s *staging) compareRegion(ctx context.Context, o kube.Outcome) {
	report := o.Reports["preflight"]
	for _, line := range s.c.Lines(ctx, o, "preflight", "summary") { // the pod's last words may have had no room for it
		if whole, ok := line["report"].(map[string]any); ok {
			report = whole
		}
	}
	settings, _ := report["settings"].([]any)
	for _, one := range settings {
		setting, _ := one.(map[string]any)
		told := cmp.Or(s.f.target.S3.Region, chart.DefaultRegion)
		if setting["name"] == "persistence.imageChartStorage.s3.region" && setting["value"] != told {
			s.say("the bucket is in the region %v, and the registry would be told %s: give region=%v in DST", setting["value"], told, setting["value"])
		}
	}
}

func (s *staging) verdict(staged kube.Staged) {
	last := term.Duration(time.Duration(staged.LastCopy * float64(time.Second)))
	out := s.app.Stdout
	fmt.Fprintln(out)
	if staged.Short {
		fmt.Fprintf(out, "The images are in the bucket. The last copy took %s: the window is about that, twice the start of a pod, and the restart of the registry.\n", last)
	} else {
		fmt.Fprintf(out, "The images are in the bucket, but the last of %d copies still took %s. Choose a quieter hour, or allow it with --max-window.\n", len(staged.Copies), last)
	}
	fmt.Fprintf(out, "Harbor was not changed. What is done in the window is written by: %s migrate manifests\n", s.app.Program)
}
