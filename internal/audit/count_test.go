package audit_test

import (
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

// total is how many entries a page says that there are.
func total(t *testing.T, l *audit.Log, q string) int64 {
	t.Helper()
	query, err := store.ParseListQuery(q, "", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, total, err := l.List(t.Context(), audit.Selection{}, query)
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func TestAPageSaysHowManyEntriesThereAreWhateverHappens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Now().Truncate(time.Second)
		one, two := audit.New(db, nil), audit.New(db, nil) // two servers
		at := func(later time.Duration) { one.At(now.Add(later)); two.At(now.Add(later)) }
		entry := func(username string, age time.Duration) audit.Entry {
			return audit.Entry{Username: username, Kind: "create_label", Resource: "x", Time: now.Add(-age)}
		}
		check := func(when string, all, ann int64) {
			t.Helper()
			for _, l := range []*audit.Log{one, two} {
				if got := total(t, l, ""); got != all {
					t.Errorf("%s: %d entries, want %d", when, got, all)
				}
				if got := total(t, l, "username=ann"); got != ann {
					t.Errorf("%s: %d entries of ann, want %d", when, got, ann)
				}
			}
		}
		at(0)
		check("empty", 0, 0)
		write(t, one, entry("ann", 100*24*time.Hour), entry("ann", time.Hour), entry("bob", time.Hour), entry("ann", 0))
		check("written", 4, 3)
		at(time.Hour)
		check("an hour later", 4, 3)
		write(t, two, entry("ann", -time.Hour), entry("bob", -time.Hour))
		check("written by another", 6, 4)
		write(t, one, entry("ann", 30*time.Minute)) // long after it was done
		check("written late", 7, 5)
		if _, err := two.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("purged", 6, 4)
		at(2 * time.Hour)
		check("later", 6, 4)
	})
}

func TestSettledEntriesAreNotCountedForEachPage(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	l := audit.New(db, nil)
	now := time.Now()
	write(t, l, audit.Entry{Username: "ann", Kind: "create_label", Time: now.Add(-time.Hour)})
	if got := total(t, l, ""); got != 1 {
		t.Fatalf("%d entries", got)
	}
	// One that nothing has told of.
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO audit_logs (username, resource, resource_type, operation, op_time) VALUES ('ann', 'x', 'label', 'create', $1)`,
			store.Millis(now.Add(-time.Hour)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := total(t, l, ""); got != 1 {
		t.Errorf("%d entries: everything was counted again", got)
	}
	l.At(now.Add(16 * time.Minute))
	if got := total(t, l, ""); got != 2 {
		t.Errorf("%d entries: a count is believed for ever", got)
	}
}
