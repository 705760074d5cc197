package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/tree"
)

// migratePreflightFlags are those of "migrate preflight".
type migratePreflightFlags struct {
	migrateFlags
	quick bool
}

func (a *app) migratePreflightCommand() *cobra.Command {
	var f migratePreflightFlags
	cmd := &cobra.Command{
		Use:   "preflight DST",
		Short: "Try out whether a registry will be happy with a storage",
		Long: `Do with a store what a registry will do with it, and say of each thing whether it
works and what that means: reach it, list, store, read in parts, overwrite, upload 33
MiB in parts and copy them, abort, delete, be redirected to. Versions, locks, lifecycle
rules and what is there already are looked at too. Credentials that lack a permission
are told which. Below that is what to do, and what to set in Harbor's chart.

A folder is tried out the same way: whether files can be stored, whose they are, what
is free.

All that is stored for it is below .lighterage/trial-... in DST and is removed again,
also after an interruption. Nothing else in DST is changed.

` + migrateLocations + `

Exit codes:
  0    nothing failed; there may be warnings
  1    something failed
  2    the command line or its input is wrong
  3    the store cannot be reached or trusted, or refuses the credential
  130  interrupted`,
		Example: `  lighterage migrate preflight 's3://harbor?endpoint=http://minio:9000'
  lighterage migrate preflight 's3://harbor/registry?region=eu-central-1' --output json`,
		Args: takes("DST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.migratePreflight(cmd.Context(), args[0], f)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.quick, "quick", false, "do not measure how fast it is, which takes some seconds and up to 64 MiB")
	return cmd
}

func (a *app) migratePreflight(ctx context.Context, to string, f migratePreflightFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	at, err := a.location(destinationEnd, to)
	if err != nil {
		return err
	}
	report, err := a.runPreflight(ctx, at, f.migrateFlags, migration.PreflightOptions{Rates: !f.quick})
	if err != nil {
		return err
	}
	return preflightVerdict(report)
}

// runPreflight tries out a place, and shows what is found as it is found.
func (a *app) runPreflight(ctx context.Context, at tree.Location, f migrateFlags, o migration.PreflightOptions) (migration.PreflightReport, error) {
	dst, err := openUntried(ctx, at, f)
	if err != nil {
		return migration.PreflightReport{}, err
	}
	defer func() { _ = dst.Close() }()
	var rows atomic.Int64
	out := a.newMigrateOutput(f, func() string {
		return fmt.Sprintf("%d things tried out", rows.Load())
	}, func() any { return map[string]int64{"rows": rows.Load()} })
	o.OnRow = func(row migration.PreflightRow) {
		rows.Add(1)
		a.showRow(out, row)
	}
	report, err := migration.Preflight(ctx, dst, o)
	if err := out.end(err, report, func(w io.Writer) { a.writePreflightReport(w, report) }); err != nil {
		return report, err
	}
	return report, err
}

// openUntried opens a place only to try it out.
func openUntried(ctx context.Context, at tree.Location, f migrateFlags) (tree.Opened, error) {
	at.S3.MaxConcurrency = f.concurrency
	return tree.OpenForTrials(ctx, at)
}

// showRow writes a row when it is known. What waits for something else is said once,
// later, and in a single document of JSON the report has the rows.
func (a *app) showRow(out *migrateOutput, row migration.PreflightRow) {
	if out.format == "jsonl" || out.format == "text" && row.State != migration.RowSkipped {
		out.item("row", a.preflightLine(row), row)
	}
}

// preflightVerdict turns what was found into an exit code.
func preflightVerdict(r migration.PreflightReport) error {
	switch {
	case r.Unreachable:
		return silent(exitUnreachable)
	case r.Verdict == migration.RowFail:
		return silent(exitFailed)
	}
	return nil
}

var rowStyles = map[migration.RowState]term.Style{
	migration.RowOK: term.Good, migration.RowWarn: term.Note, migration.RowFail: term.Bad, migration.RowUnknown: term.Note, migration.RowSkipped: term.Faint,
}

// preflightLine is a row of the table that grows as things are tried out.
func (a *app) preflightLine(row migration.PreflightRow) string {
	state := a.screen.Paint(rowStyles[row.State], string(row.State)) + strings.Repeat(" ", len(migration.RowUnknown)-len(row.State))
	return fmt.Sprintf("%s  %-20s  %s", state, row.Name, term.Safe(row.Found))
}

func (a *app) writePreflightReport(w io.Writer, r migration.PreflightReport) {
	var failed, warned int64
	a.writeSkipped(w, r.Rows)
	for _, state := range []migration.RowState{migration.RowFail, migration.RowWarn, migration.RowUnknown} {
		for _, row := range r.Rows {
			if row.State != state || row.Advice == "" {
				continue
			}
			fmt.Fprintf(w, "\n%s\n  %s\n  %s\n", a.screen.Paint(rowStyles[state], row.Name), row.Means, row.Advice)
			if row.Setting != "" {
				fmt.Fprintf(w, "  Harbor: %s\n", row.Setting)
			}
		}
	}
	for _, row := range r.Rows {
		switch row.State {
		case migration.RowFail:
			failed++
		case migration.RowWarn:
			warned++
		}
	}
	a.writeRegistrySettings(w, r.Settings)
	if len(r.Permissions) > 0 {
		fmt.Fprintf(w, "\nThe credentials lack %s\n", strings.Join(r.Permissions, ", "))
	}
	switch {
	case failed > 0:
		fmt.Fprintf(w, "\nNot ready: %s failed at %s\n", counted(failed, "trial"), term.Safe(r.Place))
	case warned > 0:
		fmt.Fprintf(w, "\nReady, with %s: %s\n", counted(warned, "warning"), term.Safe(r.Place))
	default:
		fmt.Fprintf(w, "\nReady: %s\n", term.Safe(r.Place))
	}
}

// writeSkipped says what was not tried, together for each cause.
func (a *app) writeSkipped(w io.Writer, rows []migration.PreflightRow) {
	var causes []string
	waiting := map[string][]string{}
	for _, row := range rows {
		if row.State != migration.RowSkipped || row.Needs == "" {
			continue
		}
		if waiting[row.Needs] == nil {
			causes = append(causes, row.Needs)
		}
		waiting[row.Needs] = append(waiting[row.Needs], row.Name)
	}
	for _, cause := range causes {
		names := strings.Join(waiting[cause], ", ")
		if n := len(waiting[cause]); n > 8 {
			names = fmt.Sprintf("%d other things", n)
		}
		fmt.Fprintln(w, a.preflightLine(migration.PreflightRow{State: migration.RowSkipped, Name: cause, Found: "is needed for " + names}))
	}
}

// writeRegistrySettings writes what the registry is to be told, where it is told it.
func (a *app) writeRegistrySettings(w io.Writer, settings []migration.RegistrySetting) {
	for _, secret := range []bool{false, true} {
		title := "In the values of Harbor's chart:"
		if secret {
			title = "In the Secret of s3.existingSecret, beside the keys:"
		}
		for _, s := range settings {
			if s.Secret != secret {
				continue
			}
			if title != "" {
				fmt.Fprintf(w, "\n%s\n", title)
				title = ""
			}
			line := fmt.Sprintf("  %s: %s", s.Name, term.Safe(s.Value))
			if s.Why != "" {
				line += a.screen.Paint(term.Faint, "  # "+s.Why)
			}
			fmt.Fprintln(w, line)
		}
	}
}
