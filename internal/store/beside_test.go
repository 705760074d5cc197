package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func TestWhatIsBesideIsCommittedWithTheFirstTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, beside := store.WithBeside(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return store.SetSetting(ctx, tx, "beside", "there")
		})
		broken := errors.New("broken")
		if err := db.InTx(ctx, func(*store.Tx) error { return broken }); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if _, found, _ := db.Setting(ctx, "beside"); found {
			t.Error("it is there although the transaction was rolled back")
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := db.InTx(ctx, func(*store.Tx) error { return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if _, found, err := db.Setting(ctx, "beside"); err != nil || !found {
			t.Errorf("it is not there: %v", err)
		}
		if !beside.End() {
			t.Error("End does not tell that it was committed")
		}
	})
}

func TestWhatIsBesideFailsItsTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		broken := errors.New("broken")
		ctx, beside := store.WithBeside(t.Context(), func(context.Context, *store.Tx) error { return broken })
		err := db.InTx(ctx, func(tx *store.Tx) error { return store.SetSetting(ctx, tx, "main", "there") })
		if _, found, _ := db.Setting(t.Context(), "main"); !errors.Is(err, broken) || found {
			t.Errorf("error %v, found %t", err, found)
		}
		if beside.End() {
			t.Error("End tells of a commit")
		}
		if err := db.InTx(ctx, func(*store.Tx) error { return nil }); err != nil {
			t.Errorf("after End: %v", err)
		}
	})
}
