// Package storetest opens databases for tests: SQLite in a temporary folder, and
// databases of their own on a private PostgreSQL server that is started when a
// test binary first asks for one and stopped when that binary ends, however it
// ends. It never touches a database that it has not made itself.
//
// Where no PostgreSQL is installed, the tests for it are skipped and say so; with
// LIGHTERAGE_REQUIRE_ALL=1 they fail instead.
package storetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lighterage/lighterage/internal/store"
)

// Open opens a new, empty SQLite database that is closed when the test ends.
func Open(t testing.TB) *store.DB {
	t.Helper()
	return OpenURL(t, SQLiteURL(t))
}

// OpenURL opens the database at rawURL and closes it when the test ends. Opening
// one URL several times gives databases that see each other as processes do.
func OpenURL(t testing.TB, rawURL string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), rawURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}

// Each runs a test on a new SQLite and on a new PostgreSQL database, in parallel.
func Each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, rawURL string) {
		test(t, OpenURL(t, rawURL))
	})
}

// EachURL is Each for tests that open the database themselves.
func EachURL(t *testing.T, test func(t *testing.T, rawURL string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLiteURL(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, PostgreSQLURL(t))
	})
}

// SQLiteURL returns the URL of a database that is not there yet.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// PostgreSQLURL returns the URL of a database that is the test's own until it
// ends, with the schema and nothing in it. It skips the test where no PostgreSQL
// is installed.
func PostgreSQLURL(t testing.TB) string {
	t.Helper()
	s := runningServer(t)
	name, err := s.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.giveBack(name); err != nil {
			t.Error(err)
		}
	})
	return s.url(name)
}

// EmptyPostgreSQLURL is PostgreSQLURL for a new database without a schema.
func EmptyPostgreSQLURL(t testing.TB) string {
	t.Helper()
	s := runningServer(t)
	name, err := s.create(t.Context(), "template0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.drop(name); err != nil {
			t.Error(err)
		}
	})
	return s.url(name)
}

// runningServer skips or fails the test when there is none.
func runningServer(t testing.TB) *postgres {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		const text = "PostgreSQL is not installed (no initdb in PATH or /usr/lib/postgresql): NOT TESTED on PostgreSQL"
		if os.Getenv("LIGHTERAGE_REQUIRE_ALL") == "1" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	return s
}
