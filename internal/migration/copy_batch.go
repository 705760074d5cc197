package migration

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/lighterage/lighterage/internal/tree"
)

// batch is a number of objects that are copied at the same time and must all be done
// before what depends on them begins. Objects of all batches share the copier's slots.
type batch struct {
	c      *copier
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	failed atomic.Int64 // objects

	names  []string                          // of what was handed in and is not under way
	works  []func(ctx context.Context) error // of each of them
	beside []string                          // of other objects that they put
}

func (c *copier) batch(ctx context.Context) *batch {
	b := &batch{c: c}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	return b
}

// intend is do for work that puts the object name, and others beside it. Work waits
// until some more has come together or wait is called, and until it is in the journal
// that all this is going to be put.
func (b *batch) intend(name string, work func(ctx context.Context) error, beside ...string) bool {
	b.names, b.works, b.beside = append(b.names, name), append(b.works, work), append(b.beside, beside...)
	if len(b.names) < intentsAtOnce {
		return true
	}
	return b.begin()
}

// begin begins with what was handed in.
func (b *batch) begin() bool {
	names, works := b.names, b.works
	intents := append(b.beside, names...)
	b.names, b.works, b.beside = nil, nil, nil
	if !b.c.o.DryRun {
		if err := b.c.j.intend(b.ctx, intents); err != nil {
			b.cancel(errors.Join(errJournal, err))
			return false
		}
	}
	for i, name := range names {
		if !b.do(name, works[i]) {
			return false
		}
	}
	return true
}

// do runs work when a slot is free, and returns before it is done. An error of work
// that does not end the copy counts as the failure of the object name. When the copy
// is to end do returns false.
func (b *batch) do(name string, work func(ctx context.Context) error) bool {
	select {
	case b.c.slots <- struct{}{}:
	case <-b.ctx.Done():
		return false
	}
	b.wg.Go(func() {
		defer func() { <-b.c.slots }()
		if err := work(b.ctx); err != nil {
			failed, end := b.c.judge(b.ctx, name, err)
			if failed {
				b.failed.Add(1)
			}
			if end != nil {
				b.cancel(end)
			}
		}
	})
	return true
}

// wait returns when all is done, with what ends the copy.
func (b *batch) wait() error {
	if len(b.names) > 0 {
		b.begin()
	}
	b.wg.Wait()
	err := context.Cause(b.ctx)
	b.cancel(nil)
	return err
}

// errJournal marks failures to record: without a journal a copy must not go on.
var errJournal = errors.New("journal")

// judge tells whether an error is the failure of an object, and counts it then, and
// whether it ends the copy.
func (c *copier) judge(ctx context.Context, name string, err error) (failed bool, end error) {
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case tree.IsFatal(err) || errors.Is(err, errJournal):
		return false, err
	case errors.Is(err, errVanished):
		return false, nil
	case errors.Is(err, errPostponed):
		c.p.postponed.Add(1)
		return true, nil
	case errors.Is(err, errDamaged):
		return false, nil // told of already
	}
	c.p.failed.Add(1)
	if c.o.OnFailure != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.o.OnFailure(name, err)
	}
	return true, nil
}
