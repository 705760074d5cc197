package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/tree"
)

// migrateFsckFlags are those of "migrate fsck".
type migrateFsckFlags struct {
	migrateFlags
	deep, repair, dryRun, notes bool
}

func (a *app) migrateFsckCommand() *cobra.Command {
	var f migrateFsckFlags
	cmd := &cobra.Command{
		Use:   "fsck TREE",
		Short: "Say whether every image in a storage is whole, and mend its links",
		Long: `Look at the storage of a registry, a volume or a bucket, and say whether every image
in it can be pulled: tag, manifest, config, layers, platforms, and the links by which a
repository may serve them. Nothing is changed, and the registry may go on working.

Manifests are always hashed; --deep reads every blob and hashes it, which finds bytes
that have changed. --repair-links writes anew what follows from its path: links that
are empty or hold something else, and tags of which only one manifest is left that
they have ever stood for. It touches nothing else; with --dry-run it only tells.

What is found has a severity:
  broken   an image cannot be pulled, and nothing here can mend it
  damaged  a file is wrong, and can be mended or is needed by nobody
  note     nothing is wrong with any image (shown with --notes)

` + migrateLocations + `

Exit codes:
  0    everything is whole
  1    something is broken or damaged
  2    the command line or its input is wrong, or not everything could be read
  130  interrupted`,
		Example: `  lighterage migrate fsck /var/lib/registry
  lighterage migrate fsck 's3://harbor?endpoint=http://minio:9000' --deep
  lighterage migrate fsck /var/lib/registry --repair-links --dry-run`,
		Args: takes("TREE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return saysNothing(a.migrateFsck(cmd.Context(), args[0], f))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.deep, "deep", false, "read every blob and hash it")
	flags.BoolVar(&f.repair, "repair-links", false, "write anew the links whose content follows from their path")
	flags.BoolVarP(&f.dryRun, "dry-run", "n", false, "with --repair-links: tell what would be mended, and mend nothing")
	flags.BoolVar(&f.notes, "notes", false, "show also what is worth knowing and nothing to worry about")
	f.add(cmd)
	return cmd
}

func (a *app) migrateFsck(ctx context.Context, at string, f migrateFsckFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.dryRun && !f.repair {
		return usage("--dry-run goes with --repair-links: fsck alone changes nothing")
	}
	if f.deep && f.repair {
		return usage("--deep and --repair-links are two commands: repair the links first, then look again")
	}
	t, err := a.openSource(ctx, at, &f.migrateFlags)
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }()
	if f.repair {
		return a.runRepair(ctx, t, f)
	}
	o := migration.FsckOptions{Deep: f.deep, Concurrency: f.concurrency, Progress: &migration.FsckProgress{}}
	out := a.newMigrateOutput(f.migrateFlags, func() string { return fsckLine(o.Progress) }, func() any { return fsckCounts(o.Progress) })
	o.OnDamage = func(d migration.Damage) {
		if f.notes || f.output != "text" || d.Severity() > migration.Note {
			out.item("damage", term.Safe(d.String()), d)
		}
	}
	report, err := migration.Fsck(ctx, t, o)
	if err := out.end(err, report, func(w io.Writer) { writeFsckReport(w, report) }); err != nil {
		return err
	}
	return fsckVerdict(report, err)
}

// fsckVerdict turns what was found into an exit code.
func fsckVerdict(r migration.FsckReport, err error) error {
	switch {
	case err != nil:
		return err
	case r.Incomplete:
		return fmt.Errorf("not everything could be read, so there may be more: run it as the registry's user")
	case !r.Clean:
		return errDifferences
	}
	return nil
}

func writeFsckReport(w io.Writer, r migration.FsckReport) {
	word := "Whole"
	switch {
	case r.Incomplete:
		word = "Not everything could be read"
	case !r.Clean:
		word = "Not whole"
	}
	fmt.Fprintf(w, "%s: %s, %s, %s, %s of %s, in %s\n", word,
		counted(r.Repositories, "repository"), counted(r.Tags, "tag"), counted(r.Revisions, "manifest"), counted(r.Blobs, "blob"), term.Bytes(r.Bytes),
		term.Duration(time.Duration(r.Seconds*float64(time.Second))))
	if r.Broken+r.Damaged > 0 {
		fmt.Fprintf(w, "  broken      %s in %s that cannot be pulled\n", grouped(r.Broken), counted(r.BrokenRevisions, "manifest"))
		fmt.Fprintf(w, "  damaged     %s\n", grouped(r.Damaged))
	}
	if r.Unneeded > 0 {
		fmt.Fprintf(w, "  not needed  %s, %s: garbage collection frees them\n", counted(r.Unneeded, "blob"), term.Bytes(r.UnneededBytes))
	}
	if r.Uploads+r.Junk+r.Foreign > 0 {
		fmt.Fprintf(w, "  besides     %s (%s), %s, %s\n", counted(r.Uploads, "upload"), term.Bytes(r.UploadBytes),
			counted(r.Junk, "left-over file"), counted(r.Foreign, "foreign file"))
	}
	if r.Deep {
		fmt.Fprintf(w, "  hashed      %s\n", term.Bytes(r.HashedBytes))
	}
}

func fsckLine(p *migration.FsckProgress) string {
	line := fmt.Sprintf("%s, %s, %s, %s of %s", counted(p.Repositories.Load(), "repository"), counted(p.Tags.Load(), "tag"),
		counted(p.Revisions.Load(), "manifest"), counted(p.Blobs.Load(), "blob"), term.Bytes(p.Bytes.Load()))
	if hashed := p.HashedBytes.Load(); hashed > 0 {
		line += ", " + term.Bytes(hashed) + " hashed"
	}
	if damage := p.Damage.Load(); damage > 0 {
		line += ", " + grouped(damage) + " damaged"
	}
	return line
}

func fsckCounts(p *migration.FsckProgress) any {
	return map[string]int64{
		"repositories": p.Repositories.Load(), "tags": p.Tags.Load(), "revisions": p.Revisions.Load(), "links": p.Links.Load(),
		"blobs": p.Blobs.Load(), "bytes": p.Bytes.Load(), "hashed_bytes": p.HashedBytes.Load(), "damage": p.Damage.Load(),
	}
}

func (a *app) runRepair(ctx context.Context, t tree.Tree, f migrateFsckFlags) error {
	o := migration.RepairOptions{DryRun: f.dryRun, Concurrency: f.concurrency, Progress: &migration.FsckProgress{}}
	out := a.newMigrateOutput(f.migrateFlags, func() string { return fsckLine(o.Progress) }, func() any { return fsckCounts(o.Progress) })
	verb, sum := "mended", "Mended"
	if f.dryRun {
		verb, sum = "would mend", "Would mend"
	}
	o.OnRepair = func(d migration.Damage, target digest.Digest) {
		out.item("repair", term.Safe(fmt.Sprintf("%s: %s leads to %s", verb, d.Path, target)), struct {
			Path   string               `json:"path"`
			Kind   migration.DamageKind `json:"kind"`
			Target digest.Digest        `json:"target"`
		}{d.Path, d.Kind, target})
	}
	o.OnDamage = func(d migration.Damage) {
		if d.Severity() > migration.Note || f.notes || f.output != "text" {
			out.item("damage", term.Safe(d.String()), d)
		}
	}
	report, err := migration.Repair(ctx, t, o)
	if err := out.end(err, report, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s of %s in %s; %s that cannot be mended\n", sum, counted(report.Repaired, "link"), grouped(report.Links),
			term.Duration(time.Duration(report.Seconds*float64(time.Second))), grouped(report.Remaining))
	}); err != nil {
		return err
	}
	switch {
	case err != nil:
		return err
	case report.Incomplete:
		return fmt.Errorf("not everything could be read, so there may be more: run it as the registry's user")
	case report.Remaining > 0 || f.dryRun && report.Repaired > 0:
		return errDifferences
	}
	return nil
}
