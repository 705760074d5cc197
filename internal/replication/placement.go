package replication

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/store"
)

// placements are the books about what rules put at destinations: only that may be
// deleted there. Changes that come at the same time share one transaction, since
// each costs a write to the disk and there is one for every artifact.
type placements struct {
	db *store.DB

	mu      sync.Mutex
	next    *placementBatch
	writing bool
}

type placementBatch struct {
	changes []placement
	done    chan struct{}
	err     error
}

// placement is a reference at a destination; without a digest, one that is no
// longer there.
type placement struct {
	intended              bool // it is about to be put there
	registry              int64
	repository, reference string
	digest                digest.Digest
	policy                int64
	source                string // the repository that it came from; several may share one name at the destination
	time                  time.Time
	kept                  bool // somebody decided that it stays although the source does not have it any more
}

// note stores a change. It is in the database when note returns nil.
func (p *placements) note(change placement) error {
	p.mu.Lock()
	if p.next == nil {
		p.next = &placementBatch{done: make(chan struct{})}
	}
	batch := p.next
	batch.changes = append(batch.changes, change)
	if !p.writing {
		p.writing = true
		go p.write()
	}
	p.mu.Unlock()
	<-batch.done
	return batch.err
}

// write stores batches until none is left.
func (p *placements) write() {
	for {
		p.mu.Lock()
		batch := p.next
		p.next = nil
		p.writing = batch != nil
		p.mu.Unlock()
		if batch == nil {
			return
		}
		batch.err = p.store(batch.changes)
		close(batch.done)
	}
}

func (p *placements) store(changes []placement) error {
	const patience = 30 * time.Second
	// A change is stored for callers that share nothing else, so none can cancel it.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// In one order everywhere, so that processes do not wait for each other's rows.
	slices.SortStableFunc(changes, func(a, b placement) int {
		return cmp.Or(cmp.Compare(a.registry, b.registry), cmp.Compare(a.repository, b.repository), cmp.Compare(a.reference, b.reference))
	})
	return p.db.InTx(ctx, func(tx *store.Tx) error {
		for _, c := range changes {
			if err := c.store(ctx, tx); err != nil {
				return fmt.Errorf("note what is at %s %s: %w", c.repository, c.reference, err)
			}
		}
		return nil
	})
}

func (c placement) store(ctx context.Context, tx *store.Tx) error {
	if c.intended {
		_, err := tx.ExecContext(ctx, `INSERT INTO placement_intents (registry_id, repository, reference, digest) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`, c.registry, c.repository, c.reference, c.digest.String())
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM placement_intents WHERE registry_id = $1 AND repository = $2 AND reference = $3`,
		c.registry, c.repository, c.reference)
	if err != nil {
		return err
	}
	if c.digest == "" {
		_, err := tx.ExecContext(ctx, `DELETE FROM placements WHERE registry_id = $1 AND repository = $2 AND reference = $3`,
			c.registry, c.repository, c.reference)
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO placements (registry_id, repository, reference, digest, policy_id, source_repository, time)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (registry_id, repository, reference) DO UPDATE SET digest = excluded.digest,
		policy_id = excluded.policy_id, source_repository = excluded.source_repository, time = excluded.time, kept = FALSE`,
		c.registry, c.repository, c.reference, c.digest.String(), c.policy, c.source, store.Millis(c.time))
	return err
}

// expected returns what was put under a reference, what may have been put there since,
// and the repository that it came from, "" if that is not known.
func (p *placements) expected(ctx context.Context, registry int64, repository, reference string) (put []digest.Digest, source string, err error) {
	var d string
	err = p.db.QueryRowContext(ctx, `SELECT digest, source_repository FROM placements WHERE registry_id = $1 AND repository = $2 AND reference = $3`,
		registry, repository, reference).Scan(&d, &source)
	if err != nil && !store.IsNotFound(err) {
		return nil, "", err
	}
	if d != "" {
		put = append(put, digest.Digest(d))
	}
	rows, err := p.db.QueryContext(ctx, `SELECT digest FROM placement_intents WHERE registry_id = $1 AND repository = $2 AND reference = $3 ORDER BY digest`,
		registry, repository, reference)
	if err != nil {
		return nil, "", err
	}
	may, err := collect(rows, func(row scanner) (d string, err error) { return d, row.Scan(&d) })
	for _, d := range may {
		put = append(put, digest.Digest(d))
	}
	return put, source, err
}

