package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/manifest"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) applyCommand() *cobra.Command {
	var s serverFlags
	var files []string
	var prune, dryRun bool
	var set, output string
	cmd := &cobra.Command{
		Use:   "apply -f FILE|FOLDER",
		Short: "Make a server be as files say",
		Long: `Make a server be as files say: projects, registries, labels, robots, policies and
notifications, each a YAML document with kind, name and spec, in the fields of the
API. What differs is shown as a diff, then changed; a second apply changes nothing.
Of folders all .yaml, .yml and .json files below them are read.

What stands in no file is left alone. With --prune what an earlier apply with the
same --set has made and no file has any more is deleted; it is listed first.

Exit codes of --dry-run, as of kubectl diff:
  0    nothing would change
  1    something would
  2    or more: it cannot be told

` + exitCodes,
		Example: `  lighterage apply -f lighterage/ --dry-run
  lighterage apply -f lighterage/ --prune
  lighterage export | lighterage apply --server https://other.example.com -f -`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := a.apply(cmd, &s, files, applyOptions{prune: prune, dryRun: dryRun, set: set, asJSON: output == "json"})
			if dryRun && err != nil && !errors.Is(err, errDiffers) && exitCode(err) == exitFailed {
				return &failure{exitUsage, err, ""}
			}
			if errors.Is(err, errDiffers) {
				return silent(exitFailed)
			}
			return err
		},
	}
	s.add(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&files, "file", "f", nil, "file or folder; - is standard input; may be given more than once")
	f.BoolVar(&prune, "prune", false, "delete what an earlier apply of this set has made and no file has any more")
	f.BoolVar(&dryRun, "dry-run", false, "show what would change, and change nothing")
	f.StringVar(&set, "set", "default", "name of this set of files, where several are applied to one server")
	outputFlag(cmd, &output, "text", "json")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json") // fails for unknown flags only
	return cmd
}

type applyOptions struct {
	prune, dryRun bool
	set           string
	asJSON        bool
}

// errDiffers ends a dry run that found something to do.
var errDiffers = errors.New("something would change")

func (a *app) apply(cmd *cobra.Command, s *serverFlags, files []string, o applyOptions) error {
	ctx := cmd.Context()
	if len(files) == 0 {
		return advise(usage("-f is missing: which files?"), "Usage: %s", cmd.UseLine())
	}
	if o.set == "" || len(o.set) > 128 {
		return usage("--set: want a name of up to 128 bytes")
	}
	docs, err := manifest.Read(files, a.Stdin)
	if err != nil {
		return usage("%w", err)
	}
	if len(docs) == 0 {
		return usage("%s: there is nothing in it", strings.Join(files, ", "))
	}
	c, err := a.connect(s)
	if err != nil {
		return err
	}
	k := a.newApplying(c, o.set)
	if err := k.read(docs); err != nil {
		return usage("%w", err)
	}
	if err := k.remember(ctx); err != nil {
		return err
	}
	if k.forgetful != "" && o.prune {
		return usage("--prune: the server at %s remembers nothing that was applied: %s", c.url, k.forgetful)
	}
	if err := k.look(ctx, o.prune); err != nil {
		return err
	}
	if err := k.check(); err != nil {
		return usage("%w", err)
	}
	changes, err := k.compare(o.prune)
	if err != nil {
		return err
	}
	if k.forgetful != "" && !o.asJSON {
		fmt.Fprintf(a.Stderr, "The server remembers nothing that was applied (%s), so secrets are set every time.\n", k.forgetful)
	}
	if !o.asJSON {
		for _, c := range changes {
			fmt.Fprint(a.Stdout, term.SafeLines(c.diff))
		}
	}
	if o.dryRun {
		return a.toldOnly(changes, o)
	}
	k.do(ctx, changes, func(c *change) {
		if !o.asJSON {
			a.tell(c)
		}
	})
	if o.prune && ctx.Err() == nil {
		if err := k.forgetAbsent(ctx); err != nil {
			return err
		}
	}
	return a.concluded(changes, o)
}

// toldOnly ends a dry run.
func (a *app) toldOnly(changes []*change, o applyOptions) error {
	if o.asJSON {
		if err := writeJSON(a.Stdout, applyResult(changes, true)); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(a.Stderr, applySummary(changes, true))
	}
	for _, c := range changes {
		if c.action != actionNone {
			return errDiffers
		}
	}
	return nil
}

// tell says how a change went.
func (a *app) tell(c *change) {
	if c.err != nil {
		return // all failures are told in the end
	}
	fmt.Fprintf(a.Stdout, "%s %s %s\n", c.kind, term.Safe(c.key), c.action)
	for _, note := range c.notes {
		fmt.Fprintf(a.Stdout, "  %s\n", term.Safe(note))
	}
	if c.robot != "" {
		fmt.Fprintf(a.Stdout, "  secret %s   (made by the server; it is not shown again)\n", c.robot)
	}
}

// concluded ends an apply: with all that failed, if something did.
func (a *app) concluded(changes []*change, o applyOptions) error {
	if o.asJSON {
		if err := writeJSON(a.Stdout, applyResult(changes, false)); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(a.Stderr, applySummary(changes, false))
	}
	var failures []error
	for _, c := range changes {
		if c.err == nil {
			continue
		}
		if c.want.canon == nil {
			failures = append(failures, fmt.Errorf("%s %s: %w", c.kind, c.key, c.err))
			continue
		}
		failures = append(failures, c.want.doc.Errorf("", "%w", c.err))
	}
	if len(failures) == 0 {
		return nil
	}
	return &failure{exitFailed, errors.Join(failures...), ""}
}

func applySummary(changes []*change, dryRun bool) string {
	counts := map[action]int{}
	failed := 0
	for _, c := range changes {
		if c.err != nil {
			failed++
			continue
		}
		counts[c.action]++
	}
	var parts []string
	for _, what := range []action{actionCreate, actionChange, actionDelete, actionNone} {
		if n := counts[what]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	if failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", failed))
	}
	text := strings.Join(parts, ", ")
	switch {
	case counts[actionNone] == len(changes):
		return fmt.Sprintf("Nothing to change: all %d are as the files say.", len(changes))
	case dryRun:
		return "It would be: " + text + "."
	}
	return text + "."
}

// applied is the result of apply for programs.
type applied struct {
	DryRun  bool            `json:"dry_run"`
	Changes []appliedChange `json:"changes"`
}

type appliedChange struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Action action   `json:"action"`
	File   string   `json:"file,omitempty"`
	Line   int      `json:"line,omitempty"`
	Diff   string   `json:"diff,omitempty"`
	Notes  []string `json:"notes,omitempty"`
	Secret string   `json:"secret,omitempty"` // of a robot, made by the server; not shown again
	Error  string   `json:"error,omitempty"`
}

func applyResult(changes []*change, dryRun bool) applied {
	result := applied{DryRun: dryRun, Changes: []appliedChange{}}
	for _, c := range changes {
		one := appliedChange{
			Kind: c.kind, Name: c.key, Action: c.action, File: c.want.doc.File, Line: c.want.doc.Line, Diff: c.diff, Notes: c.notes, Secret: c.robot,
		}
		if c.err != nil {
			one.Error = c.err.Error()
		}
		result.Changes = append(result.Changes, one)
	}
	return result
}
