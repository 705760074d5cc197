package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/tree"
)

// migrateFindFlags are those of "migrate find".
type migrateFindFlags struct {
	migrateFlags
	from, beside string
	deep         bool
}

func (a *app) migrateFindCommand() *cobra.Command {
	var f migrateFindFlags
	cmd := &cobra.Command{
		Use:   "find TREE [REPOSITORY@DIGEST...]",
		Short: "Find artifacts in a storage, with all that belongs to them",
		Long: `Look whether each of the named artifacts is whole in a storage: whether a registry that
is given it can serve the artifact. The repository must have it, its manifest must have
the bytes that its digest says, and its config, its layers and the manifests that it
lists must be there, with the right size and with the links by which the repository may
serve them. --deep reads every layer back and hashes it.

--from takes the artifacts from a file, one REPOSITORY@DIGEST a line, which may be packed
with gzip; "-" is standard input. With --beside an artifact that is not whole is looked
for in another storage too: one that is broken there as well was so before, and is told
with ! and counts as no failure.

If nothing is missing the line "0 artifacts missing" is written.

` + migrateLocations + `

Exit codes:
  0    every artifact is whole
  1    artifacts are missing or broken
  2    it could not be found out: nothing is known
  130  interrupted`,
		Example: `  lighterage migrate find 's3://harbor?endpoint=http://minio:9000' library/alpine@sha256:...
  lighterage migrate find 's3://harbor?endpoint=http://minio:9000' --from artifacts.txt --beside /var/lib/registry`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return saysNothing(a.migrateFind(cmd.Context(), args[0], args[1:], f))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "`file` with the artifacts, one a line")
	flags.StringVar(&f.beside, "beside", "", "another `storage`, in which what is broken was broken before")
	flags.BoolVar(&f.deep, "deep", false, "read every layer back and hash it")
	f.add(cmd)
	return cmd
}

func (a *app) migrateFind(ctx context.Context, where string, named []string, f migrateFindFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if (len(named) == 0) == (f.from == "") {
		return usage("name artifacts as REPOSITORY@DIGEST, or a file with them with --from")
	}
	wanted, done, err := a.wanted(named, f.from)
	if err != nil {
		return err
	}
	defer done()
	t, err := a.openSource(ctx, where, &f.migrateFlags)
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }()
	var looked atomic.Int64
	o := migration.FindOptions{Deep: f.deep, Concurrency: f.concurrency, Looked: &looked}
	if f.beside != "" {
		beside, err := a.openSource(ctx, f.beside, &f.migrateFlags)
		if err != nil {
			return err
		}
		defer func() { _ = beside.Close() }()
		o.Beside = tree.Tree(beside)
	}
	out := a.newMigrateOutput(f.migrateFlags, func() string { return counted(looked.Load(), "artifact") + " looked at" },
		func() any { return map[string]int64{"found": looked.Load()} })
	o.OnMissing = func(m migration.NotWhole) { out.item("missing", term.Safe(m.String()), m) }
	report, err := migration.Find(ctx, t, wanted, o)
	if err := out.end(err, report, func(w io.Writer) { writeFindReport(w, report) }); err != nil {
		return err
	}
	if err == nil && report.Missing > 0 {
		return errDifferences
	}
	return err
}

// wanted are the artifacts that are looked for.
func (a *app) wanted(named []string, from string) (iter.Seq2[migration.Wanted, error], func(), error) {
	switch from {
	case "":
		for _, name := range named { // all of them are right before anything is read
			if _, err := migration.ParseWanted(name); err != nil {
				return nil, nil, usage("%w", err)
			}
		}
		return migration.ReadWanted(strings.NewReader(strings.Join(named, "\n"))), func() {}, nil
	case "-":
		list, err := unpacked(a.Stdin)
		return migration.ReadWanted(list), func() {}, err
	}
	file, err := os.Open(from)
	if err != nil {
		return nil, nil, usage("--from: %w", err)
	}
	list, err := unpacked(file)
	if err != nil {
		_ = file.Close()
		return nil, nil, usage("--from: %w", err)
	}
	return migration.ReadWanted(list), func() { _ = file.Close() }, nil
}

// unpacked is a list that may be packed with gzip.
func unpacked(from io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(from)
	if magic, _ := buffered.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}

func writeFindReport(w io.Writer, r migration.FindReport) {
	if r.Missing == 0 {
		fmt.Fprintln(w, "0 artifacts missing")
	} else {
		fmt.Fprintf(w, "artifacts missing: %s\n", grouped(r.Missing))
	}
	fmt.Fprintf(w, "  whole   %s of %s, %s looked at, in %s\n", grouped(r.Whole), counted(r.Artifacts, "artifact"), counted(r.Blobs, "blob"), term.Duration(time.Duration(r.Seconds*float64(time.Second))))
	if r.Before > 0 {
		fmt.Fprintf(w, "  before  %s were not whole before either\n", grouped(r.Before))
	}
}
