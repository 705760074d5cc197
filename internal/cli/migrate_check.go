package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/tree"
)

// migrateCheckFlags are those of "migrate check".
type migrateCheckFlags struct {
	migrateFlags
	deep, recent, objectsOnly bool
}

func (a *app) migrateCheckCommand() *cobra.Command {
	var f migrateCheckFlags
	cmd := &cobra.Command{
		Use:   "check SRC DST",
		Short: "Prove that a copy has everything, with the right bytes",
		Long: `Compare every object of SRC with DST. An object is the same only if its bytes in
the destination are known to be right, and the report says how that is known:

  accepted under its digest  the store hashed it while it took it
  stored checksum            the store tells the SHA-256 that it computed
  ETag                       the store's MD5 is that of the right bytes
  hashed on the way          it was hashed while it was written
  read back                  it was read from the destination and hashed now

What the destination does not tell is read back; --deep reads back everything.

If there is no difference the line "0 differences found" is written. Otherwise there
is a line for each, with a sign:
  +  only in the source         -  only in the destination
  *  in both, and not the same  !  cannot be read, or is damaged in the source
and the next copy sends what is missing.

When everything is there the storage is looked at as by "fsck", so that it is known of
every image whether it can be pulled. What is broken was so in the source.

--recent is for the minutes in which a registry is read-only: it compares the whole
source with what is known of the destination, and asks the destination about what was
copied or removed since the last check of everything that found no difference.

` + migrateLocations + `

Exit codes:
  0    no differences: everything is there, with the right bytes
  1    differences were found
  2    it could not be checked: nothing is known
  130  interrupted`,
		Example: `  lighterage migrate check /var/lib/registry 's3://harbor?endpoint=http://minio:9000'
  lighterage migrate check /var/lib/registry 's3://harbor?endpoint=http://minio:9000' --deep`,
		Args: takes("SRC", "DST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return saysNothing(a.migrateCheck(cmd.Context(), args[0], args[1], f))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.deep, "deep", false, "read every object back from the destination and hash it")
	flags.BoolVar(&f.recent, "recent", false, "ask the destination only about what changed since the last full check")
	flags.BoolVar(&f.objectsOnly, "objects-only", false, "do not look whether every image is whole")
	f.add(cmd)
	f.addRepositories(flags)
	f.addJournal(flags)
	return cmd
}

// errDifferences ends a check that has said everything.
var errDifferences = &failure{code: exitFailed}

// saysNothing is the end of a check: whatever kept it from its verdict, nothing is
// known then, and nobody shall take that for a yes or a no.
func saysNothing(err error) error {
	if code := exitCode(err); code == exitOK || code == exitInterrupted || errors.Is(err, errDifferences) {
		return err
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return &failure{exitUsage, f.err, f.advice}
	}
	return &failure{exitUsage, err, ""}
}

func (a *app) migrateCheck(ctx context.Context, from, to string, f migrateCheckFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.recent && (f.deep || f.repositories() != nil) {
		return usage("--recent goes with neither --deep nor --include and --exclude")
	}
	at, err := a.location(destinationEnd, to)
	if err != nil {
		return err
	}
	src, err := a.openSource(ctx, from, &f.migrateFlags)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := openTree(ctx, destinationEnd, at, &f.migrateFlags)
	if err != nil {
		return err
	}
	defer func() { _ = dst.Close() }()
	store, done, err := openJournalStore(dst, f.journal, false)
	if err != nil {
		return err
	}
	defer done()
	journal, err := migration.ReadJournal(ctx, dst, store)
	if err != nil {
		return err
	}
	o := migration.CheckOptions{
		Repositories: f.repositories(), Deep: f.deep, Concurrency: f.concurrency, Correct: journal.Len() > 0,
		Progress: &migration.Progress{},
	}
	out := a.newMigrateOutput(f.migrateFlags, func() string {
		c := o.Progress.Counts()
		line := objects(c.Found) + " compared"
		if c.Bytes > 0 {
			line += fmt.Sprintf(", %s read back", term.Bytes(c.Bytes))
		}
		return line
	}, func() any { return o.Progress.Counts() })
	o.OnDifference = func(d migration.Difference) { out.item("difference", term.Safe(d.String()), d) }
	check := migration.Check
	if f.recent {
		check = migration.CheckRecent
	}
	report := checkReport{}
	report.CheckReport, err = check(ctx, src, dst, journal, o)
	if err == nil && report.Differences() == 0 && !f.recent && !f.objectsOnly && f.repositories() == nil {
		report.Whole, err = wholeness(ctx, src, dst, f, out)
	}
	if err := out.end(err, report, func(w io.Writer) { writeCheckReport(w, report) }); err != nil {
		return err
	}
	switch {
	case err != nil:
		return err
	case report.Differences() > 0:
		return errDifferences
	}
	return nil
}

// checkReport is what a check has found, of objects and of images.
type checkReport struct {
	migration.CheckReport
	Whole *migration.FsckReport `json:"whole,omitempty"`
}

// wholeness looks whether every image can be pulled. Both ends hold the same, so the
// one that is cheaper to read is read.
func wholeness(ctx context.Context, src, dst tree.Tree, f migrateCheckFlags, out *migrateOutput) (*migration.FsckReport, error) {
	t := src
	if dst.Local() {
		t = dst
	}
	report, err := migration.Fsck(ctx, t, migration.FsckOptions{Concurrency: f.concurrency, OnDamage: func(d migration.Damage) {
		if d.Severity() > migration.Note {
			out.item("damage", term.Safe(d.String()), d)
		}
	}})
	return &report, err
}

func writeCheckReport(w io.Writer, r checkReport) {
	if r.Differences() == 0 {
		fmt.Fprintln(w, "0 differences found")
	} else {
		// Worded so that nobody who looks for the line above finds it in this one.
		fmt.Fprintf(w, "differences found: %s (%s missing, %s different, %s extra, %s unreadable)\n",
			grouped(r.Differences()), grouped(r.Missing), grouped(r.Different), grouped(r.Extra), grouped(r.Unreadable))
	}
	fmt.Fprintf(w, "  same    %s of %s in the source, in %s\n", grouped(r.Same), objects(r.Objects), term.Duration(time.Duration(r.Seconds*float64(time.Second))))
	if len(r.Proofs) > 0 {
		fmt.Fprintf(w, "  proof   %s\n", words(r.Proofs))
	}
	if r.Before > 0 {
		fmt.Fprintf(w, "  before  %s were found right by the full check at %s\n", grouped(r.Before), r.CheckedBefore.Local().Format(time.DateTime))
	}
	if r.Whole != nil {
		writeWholeness(w, *r.Whole)
	}
	if r.JournalError != "" {
		fmt.Fprintf(w, "  note    what was found could not be written into the journal: %s\n", term.Safe(r.JournalError))
	}
	if r.ReadBytes > 0 {
		fmt.Fprintf(w, "  read    %s from the destination\n", term.Bytes(r.ReadBytes))
	}
}

func writeWholeness(w io.Writer, r migration.FsckReport) {
	switch {
	case r.Clean:
		fmt.Fprintf(w, "  whole   every image can be pulled: %s, %s, %s\n", counted(r.Repositories, "repository"), counted(r.Tags, "tag"), counted(r.Revisions, "manifest"))
	case r.Incomplete:
		fmt.Fprintf(w, "  whole   not everything could be read: %s are known to be broken\n", counted(r.BrokenRevisions, "manifest"))
	default:
		fmt.Fprintf(w, "  broken  %s of %s cannot be pulled, in the source as in the copy; %s in all\n",
			grouped(r.BrokenRevisions), counted(r.Revisions, "manifest"), counted(r.Broken+r.Damaged, "thing"))
	}
}
