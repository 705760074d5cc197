package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/tree"
)

// migrateCopyFlags are those of "migrate copy".
type migrateCopyFlags struct {
	migrateFlags
	final, dryRun bool
	maxRemove     int
	shard         string
	bandwidth     bandwidth
}

func (a *app) migrateCopyCommand() *cobra.Command {
	var f migrateCopyFlags
	cmd := &cobra.Command{
		Use:   "copy SRC DST",
		Short: "Copy a registry's storage, again and again while it is in use",
		Long: `Copy the storage of a registry. The registry may be in use: at every moment the
destination is a whole registry of its own, an older one, and nothing is ever deleted
from it. What is there already is not sent again, so that the same command goes on
after an interruption, and a further one brings what is new within seconds.

--final is for when the registry is read-only. It looks again until nothing new is
found, and then removes from the destination what was copied earlier and has gone
from the source since: that alone, and nothing that somebody else put there.

Blobs are sent under the digest that their path says, so that the store itself
refuses wrong bytes. What is damaged in the source is told of and not copied; links
whose content follows from their path are right in the copy. Uploads that were never
finished, lost+found and the like are left out.

--shard I/N copies the I-th of N equal parts of the blobs, by their digests, and no
links: N machines with the same volume can copy at the same time. A copy without it
comes after them; it copies what is missing and then the links, so the destination
has no image before all that it needs. In a pod of an Indexed Job index/N is the part
of its index.

` + migrateLocations + `

Going back to the volume after a change of storage is the same command with SRC and
DST exchanged.

Exit codes:
  0    everything that the source has is in the destination
  1    something is damaged in the source or could not be copied: see above it
  2    the command line or its input is wrong, or the source holds no registry
  3    a store cannot be reached, or refuses the credential
  130  interrupted`,
		Example: `  lighterage migrate copy /var/lib/registry 's3://harbor?endpoint=http://minio:9000' --dry-run
  lighterage migrate copy /var/lib/registry 's3://harbor?endpoint=http://minio:9000' --bandwidth 50M
  lighterage migrate copy /var/lib/registry 's3://harbor?endpoint=http://minio:9000' --final

  # one of four machines; when all have ended, the same without --shard
  lighterage migrate copy /mnt/registry 's3://harbor?endpoint=http://minio:9000' --shard 1/4

  # back again
  lighterage migrate copy 's3://harbor?endpoint=http://minio:9000' /var/lib/registry --final`,
		Args: takes("SRC", "DST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.migrateCopy(cmd.Context(), args[0], args[1], f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.final, "final", false, "the registry is read-only: look again until nothing is new, and remove what has gone")
	flags.BoolVarP(&f.dryRun, "dry-run", "n", false, "tell what would be copied and removed, and do nothing")
	flags.IntVar(&f.maxRemove, "max-remove", 0, "most objects that --final may remove (default a tenth of them, at least 1000 but no more than half)")
	flags.StringVar(&f.shard, "shard", "", "only the `I/N` part of the blobs, such as 1/4, and no links")
	flags.Var(&f.bandwidth, "bandwidth", "most bytes a second, such as 50M (default no limit)")
	f.add(cmd)
	f.addRepositories(flags)
	f.addJournal(flags)
	return cmd
}

func (a *app) migrateCopy(ctx context.Context, from, to string, f migrateCopyFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.maxRemove != 0 && !f.final {
		return usage("--max-remove is for --final: without it nothing is removed")
	}
	shard, err := a.readShard(f)
	if err != nil {
		return err
	}
	at, err := a.location(destinationEnd, to)
	if err != nil {
		return err
	}
	at.Directory.Create = !f.dryRun
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
	if src.String() == dst.String() {
		return usage("SRC and DST are the same place")
	}
	store, done, err := openJournalStore(dst, f.journal, !f.dryRun)
	if err != nil {
		return err
	}
	defer done()
	open := func() (*migration.Journal, error) { return migration.OpenJournal(ctx, dst, store, src.String()) }
	if f.shard != "" {
		open = func() (*migration.Journal, error) { return a.openShardJournal(ctx, dst, store, src.String(), shard) }
	}
	if f.dryRun {
		open = func() (*migration.Journal, error) { return migration.ReadJournal(ctx, dst, store) }
	}
	journal, err := open()
	if err != nil {
		return err
	}
	return a.runCopy(ctx, src, dst, journal, shard, f)
}

// readShard reads --shard; without it the whole is copied.
func (a *app) readShard(f migrateCopyFlags) (migration.Shard, error) {
	text := f.shard
	switch {
	case text == "":
		return migration.Shard{}, nil
	case f.final:
		return migration.Shard{}, usage("--shard is not for --final: what has gone is found by a look at everything")
	case f.repositories() != nil:
		return migration.Shard{}, usage("--shard is of all blobs, without --include and --exclude")
	}
	if of, indexed := strings.CutPrefix(text, "index/"); indexed {
		index, err := strconv.Atoi(a.Getenv(jobIndex))
		if err != nil {
			return migration.Shard{}, usage("--shard %s: %s is not set to a number, as it is in a pod of an Indexed Job", text, jobIndex)
		}
		text = fmt.Sprintf("%d/%s", index+1, of)
	}
	shard, err := migration.ParseShard(text)
	if err != nil {
		return shard, usage("--shard: %w", err)
	}
	return shard, nil
}

// jobIndex is the variable in which Kubernetes tells a pod its index, from 0.
const jobIndex = "JOB_COMPLETION_INDEX"

// shardPatience is how long a shard waits for the first one.
const shardPatience = 10 * time.Minute

func (a *app) openShardJournal(ctx context.Context, dst, store tree.Tree, source string, s migration.Shard) (*migration.Journal, error) {
	journal, err := migration.OpenShardJournal(ctx, dst, store, source, s, shardPatience, func() {
		fmt.Fprintf(a.Stderr, "waiting for the shard 1/%d, which marks a new destination\n", s.Of)
	})
	if errors.Is(err, migration.ErrFirstShard) {
		return nil, &failure{exitUnreachable, err, fmt.Sprintf("Begin with --shard 1/%d.", s.Of)}
	}
	return journal, err
}

func (a *app) runCopy(ctx context.Context, src, dst tree.Tree, journal *migration.Journal, shard migration.Shard, f migrateCopyFlags) error {
	o := migration.CopyOptions{
		Repositories: f.repositories(), Shard: shard, Final: f.final, DryRun: f.dryRun, Concurrency: f.concurrency, MaxRemove: f.maxRemove,
		Progress: &migration.Progress{},
	}
	if f.bandwidth > 0 {
		o.Bandwidth = pace.NewBandwidth(int64(f.bandwidth))
	}
	line := &copyProgress{progress: o.Progress, final: f.final}
	out := a.newMigrateOutput(f.migrateFlags, line.line, func() any { return o.Progress.Counts() })
	o.OnDamage = func(d migration.Damage) { out.item("damage", term.Safe(d.String()), d) }
	o.OnFailure = func(name string, err error) {
		out.item("failure", term.Safe(fmt.Sprintf("failed: %s: %v", name, err)), map[string]string{"name": name, "error": err.Error()})
	}
	if !f.quiet {
		surveyed, done := context.WithCancel(ctx)
		defer done()
		go func() { _ = migration.Survey(surveyed, src, journal, o) }() // without it the time left is not told
	}
	report, err := migration.Copy(ctx, src, dst, journal, o)
	if err := out.end(err, report, func(w io.Writer) { writeCopyReport(w, report) }); err != nil {
		return err
	}
	switch {
	case errors.Is(context.Cause(ctx), errInterrupted):
		return &failure{exitInterrupted, errInterrupted, "What was copied stays. Give the same command again to go on."}
	case err != nil:
		return err
	case !report.Complete():
		return silent(exitFailed)
	}
	return nil
}

func writeCopyReport(w io.Writer, r migration.CopyReport) {
	verb, removed := "Copied", "removed"
	if r.DryRun {
		verb, removed = "Would copy", "would remove"
	}
	line := fmt.Sprintf("%s %s, %s", verb, objects(r.Copied), term.Bytes(r.Bytes))
	if !r.DryRun {
		line += " in " + term.Duration(time.Duration(r.Seconds*float64(time.Second)))
		if r.Bytes > 1<<20 && r.Seconds > 0 {
			line += fmt.Sprintf(" (%s/s)", term.Bytes(int64(float64(r.Bytes)/r.Seconds)))
		}
	}
	line += fmt.Sprintf("; %s were there already", grouped(r.Known))
	if r.Final {
		line += fmt.Sprintf("; %s %s that had gone from the source", removed, grouped(r.Removed))
	}
	fmt.Fprintln(w, line)
	if r.Shard != "" {
		fmt.Fprintf(w, "  shard        %s of the blobs; a copy without --shard brings the links after all of them\n", r.Shard)
	}
	if len(r.Proofs) > 0 {
		fmt.Fprintf(w, "  proof        %s\n", words(r.Proofs))
	}
	if r.Adopted > 0 {
		fmt.Fprintf(w, "  found there  %s without a record, and right\n", objects(r.Adopted))
	}
	if r.Postponed > 0 {
		fmt.Fprintf(w, "  left         %s that the source was just changing, for the next copy\n", objects(r.Postponed))
	}
	if len(r.Damage) > 0 {
		fmt.Fprintf(w, "  damaged      %s in the source\n", words(r.Damage))
	}
	if lost := r.Lost(); lost > 0 {
		fmt.Fprintf(w, "  not copied   %s that are damaged in the source\n", objects(lost))
	}
	if r.Failed > 0 {
		fmt.Fprintf(w, "  failed       %s; give the same command again\n", objects(r.Failed))
	}
}

// copyProgress is the line that follows a copy.
type copyProgress struct {
	progress *migration.Progress
	final    bool
	bytes    term.Meter
	objects  term.Meter
}

func (p *copyProgress) line() string {
	c := p.progress.Counts()
	now := time.Now()
	p.bytes.Observe(now, c.Bytes)
	p.objects.Observe(now, c.Copied)
	var parts []string
	if c.Pass > 1 {
		parts = append(parts, fmt.Sprintf("look %d", c.Pass))
	}
	parts = append(parts, fmt.Sprintf("%s of %s objects looked at", grouped(c.Known+c.Copied), grouped(max(c.Found, c.Known+c.Expected))))
	if c.Expected > 0 && c.Copied <= c.Expected {
		parts[len(parts)-1] = fmt.Sprintf("%s of %s objects, %s of %s", grouped(c.Copied), grouped(c.Expected), term.Bytes(c.Bytes), term.Bytes(max(c.ExpectedBytes, c.Bytes)))
	} else if c.Copied > 0 {
		parts = append(parts, fmt.Sprintf("%s copied, %s", grouped(c.Copied), term.Bytes(c.Bytes)))
	}
	if rate := p.bytes.Rate(); rate >= 1 {
		parts = append(parts, term.Bytes(int64(rate))+"/s")
	}
	if left, ok := timeLeft(&p.objects, &p.bytes, c.Expected, c.Copied, c.ExpectedBytes, c.Bytes); ok && left > time.Second {
		parts = append(parts, term.Duration(left)+" left")
	}
	if c.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%s failed", grouped(c.Failed)))
	}
	return strings.Join(parts, ", ")
}
