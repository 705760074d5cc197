package home

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Storage says what is true at this moment. The index asks where other processes
// may have changed the storage after the change that is being recorded.
type Storage interface {
	// ResolveTag returns the digest that a tag points at, "" when there is no such tag.
	ResolveTag(ctx context.Context, repository, tag string) (digest.Digest, error)
	// HasManifest reports whether a repository has a manifest.
	HasManifest(ctx context.Context, repository string, d digest.Digest) (bool, error)
}

// Push is a manifest that is in the storage now.
type Push struct {
	Repository string
	Digest     digest.Digest
	Tags       []string // that point at it now; empty for a push by digest
	Manifest   Manifest
	ExtraAttrs map[string]any
	Operator   string
	Time       time.Time            // when it was pushed; the time of an artifact or tag that is there stays
	TagTimes   map[string]time.Time // when tags were set, where that is known better than Time
}

// RecordPush records a pushed manifest, one push_artifact event and the end of the
// intent. It is all in the database when RecordPush returns nil, and none of it
// otherwise; then the intent is left behind.
func (x *Index) RecordPush(ctx context.Context, in Intent, s Storage, p Push) error {
	defer x.Abandon(in)
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		if err := x.recordPush(ctx, tx, s, p); err != nil {
			return err
		}
		err := x.emitFor(ctx, tx, Event{
			Type: PushArtifact, Repository: p.Repository, Digest: p.Digest.String(), Tags: p.Tags, Operator: p.Operator, Time: p.Time,
		})
		if err != nil {
			return err
		}
		return endIntent(ctx, tx, in)
	})
	if err != nil {
		return fmt.Errorf("record push of %s@%s: %w", p.Repository, p.Digest, err)
	}
	return nil
}

