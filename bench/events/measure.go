package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// lookInterval is how often the cluster's registry is asked, and so how exact the
// times are.
const lookInterval = 5 * time.Millisecond

// lost is how long a push may take to arrive before it counts as lost.
const lost = 2 * time.Minute

// steady pushes at a steady rate and measures from each answer to the image being
// there to be pulled.
func (w *world) steady(ctx context.Context, s settings) error {
	interval := time.Minute / time.Duration(s.rate)
	count := int(s.duration / interval)
	images := make([]v1.Image, count)
	for i := range images {
		var err error
		if images[i], err = random.Image(int64(s.imageSize/4), 4); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	var times []time.Duration
	var pushes sync.WaitGroup
	var failure error
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for i, image := range images {
		pushes.Go(func() {
			took, err := w.follow(ctx, fmt.Sprintf("steady-%d", i), image)
			mu.Lock()
			defer mu.Unlock()
			failure = errors.Join(failure, err)
			times = append(times, took)
		})
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	pushes.Wait()
	if failure != nil {
		return failure
	}
	slices.Sort(times)
	at := func(share float64) time.Duration { return times[min(len(times)-1, int(share*float64(len(times))))] }
	fmt.Printf("steady load: %d pushes of %.1f MB, %d a minute\n", count, float64(s.imageSize)/1e6, s.rate)
	fmt.Printf("  from the answer to being pullable: p50 %s, p90 %s, p99 %s, most %s\n",
		round(at(0.5)), round(at(0.9)), round(at(0.99)), round(times[len(times)-1]))
	verdict(at(0.99) < 2*time.Second, "p99 under 2 s")
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func verdict(met bool, goal string) {
	word := "met    "
	if !met {
		word = "NOT MET"
	}
	fmt.Printf("  %s %s\n", word, goal)
}

// follow pushes an image and returns how long after the answer it can be pulled.
func (w *world) follow(ctx context.Context, tag string, image v1.Image) (time.Duration, error) {
	digest, err := image.Digest()
	if err != nil {
		return 0, err
	}
	if err := w.push(ctx, tag, image); err != nil {
		return 0, fmt.Errorf("push %s: %w", tag, err)
	}
	answered := time.Now()
	for {
		there, err := w.has(ctx, tag, digest.String())
		took := time.Since(answered)
		switch {
		case err != nil:
			return 0, err
		case there:
			return took, nil
		case took > lost:
			return 0, fmt.Errorf("%s has not arrived after %s", tag, lost)
		}
		time.Sleep(lookInterval)
	}
}

// burst pushes small images as fast as it can to a few tags again and again, and
// counts what that makes.
// With away the cluster's registry does not work until all has been pushed.
func (w *world) burst(ctx context.Context, s settings, away bool) error {
	w.away.Store(away)
	before, err := w.executions(ctx)
	if err != nil {
		return err
	}
	w.puts.Store(0)
	w.burstAway = away
	last := make([]string, s.tags)
	began := time.Now()
	var clients sync.WaitGroup
	failures := make([]error, 8)
	for client := range failures {
		clients.Go(func() { failures[client] = w.burstOf(ctx, s, client, len(failures), last) })
	}
	clients.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	pushed := time.Since(began)
	w.away.Store(false)
	if err := w.arrived(ctx, last); err != nil {
		return err
	}
	done := time.Since(began)
	after, err := w.executions(ctx)
	if err != nil {
		return err
	}
	what := "burst"
	if away {
		what = "burst while the cluster's registry is away"
	}
	fmt.Printf("%s: %d pushes to %d tags in %s, %.0f a second; all there %s later\n",
		what, s.burst, s.tags, round(pushed), float64(s.burst)/pushed.Seconds(), round(done-pushed))
	fmt.Printf("  %d executions, %d manifests put at the destination; %.2f and %.2f for each tag\n",
		after-before, w.puts.Load(), float64(after-before)/float64(s.tags), float64(w.puts.Load())/float64(s.tags))
	if away {
		verdict(w.puts.Load() <= int64(s.tags*11/10), "what is put is about as much as there are tags, however many pushes there were")
	}
	return nil
}

// burstOf is one client's share: each tag is one client's own, so that the last push
// to it is known, and comes again and again.
func (w *world) burstOf(ctx context.Context, s settings, client, clients int, last []string) error {
	var mine []int
	for tag := client; tag < s.tags; tag += clients {
		mine = append(mine, tag)
	}
	if len(mine) == 0 {
		return nil
	}
	for i := range s.burst * len(mine) / s.tags {
		tag := mine[i%len(mine)]
		image, err := random.Image(2000, 1)
		if err != nil {
			return err
		}
		digest, err := image.Digest()
		if err != nil {
			return err
		}
		if err := w.push(ctx, w.burstTag(tag), image); err != nil {
			return err
		}
		last[tag] = digest.String()
	}
	return nil
}

// burstTag names the nth tag of a burst.
func (w *world) burstTag(n int) string { return fmt.Sprintf("burst-%t-%d", w.burstAway, n) }

// arrived waits until each tag stands for what was pushed last.
func (w *world) arrived(ctx context.Context, last []string) error {
	deadline := time.Now().Add(lost)
	for tag, digest := range last {
		for digest != "" {
			there, err := w.has(ctx, w.burstTag(tag), digest)
			if err != nil {
				return err
			}
			if there {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s has not arrived after %s", w.burstTag(tag), lost)
			}
			time.Sleep(lookInterval)
		}
	}
	return nil
}

// executions counts the executions of the rule.
func (w *world) executions(ctx context.Context) (int, error) {
	var list []struct{ ID int64 }
	_, err := w.Call(ctx, "GET", "replication/executions?page_size=0&policy_id="+w.policy, nil, &list)
	return len(list), err
}
