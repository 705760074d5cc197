package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/kube"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// moveFlags are those with which run, status, rollback and finish are about a Harbor on
// Kubernetes instead of a server.
type moveFlags struct {
	kubernetes bool
	targetFlags
	accountFlags
	options kube.MoveOptions
	helm    string
	emit    string
	report  string

	names []string // of all of these flags but --kubernetes
}

// accountFlags say how Harbor's API is reached.
type accountFlags struct {
	account kube.Account
	ca      string
}

func (f *accountFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.account.URL, "harbor-url", "", "`address` of Harbor's API (default its external address)")
	flags.StringVar(&f.account.User, "harbor-user", "admin", "`name` of an administrator of Harbor")
	flags.StringVar(&f.ca, "harbor-ca", "", "PEM `file` with the authority of Harbor's certificate")
	flags.BoolVar(&f.account.Insecure, "harbor-insecure", false, "do not verify Harbor's certificate")
}

// read completes the account: its certificate, and the password of the environment.
func (f *accountFlags) read(getenv func(string) string) (kube.Account, error) {
	a := f.account
	a.Password = getenv("HARBOR_PASSWORD")
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return a, usage("--harbor-ca: %w", err)
		}
		a.CA = text
	}
	return a, nil
}

// addBase adds the flags that say which Harbor is meant.
func (f *moveFlags) addBase(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.kubernetes, "kubernetes", false, "a Harbor on Kubernetes is meant, and no server")
	f.adopt(cmd, func(from *cobra.Command) { f.kubeFlags.add(from) })
	f.adopt(cmd, func(from *cobra.Command) {
		from.Flags().StringVar(&f.report, "report", "", "`file` that the report is written to: JSON if it ends in .json, otherwise Markdown; with --kubernetes")
	})
}

// addMove adds those that say how it is moved, or moved back.
func (f *moveFlags) addMove(cmd *cobra.Command) {
	f.addBase(cmd)
	o := &f.options
	f.adopt(cmd, func(from *cobra.Command) {
		f.accountFlags.add(from.Flags())
		flags := from.Flags()
		flags.DurationVar(&o.Patience, "patience", time.Hour, "how long jobs of Harbor that change the storage are waited for before the window")
		flags.DurationVar(&o.Drain, "drain", 5*time.Second, "how long is waited in read-only mode for requests that came in before")
		flags.DurationVar(&o.Rollout, "rollout-timeout", 10*time.Minute, "how long the pods of registry and core may take to be replaced, or with --adopt the change to be made")
		flags.BoolVar(&o.Adopt, "adopt", false, "leave the change of Harbor's storage to somebody else, such as Argo CD, and wait for it")
		flags.BoolVar(&o.SkipFlush, "skip-flush", false, "leave the registry's cache of blobs in Redis as it is")
		flags.StringVar(&f.helm, "helm", "helm", "`program` that upgrades a Helm release")
	})
}

// addRun adds those that say where it is moved to.
func (f *moveFlags) addRun(cmd *cobra.Command) {
	f.addMove(cmd)
	o := &f.options
	f.adopt(cmd, func(from *cobra.Command) { f.targetFlags.add(from) })
	f.adopt(cmd, func(from *cobra.Command) {
		flags := from.Flags()
		flags.DurationVar(&o.Window, "max-window", 30*time.Second, "copy again until a copy takes no longer than this")
		flags.IntVar(&o.Copies, "max-copies", 10, "most copies before the window")
		flags.BoolVar(&o.SkipPush, "skip-push", false, "push no image for trial when Harbor is open again")
		flags.StringVar(&f.emit, "emit-only", "", "write the manifests into this `folder`, as \"migrate manifests\" does, and change nothing")
	})
}

// adopt adds the flags of another set that the command has not got yet.
func (f *moveFlags) adopt(cmd *cobra.Command, fill func(from *cobra.Command)) {
	from := &cobra.Command{}
	fill(from)
	from.Flags().VisitAll(func(flag *pflag.Flag) {
		if cmd.Flags().Lookup(flag.Name) == nil {
			cmd.Flags().AddFlag(flag)
			f.names = append(f.names, flag.Name)
		}
	})
}

