package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func list(t *testing.T, l *audit.Log, s audit.Selection, q, sort string) []string {
	t.Helper()
	query, err := store.ParseListQuery(q, sort, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	entries, total, err := l.List(t.Context(), s, query)
	if err != nil {
		t.Fatal(err)
	}
	if int(total) != len(entries) {
		t.Errorf("%d entries, told %d", len(entries), total)
	}
	var said []string
	for _, e := range entries {
		text := e.Username + " " + e.Kind.Operation() + " " + e.Kind.Type() + " " + e.Resource
		if e.Failed {
			text += " failed"
		}
		said = append(said, text)
	}
	return said
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func set(t *testing.T, db *store.DB, name, value string) {
	t.Helper()
	if err := db.InTx(t.Context(), func(tx *store.Tx) error { return store.SetSetting(t.Context(), tx, name, value) }); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, l *audit.Log, entries ...audit.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := l.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func project(t *testing.T, db *store.DB, name string) (id int64) {
	t.Helper()
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRowContext(t.Context(), `INSERT INTO projects (name, owner_id, public, metadata, creation_time, update_time)
			VALUES ($1, 1, FALSE, '{}', 0, 0) RETURNING id`, name).Scan(&id)
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func at(minute int) time.Time {
	return time.Now().Truncate(time.Second).Add(time.Duration(minute-60) * time.Minute)
}

func TestAListIsFilteredAndSorted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := audit.New(db, nil)
		mine, other := project(t, db, "mine"), project(t, db, "other")
		write(t, l,
			audit.Entry{Project: "mine", Username: "ann", Kind: "create_artifact", Resource: "mine/app:v1", Time: at(1)},
			audit.Entry{Project: "other", Username: "bob", Kind: "pull_artifact", Resource: "other/app:v1", Time: at(2)},
			audit.Entry{Username: "ann", Kind: "login_user", Resource: "ann", Failed: true, Time: at(3)},
			audit.Entry{Project: "gone", Username: "ann", Kind: "delete_project", Resource: "gone", Time: at(4)},
		)
		everything := audit.Selection{}
		expect(t, list(t, l, everything, "", ""),
			"ann delete project gone", "ann login user ann failed", "bob pull artifact other/app:v1", "ann create artifact mine/app:v1")
		expect(t, list(t, l, everything, "username=ann,operation={create delete}", "op_time"), "ann create artifact mine/app:v1", "ann delete project gone")
		expect(t, list(t, l, everything, "resource=~APP", "username"), "ann create artifact mine/app:v1", "bob pull artifact other/app:v1")
		expect(t, list(t, l, everything, "operation_result=false", ""), "ann login user ann failed")
		expect(t, list(t, l, everything, "op_time=["+at(2).UTC().Format("2006-01-02 15:04:05")+"~"+at(3).UTC().Format("2006-01-02 15:04:05")+"]", ""),
			"ann login user ann failed", "bob pull artifact other/app:v1")
		expect(t, list(t, l, audit.Selection{Projects: []int64{mine, other}}, "", ""), "bob pull artifact other/app:v1", "ann create artifact mine/app:v1")
		expect(t, list(t, l, audit.Selection{Projects: []int64{mine}, Types: []string{"artifact", "tag"}}, "username=~a", ""), "ann create artifact mine/app:v1")
		expect(t, list(t, l, audit.Selection{Projects: []int64{}}, "", "")) // who has no project sees nothing
	})
}

func TestAnEntryStandsOrFallsWithItsTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := audit.New(db, nil)
		_ = db.InTx(t.Context(), func(tx *store.Tx) error {
			if err := l.Add(t.Context(), tx, audit.Entry{Username: "ann", Kind: "create_tag", Resource: "a/b:c"}); err != nil {
				return err
			}
			return context.Canceled
		})
		expect(t, list(t, l, audit.Selection{}, "", ""))
	})
}

