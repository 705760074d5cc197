package store_test

import (
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func TestSettingIsWhatWasSetLast(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if _, found, err := db.Setting(t.Context(), "read_only"); err != nil || found {
			t.Fatalf("before it is set: found %t, error %v", found, err)
		}
		for _, value := range []string{"true", "", "false"} {
			err := db.InTx(t.Context(), func(tx *store.Tx) error {
				return store.SetSetting(t.Context(), tx, "read_only", value)
			})
			if err != nil {
				t.Fatal(err)
			}
			got, found, err := db.Setting(t.Context(), "read_only")
			if err != nil || !found || got != value {
				t.Errorf("got %q (found %t, error %v), want %q", got, found, err, value)
			}
		}
	})
}

func TestAllSettingsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		before, err := db.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := maps.Clone(before) // a new database may have some
		for name, value := range map[string]string{"read_only": "true", "banner_message": ""} {
			want[name] = value
			if err := db.InTx(t.Context(), func(tx *store.Tx) error { return store.SetSetting(t.Context(), tx, name, value) }); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := db.Settings(t.Context()); err != nil || !maps.Equal(got, want) {
			t.Errorf("got %v (error %v), want %v", got, err, want)
		}
	})
}

func TestSettingOfAFailedTransactionIsNotKept(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	failure := errors.New("no")
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		if err := store.SetSetting(t.Context(), tx, "name", "value"); err != nil {
			return err
		}
		if got, _, err := store.Setting(t.Context(), tx, "name"); err != nil || got != "value" {
			t.Errorf("inside the transaction: got %q, error %v", got, err)
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if _, found, err := db.Setting(t.Context(), "name"); err != nil || found {
		t.Errorf("found %t, error %v, want nothing", found, err)
	}
}

func TestInitSettingGivesEveryStarterTheSameValue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const starters = 8
		got := make([]string, starters)
		var wait sync.WaitGroup
		for i := range starters {
			wait.Go(func() {
				err := db.InTx(t.Context(), func(tx *store.Tx) error {
					var err error
					got[i], err = store.InitSetting(t.Context(), tx, "key", string(rune('a'+i)))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		stored, _, err := db.Setting(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		for i, value := range got {
			if value != stored || value == "" {
				t.Errorf("starter %d works with %q, stored is %q", i, value, stored)
			}
		}
	})
}