// check refuses flags of the one kind for the other.
func (f *moveFlags) check(cmd *cobra.Command, shared ...string) (err error) {
	mine := map[string]bool{"kubernetes": true}
	for _, name := range f.names {
		mine[name] = true
	}
	both := map[string]bool{}
	for _, name := range append(shared, "output", "quiet") {
		both[name] = true
	}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		switch {
		case err != nil || both[flag.Name]:
		case f.kubernetes && !mine[flag.Name]:
			err = usage("--%s is for a server, and not for --kubernetes", flag.Name)
		case !f.kubernetes && mine[flag.Name]:
			err = usage("--%s goes with --kubernetes", flag.Name)
		}
	})
	return err
}

// onKubernetes gives a command about a server's migration its other meaning.
func (a *app) onKubernetes(cmd *cobra.Command, add func(*moveFlags, *cobra.Command), do func(ctx context.Context, k *moveFlags, quiet bool, output string) error) *cobra.Command {
	k := &moveFlags{}
	add(k, cmd)
	server := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := k.check(cmd); err != nil {
			return err
		}
		if !k.kubernetes {
			return server(cmd, args)
		}
		return do(cmd.Context(), k, cmd.Flags().Changed("quiet"), cmd.Flags().Lookup("output").Value.String())
	}
	return cmd
}

// cluster connects, and reads what both ways of moving need.
func (f *moveFlags) cluster(a *app) (*kube.Cluster, error) {
	account, err := f.accountFlags.read(a.Getenv)
	if err != nil {
		return nil, err
	}
	o := &f.options
	if o.Patience < 0 || o.Drain < 0 || o.Rollout <= 0 {
		return nil, usage("--patience and --drain must not be negative, and --rollout-timeout more than nothing")
	}
	o.Account = account
	if path, err := exec.LookPath(f.helm); err == nil && f.helm != "" {
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		o.Helm = kube.HelmProgram{Path: path, Kubeconfig: f.access.Kubeconfig, Context: f.access.Context}
	}
	return a.connectKube(f.kubeFlags)
}

func (a *app) moveRun(ctx context.Context, to string, f *moveFlags, quiet bool, output string) error {
	if f.emit != "" {
		return a.migrateManifests(ctx, to, manifestFlags{targetFlags: f.targetFlags, folder: f.emit, output: output})
	}
	if f.options.Window <= 0 || f.options.Copies < 1 {
		return usage("--max-window and --max-copies must be more than nothing")
	}
	if err := f.readTarget(to); err != nil {
		return err
	}
	keys, err := tree.ParseLocation(to, a.Getenv)
	if err != nil {
		return usage("DST: %w", err)
	}
	c, err := f.cluster(a)
	if err != nil {
		return err
	}
	o := f.options
	o.Access, o.Secret = keys.S3.AccessKey, keys.S3.SecretKey
	o.Target = func(r *kube.Release) (kube.Target, error) {
		err := f.settle(r)
		return f.target, err
	}
	return a.move(ctx, f, quiet, output, func(m *moving) (kube.Migration, error) {
		return c.Move(ctx, f.harbor, m.told(o))
	})
}

func (a *app) moveBack(ctx context.Context, f *moveFlags, quiet bool, output string) error {
	c, err := f.cluster(a)
	if err != nil {
		return err
	}
	return a.move(ctx, f, quiet, output, func(m *moving) (kube.Migration, error) {
		return c.Return(ctx, f.harbor, m.told(f.options))
	})
}

// moveStatus shows the moves that are known, the state of each as it is kept.
func (a *app) moveStatus(ctx context.Context, f *moveFlags, output string) error {
	c, err := a.connectKube(f.kubeFlags)
	if err != nil {
		return err
	}
	all, err := c.Migrations(ctx)
	if err != nil {
		return err
	}
	var found []kube.Migration
	for _, one := range all {
		if f.harbor == "" || one.Release.Name == f.harbor {
			found = append(found, one)
		}
	}
	if len(found) == 0 {
		return problem.New(problem.NotFound, "no move of a Harbor to S3 is known in namespace %s", c.Namespace)
	}
	if f.report != "" && len(found) > 1 {
		return usage("several Harbors have been moved: say of which the report is with --harbor")
	}
	if err := writeMoveReport(f.report, found[0]); err != nil {
		return err
	}
	if output == "json" {
		return writeJSON(a.Stdout, map[string]any{"migrations": found})
	}
	for i, one := range found {
		if i > 0 {
			fmt.Fprintln(a.Stdout)
		}
		holder, err := c.Holder(ctx, one)
		if err != nil {
			return err
		}
		a.showMove(a.Stdout, one, holder)
	}
	return nil
}

