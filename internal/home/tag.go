package home

import (
	"context"
	"fmt"
	"slices"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/store"
)

const tagFields = `t.id, t.repository_id, t.artifact_id, t.name, t.push_time, t.pull_time`

var tagColumns = store.Columns{
	"id":            {SQL: "t.id", Kind: store.Integer},
	"repository_id": {SQL: "t.repository_id", Kind: store.Integer},
	"artifact_id":   {SQL: "t.artifact_id", Kind: store.Integer},
	"name":          {SQL: "t.name", Kind: store.Text},
	"push_time":     {SQL: "t.push_time", Kind: store.Instant},
	"pull_time":     {SQL: "t.pull_time", Kind: store.Instant},
}

func scanTag(s scanner) (Tag, error) {
	var t Tag
	var pushed, pulled int64
	err := s.Scan(&t.ID, &t.RepositoryID, &t.ArtifactID, &t.Name, &pushed, &pulled)
	t.PushTime, t.PullTime = store.Time(pushed), store.Time(pulled)
	return t, err
}

// ListTags returns one page of the tags of an artifact, given by tag or digest,
// and how many it has; problem.NotFound when there is no such artifact.
func (x *Index) ListTags(ctx context.Context, repository, reference string, q store.ListQuery) ([]Tag, int64, error) {
	a, err := x.GetArtifact(ctx, repository, reference)
	if err != nil {
		return nil, 0, err
	}
	where, args := q.Where(tagColumns, "t.artifact_id = $1", []any{a.ID})
	var total int64
	if err := x.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM tags t`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count tags of %s@%s: %w", repository, a.Digest, err)
	}
	tags, err := collect(ctx, x.db, scanTag, `SELECT `+tagFields+` FROM tags t`+where+
		q.OrderLimit(tagColumns, "t.push_time DESC, t.id DESC"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list tags of %s@%s: %w", repository, a.Digest, err)
	}
	return tags, total, nil
}

// TagNames returns the names of at most limit tags of a repository that come
// after a name, in the order of their bytes.
func (x *Index) TagNames(ctx context.Context, repository, after string, limit int) ([]string, error) {
	names, err := collect(ctx, x.db, scanText, `SELECT t.name FROM tags t JOIN repositories r ON r.id = t.repository_id
		WHERE r.name = $1 AND t.name > $2 ORDER BY t.name LIMIT $3`, repository, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list tags of %s: %w", repository, err)
	}
	return names, nil
}

// TagDigests returns every tag of a repository with the digest it points at.
func (x *Index) TagDigests(ctx context.Context, repository string) (map[string]string, error) {
	type pair struct{ name, digest string }
	pairs, err := collect(ctx, x.db, func(s scanner) (pair, error) {
		var p pair
		err := s.Scan(&p.name, &p.digest)
		return p, err
	}, `SELECT t.name, a.digest FROM tags t JOIN artifacts a ON a.id = t.artifact_id JOIN repositories r ON r.id = t.repository_id
		WHERE r.name = $1`, repository)
	if err != nil {
		return nil, fmt.Errorf("list tags of %s: %w", repository, err)
	}
	digests := make(map[string]string, len(pairs))
	for _, p := range pairs {
		digests[p.name] = p.digest
	}
	return digests, nil
}

// Digests returns the digests of all artifacts of a repository.
func (x *Index) Digests(ctx context.Context, repository string) ([]string, error) {
	digests, err := collect(ctx, x.db, scanText, `SELECT a.digest`+fromArtifacts+` WHERE r.name = $1 ORDER BY a.id`, repository)
	if err != nil {
		return nil, fmt.Errorf("list digests of %s: %w", repository, err)
	}
	return digests, nil
}

// Tagged returns the digest that a tag points at, "" when there is no such tag.
func (x *Index) Tagged(ctx context.Context, repository, tag string) (string, error) {
	digest, err := scanText(x.db.QueryRowContext(ctx, `SELECT a.digest`+fromArtifacts+` JOIN tags t ON t.artifact_id = a.id
		WHERE r.name = $1 AND t.name = $2`, repository, tag))
	if store.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find tag %s:%s: %w", repository, tag, err)
	}
	return digest, nil
}

// Standing is Tagged for who wants to know what is there to stay: a tag of a tombstone
// is as good as gone.
func (x *Index) Standing(ctx context.Context, repository, tag string) (string, error) {
	digest, err := scanText(x.db.QueryRowContext(ctx, `SELECT a.digest`+fromArtifacts+` JOIN tags t ON t.artifact_id = a.id
		WHERE r.name = $1 AND t.name = $2 AND a.artifact_type <> $3`, repository, tag, oci.TombstoneType))
	if store.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find tag %s:%s: %w", repository, tag, err)
	}
	return digest, nil
}

// Parents returns the digests of the indexes of a repository that contain a digest.
func (x *Index) Parents(ctx context.Context, repository, digest string) ([]string, error) {
	parents, err := collect(ctx, x.db, scanText, `SELECT DISTINCT a.digest`+fromArtifacts+` JOIN artifact_references ref ON ref.parent_id = a.id
		WHERE r.name = $1 AND ref.child_digest = $2`, repository, digest)
	if err != nil {
		return nil, fmt.Errorf("list indexes of %s@%s: %w", repository, digest, err)
	}
	return parents, nil
}

// Children returns which of some digests an index of the repository contains.
func (x *Index) Children(ctx context.Context, repository string, digests []string) (map[string]bool, error) {
	children := map[string]bool{}
	for part := range slices.Chunk(digests, chunk) {
		args := []any{repository}
		for _, d := range part {
			args = append(args, d)
		}
		found, err := collect(ctx, x.db, scanText, `SELECT DISTINCT ref.child_digest`+fromArtifacts+` JOIN artifact_references ref ON ref.parent_id = a.id
			WHERE r.name = $1 AND ref.child_digest IN (`+placeholders(2, len(part))+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("look for children of indexes of %s: %w", repository, err)
		}
		for _, d := range found {
			children[d] = true
		}
	}
	return children, nil
}
