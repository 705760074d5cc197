package cli

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/tree"
)

// migrateLocations is what the commands say about SRC, DST and TREE.
const migrateLocations = `A place is a folder, or a bucket:
  s3://BUCKET[/PREFIX]?endpoint=URL&region=R
PREFIX is what the registry has for rootdirectory. More options, all of them after
the ? and with & between them (put the whole in quotes): path_style, insecure,
ca=FILE, storage_class, acl, encrypt, encrypt_key, checksums=true (the store keeps a
SHA-256 of each object). The region is found out where it is left out. Keys come
from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or, as Harbor's Secret has them,
REGISTRY_STORAGE_S3_ACCESSKEY and REGISTRY_STORAGE_S3_SECRETKEY, or from the
machine's role. Where both ends are buckets LIGHTERAGE_SRC_ or LIGHTERAGE_DST_
before a variable's name is for one.`

func (a *app) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move a registry's storage, and prove that it arrived",
		Long: `Move the storage of a registry from a volume to S3, or from anywhere to anywhere,
while the registry runs, and prove that every image arrived. It is made for what
Harbor and every registry in the distribution layout keep (docker/registry/v2).

The way: "assess" and "preflight" before, "copy" as often as you like while the
registry is in use, then read-only mode, "copy --final", "check", and the registry is
given the new storage. Going back is "copy" and "check" the other way round.

A server that runs here moves its own storage without a restart: "run" and what
follows it speak to the server that you are logged in to. With --kubernetes they move a
Harbor in a cluster.

` + migrateLocations + `

` + exitCodes,
		Example: `  export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...
  lighterage migrate assess /var/lib/registry
  lighterage migrate copy /var/lib/registry 's3://harbor?endpoint=http://minio:9000'
  lighterage migrate copy /var/lib/registry 's3://harbor?endpoint=http://minio:9000' --final
  lighterage migrate check /var/lib/registry 's3://harbor?endpoint=http://minio:9000'`,
		PersistentPreRun: func(*cobra.Command, []string) {
			if a.Getenv("GOGC") == "" {
				tuneHeap()
			}
		},
	}
	cmd.AddCommand(a.migrateDiscoverCommand(), a.migrateManifestsCommand(), a.migrateStageCommand(), a.migrateAssessCommand(), a.migratePreflightCommand(), a.migrateCopyCommand(), a.migrateCheckCommand(), a.migrateFindCommand(), a.migrateFsckCommand(), a.migrateFlushCommand())
	cmd.AddCommand(a.migrateServerCommands()...)
	return a.family(cmd)
}

// migrateFlags are those of several commands.
type migrateFlags struct {
	journal            string
	includes, excludes []string
	concurrency        int
	quiet              bool
	report             string
	output             string
}

func (f *migrateFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.concurrency, "concurrency", migration.DefaultConcurrency, "most objects on their way at a time; how many really are adapts to the store")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	flags.StringVar(&f.report, "report", "", "`file` that the report is written to as well, as JSON; in a pod /dev/termination-log keeps it with the pod")
	outputFlag(cmd, &f.output, "text", "json", "jsonl")
	flags.Lookup("output").Usage = "text; json: one document at the end; jsonl: a line for each event, with progress"
}

func (f *migrateFlags) addRepositories(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.includes, "include", nil, "pattern of repositories, such as 'library/**'; may be given more than once (default all)")
	flags.StringArrayVar(&f.excludes, "exclude", nil, "pattern of repositories to leave out; may be given more than once")
}

func (f *migrateFlags) addJournal(flags *pflag.FlagSet) {
	flags.StringVar(&f.journal, "journal", "", "folder for what is known of the destination (default .lighterage in the destination)")
}

// check refuses what can be refused without a look at any storage.
func (f *migrateFlags) check() error {
	if f.concurrency < 1 || f.concurrency > 1000 {
		return usage("--concurrency %d: want 1 to 1000", f.concurrency)
	}
	for _, pattern := range append(f.includes, f.excludes...) {
		if err := rule.ValidatePattern(pattern); err != nil {
			return usage("pattern %q: %w", pattern, err)
		}
	}
	return nil
}

