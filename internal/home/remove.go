package home

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/store"
)

// Removal is a tag or an artifact that is no longer in the storage.
type Removal struct {
	Repository string
	Digest     digest.Digest // the artifact, or what the tag pointed at
	Tag        string        // "" when the artifact itself was removed
	Tags       []string      // of a removed artifact, as far as the index may not know them
	Operator   string
	Time       time.Time
	Silent     bool // records no event
}

// RecordTag records that a tag was put on an artifact that the index has, one
// create_tag event and the end of the intent.
func (x *Index) RecordTag(ctx context.Context, in Intent, s Storage, repository, tag string, d digest.Digest, operator string, now time.Time) error {
	defer x.Abandon(in)
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		repositoryID, _, err := x.lockRepository(ctx, tx, repository, now)
		if err != nil {
			return err
		}
		if x.Shared() {
			points, err := s.ResolveTag(ctx, repository, tag)
			if err != nil {
				return err
			}
			if points != d { // moved in the meantime, by somebody who records it
				return endIntent(ctx, tx, in)
			}
		}
		var artifactID int64
		err = tx.QueryRowContext(ctx, `SELECT id FROM artifacts WHERE repository_id = $1 AND digest = $2`,
			repositoryID, d.String()).Scan(&artifactID)
		if err != nil {
			return fmt.Errorf("find artifact: %w", err)
		}
		if err := upsertTag(ctx, tx, repositoryID, artifactID, tag, now); err != nil {
			return err
		}
		err = x.emitFor(ctx, tx, Event{
			Type: CreateTag, Repository: repository, Digest: d.String(), Tags: []string{tag}, Operator: operator, Time: now,
		})
		if err != nil {
			return err
		}
		return endIntent(ctx, tx, in)
	})
	if err != nil {
		return fmt.Errorf("record tag %s:%s: %w", repository, tag, err)
	}
	return nil
}

// RecordRemoval records that tags and artifacts of one repository are gone, one
// event for each, and the end of the intent. What is there again (somebody else
// pushed it in the meantime) is left alone.
func (x *Index) RecordRemoval(ctx context.Context, in Intent, s Storage, removals ...Removal) error {
	defer x.Abandon(in)
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		for _, r := range removals {
			if err := x.recordRemoval(ctx, tx, s, r); err != nil {
				return fmt.Errorf("%s:%s@%s: %w", r.Repository, r.Tag, r.Digest, err)
			}
		}
		return endIntent(ctx, tx, in)
	})
	if err != nil {
		return fmt.Errorf("record removal: %w", err)
	}
	return nil
}

func (x *Index) recordRemoval(ctx context.Context, tx *store.Tx, s Storage, r Removal) error {
	// A repository that is not indexed yet has no rows to remove, but the event counts.
	repositoryID, err := findRepository(ctx, tx, r.Repository, r.Time)
	if err != nil {
		return err
	}
	if r.Tag != "" {
		return x.removeTag(ctx, tx, s, repositoryID, r)
	}
	return x.removeArtifact(ctx, tx, s, repositoryID, r)
}

func (x *Index) removeTag(ctx context.Context, tx *store.Tx, s Storage, repositoryID int64, r Removal) error {
	if x.Shared() {
		points, err := s.ResolveTag(ctx, r.Repository, r.Tag)
		if err != nil || points != "" {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM tags WHERE repository_id = $1 AND name = $2`, repositoryID, r.Tag); err != nil {
		return err
	}
	if r.Silent {
		return nil
	}
	return x.emitFor(ctx, tx, Event{
		Type: DeleteTag, Repository: r.Repository, Digest: r.Digest.String(), Tags: []string{r.Tag}, Operator: r.Operator, Time: r.Time,
	})
}

func (x *Index) removeArtifact(ctx context.Context, tx *store.Tx, s Storage, repositoryID int64, r Removal) error {
	if x.Shared() {
		there, err := s.HasManifest(ctx, r.Repository, r.Digest)
		if err != nil || there {
			return err
		}
	}
	tags, err := collect(ctx, tx, scanText, `SELECT t.name FROM tags t JOIN artifacts a ON a.id = t.artifact_id
		WHERE a.repository_id = $1 AND a.digest = $2 ORDER BY t.name`, repositoryID, r.Digest.String())
	if err != nil {
		return err
	}
	if !r.Silent {
		tags = append(tags, r.Tags...)
		slices.Sort(tags)
		tags = slices.Compact(tags)
		err = x.emitFor(ctx, tx, Event{
			Type: DeleteArtifact, Repository: r.Repository, Digest: r.Digest.String(), Tags: tags, Operator: r.Operator, Time: r.Time,
		})
		if err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM artifacts WHERE repository_id = $1 AND digest = $2`, repositoryID, r.Digest.String())
	return err
}

// RemoveRepository forgets a repository that has no artifacts left. It is no
// error when the repository has some again.
func (x *Index) RemoveRepository(ctx context.Context, name string) error {
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM repositories WHERE name = $1
			AND NOT EXISTS (SELECT 1 FROM artifacts a WHERE a.repository_id = repositories.id)`, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove repository %s from the index: %w", name, err)
	}
	return nil
}
