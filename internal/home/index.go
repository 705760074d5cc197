package home

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Index is the index of the home registry. It is safe for concurrent use.
type Index struct {
	db       *store.DB
	owner    string // this process, in the intents it makes
	projects Projects
	audit    *audit.Log // nil: what happens is not recorded there

	mu        sync.Mutex
	live      map[int64]struct{} // intents that this process is working on
	listeners []func()
	pulls     map[pull]pullCount
}

// Projects makes the projects of repositories that are found in a storage without
// one.
type Projects interface {
	// EnsureProject returns the id of the project with the name, made in tx when
	// it is not there.
	EnsureProject(ctx context.Context, tx *store.Tx, name string) (id int64, err error)
}

// Option changes how an Index works.
type Option func(*Index)

// WithProjects has projects made by p when the storage holds repositories of
// unknown ones. Without it such a repository is an error.
func WithProjects(p Projects) Option { return func(x *Index) { x.projects = p } }

// WithAudit has changes and pulls recorded in an audit log.
func WithAudit(l *audit.Log) Option { return func(x *Index) { x.audit = l } }

// NewIndex returns the index that is kept in db.
func NewIndex(db *store.DB, options ...Option) *Index {
	x := &Index{db: db, owner: rand.Text(), live: map[int64]struct{}{}, pulls: map[pull]pullCount{}}
	for _, option := range options {
		option(x)
	}
	return x
}

// completeSetting is the setting that says that the index holds everything that
// is in the storage.
const completeSetting = "home.index"

// Complete reports whether the index holds everything that is in the storage. A
// new or lost database does not, until MarkComplete.
func (x *Index) Complete(ctx context.Context) (bool, error) {
	var value string
	err := x.db.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, completeSetting).Scan(&value)
	if store.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read state of the index: %w", err)
	}
	return value == "complete", nil
}

// MarkComplete remembers whether the index holds everything that is in the storage.
func (x *Index) MarkComplete(ctx context.Context, complete bool) error {
	value := "incomplete"
	if complete {
		value = "complete"
	}
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, completeSetting, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("remember state of the index: %w", err)
	}
	return nil
}

// Shared reports whether other processes may change the same storage at the same
// time. They can only with PostgreSQL; an SQLite file serves one process.
func (x *Index) Shared() bool { return x.db.Dialect() == store.PostgreSQL }

// projectID finds the project of a repository, in tx.
func (x *Index) projectID(ctx context.Context, tx *store.Tx, repository string) (int64, error) {
	name, err := Project(repository)
	if err != nil {
		return 0, err
	}
	var id int64
	err = tx.QueryRowContext(ctx, `SELECT id FROM projects WHERE name = $1`, name).Scan(&id)
	switch {
	case err == nil:
		return id, nil
	case !store.IsNotFound(err):
		return 0, err
	case x.projects == nil:
		return 0, problem.New(problem.NotFound, "project %s not found", name)
	default:
		return x.projects.EnsureProject(ctx, tx, name)
	}
}

// lockRepository returns the repository's row, made when it is not there. On
// PostgreSQL the row stays locked until tx ends, so that processes record changes
// of one repository one after the other.
func (x *Index) lockRepository(ctx context.Context, tx *store.Tx, name string, now time.Time) (id, projectID int64, err error) {
	projectID, err = x.projectID(ctx, tx, name)
	if err != nil {
		return 0, 0, err
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO repositories (project_id, name, creation_time, update_time) VALUES ($1, $2, $3, $3)
		ON CONFLICT (name) DO UPDATE SET update_time = excluded.update_time
		RETURNING id`, projectID, name, store.Millis(now)).Scan(&id)
	return id, projectID, err
}

// findRepository is lockRepository for changes that need no repository; the id of
// one that is not there is 0.
func findRepository(ctx context.Context, tx *store.Tx, name string, now time.Time) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE repositories SET update_time = $2 WHERE name = $1 RETURNING id`,
		name, store.Millis(now)).Scan(&id)
	if store.IsNotFound(err) {
		return 0, nil
	}
	return id, err
}