// moveFinish forgets a move that has ended.
func (a *app) moveFinish(ctx context.Context, f *moveFlags, output string) error {
	c, err := a.connectKube(f.kubeFlags)
	if err != nil {
		return err
	}
	done, err := c.Finish(ctx, f.harbor)
	if err != nil {
		return err
	}
	if err := writeMoveReport(f.report, done); err != nil {
		return err
	}
	if output == "json" {
		return writeJSON(a.Stdout, done)
	}
	_, err = fmt.Fprintf(a.Stdout, "The Jobs and the state of the move of %s are deleted. What was there before is not touched: %s.\n", done.Release.Name, done.Release.Volume.Describe())
	return err
}

// moving shows a move while it goes on.
type moving struct {
	staging
}

// move does a move and tells how it ended.
func (a *app) move(ctx context.Context, f *moveFlags, quiet bool, output string, do func(*moving) (kube.Migration, error)) error {
	m := &moving{staging{app: a, f: stageFlags{targetFlags: f.targetFlags, quiet: quiet, output: output}}}
	m.step.Store("")
	m.counts.Store(map[string]any{})
	m.live = a.screen.NewLive(quiet, m.line)
	state, err := do(m)
	m.live.Stop()
	if state.Version > 0 {
		err = errors.Join(err, writeMoveReport(f.report, state))
		if output == "json" {
			err = errors.Join(err, writeJSON(a.Stdout, state))
		}
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		advice := "Give the same command again to go on."
		if state.Frozen {
			advice = "Harbor IS READ-ONLY. " + advice + " Or go back: lighterage migrate rollback --kubernetes"
		}
		return &failure{exitInterrupted, errInterrupted, advice}
	}
	if err != nil {
		return err
	}
	if output != "json" {
		fmt.Fprintln(a.Stdout)
		a.showMove(a.Stdout, state, "")
	}
	return nil
}

// phaseWords say what a phase does.
var phaseWords = map[kube.Phase]string{
	kube.PhaseStage:   "bring the images to the bucket while Harbor is in use",
	kube.PhasePause:   "pause garbage collection, retention and replication",
	kube.PhaseFreeze:  "make Harbor read-only",
	kube.PhaseFinal:   "copy what is new, and check it",
	kube.PhaseSwitch:  "change where the registry keeps its images",
	kube.PhaseRollout: "wait until registry and core have been replaced",
	kube.PhaseFlush:   "have the registry forget what it cached",
	kube.PhasePull:    "pull images and hash them",
	kube.PhaseOpen:    "take Harbor out of read-only mode",
	kube.PhasePush:    "push an image, find it in the bucket, delete it",
	kube.PhaseResume:  "resume what was paused",
	kube.PhaseClear:   "delete the Jobs",
	kube.PhaseReturn:  "bring what was pushed since into the volume",
	kube.PhaseDone:    "done",
}

// told has the options tell this.
func (m *moving) told(o kube.MoveOptions) kube.MoveOptions {
	o.Note = func(text string) { m.say("%s", text) }
	o.Progress = func(counts map[string]any) { m.counts.Store(counts) }
	o.Job = func(step kube.Step, round int) {
		m.counts.Store(map[string]any{})
		m.step.Store(strings.TrimSpace(fmt.Sprintf("Job %s %s", step, times(round))))
	}
	o.Tell = func(state kube.Migration) {
		m.step.Store(phaseWords[state.Phase])
		m.counts.Store(map[string]any{})
		if m.f.output == "text" {
			_ = m.live.Print(func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%-10s %s\n", state.Phase, phaseWords[state.Phase])
				return err
			})
		}
	}
	o.Ended = func(step kube.Step, out kube.Outcome) { m.jobEnded(step, out) }
	return o
}

func times(round int) string {
	if round < 2 {
		return ""
	}
	return fmt.Sprintf("(%d)", round)
}

// jobEnded writes a line for each report of a Job.
func (m *moving) jobEnded(step kube.Step, out kube.Outcome) {
	if m.f.output != "text" {
		return
	}
	for _, name := range []string{"preflight", "copy", "check", "find", "flush"} {
		report := out.Reports[name]
		if report == nil {
			continue
		}
		_ = m.live.Print(func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "           %s\n", term.Safe(reportLine(name, report)))
			return err
		})
	}
}

