package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func setting(t *testing.T, db *store.DB, name string) (value string, found bool) {
	t.Helper()
	err := db.QueryRowContext(t.Context(), `SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
	if store.IsNotFound(err) {
		return "", false
	}
	if err != nil {
		t.Fatal(err)
	}
	return value, true
}

func TestTransactionIsKeptWhenItSucceedsAndUndoneWhenItFails(t *testing.T) {
	t.Parallel()
	storetest.Each(t, testTransaction)
}

func testTransaction(t *testing.T, db *store.DB) {
	committed := 0
	insert := func(name string, result error) error {
		return db.InTx(t.Context(), func(tx *store.Tx) error {
			tx.OnCommit(func() { committed++ })
			if _, err := tx.ExecContext(t.Context(), `INSERT INTO settings (name, value) VALUES ($1, $2)`, name, "v"); err != nil {
				return err
			}
			return result
		})
	}
	if err := insert("kept", nil); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no")
	if err := insert("undone", failure); !errors.Is(err, failure) {
		t.Fatalf("got %v, want the function's own error", err)
	}
	if _, ok := setting(t, db, "kept"); !ok {
		t.Error("the committed row is not there")
	}
	if _, ok := setting(t, db, "undone"); ok {
		t.Error("the row of the failed transaction is there")
	}
	if err := insert("kept", nil); !store.IsConflict(err) {
		t.Errorf("second row with the same key: got %v, want a conflict", err)
	}
	if committed != 1 {
		t.Errorf("OnCommit was called %d times for one commit and two failures", committed)
	}
}

func TestWritingOutsideATransactionIsRefused(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	var name string
	err := db.QueryRowContext(t.Context(), `INSERT INTO settings (name, value) VALUES ('a', 'b') RETURNING name`).Scan(&name)
	if err == nil {
		t.Fatal("a read-only connection wrote")
	}
}

func TestMissingParentIsReported(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		err := db.InTx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO repositories (project_id, name, creation_time, update_time) VALUES (77, 'a/b', 0, 0)`)
			return err
		})
		if !store.IsReferenced(err) {
			t.Fatalf("got %v, want a foreign key failure", err)
		}
	})
}

func TestOpenRefusesUnknownDatabases(t *testing.T) {
	t.Parallel()
	for _, rawURL := range []string{"", "mysql://x", "/just/a/path", "sqlite:"} {
		if _, err := store.Open(context.Background(), rawURL); !problem.Is(err, problem.BadRequest) {
			t.Errorf("Open(%q): %v, want a mistake of the user", rawURL, err)
		}
	}
}

func TestOthersCannotReadANewDatabase(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(folder, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := filepath.Glob(filepath.Join(folder, "a.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v: want the database and its log", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
}

func TestOpeningAgainKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	file := "sqlite:" + filepath.Join(t.TempDir(), "odd name?#%.db")
	for _, value := range []string{"first", "second"} {
		db, err := store.Open(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		err = db.InTx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO settings (name, value) VALUES ($1, 'x')`, value)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := setting(t, db, "first"); !ok {
			t.Error("what the first opening wrote is gone")
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Steps are made beside each other, so that one with a smaller number may come last.
func TestAStepThatCameLaterThanOthersIsMadeUpFor(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"sqlite":   "sqlite:" + filepath.Join(t.TempDir(), "steps.db"),
		"postgres": storetest.EmptyPostgreSQLURL(t),
	} {
		open := func() *store.DB {
			db, err := store.Open(t.Context(), url)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
		err := open().InTx(t.Context(), func(tx *store.Tx) error {
			for _, statement := range []string{`DROP TABLE harbor_changes`, `DELETE FROM goose_db_version WHERE version_id = 8`} {
				if _, err := tx.ExecContext(t.Context(), statement); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var n int
		if err := open().QueryRowContext(t.Context(), `SELECT count(*) FROM harbor_changes`).Scan(&n); err != nil {
			t.Errorf("%s: what the step makes is not there: %v", name, err)
		}
	}
}

// On PostgreSQL two transactions that wait for each other are a deadlock, of which
// the database breaks one: that one must run again. On SQLite they take turns.
func TestTransactionsThatMeetBothSucceed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		update := func(tx *store.Tx, name string) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE settings SET value = value || '+' WHERE name = $1`, name)
			return err
		}
		err := db.InTx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO settings (name, value) VALUES ('a', ''), ('b', '')`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var both, wg sync.WaitGroup
		if db.Dialect() == store.PostgreSQL {
			both.Add(2)
		}
		for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
			first := true
			wg.Go(func() {
				err := db.InTx(t.Context(), func(tx *store.Tx) error {
					if err := update(tx, order[0]); err != nil {
						return err
					}
					if first && db.Dialect() == store.PostgreSQL { // each holds what the other wants
						first = false
						both.Done()
						both.Wait()
					}
					return update(tx, order[1])
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, name := range []string{"a", "b"} {
			if value, _ := setting(t, db, name); value != "++" {
				t.Errorf("%s was changed %d times, want 2", name, len(value))
			}
		}
	})
}

func TestServersThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	rawURL := storetest.EmptyPostgreSQLURL(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), rawURL)
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
