package pace

import (
	"context"
	"math"
	"time"
)

// Limits are several limits that a stream keeps within at the same time, such as that
// of a rule and those of the registries that it reads from and writes to. Every byte
// counts in each of them. The zero value is no limit.
//
// Everybody must name limits that he shares with others in one and the same order: each
// lets only so many streams in, and two that wait for each other would wait for ever.
type Limits []*Bandwidth

// Lanes returns the same limits with places for streams of their own, see Bandwidth.Lane.
func (l Limits) Lanes() Limits {
	lanes := make(Limits, len(l))
	for i, b := range l {
		lanes[i] = b.Lane()
	}
	return lanes
}

// AtOnce returns how many bytes may come at once, see Bandwidth.AtOnce.
func (l Limits) AtOnce() int {
	least := math.MaxInt
	for _, b := range l {
		least = min(least, b.AtOnce())
	}
	return least
}

// Enter waits until one more stream may use all of the limits, see Bandwidth.Enter.
func (l Limits) Enter(ctx context.Context) (leave func(), err error) {
	inside := make([]func(), 0, len(l))
	leave = func() {
		for _, one := range inside {
			one()
		}
	}
	for _, b := range l {
		one, err := b.Enter(ctx)
		if err != nil {
			leave()
			return nil, err
		}
		inside = append(inside, one)
	}
	return leave, nil
}

// Wait takes n bytes from what may move within each limit, and waits until they may
// move within all: as long as the slowest says, not one after the other.
func (l Limits) Wait(ctx context.Context, n int) error {
	for n > 0 {
		some := min(n, l.AtOnce())
		if err := sleep(ctx, l.reserve(some)); err != nil {
			return err
		}
		n -= some
	}
	return nil
}

// reserve gives n bytes their time in each limit and returns the longest of the waits.
func (l Limits) reserve(n int) time.Duration {
	var wait time.Duration
	for _, b := range l {
		wait = max(wait, b.reserve(n))
	}
	return wait
}
