package replication

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/transfer"
)

// portions are the books about indexes that are at a destination for some platforms only.
// They are of all rules: what one has left out another must not take to be there.
type portions struct {
	db       *store.DB
	registry int64
}

// portionsAtOnce is of how many digests is asked with one statement.
const portionsAtOnce = 200

// Lacking implements transfer.Portions.
func (p portions) Lacking(ctx context.Context, repository string, platforms oci.Platforms, digests ...digest.Digest) (map[digest.Digest]bool, error) {
	lacking := map[digest.Digest]bool{}
	for some := range slices.Chunk(digests, portionsAtOnce) {
		var in strings.Builder
		args := []any{p.registry, repository}
		for i, d := range some {
			if i > 0 {
				in.WriteString(", ")
			}
			args = append(args, d.String())
			fmt.Fprintf(&in, "$%d", len(args))
		}
		rows, err := p.db.QueryContext(ctx, `SELECT digest, platforms, complete FROM portions
			WHERE registry_id = $1 AND repository = $2 AND source_digest = digest AND digest IN (`+in.String()+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("read which platforms are at %s: %w", repository, err)
		}
		type portion struct {
			digest    digest.Digest
			platforms string
			complete  bool
		}
		found, err := collect(rows, func(row scanner) (o portion, err error) { return o, row.Scan(&o.digest, &o.platforms, &o.complete) })
		if err != nil {
			return nil, fmt.Errorf("read which platforms are at %s: %w", repository, err)
		}
		has := map[digest.Digest]bool{}
		for _, o := range found {
			lacking[o.digest] = true
			there, err := oci.ParsePlatforms(strings.Split(o.platforms, ","))
			has[o.digest] = has[o.digest] || err == nil && o.complete && len(platforms) > 0 && there.Cover(platforms)
		}
		for d, all := range has {
			lacking[d] = !all
		}
	}
	return lacking, nil
}

// Begin implements transfer.Portions.
func (p portions) Begin(ctx context.Context, n transfer.PortionNote, fresh bool) error {
	return p.change(ctx, n.Repository, func(tx *store.Tx) error {
		if fresh { // what others have brought of it may be gone with it
			_, err := tx.ExecContext(ctx, `UPDATE portions SET complete = FALSE WHERE registry_id = $1 AND repository = $2 AND digest = $3`,
				p.registry, n.Repository, n.Digest.String())
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO portions (registry_id, repository, digest, source_digest, platforms, complete)
			VALUES ($1, $2, $3, $4, $5, FALSE) ON CONFLICT DO NOTHING`,
			p.registry, n.Repository, n.Digest.String(), n.Source.String(), n.Platforms.String())
		return err
	})
}

// Done implements transfer.Portions.
func (p portions) Done(ctx context.Context, n transfer.PortionNote) error {
	return p.change(ctx, n.Repository, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO portions (registry_id, repository, digest, source_digest, platforms, complete)
			VALUES ($1, $2, $3, $4, $5, TRUE)
			ON CONFLICT (registry_id, repository, digest, source_digest, platforms) DO UPDATE SET complete = TRUE`,
			p.registry, n.Repository, n.Digest.String(), n.Source.String(), n.Platforms.String())
		return err
	})
}

// Made implements transfer.Portions.
func (p portions) Made(ctx context.Context, repository string, source digest.Digest, platforms oci.Platforms) ([]digest.Digest, error) {
	rows, err := p.db.QueryContext(ctx, `SELECT digest FROM portions WHERE registry_id = $1 AND repository = $2 AND source_digest = $3
		AND platforms = $4 AND digest <> source_digest ORDER BY digest`, p.registry, repository, source.String(), platforms.String())
	if err != nil {
		return nil, fmt.Errorf("read what %s was made into at %s: %w", source, repository, err)
	}
	return collect(rows, func(row scanner) (d digest.Digest, err error) { return d, row.Scan(&d) })
}

// Forget implements transfer.Portions.
func (p portions) Forget(ctx context.Context, repository string, d digest.Digest) error {
	return p.change(ctx, repository, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM portions WHERE registry_id = $1 AND repository = $2 AND digest = $3`,
			p.registry, repository, d.String())
		return err
	})
}

func (p portions) change(ctx context.Context, repository string, f func(tx *store.Tx) error) error {
	if err := p.db.InTx(ctx, f); err != nil {
		return fmt.Errorf("note which platforms are at %s: %w", repository, err)
	}
	return nil
}

// madeFrom returns the digest of the source's index that one at a destination was made
// from, "" if it was made from none.
func madeFrom(ctx context.Context, q store.Querier, registry int64, repository, d string) (source string, err error) {
	err = q.QueryRowContext(ctx, `SELECT source_digest FROM portions WHERE registry_id = $1 AND repository = $2 AND digest = $3
		AND digest <> source_digest ORDER BY source_digest LIMIT 1`, registry, repository, d).Scan(&source)
	if store.IsNotFound(err) {
		return "", nil
	}
	return source, err
}