// isPlaced reports whether a rule was the last one to put something under a
// reference, and took it from a repository.
func isPlaced(ctx context.Context, q store.Querier, policy, registry int64, source, repository, reference string) (placed bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM placements WHERE registry_id = $1 AND repository = $2 AND reference = $3
		AND policy_id = $4 AND source_repository IN ('', $5))`, registry, repository, reference, policy, source).Scan(&placed)
	return placed, err
}

// owner is who has put something under a reference at a destination, or is about to.
type owner struct {
	policy int64
	source string // repository
	// rewritten: what it has put there is an index that was made smaller.
	rewritten bool
}

// owners returns who has which of some references of a repository. Of what was put
// there before owners were noted there is none.
func (p *placements) owners(ctx context.Context, registry int64, repository string, references []string) (map[string]owner, error) {
	const atOnce = 500
	owners := map[string]owner{}
	for some := range slices.Chunk(references, atOnce) {
		var in strings.Builder
		args := []any{registry, repository}
		for i, reference := range some {
			if i > 0 {
				in.WriteString(", ")
			}
			args = append(args, reference)
			fmt.Fprintf(&in, "$%d", len(args))
		}
		rows, err := p.db.QueryContext(ctx, `SELECT reference, policy_id, source_repository, EXISTS (SELECT 1 FROM portions o
				WHERE o.registry_id = p.registry_id AND o.repository = p.repository AND o.digest = p.digest AND o.source_digest <> o.digest)
			FROM placements p
			WHERE registry_id = $1 AND repository = $2 AND source_repository <> '' AND reference IN (`+in.String()+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("look up who owns tags of %s: %w", repository, err)
		}
		_, err = collect(rows, func(row scanner) (reference string, err error) {
			var o owner
			if err = row.Scan(&reference, &o.policy, &o.source, &o.rewritten); err == nil {
				owners[reference] = o
			}
			return reference, err
		})
		if err != nil {
			return nil, fmt.Errorf("look up who owns tags of %s: %w", repository, err)
		}
	}
	return owners, nil
}

// claim makes somebody the owner of a reference before anything is put there, so that
// of two who want it at the same time one comes first. from is the owner until now,
// the zero one if there is none. It returns false when somebody else was faster.
func (p *placements) claim(ctx context.Context, registry int64, repository, reference string, from, to owner, now time.Time) (ours bool, err error) {
	err = p.db.InTx(ctx, func(tx *store.Tx) error {
		statement, args := `INSERT INTO placements (registry_id, repository, reference, policy_id, source_repository, time, digest)
			VALUES ($1, $2, $3, $4, $5, $6, '') ON CONFLICT (registry_id, repository, reference) DO UPDATE SET
			policy_id = excluded.policy_id, source_repository = excluded.source_repository WHERE placements.source_repository = ''`,
			[]any{registry, repository, reference, to.policy, to.source, store.Millis(now)}
		if from != (owner{}) {
			statement = `UPDATE placements SET policy_id = $4, source_repository = $5, time = $6
				WHERE registry_id = $1 AND repository = $2 AND reference = $3 AND policy_id = $7 AND source_repository = $8`
			args = append(args, from.policy, from.source)
		}
		result, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		ours = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claim %s:%s: %w", repository, reference, err)
	}
	return ours, nil
}

// tagsPlaced returns the tags under which a rule was the last one to put a digest that
// it took from a repository, or what it had made of it.
func tagsPlaced(ctx context.Context, tx *store.Tx, policy, registry int64, source, repository, d string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT reference FROM placements WHERE registry_id = $1 AND repository = $2
		AND (digest = $3 OR digest IN (SELECT digest FROM portions WHERE registry_id = $1 AND repository = $2 AND source_digest = $3))
		AND policy_id = $4 AND source_repository IN ('', $5) ORDER BY reference`, registry, repository, d, policy, source)
	if err != nil {
		return nil, fmt.Errorf("look for tags of %s: %w", d, err)
	}
	references, err := collect(rows, func(row scanner) (reference string, err error) { return reference, row.Scan(&reference) })
	return slices.DeleteFunc(references, byDigest), err
}
