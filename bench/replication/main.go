// Command replication measures Lighterage beside skopeo, crane and regsync on
// the same work between the same two registries.
//
// It starts two real distribution registries on 127.0.0.1, fills the first with
// generated images, and has each tool copy them to the second one, empty before
// each cold run, then once more with nothing to do. A delaying proxy in front of
// both adds the round-trip time of a network. It prints time, CPU, memory and the
// requests that each registry got, and the ratio of each tool's time to ours. Every
// copy is checked tag by tag before its time counts.
//
// Then it copies to several destinations, in one run and in one for each, and prints
// what the source was asked for.
//
// With -plan it measures what planning the work takes instead, of memory above all.
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
	"time"

	"github.com/lighterage/lighterage/bench/harness"
)

type settings struct {
	work         workload
	rtts         []time.Duration
	repeat       int
	plan         bool
	destinations int
	tools        string
	binary       string
	dir          string
	peers        string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var s settings
	var rtts string
	flag.IntVar(&s.work.repositories, "repositories", 10, "repositories")
	flag.IntVar(&s.work.tags, "tags", 10, "tags in each repository")
	flag.IntVar(&s.work.layers, "layers", 8, "layers of each image")
	flag.IntVar(&s.work.own, "own", 2, "layers of each image that no other image has; the rest are shared bases")
	flag.IntVar(&s.work.layerSize, "layer-size", 256<<10, "bytes of each layer")
	flag.StringVar(&rtts, "rtt", "0,20,100", "round-trip times to add, in milliseconds")
	flag.IntVar(&s.repeat, "repeat", 1, "runs of each tool; the median counts")
	flag.BoolVar(&s.plan, "plan", false, "measure planning, not copying")
	flag.IntVar(&s.destinations, "destinations", 3, "destinations of one run that is compared with a run for each; 1: this is left out")
	flag.StringVar(&s.tools, "tools", "lighterage,skopeo,crane,crane-tuned,regsync,regsync-tuned", "tools to run; the tuned ones run with more at a time than they do by default")
	flag.StringVar(&s.dir, "dir", harness.MemoryFolder(), "folder for the registries' files: one in memory keeps the disk out of the comparison")
	flag.StringVar(&s.binary, "binary", "bin/lighterage", "lighterage to measure")
	flag.StringVar(&s.peers, "peers", "bench/peers", "module that names the other tools")
	flag.Parse()
	var err error
	if s.rtts, err = harness.RoundTrips(rtts); err != nil {
		return fmt.Errorf("-rtt: %w", err)
	}
	if err := s.check(); err != nil {
		return err
	}
	return measure(ctx, s)
}

// check refuses what there is nothing to measure of.
func (s settings) check() error {
	w := s.work
	switch {
	case w.repositories < 1 || w.tags < 1 || w.layers < 1 || w.layerSize < 1:
		return errors.New("-repositories, -tags, -layers and -layer-size: want at least 1 of each")
	case w.own < 0 || w.own > w.layers:
		return fmt.Errorf("-own %d: want 0 to %d, the layers of an image", w.own, w.layers)
	case s.destinations < 1:
		return fmt.Errorf("-destinations %d: want at least 1", s.destinations)
	case s.repeat < 1:
		return fmt.Errorf("-repeat %d: want at least 1", s.repeat)
	}
	return nil
}

func measure(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp(s.dir, "lighterage-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var tools []tool
	if !s.plan {
		if tools, err = prepareTools(s, dir); err != nil {
			return err
		}
	}
	source, err := startRegistry(ctx, dir+"/source", 0)
	if err != nil {
		return err
	}
	fmt.Printf("work: %s\n", s.work)
	tags, err := s.work.push(ctx, source)
	if err != nil {
		return fmt.Errorf("fill the source: %w", err)
	}
	source.stop()
	for _, rtt := range s.rtts {
		if s.plan {
			if err := measurePlans(ctx, s, dir, rtt); err != nil {
				return err
			}
			continue
		}
		results, err := measureAt(ctx, s, dir, tools, tags, rtt)
		if err != nil {
			return err
		}
		report(os.Stdout, s.work, rtt, results)
		if s.destinations > 1 {
			if err := measureSeveral(ctx, s, dir, tags, rtt); err != nil {
				return fmt.Errorf("several destinations: %w", err)
			}
		}
	}
	return ctx.Err()
}

// measureAt runs all tools in turn, as often as wanted, so that a disturbance of
// the machine does not meet one of them alone.
func measureAt(ctx context.Context, s settings, dir string, tools []tool, tags map[string]string, rtt time.Duration) ([]result, error) {
	source, err := startRegistry(ctx, dir+"/source", rtt)
	if err != nil {
		return nil, err
	}
	defer source.stop()
	results := make([]result, len(tools))
	for round := range s.repeat {
		for i, t := range tools {
			results[i].tool = t.name
			target := fmt.Sprintf("%s/target", dir)
			if err := os.RemoveAll(target); err != nil {
				return nil, err
			}
			if err := measureTool(ctx, t, source, target, rtt, s, tags, &results[i]); err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", t.name, round+1, err)
			}
		}
	}
	return results, nil
}

func measureTool(ctx context.Context, t tool, source *server, target string, rtt time.Duration, s settings, tags map[string]string, r *result) error {
	destination, err := startRegistry(ctx, target, rtt)
	if err != nil {
		return err
	}
	defer destination.stop()
	for _, runs := range []*[]sample{&r.cold, &r.idle} {
		source.reset()
		destination.reset()
		before := harness.OwnCPU()
		m, err := t.run(ctx, source, destination, s.work)
		if err != nil {
			return err
		}
		m.serverCPU = harness.OwnCPU() - before
		m.sourceRequests, m.targetRequests = source.count(), destination.count()
		if err := verify(ctx, destination, tags); err != nil {
			return fmt.Errorf("the copy is not right: %w", err)
		}
		*runs = append(*runs, m)
	}
	raw, err := rawHeads(ctx, source, destination, tags)
	r.raw = append(r.raw, raw)
	return err
}
