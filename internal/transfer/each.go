package transfer

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// each calls f for every item, at most limit at a time. After a failure no more
// items are begun. Those that run are stopped if the failure is final, and finish
// otherwise: what they bring will not have to be brought again by the next try. The
// error is the first one.
func each[T any](ctx context.Context, limit int, items []T, f func(context.Context, T) error) error {
	if len(items) == 1 {
		return f(ctx, items[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, limit)
	)
	failed := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return first != nil
	}
	for _, item := range items {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if failed() || ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			err := f(ctx, item)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = err
				if !IsRetryable(err) {
					cancel()
				}
			}
		})
	}
	wg.Wait()
	if first == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return first
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d bytes", max(n, 0))
	}
	value, exponent := float64(n), -1
	for value >= unit && exponent < 5 {
		value /= unit
		exponent++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[exponent])
}

func since(start time.Time) time.Duration { return time.Since(start).Round(time.Millisecond) }
