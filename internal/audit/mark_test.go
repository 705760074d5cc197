package audit_test

import (
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func TestWhatHasComeSinceAMarkIsCounted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := audit.New(db, nil)
		mine := project(t, db, "mine")
		entry := func(username, project string, n int) {
			for range n {
				l.Note(t.Context(), audit.Entry{Username: username, Project: project, Kind: audit.PullArtifact, Resource: "x"})
			}
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ann, err := store.ParseListQuery("username=ann", "", 1, 10)
		if err != nil {
			t.Fatal(err)
		}
		everything, member := audit.Selection{}, audit.Selection{Projects: []int64{mine}}
		entry("ann", "mine", 1200) // more than a mark counts
		entry("bob", "", 3)
		marks := map[string]audit.Mark{}
		for name, s := range map[string]audit.Selection{"everything": everything, "member": member} {
			if marks[name], err = l.Mark(t.Context(), s, ann); err != nil {
				t.Fatal(err)
			}
		}
		check := func(everythingNew, memberNew int64) {
			t.Helper()
			for name, want := range map[string]int64{"everything": everythingNew, "member": memberNew} {
				s := map[string]audit.Selection{"everything": everything, "member": member}[name]
				mark, err := audit.ParseMark(marks[name].String())
				if err != nil {
					t.Fatal(err)
				}
				if got, err := l.Since(t.Context(), s, ann, mark); err != nil || got != want {
					t.Errorf("%s: %d are new, want %d: %v", name, got, want, err)
				}
			}
		}
		check(0, 0)
		entry("bob", "mine", 5)
		check(0, 0)
		entry("ann", "", 7)
		entry("ann", "mine", 2)
		check(9, 2)
		// An entry that others saw late has a number below those that are known.
		err = db.InTx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE audit_logs SET username = 'ann' WHERE id = (SELECT MIN(id) FROM audit_logs WHERE username = 'bob')`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		check(10, 2)
		entry("ann", "", 2000)
		check(1000, 2)
	})
}

func TestForEverIsARetention(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	l := audit.New(db, nil)
	write(t, l, audit.Entry{Username: "ann", Kind: "create_label", Time: time.Now().AddDate(-5, 0, 0)})
	set(t, db, audit.RetentionSetting, "0")
	if n, err := l.Purge(t.Context()); err != nil || n != 0 {
		t.Errorf("removed %d: %v", n, err)
	}
	if r, err := l.Recording(t.Context()); err != nil || r.Days != 0 || r.Off {
		t.Errorf("%+v %v", r, err)
	}
}
