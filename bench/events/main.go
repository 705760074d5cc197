// Command events measures how soon a push to the home registry can be pulled from a
// cluster's registry, and what becomes of a burst of pushes.
//
// It starts `lighterage serve` and a distribution registry on 127.0.0.1, makes an event
// rule between them, and
//   - pushes images of 10 MB at a steady rate and asks the cluster's registry for each,
//     every few milliseconds, from the moment in which the push was answered;
//   - pushes a thousand times to a hundred tags as fast as it can, and counts executions
//     and the manifests that the cluster's registry got; then once more while the
//     cluster's registry does not work.
//
// Every image is compared by digest before its time counts.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/lighterage/lighterage/bench/harness"
)

type settings struct {
	binary string
	dir    string

	rate      int // pushes a minute
	duration  time.Duration
	imageSize int // bytes

	burst, tags int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/lighterage", "lighterage to measure")
	flag.StringVar(&s.dir, "dir", harness.MemoryFolder(), "folder for the registries' files")
	flag.IntVar(&s.rate, "rate", 100, "steady load: pushes a minute")
	flag.DurationVar(&s.duration, "duration", time.Minute, "steady load: how long")
	flag.IntVar(&s.imageSize, "image-size", 10<<20, "steady load: bytes of an image")
	flag.IntVar(&s.burst, "burst", 1000, "burst: pushes")
	flag.IntVar(&s.tags, "tags", 100, "burst: different tags")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if s.rate < 1 || s.duration <= 0 || s.imageSize < 1 || s.burst < 1 || s.tags < 1 || s.tags > s.burst {
		return fmt.Errorf("-rate, -duration, -image-size, -burst and -tags: want more than 0, and no more tags than pushes in the burst")
	}
	w, err := newWorld(ctx, s.binary, s.dir)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.steady(ctx, s); err != nil {
		return fmt.Errorf("steady load: %w", err)
	}
	for _, away := range []bool{false, true} {
		if err := w.burst(ctx, s, away); err != nil {
			return fmt.Errorf("burst: %w", err)
		}
	}
	return nil
}
