// Command audit measures what the audit log costs a push.
//
// It starts `lighterage serve` and pushes small images to it, some with the audit log on and
// as many with it off, by turns in the same run. Each turn gives a ratio; the median of them
// is what the log costs. Small images in memory are the worst case: of a large one, or one on
// a disk, the entry is a smaller part.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/bench/harness"
	"github.com/lighterage/lighterage/bench/site"
)

type settings struct {
	binary, dir           string
	turns, pushes, atOnce int
	imageSize             int64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/lighterage", "lighterage to measure")
	flag.StringVar(&s.dir, "dir", harness.MemoryFolder(), "folder for the registry's files")
	flag.IntVar(&s.turns, "turns", 20, "how often pushes with and without the audit log are compared")
	flag.IntVar(&s.pushes, "pushes", 50, "pushes of a turn, with it and without it")
	flag.IntVar(&s.atOnce, "at-once", 1, "pushes at the same time")
	flag.Int64Var(&s.imageSize, "image-size", 10_000, "bytes of an image")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if s.turns < 1 || s.pushes < 1 || s.atOnce < 1 || s.imageSize < 1 {
		return fmt.Errorf("-turns, -pushes, -at-once and -image-size: want more than 0")
	}
	server, err := site.Start(ctx, s.binary, s.dir)
	if err != nil {
		return err
	}
	defer server.Close()
	if _, err := s.push(ctx, server, true, "warm"); err != nil {
		return err
	}
	var times, work ratios
	for turn := range s.turns {
		var took [2]cost // without, with
		for i := range 2 {
			with := (turn+i)%2 == 1 // who is first changes: the database grows meanwhile
			if took[index(with)], err = s.push(ctx, server, with, fmt.Sprintf("t%d-%d", turn, i)); err != nil {
				return err
			}
		}
		times.add(took[1].time, took[0].time, s.pushes)
		work.add(took[1].work, took[0].work, s.pushes)
	}
	fmt.Printf("%d turns of %d pushes of %d bytes, %d at once\n", s.turns, s.pushes, s.imageSize, s.atOnce)
	fmt.Printf("  time of a push:        %s\n", times)
	fmt.Printf("  processor time of it:  %s\n", work)
	return nil
}

// cost is what pushes took.
type cost struct{ time, work time.Duration }

// ratios are costs with the audit log and without.
type ratios struct {
	all           []float64
	with, without []time.Duration
}

func (r *ratios) add(with, without time.Duration, pushes int) {
	r.all = append(r.all, float64(with)/float64(without))
	r.with, r.without = append(r.with, with/time.Duration(pushes)), append(r.without, without/time.Duration(pushes))
}

// String says the medians.
func (r ratios) String() string {
	all := slices.Sorted(slices.Values(r.all))
	at := func(share float64) float64 { return all[int(share*float64(len(all)-1))] }
	return fmt.Sprintf("%s with the audit log, %s without; ratio %.3f, half of the turns between %.3f and %.3f",
		median(r.with), median(r.without), at(0.5), at(0.25), at(0.75))
}

func index(with bool) int {
	if with {
		return 1
	}
	return 0
}

func median(times []time.Duration) time.Duration {
	times = slices.Sorted(slices.Values(times))
	return times[len(times)/2].Round(10 * time.Microsecond)
}

// settingsTime is how long a server believes its settings, and some more.
const settingsTime = 1200 * time.Millisecond

// push pushes images with the audit log on or off, and returns how long it took.
func (s settings) push(ctx context.Context, server *site.Site, with bool, turn string) (cost, error) {
	images := make([]v1.Image, s.pushes)
	for i := range images {
		var err error
		if images[i], err = random.Image(s.imageSize, 1); err != nil {
			return cost{}, err
		}
	}
	if _, err := server.Call(ctx, http.MethodPut, "configurations", map[string]any{"skip_audit_log_database": !with}, nil); err != nil {
		return cost{}, err
	}
	select {
	case <-time.After(settingsTime):
	case <-ctx.Done():
		return cost{}, ctx.Err()
	}
	worked, err := harness.FamilyCPU(server.PID)
	if err != nil {
		return cost{}, err
	}
	begun := time.Now()
	group, pushing := errgroup.WithContext(ctx)
	group.SetLimit(s.atOnce)
	for i, image := range images {
		group.Go(func() error { return server.Push(pushing, "library/app", fmt.Sprintf("%s-%d", turn, i), image) })
	}
	err = group.Wait()
	took := cost{time: time.Since(begun)}
	if err != nil {
		return cost{}, fmt.Errorf("push: %w", err)
	}
	now, err := harness.FamilyCPU(server.PID)
	if err != nil {
		return cost{}, err
	}
	took.work = now - worked
	return took, s.check(ctx, server, with, turn)
}

// check makes sure that the pushes were recorded, or were not: else the times say nothing.
func (s settings) check(ctx context.Context, server *site.Site, with bool, turn string) error {
	header, err := server.Call(ctx, http.MethodGet, "auditlog-exts?page_size=1&q=operation%3Dcreate%2Cresource%3D~library%2Fapp%3A"+turn+"-", nil, nil)
	if err != nil {
		return err
	}
	want := "0"
	if with {
		want = fmt.Sprint(s.pushes)
	}
	if got := header.Get("X-Total-Count"); got != want {
		return fmt.Errorf("%s pushes were recorded, want %s", got, want)
	}
	return nil
}