// RecordFound records manifests that were found in the storage, without events, in
// one transaction. One that was deleted in the meantime is left out.
func (x *Index) RecordFound(ctx context.Context, s Storage, found []Push) error {
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		for _, p := range found {
			if err := x.recordPush(ctx, tx, s, p); err != nil && !problem.Is(err, problem.Conflict) {
				return fmt.Errorf("%s@%s: %w", p.Repository, p.Digest, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record found manifests: %w", err)
	}
	return nil
}

func (x *Index) recordPush(ctx context.Context, tx *store.Tx, s Storage, p Push) error {
	repositoryID, projectID, err := x.lockRepository(ctx, tx, p.Repository, p.Time)
	if err != nil {
		return err
	}
	pointing := p.Tags
	if x.Shared() {
		if pointing, err = stillTrue(ctx, s, p); err != nil {
			return err
		}
	}
	artifactID, err := upsertArtifact(ctx, tx, repositoryID, projectID, p)
	if err != nil {
		return err
	}
	for _, tag := range pointing {
		set, known := p.TagTimes[tag]
		if !known {
			set = p.Time
		}
		if err := upsertTag(ctx, tx, repositoryID, artifactID, tag, set); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	return nil
}

// stillTrue returns those tags of the push that still point at it. A tag that was
// moved in the meantime is recorded by whoever moved it. A manifest that is gone is
// a problem.Conflict.
func stillTrue(ctx context.Context, s Storage, p Push) ([]string, error) {
	there, err := s.HasManifest(ctx, p.Repository, p.Digest)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, problem.New(problem.Conflict, "%s@%s was deleted while it was pushed", p.Repository, p.Digest)
	}
	var tags []string
	for _, tag := range p.Tags {
		d, err := s.ResolveTag(ctx, p.Repository, tag)
		if err != nil {
			return nil, err
		}
		if d == p.Digest {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

func upsertArtifact(ctx context.Context, tx *store.Tx, repositoryID, projectID int64, p Push) (int64, error) {
	m := &p.Manifest
	childSizes, err := sumChildren(ctx, tx, repositoryID, m)
	if err != nil {
		return 0, err
	}
	accessoryOf, accessoryType := m.accessory(p.Tags)
	var id int64
	err = tx.QueryRowContext(ctx, `INSERT INTO artifacts (project_id, repository_id, digest, type, media_type, manifest_media_type,
			artifact_type, subject_digest, accessory_of, accessory_type, size, manifest_size, extra_attrs, annotations, push_time)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (repository_id, digest) DO UPDATE SET type = excluded.type, media_type = excluded.media_type,
			manifest_media_type = excluded.manifest_media_type, artifact_type = excluded.artifact_type,
			subject_digest = excluded.subject_digest, size = excluded.size, manifest_size = excluded.manifest_size,
			extra_attrs = excluded.extra_attrs, annotations = excluded.annotations,
			accessory_of = CASE excluded.accessory_of WHEN '' THEN artifacts.accessory_of ELSE excluded.accessory_of END,
			accessory_type = CASE excluded.accessory_of WHEN '' THEN artifacts.accessory_type ELSE excluded.accessory_type END
		RETURNING id`,
		projectID, repositoryID, p.Digest.String(), m.Type, m.ConfigType, m.MediaType, m.ArtifactType, m.Subject.String(),
		accessoryOf.String(), accessoryType, addSizes(m.Size, childSizes), m.ContentSize, store.JSON(p.ExtraAttrs), store.JSON(m.Annotations),
		store.Millis(p.Time)).Scan(&id)
	if err != nil {
		return 0, err
	}
	if err := insertBlobs(ctx, tx, id, m); err != nil {
		return 0, fmt.Errorf("blobs: %w", err)
	}
	if err := insertReferences(ctx, tx, id, m); err != nil {
		return 0, fmt.Errorf("children: %w", err)
	}
	return id, nil
}

func insertBlobs(ctx context.Context, tx *store.Tx, artifactID int64, m *Manifest) error {
	var rows [][]any
	for _, blob := range m.Blobs() {
		if len(blob.URLs) == 0 { // others are not kept here
			rows = append(rows, []any{artifactID, blob.Digest.String(), blob.Size})
		}
	}
	return insertRows(ctx, tx, "artifact_blobs", []string{"artifact_id", "digest", "size"}, rows)
}

func insertReferences(ctx context.Context, tx *store.Tx, parentID int64, m *Manifest) error {
	rows := make([][]any, len(m.Children))
	for i, child := range m.Children {
		var platform, annotations, urls string
		if child.Platform != nil {
			platform = store.JSON(child.Platform)
		}
		if child.Annotations != nil {
			annotations = store.JSON(child.Annotations)
		}
		if child.URLs != nil {
			urls = store.JSON(child.URLs)
		}
		rows[i] = []any{parentID, child.Digest.String(), i, platform, annotations, urls}
	}
	return insertRows(ctx, tx, "artifact_references",
		[]string{"parent_id", "child_digest", "position", "platform", "annotations", "urls"}, rows)
}

// sumChildren returns the sizes of an index's children that are here.
func sumChildren(ctx context.Context, tx *store.Tx, repositoryID int64, m *Manifest) (int64, error) {
	sizes := map[string]int64{}
	for children := range slices.Chunk(m.Children, chunk) {
		args := []any{repositoryID}
		for _, child := range children {
			args = append(args, child.Digest.String())
		}
		rows, err := tx.QueryContext(ctx, `SELECT digest, size FROM artifacts WHERE repository_id = $1 AND digest IN (`+
			placeholders(2, len(children))+`)`, args...)
		if err != nil {
			return 0, err
		}
		err = func() error {
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var d string
				var size int64
				if err := rows.Scan(&d, &size); err != nil {
					return err
				}
				sizes[d] = size
			}
			return rows.Err()
		}()
		if err != nil {
			return 0, err
		}
	}
	var sum int64
	for _, child := range m.Children {
		sum = addSizes(sum, sizes[child.Digest.String()])
	}
	return sum, nil
}

// addSizes adds sizes that a manifest may have made up.
func addSizes(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func upsertTag(ctx context.Context, tx *store.Tx, repositoryID, artifactID int64, name string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO tags (repository_id, artifact_id, name, push_time) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repository_id, name) DO UPDATE SET artifact_id = excluded.artifact_id,
			push_time = CASE WHEN tags.artifact_id = excluded.artifact_id THEN tags.push_time ELSE excluded.push_time END`,
		repositoryID, artifactID, name, store.Millis(now))
	return err
}

// emitFor fills in what an event says about its artifact and records it. A tag that is
// moved to a tombstone is about to be deleted: that is no push, and what is deleted then
// is what the tag stood for before.
func (x *Index) emitFor(ctx context.Context, tx *store.Tx, e Event) error {
	var id int64
	var artifactType, annotations string
	err := tx.QueryRowContext(ctx, `SELECT a.id, a.type, a.artifact_type, a.annotations FROM artifacts a JOIN repositories r ON r.id = a.repository_id
		WHERE r.name = $1 AND a.digest = $2`, e.Repository, e.Digest).Scan(&id, &e.Artifact, &artifactType, &annotations)
	if err != nil && !store.IsNotFound(err) {
		return err
	}
	if artifactType == oci.TombstoneType {
		return x.emitForTombstone(ctx, tx, e, annotations)
	}
	if err == nil {
		e.Labels, err = collect(ctx, tx, scanText, `SELECT l.name FROM labels l JOIN artifact_labels al ON al.label_id = l.id
			WHERE al.artifact_id = $1 ORDER BY l.name`, id)
		if err != nil {
			return err
		}
	}
	return x.emit(ctx, tx, e)
}

// emitForTombstone is emitFor for an event of a tombstone: its end is that of its tags.
func (x *Index) emitForTombstone(ctx context.Context, tx *store.Tx, e Event, annotations string) error {
	if e.Type != DeleteTag && e.Type != DeleteArtifact {
		return nil
	}
	var said map[string]string
	if err := store.FromJSON(annotations, &said); err != nil {
		return err
	}
	removed := digest.Digest(said[oci.TombstoneRemoves])
	if removed.Validate() != nil || removed.String() == e.Digest {
		return nil // somebody made it up
	}
	for _, tag := range e.Tags {
		gone := e
		gone.Type, gone.Digest, gone.Tags = DeleteTag, removed.String(), []string{tag}
		if err := x.emitFor(ctx, tx, gone); err != nil {
			return err
		}
	}
	return nil
}
