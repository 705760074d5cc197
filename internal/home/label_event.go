package home

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// labelled is an artifact whose labels are about to change.
type labelled struct {
	id    int64
	event Event // what is known of it before
}

// relabel changes labels and records an event for each of the artifacts whose labels
// have other names after it. which is a condition on artifacts a.
func (x *Index) relabel(ctx context.Context, tx *store.Tx, which string, arg any, change func() error) error {
	artifacts, err := lockLabelled(ctx, tx, which, arg)
	if err != nil {
		return err
	}
	before, err := namesOf(ctx, tx, labelsOf, artifacts)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after, err := namesOf(ctx, tx, labelsOf, artifacts)
	if err != nil {
		return err
	}
	artifacts = slices.DeleteFunc(artifacts, func(a labelled) bool { return slices.Equal(before[a.id], after[a.id]) })
	tags, err := namesOf(ctx, tx, tagsOf, artifacts)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, a := range artifacts {
		e := a.event
		e.Type, e.Time = LabelArtifact, now
		e.FormerLabels, e.Labels, e.Tags = before[a.id], after[a.id], tags[a.id]
		if err := x.emit(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

// lockLabelled returns artifacts that get no other labels or tags until tx ends: of two
// who add a label each the later one's event has both, and a tag that is added at the
// same time either is in the event or has one of its own, with the labels.
func lockLabelled(ctx context.Context, tx *store.Tx, which string, arg any) ([]labelled, error) {
	query := `SELECT a.id, a.digest, a.type, r.name FROM artifacts a JOIN repositories r ON r.id = a.repository_id WHERE ` + which + ` ORDER BY a.id`
	if tx.Dialect() == store.PostgreSQL {
		query += ` FOR UPDATE OF a`
	}
	artifacts, err := collect(ctx, tx, func(s scanner) (l labelled, err error) {
		return l, s.Scan(&l.id, &l.event.Digest, &l.event.Artifact, &l.event.Repository)
	}, query, arg)
	if err != nil {
		return nil, fmt.Errorf("look for what has the label: %w", err)
	}
	return artifacts, nil
}

// What artifacts have names of, for namesOf. A name counts once: a project may have a
// label of the same name as a global one.
const (
	labelsOf = `SELECT DISTINCT al.artifact_id, l.name FROM labels l JOIN artifact_labels al ON al.label_id = l.id WHERE al.artifact_id`
	tagsOf   = `SELECT t.artifact_id, t.name FROM tags t WHERE t.artifact_id`
)

// namesOf returns names by the ids of artifacts, sorted.
func namesOf(ctx context.Context, tx *store.Tx, query string, artifacts []labelled) (map[int64][]string, error) {
	all := map[int64][]string{}
	for part := range slices.Chunk(artifacts, chunk) {
		ids := make([]any, len(part))
		for i, a := range part {
			ids[i] = a.id
		}
		names, err := collect(ctx, tx, func(s scanner) (n named, err error) { return n, s.Scan(&n.artifactID, &n.name) },
			query+" IN ("+placeholders(1, len(ids))+")", ids...)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			all[n.artifactID] = append(all[n.artifactID], n.name)
		}
	}
	for _, names := range all {
		slices.Sort(names)
	}
	return all, nil
}