func TestWhatIsNotedIsWrittenLater(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := audit.New(db, nil)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 250 { // more than one statement takes
			l.Note(ctx, audit.Entry{Username: "ann", Kind: "pull_artifact", Resource: fmt.Sprintf("a/b:%d", i)})
		}
		cancel()
		if err := l.Flush(ctx); err == nil {
			t.Fatal("written without a database")
		}
		// What could not be written is written when the process ends.
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if got := len(list(t, l, audit.Selection{}, "", "")); got != 250 {
			t.Errorf("%d entries", got)
		}
	})
}

func TestWhatIsTurnedOffIsNotRecorded(t *testing.T) {
	t.Parallel()
	pull := audit.Entry{Username: "ann", Kind: "pull_artifact", Resource: "a/b:c", Time: at(1)}
	push := audit.Entry{Username: "ann", Kind: "create_artifact", Resource: "a/b:c", Time: at(2)}
	tests := []struct {
		name, setting, value string
		want                 []string
	}{
		{"nothing is", audit.DisabledSetting, "", []string{"ann create artifact a/b:c", "ann pull artifact a/b:c"}},
		{"pulls are", audit.DisabledSetting, "delete_user, pull_artifact", []string{"ann create artifact a/b:c"}},
		{"everything is", audit.SkipSetting, "true", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t)
			set(t, db, tt.setting, tt.value)
			l := audit.New(db, nil)
			l.Note(t.Context(), pull)
			write(t, l, push)
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			expect(t, list(t, l, audit.Selection{}, "", ""), tt.want...)
		})
	}
}

func TestTextsThatNoDatabaseTakesAreMended(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := audit.New(db, nil)
		write(t, l, audit.Entry{Username: "a\x00b\xff", Kind: "login_user", Resource: strings.Repeat("é", 2000)})
		query, _ := store.ParseListQuery("", "", 1, 10)
		entries, _, err := l.List(t.Context(), audit.Selection{}, query)
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		if e := entries[0]; e.Username != "a�b�" || len(e.Resource) > 1024 || !strings.HasSuffix(e.Resource, "é…") {
			t.Errorf("%q %q", e.Username, e.Resource)
		}
	})
}

func TestOldEntriesAreRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := audit.New(db, nil)
		day := 24 * time.Hour
		for i := range 1500 { // more than one transaction removes
			l.Note(t.Context(), audit.Entry{Username: "old", Kind: "pull_artifact", Resource: fmt.Sprint(i), Time: time.Now().Add(-91 * day)})
		}
		l.Note(t.Context(), audit.Entry{Username: "ann", Kind: "pull_artifact", Resource: "recent", Time: time.Now().Add(-89 * day)})
		l.Note(t.Context(), audit.Entry{Username: "ann", Kind: "pull_artifact", Resource: "new", Time: time.Now().Add(-6 * day)})
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := l.Purge(t.Context()); err != nil || n != 1500 {
			t.Errorf("removed %d: %v", n, err)
		}
		expect(t, list(t, l, audit.Selection{}, "", ""), "ann pull artifact new", "ann pull artifact recent")
		set(t, db, audit.RetentionSetting, "7")
		if n, err := l.Purge(t.Context()); err != nil || n != 1 {
			t.Errorf("removed %d: %v", n, err)
		}
		set(t, db, audit.RetentionSetting, "for ever")
		if n, err := l.Purge(t.Context()); err == nil || n != 0 {
			t.Errorf("removed %d: %v", n, err)
		}
	})
}

// With each connection of the pool in a transaction, an entry has to need none of its own:
// what would give one back may wait for the transaction that the entry is in.
func TestAnEntryNeedsNoConnectionBesideThatOfItsTransaction(t *testing.T) {
	db := storetest.OpenURL(t, storetest.PostgreSQLURL(t))
	l := audit.New(db, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of a test that fails
	defer cancel()
	var open func(left int) error
	open = func(left int) error {
		return db.InTx(ctx, func(tx *store.Tx) error {
			if left > 1 {
				return open(left - 1)
			}
			return l.Add(ctx, tx, audit.Entry{Username: "admin", Kind: "create_project", Resource: "one"})
		})
	}
	if err := open(24); err != nil {
		t.Fatal(err)
	}
	expect(t, list(t, l, audit.Selection{}, "", ""), "admin create project one")
}
