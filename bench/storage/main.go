// Command storage measures Lighterage beside rclone and mc when a registry's volume
// moves to S3, and beside the fewest requests that can do it.
//
// It generates volumes, and has each tool copy one to an empty bucket of a real S3
// server on 127.0.0.1, then once more with nothing to do, then compare the two.
// Lighterage also copies what changed at the end, as in the window in which a registry
// is read-only. A front before the server counts requests and adds the round-trip
// time of a network. Every copy is compared with the volume, name by name, and a
// sample of it is read back, before its time counts.
//
// Numbers of one run compare tools; numbers of two runs compare machines.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/lighterage/lighterage/bench/harness"
	"github.com/lighterage/lighterage/bench/volume"
)

type settings struct {
	profiles []volume.Profile
	scale    float64 // 0: what fits
	rtts     []time.Duration
	repeat   int
	tools    []string
	store    string
	dir      string
	binary   string
	seed     uint64
	changes  int
}

const defaultTools = "lighterage,rclone-1.71,rclone-1.71-tuned,rclone-1.76,rclone-1.76-tuned,mc,raw,raw-signed"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == rawCommand {
		err = runRaw(ctx, os.Args[2:])
	} else {
		err = run(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	return measure(ctx, s)
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("storage", flag.ExitOnError)
	profiles := flags.String("profile", "small", "volumes, separated by commas: tiny (for trying the benchmark out), small, many (more than 250,000 files), large (blobs of 50 to 200 MB)")
	flags.Float64Var(&s.scale, "scale", 0, "how many times the images of a profile; 0 takes as much of it as fits into -dir twice")
	rtts := flags.String("rtt", "0,10", "round-trip times to add, in milliseconds")
	tools := flags.String("tools", defaultTools, "what to run; raw and raw-signed are the least that any tool has to do")
	flags.IntVar(&s.repeat, "repeat", 1, "runs of each tool; the median counts")
	flags.StringVar(&s.store, "store", "minio", "S3 server: minio or versitygw")
	flags.StringVar(&s.dir, "dir", harness.MemoryFolder(), "folder for the volume and the server's files: one in memory keeps the disk out of the comparison")
	flags.StringVar(&s.binary, "binary", "bin/lighterage", "lighterage to measure")
	flags.Uint64Var(&s.seed, "seed", 1, "what the volumes' content follows from")
	flags.IntVar(&s.changes, "changes", 100, "changes between the last live copy and the final one; a volume with few tags has fewer")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected: %q", flags.Args())
	}
	var err error
	if s.rtts, err = harness.RoundTrips(*rtts); err != nil {
		return s, fmt.Errorf("-rtt: %w", err)
	}
	known := volume.Profiles()
	for name := range strings.SplitSeq(*profiles, ",") {
		p, ok := known[name]
		if !ok {
			return s, fmt.Errorf("-profile: unknown profile %q", name)
		}
		s.profiles = append(s.profiles, p)
	}
	s.tools = strings.Split(*tools, ",")
	return s, s.check()
}

// check refuses what there is nothing to measure of.
func (s settings) check() error {
	switch {
	case s.scale < 0:
		return fmt.Errorf("-scale %v: want more than 0", s.scale)
	case s.repeat < 1:
		return fmt.Errorf("-repeat %d: want at least 1", s.repeat)
	case s.changes < 1:
		return fmt.Errorf("-changes %d: want at least 1", s.changes)
	case s.store != "minio" && s.store != "versitygw":
		return fmt.Errorf("-store: unknown server %q", s.store)
	case s.dir == "":
		return errors.New("-dir: want a folder")
	}
	return nil
}
