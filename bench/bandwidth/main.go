// Command bandwidth measures how exactly a server keeps to a limit: how many bytes reach
// the destination in ten seconds, for layers of several sizes, limits, and numbers of
// repositories that are replicated at the same time.
//
// It starts `lighterage serve`, fills its home registry, and lets a rule with a limit
// copy to a distribution registry that is new each time. The limit is that of the rule, or
// that of the registry, which two rules then share. Bytes of bodies are counted as the
// destination reads them, once copying has been under way for a moment.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/lighterage/lighterage/bench/harness"
	"github.com/lighterage/lighterage/bench/site"
)

type settings struct {
	binary, dir string
	window      time.Duration
	tolerance   float64 // percent
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/lighterage", "lighterage to measure")
	flag.StringVar(&s.dir, "dir", harness.MemoryFolder(), "folder for the registries' files; up to 1 GB")
	flag.DurationVar(&s.window, "window", 10*time.Second, "how long bytes are counted")
	flag.Float64Var(&s.tolerance, "tolerance", 5, "the goal, in percent of the limit")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// warmUp is how long copying is under way before bytes are counted: what the connections
// hold has filled then.
const warmUp = 2 * time.Second

// mostBlobs a second are asked of a destination: more it could not take without a limit.
const mostBlobs = 300

var (
	layers  = []int{4 * kib, 256 * kib, 4 * mib, 64 * mib}
	limits  = []int{128 * kib, mib, 16 * mib} // bytes a second
	workers = []int{1, 8}                     // repositories, each of which is a task
)

// trial is one row of the table.
type trial struct {
	layer, limit, workers int
	registry              bool // the limit is the registry's
}

func (t trial) feasible() bool { return t.limit/t.layer <= mostBlobs }

func run(ctx context.Context, s settings) error {
	if s.window <= 0 || s.tolerance <= 0 {
		return fmt.Errorf("-window and -tolerance: want more than 0")
	}
	server, err := site.Start(ctx, s.binary, s.dir)
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Printf("bytes that reach the destination in %s\n", s.window)
	fmt.Println("| layers | limit of | repositories at a time | limit a second | wanted | got | off by |")
	fmt.Println("|---|---|---|---|---|---|---|")
	worst := 0.0
	for _, layer := range layers {
		trials := trialsOf(layer)
		if err := fill(ctx, server, layer, trials, s.window); err != nil {
			return fmt.Errorf("fill home with layers of %s: %w", size(layer), err)
		}
		for _, t := range trials {
			got, err := t.measure(ctx, server, s.window)
			if err != nil {
				return fmt.Errorf("layers of %s at %s a second: %w", size(t.layer), size(t.limit), err)
			}
			wanted := float64(t.limit) * s.window.Seconds()
			off := (float64(got)/wanted - 1) * 100
			worst = max(worst, off, -off)
			of := "rule"
			if t.registry {
				of = "registry, two rules"
			}
			fmt.Printf("| %s | %s | %d | %s | %s | %s | %+.1f %% |\n", size(t.layer), of, t.workers, size(t.limit), size(int(wanted)), size(int(got)), off)
		}
	}
	word := "met    "
	if worst > s.tolerance {
		word = "NOT MET"
	}
	fmt.Printf("%s within %.0f %% over %s: the worst is %.1f %%\n", word, s.tolerance, s.window, worst)
	return nil
}

// trialsOf are the rows about layers of a size.
func trialsOf(layer int) (all []trial) {
	for _, limit := range limits {
		for _, n := range workers {
			all = append(all, trial{layer: layer, limit: limit, workers: n})
		}
		all = append(all, trial{layer: layer, limit: limit, workers: 8, registry: true})
	}
	feasible := all[:0]
	for _, t := range all {
		if t.feasible() {
			feasible = append(feasible, t)
		}
	}
	return feasible
}

func size(bytes int) string {
	switch {
	case bytes >= mib:
		return fmt.Sprintf("%.4g MiB", float64(bytes)/mib)
	default:
		return fmt.Sprintf("%.4g KiB", float64(bytes)/kib)
	}
}
