package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
)

// Book is where migrations are kept.
type Book struct {
	db   *store.DB
	box  *secret.Box
	name string // of this process, among those that share the database

	clock func() time.Time // of this process
}

// NewBook returns the migrations in db. name is that of this process.
func NewBook(db *store.DB, box *secret.Box, name string) *Book {
	return &Book{db: db, box: box, name: name, clock: time.Now}
}

// now is the time that all servers go by which share the database: their own clocks may
// differ by more than the time after which they take each other for dead.
func (b *Book) now(ctx context.Context, q store.Querier) (time.Time, error) {
	if b.db.Dialect() != store.PostgreSQL {
		return b.clock(), nil
	}
	var millis int64
	if err := q.QueryRowContext(ctx, `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint`).Scan(&millis); err != nil {
		return time.Time{}, fmt.Errorf("ask the database for the time: %w", err)
	}
	return store.Time(millis), nil
}

// Secrets are those of both ends of a migration.
type Secrets struct {
	Source      Secret `json:"source"`
	Destination Secret `json:"destination"`
}

const migrationColumns = `SELECT id, document, status, wish, asked FROM storage_migrations`

func scanState(row interface{ Scan(...any) error }) (State, error) {
	var s State
	var id int64
	var document, status, wish string
	var asked bool
	if err := row.Scan(&id, &document, &status, &wish, &asked); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(document), &s); err != nil {
		return s, fmt.Errorf("read storage migration %d: %w", id, err)
	}
	s.ID, s.Status, s.Wish, s.Asked = id, Status(status), Wish(wish), asked
	return s, nil
}

// Last returns the newest migration; problem.NotFound if there was none.
func (b *Book) Last(ctx context.Context) (State, error) {
	s, err := scanState(b.db.QueryRowContext(ctx, migrationColumns+` ORDER BY id DESC LIMIT 1`))
	if store.IsNotFound(err) {
		return s, problem.New(problem.NotFound, "the storage was never moved")
	}
	if err != nil {
		return s, fmt.Errorf("read the storage migration: %w", err)
	}
	return s, nil
}

// Begin keeps a new migration; problem.Conflict while another is not over.
func (b *Book) Begin(ctx context.Context, s State, secrets Secrets) (int64, error) {
	document, err := json.Marshal(s)
	if err != nil {
		return 0, fmt.Errorf("begin a storage migration: %w", err)
	}
	sealed, err := b.seal(secrets)
	if err != nil {
		return 0, err
	}
	var id int64
	err = b.db.InTx(ctx, func(tx *store.Tx) error {
		last, err := scanState(tx.QueryRowContext(ctx, migrationColumns+` WHERE open = 1`))
		if err == nil {
			return problem.New(problem.Conflict, "storage migration %d to %s is not over: finish it, cancel it or roll it back first", last.ID, last.Destination)
		}
		if !store.IsNotFound(err) {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO storage_migrations (open, status, document, secret, creation_time)
			VALUES (1, $1, $2, $3, $4) RETURNING id`, s.Status, string(document), sealed, store.Millis(s.Created)).Scan(&id)
	})
	switch {
	case store.IsConflict(err):
		return 0, problem.New(problem.Conflict, "another storage migration has just been started")
	case err != nil:
		return 0, fmt.Errorf("begin a storage migration: %w", err)
	}
	return id, nil
}

const sealedAs = "storage_migrations/secret"

func (b *Book) seal(s Secrets) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return b.box.Seal(string(plain), sealedAs)
}

// Secrets opens those of a migration.
func (b *Book) Secrets(ctx context.Context, id int64) (s Secrets, err error) {
	var sealed string
	if err := b.db.QueryRowContext(ctx, `SELECT secret FROM storage_migrations WHERE id = $1`, id).Scan(&sealed); err != nil {
		return s, fmt.Errorf("read the secrets of storage migration %d: %w", id, err)
	}
	plain, err := b.box.Open(sealed, sealedAs)
	if err != nil {
		return s, fmt.Errorf("read the secrets of storage migration %d: %w", id, err)
	}
	if err := json.Unmarshal([]byte(plain), &s); err != nil {
		return s, fmt.Errorf("read the secrets of storage migration %d: %w", id, err)
	}
	return s, nil
}

// Ask notes what somebody wants of the newest migration, if that can be wanted now.
func (b *Book) Ask(ctx context.Context, action Action, credential *Credential) error {
	return b.db.InTx(ctx, func(tx *store.Tx) error {
		s, err := scanState(tx.QueryRowContext(ctx, migrationColumns+` ORDER BY id DESC LIMIT 1`))
		if store.IsNotFound(err) {
			return problem.New(problem.NotFound, "the storage was never moved")
		}
		if err != nil {
			return err
		}
		if err := s.allows(action); err != nil {
			return err
		}
		if credential != nil {
			if err := b.replace(ctx, tx, &s, *credential); err != nil {
				return err
			}
		}
		if action == ActCutOver {
			_, err = tx.ExecContext(ctx, `UPDATE storage_migrations SET asked = TRUE WHERE id = $1`, s.ID)
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE storage_migrations SET wish = $1 WHERE id = $2`, string(action), s.ID)
		}
		if err != nil {
			return fmt.Errorf("ask storage migration %d to %s: %w", s.ID, action, err)
		}
		return nil
	})
}