// repositories is what --include and --exclude select, nil for everything.
func (f *migrateFlags) repositories() func(name string) bool {
	if len(f.includes)+len(f.excludes) == 0 {
		return nil
	}
	matches := func(patterns []string, name string) bool {
		for _, pattern := range patterns {
			if ok, err := rule.MatchPattern(pattern, name); ok && err == nil {
				return true
			}
		}
		return false
	}
	return func(name string) bool {
		return (len(f.includes) == 0 || matches(f.includes, name)) && !matches(f.excludes, name)
	}
}

// bandwidth is a flag for bytes per second.
type bandwidth int64

var bandwidthForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)([KMG]?)(?:i?B?)(?:/s)?$`)

func (b *bandwidth) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*b), 10)
}

func (b *bandwidth) Type() string { return "rate" }

func (b *bandwidth) Set(text string) error {
	m := bandwidthForm.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("want bytes per second, such as 500K, 50M or 1.5G")
	}
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return err
	}
	value *= float64(map[string]int64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[m[2]])
	if value < 1 || value > math.MaxInt64/2 {
		return fmt.Errorf("want at least one byte per second, such as 50M")
	}
	*b = bandwidth(value)
	return nil
}

// speed is a flag for the bandwidth of a rule: bytes per second, 0 for no limit.
type speed struct{ kilobits int32 }

func (s *speed) String() string {
	if s.kilobits <= 0 {
		return ""
	}
	limit := bandwidth(rule.Rule{Speed: s.kilobits}.BytesPerSecond())
	return limit.String()
}

func (s *speed) Type() string { return "rate" }

func (s *speed) Set(text string) error {
	if text == "0" {
		s.kilobits = 0
		return nil
	}
	var limit bandwidth
	if err := limit.Set(text); err != nil {
		return err
	}
	s.kilobits = rule.SpeedOf(int64(limit))
	return nil
}

// end is one end of a migration: its word in messages, and in the names of variables.
type end struct{ word, variable string }

var (
	sourceEnd      = end{"SRC", "LIGHTERAGE_SRC_"}
	destinationEnd = end{"DST", "LIGHTERAGE_DST_"}
)

// location reads where an end is.
func (a *app) location(e end, text string) (tree.Location, error) {
	l, err := tree.ParseLocation(text, func(name string) string {
		if value := a.Getenv(e.variable + name); value != "" {
			return value
		}
		return a.Getenv(name)
	})
	if err != nil {
		return l, advise(usage("%s: %w", e.word, err), "Want a folder, or 's3://BUCKET[/PREFIX]?endpoint=URL&region=R'.")
	}
	return l, nil
}

// openSource opens what is read. A volume may have the registry in a folder below.
func (a *app) openSource(ctx context.Context, text string, f *migrateFlags) (tree.Opened, error) {
	l, err := a.location(sourceEnd, text)
	if err != nil {
		return nil, err
	}
	if !l.IsS3() {
		if l.Path, _, err = migration.FindRoot(ctx, l.Path); err != nil {
			return nil, advise(usage("%s: %w", sourceEnd.word, err), "Name the folder that has docker/registry/v2 in it.")
		}
	}
	return openTree(ctx, sourceEnd, l, f)
}

func openTree(ctx context.Context, e end, l tree.Location, f *migrateFlags) (tree.Opened, error) {
	l.S3.MaxConcurrency = f.concurrency
	t, err := tree.Open(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.word, err)
	}
	return t, nil
}

// openJournalStore opens where the journal is kept. done is called after use.
func openJournalStore(dst tree.Tree, folder string, create bool) (store tree.Tree, done func(), err error) {
	if folder == "" {
		return dst, func() {}, nil
	}
	d, err := tree.OpenDirectory(folder, tree.DirectoryOptions{Create: create})
	if err != nil {
		return nil, nil, fmt.Errorf("--journal: %w", err)
	}
	return d, func() { _ = d.Close() }, nil
}

// words joins counts by what they count, the largest first.
func words(counts map[string]int64) string {
	var parts []string
	for _, key := range sortedByCount(counts) {
		parts = append(parts, fmt.Sprintf("%s %s", grouped(counts[key]), key))
	}
	return strings.Join(parts, ", ")
}
