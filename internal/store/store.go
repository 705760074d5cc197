// Package store is the database of Lighterage: one SQLite file by default, or
// PostgreSQL, from which any number of servers can work together.
//
// It opens the database, brings its schema up to date and runs transactions.
// The statements on a table are not here but in the package that owns the table
// (accounts, the home index, replication, the queue). They are written once for
// both databases: $1 placeholders, RETURNING, ON CONFLICT, times as BIGINT
// milliseconds, JSON as TEXT.
//
// Outside a transaction a *DB only reads (on SQLite the connections it reads
// with refuse to write); every write goes through InTx.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	_ "modernc.org/sqlite"             // driver "sqlite"

	"github.com/lighterage/lighterage/internal/problem"
)

// Dialect names the kind of database.
type Dialect string

// The two databases that are supported.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// Querier runs statements: a *DB for reads outside a transaction, a *Tx inside one.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	writer  *sql.DB // SQLite: one connection
	reader  *sql.DB // PostgreSQL: the same as writer
}

// Open opens the database at rawURL and migrates its schema:
//
//	sqlite:/path/to/file.db   (the folder is made when it is missing)
//	postgres://user:password@host/name?...
func Open(ctx context.Context, rawURL string) (*DB, error) {
	db, err := connect(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := migrate(ctx, db); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}

func connect(rawURL string) (*DB, error) {
	switch {
	case strings.HasPrefix(rawURL, "sqlite:"):
		return connectSQLite(strings.TrimPrefix(rawURL, "sqlite:"))
	case strings.HasPrefix(rawURL, "postgres://"), strings.HasPrefix(rawURL, "postgresql://"):
		return connectPostgreSQL(rawURL)
	default:
		scheme, _, _ := strings.Cut(rawURL, ":")
		return nil, problem.New(problem.BadRequest, "database URL starts with %q, want sqlite: or postgres://", scheme)
	}
}

func connectSQLite(path string) (*DB, error) {
	if path == "" {
		return nil, problem.New(problem.BadRequest, "database URL sqlite: names no file")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := createPrivately(path); err != nil {
		return nil, err
	}
	dsn := func(more ...string) string {
		q := url.Values{"_pragma": append([]string{
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)",
		}, more...)}
		q.Set("_txlock", "immediate")
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	}
	writer, err := sql.Open("sqlite", dsn())
	if err != nil {
		return nil, err
	}
	// SQLite has one writer at a time: waiting for the connection is cheaper
	// and fairer than waiting for the file's lock.
	writer.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", dsn("query_only(1)"))
	if err != nil {
		_ = writer.Close()
		return nil, err
	}
	keepConnections(reader, 8)
	return &DB{dialect: SQLite, writer: writer, reader: reader}, nil
}

// createPrivately makes a new database file readable by its owner only, as are then
// the files that SQLite puts beside it. A file that is there is not even opened:
// closing it would end the locks that this process has on it (fcntl).
func createPrivately(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

func connectPostgreSQL(rawURL string) (*DB, error) {
	pool, err := sql.Open("pgx", rawURL)
	if err != nil {
		return nil, err
	}
	keepConnections(pool, 24)
	return &DB{dialect: PostgreSQL, writer: pool, reader: pool}, nil
}

// keepConnections bounds the connections of a pool. They stay open between
// statements, since opening one costs more than most statements do; those that
// nobody needs for some minutes are closed.
func keepConnections(pool *sql.DB, n int) {
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	pool.SetConnMaxIdleTime(5 * time.Minute)
}

// Dialect returns the kind of the database.
func (db *DB) Dialect() Dialect { return db.dialect }

// Close closes the database; running transactions fail.
func (db *DB) Close() error {
	if db.reader == db.writer {
		return db.writer.Close()
	}
	return errors.Join(db.reader.Close(), db.writer.Close())
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.reader.PingContext(ctx) }

// QueryContext runs a reading query.
func (db *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return db.reader.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a reading query for one row.
func (db *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return db.reader.QueryRowContext(ctx, query, args...)
}

// Tx is a transaction.
type Tx struct {
	*sql.Tx
	dialect  Dialect
	onCommit []func()
}

// Dialect returns the kind of the database.
func (tx *Tx) Dialect() Dialect { return tx.dialect }

// OnCommit has f called after the transaction was committed, and not when it fails.
func (tx *Tx) OnCommit(f func()) { tx.onCommit = append(tx.onCommit, f) }

// InTx runs f in one transaction: committed when f returns nil, rolled back
// otherwise. On PostgreSQL f runs again when the database had to break a
// deadlock or a serialization failure, so it must have no effects but those of
// its statements. Inside f, use tx alone: on SQLite a second InTx would wait for
// the first for ever.
func (db *DB) InTx(ctx context.Context, f func(tx *Tx) error) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		err := db.inTx(ctx, f)
		if err == nil || attempt == attempts || !isTransient(err) || ctx.Err() != nil {
			return err
		}
	}
}

func (db *DB) inTx(ctx context.Context, f func(tx *Tx) error) error {
	raw, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	tx := &Tx{Tx: raw, dialect: db.dialect}
	defer func() { _ = raw.Rollback() }() // no effect after the commit
	if err := f(tx); err != nil {
		return err
	}
	if err := commitBeside(ctx, tx); err != nil {
		return err
	}
	for _, f := range tx.onCommit {
		f()
	}
	return nil
}