// allows says why an action cannot be asked for now.
func (s *State) allows(action Action) error {
	for _, a := range s.Actions() {
		// Who asks to go back before anything has changed wants to leave.
		if a == action || a == ActCancel && action == ActRollback {
			return nil
		}
	}
	return problem.New(problem.Precondition, "%s cannot be asked of the storage migration while it is %s (in phase %s)", action, s.Status, s.Phase)
}

// replace gives the destination another credential.
func (b *Book) replace(ctx context.Context, tx *store.Tx, s *State, c Credential) error {
	var sealed string
	if err := tx.QueryRowContext(ctx, `SELECT secret FROM storage_migrations WHERE id = $1`, s.ID).Scan(&sealed); err != nil {
		return err
	}
	plain, err := b.box.Open(sealed, sealedAs)
	if err != nil {
		return err
	}
	var secrets Secrets
	if err := json.Unmarshal([]byte(plain), &secrets); err != nil {
		return err
	}
	s.Destination.AccessKey, secrets.Destination = c.AccessKey, Secret{SecretKey: c.SecretKey}
	if sealed, err = b.seal(secrets); err != nil {
		return err
	}
	document, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE storage_migrations SET secret = $1, document = $2 WHERE id = $3`, sealed, string(document), s.ID)
	return err
}

// lease is how long a process has a migration without saying that it is still there.
const lease = 30 * time.Second

// Claim makes this process the one that works on the migration that is not over; nil if
// there is none, or another process works on it.
func (b *Book) Claim(ctx context.Context) (*State, error) {
	now, err := b.now(ctx, b.db)
	if err != nil {
		return nil, err
	}
	query, args := `UPDATE storage_migrations SET owner = $1, lease = $2 WHERE open = 1`, []any{b.name, store.Millis(now.Add(lease))}
	if b.db.Dialect() == store.PostgreSQL { // with SQLite there is no other process, but one that was killed
		query, args = query+` AND (owner = $1 OR owner = '' OR lease < $3)`, append(args, store.Millis(now))
	}
	var s State
	err = b.db.InTx(ctx, func(tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
		var err error
		s, err = scanState(tx.QueryRowContext(ctx, migrationColumns+` WHERE open = 1 AND owner = $1`, b.name))
		return err
	})
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take the storage migration: %w", err)
	}
	return &s, nil
}

// errLost is that another process works on the migration by now.
var errLost = errors.New("another server works on the storage migration by now")

// Renew says that this process still works on a migration.
func (b *Book) Renew(ctx context.Context, id int64) error {
	now, err := b.now(ctx, b.db)
	if err != nil {
		return err
	}
	return b.mine(ctx, `UPDATE storage_migrations SET lease = $1 WHERE id = $2 AND owner = $3`, store.Millis(now.Add(lease)), id, b.name)
}

// Release lets another process have the migration at once.
func (b *Book) Release(ctx context.Context, id int64) error {
	return b.mine(ctx, `UPDATE storage_migrations SET owner = '' WHERE id = $1 AND owner = $2`, id, b.name)
}

func (b *Book) mine(ctx context.Context, query string, args ...any) error {
	return b.db.InTx(ctx, func(tx *store.Tx) error {
		done, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return errLost
	})
}

// Keeper keeps one migration.
func (b *Book) Keeper(id int64) Keeper { return keeper{b, id} }

type keeper struct {
	*Book
	id int64
}

func (k keeper) Save(ctx context.Context, s *State) error { return k.write(ctx, s, ``) }

func (k keeper) Fulfilled(ctx context.Context, s *State, w Wish) error {
	// A wish that came meanwhile stays.
	return k.write(ctx, s, `, wish = CASE WHEN wish = '`+string(w)+`' THEN '' ELSE wish END`)
}

func (k keeper) write(ctx context.Context, s *State, more string) error {
	document, err := json.Marshal(s)
	if err != nil {
		return err
	}
	open := any(int64(1))
	if s.Status.Over() {
		open = nil
	}
	return k.mine(ctx, `UPDATE storage_migrations SET document = $1, status = $2, open = $3`+more+` WHERE id = $4 AND owner = $5`,
		string(document), string(s.Status), open, k.id, k.name)
}

func (k keeper) Wishes(ctx context.Context) (w Wish, asked bool, err error) {
	var text string
	err = k.db.QueryRowContext(ctx, `SELECT wish, asked FROM storage_migrations WHERE id = $1`, k.id).Scan(&text, &asked)
	if err != nil {
		return "", false, fmt.Errorf("read what is wanted of storage migration %d: %w", k.id, err)
	}
	return Wish(text), asked, nil
}

// IsLost reports whether err says that another process works on a migration by now.
func IsLost(err error) bool { return errors.Is(err, errLost) }

func (k keeper) AccessKey(ctx context.Context) (string, error) {
	s, err := scanState(k.db.QueryRowContext(ctx, migrationColumns+` WHERE id = $1`, k.id))
	return s.Destination.AccessKey, err
}
