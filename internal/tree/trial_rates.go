package tree

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// What is stored to see how fast a tree is.
const (
	rateSmall       = 71 // bytes of a link
	rateLarge       = 4 * mebibyte
	rateTime        = 1500 * time.Millisecond // for each kind
	rateMostSmall   = 1000
	rateMostLarge   = 16
	rateConcurrency = 16
	rateStreams     = 4
)

// measure stores small objects and then large ones, many at a time, for a short while.
// put stores an object whose name and size it is given.
func measure(ctx context.Context, put func(ctx context.Context, base string, size int) error) (Rates, error) {
	var r Rates
	n, took, waited, err := storeSome(ctx, "small", rateSmall, rateConcurrency, rateMostSmall, put)
	if err != nil {
		return r, err
	}
	r.Requests, r.Latency = float64(n)/took.Seconds(), waited/time.Duration(n)
	n, took, _, err = storeSome(ctx, "large", rateLarge, rateStreams, rateMostLarge, put)
	if err != nil {
		return r, err
	}
	r.Bandwidth = float64(n) * rateLarge / took.Seconds()
	return r, nil
}

// storeSome returns how many objects it stored, how long that took, and how long all
// together were waited for.
func storeSome(ctx context.Context, word string, size, concurrency, most int, put func(ctx context.Context, base string, size int) error) (n int, took, waited time.Duration, err error) {
	var next, stored atomic.Int64
	var mu sync.Mutex
	start := time.Now()
	group, all := errgroup.WithContext(ctx)
	for range concurrency {
		group.Go(func() error {
			for {
				i := next.Add(1)
				if i > int64(most) || time.Since(start) > rateTime {
					return nil
				}
				began := time.Now()
				if err := put(all, fmt.Sprintf("rate/%s-%d", word, i), size); err != nil {
					return err
				}
				mu.Lock()
				waited += time.Since(began)
				mu.Unlock()
				stored.Add(1)
			}
		})
	}
	err = group.Wait()
	return int(stored.Load()), time.Since(start), waited, err
}
