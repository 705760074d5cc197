package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/blobcache"
	"github.com/lighterage/lighterage/internal/problem"
)

// migrateFlushFlags are those of "migrate flush".
type migrateFlushFlags struct {
	migrateFlags
	options blobcache.Options
	ca      string
}

func (a *app) migrateFlushCommand() *cobra.Command {
	var f migrateFlushFlags
	cmd := &cobra.Command{
		Use:   "flush REDIS",
		Short: "Have a registry forget what it cached of blobs",
		Long: `Delete from Redis what a registry keeps there of blobs, so that it asks its storage
anew. A registry that was given another storage would otherwise say of a blob that only
the old one has that it is there. Of the database only the keys that begin with blobs::
and repository:: are deleted; to delete them costs the registry nothing but a look.

REDIS is redis://[USER@]HOST[:PORT][/DATABASE], or rediss:// for TLS; where sentinels know
it, HOST[:PORT],HOST[:PORT]... and --sentinel-master. The password comes from
REGISTRY_REDIS_PASSWORD, by which the registry has it too.

Exit codes:
  0    done
  1    a part could not be deleted
  2    the command line is wrong
  3    Redis cannot be reached, or refuses the password
  130  interrupted`,
		Example: `  lighterage migrate flush redis://harbor-redis:6379/2 --dry-run
  lighterage migrate flush redis://harbor-redis:6379/2`,
		Args: takes("REDIS"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.migrateFlush(cmd.Context(), args[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.options.SentinelMaster, "sentinel-master", "", "`name` by which sentinels know it")
	flags.StringVar(&f.ca, "ca", "", "PEM `file` with the authority of its certificate")
	flags.BoolVar(&f.options.Insecure, "insecure", false, "do not verify its certificate")
	flags.BoolVar(&f.options.DryRun, "dry-run", false, "count what would be deleted")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	flags.StringVar(&f.report, "report", "", "`file` that the report is written to as well, as JSON")
	outputFlag(cmd, &f.output, "text", "json", "jsonl")
	return cmd
}

func (a *app) migrateFlush(ctx context.Context, where string, f migrateFlushFlags) error {
	o := f.options
	if err := o.Parse(where); err != nil {
		return usage("REDIS: %w", err)
	}
	o.Password = a.Getenv("REGISTRY_REDIS_PASSWORD")
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return usage("--ca: %w", err)
		}
		o.CA = text
	}
	var found atomic.Int64
	o.Found = &found
	out := a.newMigrateOutput(f.migrateFlags, func() string { return counted(found.Load(), "key") }, func() any { return map[string]int64{"found": found.Load()} })
	report, err := blobcache.Flush(ctx, o)
	if err := out.end(err, report, func(w io.Writer) {
		verb := "deleted"
		if o.DryRun {
			verb = "would be deleted"
		}
		fmt.Fprintf(w, "%s %s: %s of blobs, %s of repositories\n", counted(report.Blobs+report.Repositories, "key"), verb, grouped(report.Blobs), grouped(report.Repositories))
	}); err != nil {
		return err
	}
	if err != nil && !problem.Is(err, problem.BadRequest) && !errors.Is(err, context.Canceled) {
		return &failure{exitUnreachable, err, ""}
	}
	return err
}