// reportLine says what a container of a Job reported.
func reportLine(name string, report map[string]any) string {
	n := func(key string) int64 { v, _ := report[key].(float64); return int64(v) }
	took, _ := report["seconds"].(float64)
	switch name {
	case "preflight":
		return fmt.Sprintf("the bucket was tried out: %v", report["verdict"])
	case "copy":
		return fmt.Sprintf("copied %s, %s in %s; %s were there already", objects(n("copied")), term.Bytes(n("bytes")), term.Duration(seconds(took)), grouped(n("known")))
	case "find":
		return fmt.Sprintf("found %s whole in the bucket, %s missing", counted(n("whole"), "artifact"), grouped(n("missing")))
	case "flush":
		return fmt.Sprintf("%s of the cache", counted(n("blobs")+n("repositories"), "key"))
	default:
		return fmt.Sprintf("checked %s: %s proven, %s missing, %s different", objects(n("objects")), grouped(n("same")), grouped(n("missing")), grouped(n("different")))
	}
}

func (a *app) showMove(w io.Writer, m kube.Migration, holder string) {
	for _, line := range moveLines(m, holder) {
		if line == "" {
			fmt.Fprintln(w)
			continue
		}
		fmt.Fprintln(w, term.Safe(line))
	}
}

func moveLines(m kube.Migration, holder string) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch {
	case m.Phase != kube.PhaseDone && m.Direction == kube.Back:
		say("Harbor %s is on its way back to its volume: %s (%s)", m.Release.Name, m.Phase, phaseWords[m.Phase])
	case m.Phase != kube.PhaseDone:
		say("Harbor %s is on its way to the bucket: %s (%s)", m.Release.Name, m.Phase, phaseWords[m.Phase])
	case m.Direction == kube.Back:
		say("Harbor %s has its images in its volume", m.Release.Name)
	default:
		say("Harbor %s has its images in the bucket", m.Release.Name)
	}
	say("  from       %s", m.Release.Volume.Describe())
	say("  to         %s", m.Target.Location())
	if m.Phase != kube.PhaseDone {
		if holder != "" {
			say("  moved by   %s, at this moment", holder)
		} else {
			say("  moved by   nobody at this moment")
		}
	}
	if m.Frozen {
		say("  READ-ONLY  since %s, by this move: nobody can push", m.Window.From.Local().Format(time.DateTime))
	} else if m.Window.Seconds > 0 {
		say("  read-only  %.1f s%s", m.Window.Seconds, map[bool]string{true: ", there and back"}[m.Direction == kube.Back && m.Switched])
	}
	if len(m.Paused) > 0 {
		say("  paused     %s, by this move", strings.ToLower(strings.Join(m.Paused, ", ")))
	}
	for _, report := range append(m.Final, m.Return...) {
		name, _ := report["container"].(string)
		say("  %-10s %s", name, reportLine(name, report))
	}
	if c := m.Listed; c != nil {
		say("  artifacts  %s of %s that Harbor lists are whole in the bucket", grouped(c.Whole), grouped(c.Artifacts))
		if late := m.Late; late != nil && late.Artifacts > 0 {
			say("             and %s of %s in repositories that changed since", grouped(late.Whole), grouped(late.Artifacts))
		}
	}
	for _, p := range m.Pulled {
		say("  pulled     %s@%s, %s", p.Repository, short(p.Digest), term.Bytes(p.Bytes))
	}
	if m.Pushed != nil {
		say("  pushed     an image, pulled it, found it in the bucket, deleted it")
	}
	if m.Problem != "" {
		say("")
		say("It stopped: %s", m.Problem)
	}
	say("")
	switch {
	case m.Phase != kube.PhaseDone && m.Direction == kube.Back:
		say("Go on with: lighterage migrate rollback --kubernetes")
	case m.Phase != kube.PhaseDone:
		say("Go on with: lighterage migrate run --kubernetes, or go back with: lighterage migrate rollback --kubernetes")
	case m.Direction == kube.There:
		say("Keep %s until you are sure: it is the way back, with: lighterage migrate rollback --kubernetes", m.Release.Volume.Describe())
		say("Forget it with: lighterage migrate finish --kubernetes")
	}
	return lines
}

func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19]
	}
	return digest
}

// writeMoveReport writes the report of a move to a file, if one is named.
func writeMoveReport(file string, m kube.Migration) error {
	if file == "" {
		return nil
	}
	text, err := m.Report(strings.HasSuffix(file, ".json"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}
