package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/bench/harness"
)

// several is a way to copy to several destinations.
type several struct {
	name string
	run  func(ctx context.Context, source *server, destinations []*server) (harness.Usage, error)
	seen []severalSample
}

// severalSample is one measured run.
type severalSample struct {
	harness.Usage
	sourceRequests, blobReads, sourceBytes, targetRequests int64
}

// measureSeveral copies the same images to several empty destinations, by one rule and
// by a rule for each of them, all at the same time.
func measureSeveral(ctx context.Context, s settings, dir string, tags map[string]string, rtt time.Duration) error {
	ways := []*several{
		{name: fmt.Sprintf("one run to %d destinations", s.destinations), run: func(ctx context.Context, source *server, to []*server) (harness.Usage, error) {
			args := []string{"replicate", "http://" + source.host, "http://" + to[0].host}
			for _, d := range to[1:] {
				args = append(args, "--also", "http://"+d.host)
			}
			return harness.Run(ctx, nil, s.binary, args...)
		}},
		{name: fmt.Sprintf("%d runs at the same time", s.destinations), run: func(ctx context.Context, source *server, to []*server) (harness.Usage, error) {
			used := make([]harness.Usage, len(to))
			start := time.Now()
			group, ctx := errgroup.WithContext(ctx)
			for i, d := range to {
				group.Go(func() (err error) {
					used[i], err = harness.Run(ctx, nil, s.binary, "replicate", "http://"+source.host, "http://"+d.host)
					return err
				})
			}
			err := group.Wait()
			all := used[0]
			for _, u := range used[1:] {
				all.CPU += u.CPU
				all.Memory += u.Memory
			}
			all.Wall = time.Since(start)
			return all, err
		}},
	}
	source, err := startRegistry(ctx, dir+"/source", rtt)
	if err != nil {
		return err
	}
	defer source.stop()
	for range s.repeat {
		for _, way := range ways {
			if err := way.measure(ctx, s, dir, source, tags, rtt); err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
		}
	}
	reportSeveral(os.Stdout, ways, rtt)
	return nil
}

func (w *several) measure(ctx context.Context, s settings, dir string, source *server, tags map[string]string, rtt time.Duration) error {
	var to []*server
	for i := range s.destinations {
		target := fmt.Sprintf("%s/target-%d", dir, i)
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		d, err := startRegistry(ctx, target, rtt)
		if err != nil {
			return err
		}
		defer d.stop()
		to = append(to, d)
	}
	source.reset()
	used, err := w.run(ctx, source, to)
	if err != nil {
		return err
	}
	m := severalSample{Usage: used, sourceRequests: source.count(), blobReads: source.blobReads.Load(), sourceBytes: source.sent.Load()}
	for i, d := range to {
		m.targetRequests += d.count()
		if err := verify(ctx, d, tags); err != nil {
			return fmt.Errorf("the copy to destination %d is not right: %w", i, err)
		}
	}
	w.seen = append(w.seen, m)
	return nil
}

func reportSeveral(out io.Writer, ways []*several, rtt time.Duration) {
	fmt.Fprintf(out, "\nseveral destinations, round trip +%v\n", rtt)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\ttime\tratio\tCPU\tmemory\tsource req.\tof these GET blob\tsource MiB sent\ttarget req.\t")
	median := func(w *several) severalSample {
		return harness.Median(w.seen, func(s severalSample) time.Duration { return s.Wall })
	}
	for _, w := range ways {
		m := median(w)
		fmt.Fprintf(table, "%s\t%.2fs\t%.2fx\t%.2fs\t%dM\t%d\t%d\t%.1f\t%d\t\n", w.name, m.Wall.Seconds(), m.Wall.Seconds()/median(ways[0]).Wall.Seconds(),
			m.CPU.Seconds(), m.Memory>>20, m.sourceRequests, m.blobReads, float64(m.sourceBytes)/(1<<20), m.targetRequests)
	}
	_ = table.Flush() // to a terminal or a file: an error would show there
}
