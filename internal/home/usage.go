package home

import (
	"context"
	"fmt"
)

// Usage says what the index knows of the bytes in the storage: those that artifacts need.
// What no artifact needs any more it does not know; a look at the storage itself does.
type Usage struct {
	Repositories int64
	Artifacts    int64 // manifests, children of indexes and accessories included
	Tags         int64
	Blobs        int64 // different ones, manifests included
	Bytes        int64 // of them: what is stored
	SharedBlobs  int64 // that several repositories need
	SharedBytes  int64
	// SeparateBytes is what it would take if each repository kept its own copy.
	SeparateBytes int64
	Biggest       []RepositoryUsage // by Bytes, the biggest first
}

// RepositoryUsage is what the artifacts of a repository need.
type RepositoryUsage struct {
	Name      string
	Artifacts int64
	Tags      int64
	Bytes     int64
	OwnBytes  int64 // of blobs that no other repository needs: what becomes free without it
}

// biggestRepositories is how many are named in a Usage.
const biggestRepositories = 20

// used are the blobs that each repository needs (r, d, s: size), once each, and how many
// repositories need each of them (n).
const used = `WITH parts AS (
		SELECT a.repository_id AS r, b.digest AS d, b.size AS s FROM artifact_blobs b JOIN artifacts a ON a.id = b.artifact_id
		UNION ALL SELECT repository_id, digest, manifest_size FROM artifacts
	), used AS (SELECT r, d, MAX(s) AS s FROM parts GROUP BY r, d),
	owned AS (SELECT d, MAX(s) AS s, COUNT(*) AS n FROM used GROUP BY d) `

// Usage adds up what the artifacts of all repositories need. It reads the whole index.
func (x *Index) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	err := x.db.QueryRowContext(ctx, used+`SELECT (SELECT COUNT(*) FROM repositories), (SELECT COUNT(*) FROM artifacts), (SELECT COUNT(*) FROM tags),
		COUNT(*), CAST(COALESCE(SUM(s), 0) AS BIGINT), COUNT(CASE WHEN n > 1 THEN 1 END),
		CAST(COALESCE(SUM(CASE WHEN n > 1 THEN s END), 0) AS BIGINT), CAST(COALESCE(SUM(s * n), 0) AS BIGINT) FROM owned`).
		Scan(&u.Repositories, &u.Artifacts, &u.Tags, &u.Blobs, &u.Bytes, &u.SharedBlobs, &u.SharedBytes, &u.SeparateBytes)
	if err != nil {
		return Usage{}, fmt.Errorf("add up what is stored: %w", err)
	}
	u.Biggest, err = collect(ctx, x.db, func(row scanner) (RepositoryUsage, error) {
		var r RepositoryUsage
		return r, row.Scan(&r.Name, &r.Artifacts, &r.Tags, &r.Bytes, &r.OwnBytes)
	}, used+`, sizes AS (
			SELECT u.r AS r, SUM(u.s) AS bytes, SUM(CASE WHEN o.n = 1 THEN u.s ELSE 0 END) AS own
			FROM used u JOIN owned o ON o.d = u.d GROUP BY u.r)
		SELECT r.name, (SELECT COUNT(*) FROM artifacts a WHERE a.repository_id = r.id), (SELECT COUNT(*) FROM tags t WHERE t.repository_id = r.id),
			CAST(z.bytes AS BIGINT), CAST(z.own AS BIGINT)
		FROM sizes z JOIN repositories r ON r.id = z.r ORDER BY z.bytes DESC, r.name LIMIT $1`, biggestRepositories)
	if err != nil {
		return Usage{}, fmt.Errorf("find the biggest repositories: %w", err)
	}
	return u, nil
}
