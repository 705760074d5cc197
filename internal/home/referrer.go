package home

import (
	"context"
	"fmt"
	"math"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/store"
)

// Referrers returns the manifests of a repository whose subject is d, oldest
// first, all of them or those of one artifact type (OCI distribution-spec, Listing
// Referrers).
func (x *Index) Referrers(ctx context.Context, repository string, d digest.Digest, artifactType string) ([]ocispec.Descriptor, error) {
	page, err := x.ReferrersPage(ctx, repository, d, artifactType, 0, math.MaxInt32)
	return page.Referrers, err
}

// ReferrersPage is part of the answer of Referrers.
type ReferrersPage struct {
	Referrers []ocispec.Descriptor
	Next      int64 // where the next page starts, 0: there is none
}

// ReferrersPage returns at most limit referrers from a start on: 0, or the Next of
// the page before.
func (x *Index) ReferrersPage(ctx context.Context, repository string, d digest.Digest, artifactType string, start int64, limit int) (ReferrersPage, error) {
	type row struct {
		id         int64
		descriptor ocispec.Descriptor
	}
	query := `SELECT a.id, a.manifest_media_type, a.digest, a.manifest_size, a.artifact_type, a.annotations` + fromArtifacts +
		` WHERE r.name = $1 AND a.subject_digest = $2 AND a.id >= $3`
	args := []any{repository, d.String(), start, int64(limit) + 1}
	if artifactType != "" {
		query += ` AND a.artifact_type = $5`
		args = append(args, artifactType)
	}
	rows, err := collect(ctx, x.db, func(s scanner) (row, error) {
		var r row
		var annotations string
		if err := s.Scan(&r.id, &r.descriptor.MediaType, &r.descriptor.Digest, &r.descriptor.Size, &r.descriptor.ArtifactType, &annotations); err != nil {
			return row{}, err
		}
		return r, store.FromJSON(annotations, &r.descriptor.Annotations)
	}, query+` ORDER BY a.id LIMIT $4`, args...)
	if err != nil {
		return ReferrersPage{}, fmt.Errorf("list referrers of %s@%s: %w", repository, d, err)
	}
	var page ReferrersPage
	if len(rows) > limit {
		page.Next = rows[limit].id
		rows = rows[:limit]
	}
	for _, r := range rows {
		page.Referrers = append(page.Referrers, r.descriptor)
	}
	return page, nil
}
