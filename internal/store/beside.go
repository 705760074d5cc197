package store

import (
	"context"
	"fmt"
	"sync"
)

// besideKey is what a context keeps a Beside under.
type besideKey struct{}

// Beside is something to be written together with what a context's work changes.
type Beside struct {
	f func(ctx context.Context, tx *Tx) error

	mu   sync.Mutex
	over bool
}

// WithBeside has f run at the end of the first transaction under ctx that is committed, in
// it: the one is in the database if the other is. A failure of f fails that transaction.
func WithBeside(ctx context.Context, f func(ctx context.Context, tx *Tx) error) (context.Context, *Beside) {
	b := &Beside{f: f}
	return context.WithValue(ctx, besideKey{}, b), b
}

// End makes sure that f does not run any more, and reports whether it was committed.
func (b *Beside) End() (committed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	committed, b.over = b.over, true
	return committed
}

// commitBeside commits tx with what is to be beside it. Of transactions under one context that
// end at the same time one writes it: the others wait.
func commitBeside(ctx context.Context, tx *Tx) error {
	b, ok := ctx.Value(besideKey{}).(*Beside)
	if !ok {
		return commit(tx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return commit(tx)
	}
	if err := b.f(ctx, tx); err != nil {
		return err
	}
	if err := commit(tx); err != nil {
		return err
	}
	b.over = true
	return nil
}

func commit(tx *Tx) error {
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}
