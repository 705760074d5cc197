package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/tree"
)

// migrateAssessFlags are those of "migrate assess".
type migrateAssessFlags struct {
	migrateFlags
	deep, notes bool
}

func (a *app) migrateAssessCommand() *cobra.Command {
	var f migrateAssessFlags
	cmd := &cobra.Command{
		Use:   "assess SRC [DST]",
		Short: "Say what a storage holds, what is wrong with it and what moving it takes",
		Long: `Look at the storage of a registry that is to be moved: how much it holds, how its
repositories share it, which are the biggest, what nobody needs, what is damaged, what
cannot be read. With DST the store is tried out as by "preflight", and what copying
takes is estimated from what was measured. Nothing is changed in SRC; what is put
into DST to try it out is removed again.

` + migrateLocations + `

Exit codes:
  0    everything can be moved
  1    something is broken or damaged, or the store lacks something
  2    the command line or its input is wrong, or not everything could be read
  3    the store cannot be reached, or refuses the credential
  130  interrupted`,
		Example: `  lighterage migrate assess /var/lib/registry
  lighterage migrate assess /var/lib/registry 's3://harbor?endpoint=http://minio:9000'`,
		Args: takes("SRC", "[DST]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dst := ""
			if len(args) > 1 {
				dst = args[1]
			}
			return a.migrateAssess(cmd.Context(), args[0], dst, f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.deep, "deep", false, "read every blob and hash it")
	flags.BoolVar(&f.notes, "notes", false, "show also what is worth knowing and nothing to worry about")
	f.add(cmd)
	return cmd
}

func (a *app) migrateAssess(ctx context.Context, from, to string, f migrateAssessFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	src, err := a.openSource(ctx, from, &f.migrateFlags)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	var dst tree.Opened
	if to != "" {
		at, err := a.location(destinationEnd, to)
		if err != nil {
			return err
		}
		if dst, err = openUntried(ctx, at, f.migrateFlags); err != nil {
			return err
		}
		defer func() { _ = dst.Close() }()
	}
	o := migration.AssessOptions{Deep: f.deep, Concurrency: f.concurrency, Progress: &migration.FsckProgress{}}
	out := a.newMigrateOutput(f.migrateFlags, func() string { return fsckLine(o.Progress) }, func() any { return fsckCounts(o.Progress) })
	o.OnDamage = func(d migration.Damage) {
		if f.notes || f.output != "text" || d.Severity() > migration.Note {
			out.item("damage", term.Safe(d.String()), d)
		}
	}
	var report assessed
	if dst != nil {
		report.Preflight = &migration.PreflightReport{}
		*report.Preflight, err = migration.Preflight(ctx, dst, migration.PreflightOptions{Rates: true, OnRow: func(row migration.PreflightRow) { a.showRow(out, row) }})
		o.Destination = &report.Preflight.Destination
	}
	if err == nil {
		report.AssessReport, err = migration.Assess(ctx, src, o)
	}
	if err == nil && dst != nil {
		if row, changed := report.Preflight.Fits(report.ObjectBytes); changed {
			a.showRow(out, row)
		}
	}
	if err := out.end(err, report, func(w io.Writer) { a.writeAssessed(w, src, report) }); err != nil {
		return err
	}
	if err := fsckVerdict(report.FsckReport, err); err != nil || dst == nil {
		return err
	}
	return preflightVerdict(*report.Preflight)
}

// assessed is what a storage holds, and what the place is like that it is to go to.
type assessed struct {
	migration.AssessReport
	Preflight *migration.PreflightReport `json:"preflight,omitempty"`
}

func (a *app) writeAssessed(w io.Writer, src tree.Tree, r assessed) {
	if r.Preflight != nil {
		a.writePreflightReport(w, *r.Preflight)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "Registry at %s\n", src)
	writeFsckReport(w, r.FsckReport)
	writeAssessReport(w, r.AssessReport)
	e := r.Estimate
	if e == nil || r.Preflight.Unreachable {
		return
	}
	fmt.Fprintf(w, "  a copy is   %s, %s", counted(e.Requests, "request"), term.Bytes(e.Bytes))
	if e.Seconds > 0 {
		fmt.Fprintf(w, ": about %s at what was measured, bounded by %s", term.Duration(time.Duration(e.Seconds*float64(time.Second))), e.Limit)
	}
	fmt.Fprintln(w)
}

// assessShown is how many of the biggest repositories are shown to people.
const assessShown = 5

func writeAssessReport(w io.Writer, r migration.AssessReport) {
	fmt.Fprintf(w, "  to copy     %s, %s\n", objects(r.Objects), term.Bytes(r.ObjectBytes))
	if r.NeededBytes > 0 {
		fmt.Fprintf(w, "  sharing     %s are stored for what would be %s without sharing (%.1f times)\n",
			term.Bytes(r.NeededBytes), term.Bytes(r.SeparateBytes), float64(r.SeparateBytes)/float64(r.NeededBytes))
	}
	for i, one := range r.Biggest {
		if i == assessShown {
			break
		}
		fmt.Fprintf(w, "  biggest     %-40s %10s of its own, %s shared, %s\n", term.Safe(one.Repository), term.Bytes(one.OwnBytes), term.Bytes(one.SharedBytes), counted(one.Tags, "tag"))
	}
	for _, path := range r.UnreadablePaths {
		fmt.Fprintf(w, "  unreadable  %s\n", term.Safe(path))
	}
}
