package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Where is where a registry's content is, and whether it may be changed.
type Where struct {
	Generation int64 // grows with each change
	Frozen     bool
	Place      *Place // nil: where the command line says
	Secret     Secret
	Replaced   string // what the command line said when the content was moved away
	Since      time.Time
}

const placeSealedAs = "storage_site/secret"

// Where reads it.
func (b *Book) Where(ctx context.Context) (w Where, err error) {
	var place, sealed string
	var since int64
	err = b.db.QueryRowContext(ctx, `SELECT generation, frozen, place, secret, replaced, since FROM storage_site WHERE id = 1`).
		Scan(&w.Generation, &w.Frozen, &place, &sealed, &w.Replaced, &since)
	if store.IsNotFound(err) {
		return Where{}, nil // it was never moved
	}
	if err != nil {
		return w, fmt.Errorf("read where the content is: %w", err)
	}
	w.Since = store.Time(since)
	if place == "" {
		return w, nil
	}
	w.Place = &Place{}
	if err := json.Unmarshal([]byte(place), w.Place); err != nil {
		return w, fmt.Errorf("read where the content is: %w", err)
	}
	plain, err := b.box.Open(sealed, placeSealedAs)
	if err != nil {
		return w, fmt.Errorf("read where the content is: %w", err)
	}
	if err := json.Unmarshal([]byte(plain), &w.Secret); err != nil {
		return w, fmt.Errorf("read where the content is: %w", err)
	}
	return w, nil
}

// SetFrozen notes that the content may not be changed, or may be again.
func (b *Book) SetFrozen(ctx context.Context, frozen bool) error {
	return b.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO storage_site (id, generation, frozen) VALUES (1, 1, $1)
			ON CONFLICT (id) DO UPDATE SET frozen = excluded.frozen, generation = storage_site.generation + 1
			WHERE storage_site.frozen <> excluded.frozen`, frozen)
		return err
	})
}

// Move notes that the content is served from p, nil: from where the command line says.
// index is what the index of the registry is of from then on.
func (b *Book) Move(ctx context.Context, p *Place, s Secret, replaced, index string) error {
	var place, sealed string
	since := int64(0)
	if p != nil {
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		plain, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if sealed, err = b.box.Seal(string(plain), placeSealedAs); err != nil {
			return err
		}
		place, since = string(text), store.Millis(time.Now())
	}
	return b.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO storage_site (id, generation, place, secret, replaced, since) VALUES (1, 1, $1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET place = excluded.place, secret = excluded.secret, replaced = excluded.replaced, since = excluded.since,
				generation = storage_site.generation + 1
			WHERE storage_site.place <> excluded.place`, place, sealed, replaced, since)
		if err != nil {
			return err
		}
		return store.SetSetting(ctx, tx, IndexedSetting, index)
	})
}

// IndexedSetting names what the index of the registry was made from.
const IndexedSetting = "home.storage"

// silent is after how long a server that says nothing is taken for dead.
const silent = 30 * time.Second

// Server is one that serves the registry.
type Server struct {
	Name       string
	Generation int64  // of Where, that it follows
	Error      string // why it follows no further
}

// Present says that this server is there, and what it follows.
func (b *Book) Present(ctx context.Context, generation int64, trouble string) error {
	return b.db.InTx(ctx, func(tx *store.Tx) error {
		now, err := b.now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO storage_servers (name, seen, generation, error) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET seen = excluded.seen, generation = excluded.generation, error = excluded.error`,
			b.name, store.Millis(now), generation, trouble)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM storage_servers WHERE seen < $1`, store.Millis(now.Add(-20*silent)))
		return err
	})
}

// Leave says that this server is there no longer.
func (b *Book) Leave(ctx context.Context) error {
	return b.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM storage_servers WHERE name = $1`, b.name)
		return err
	})
}

// Servers are those that are there.
func (b *Book) Servers(ctx context.Context) (list []Server, err error) {
	now, err := b.now(ctx, b.db)
	if err != nil {
		return nil, err
	}
	rows, err := b.db.QueryContext(ctx, `SELECT name, generation, error FROM storage_servers WHERE seen >= $1 ORDER BY name`, store.Millis(now.Add(-silent)))
	if err != nil {
		return nil, fmt.Errorf("read which servers there are: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s Server
		if err := rows.Scan(&s.Name, &s.Generation, &s.Error); err != nil {
			return nil, fmt.Errorf("read which servers there are: %w", err)
		}
		list = append(list, s)
	}
	return list, rows.Err()
}
