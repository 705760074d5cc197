package home

import (
	"context"
	"fmt"
	"iter"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/store"
)

// AllArtifacts yields every artifact of the home registry, children and
// accessories too, repository by repository in the order of their names. An error
// ends it.
func (x *Index) AllArtifacts(ctx context.Context) iter.Seq2[Listing, error] {
	return func(yield func(Listing, error) bool) {
		after := ""
		for {
			names, err := x.RepositoryNames(ctx, after, chunk)
			if err != nil {
				yield(Listing{}, err)
				return
			}
			for _, name := range names {
				for listing, err := range x.Artifacts(ctx, name) {
					if !yield(listing, err) || err != nil {
						return
					}
				}
				after = name
			}
			if len(names) < chunk {
				return
			}
		}
	}
}

// Artifacts is AllArtifacts for one repository.
func (x *Index) Artifacts(ctx context.Context, repository string) iter.Seq2[Listing, error] {
	return func(yield func(Listing, error) bool) {
		var last int64
		for {
			part, err := x.listPart(ctx, repository, last)
			if err != nil {
				yield(Listing{}, fmt.Errorf("list artifacts of %s: %w", repository, err))
				return
			}
			for _, l := range part {
				if !yield(l.Listing, nil) {
					return
				}
				last = l.id
			}
			if len(part) < chunk {
				return
			}
		}
	}
}

type listed struct {
	Listing
	id int64
}

// listPart returns the artifacts whose ids follow after.
func (x *Index) listPart(ctx context.Context, repository string, after int64) ([]listed, error) {
	part, err := collect(ctx, x.db, func(s scanner) (listed, error) {
		l := listed{Listing: Listing{Repository: repository}}
		var pushed int64
		err := s.Scan(&l.id, &l.Digest, &l.MediaType, &l.Type, &l.ConfigType, &l.ArtifactType, &l.Size, &l.SubjectDigest, &l.AccessoryOf, &pushed, &l.Child)
		l.PushTime = store.Time(pushed)
		return l, err
	}, `SELECT a.id, a.digest, a.manifest_media_type, a.type, a.media_type, a.artifact_type, a.size, a.subject_digest, a.accessory_of, a.push_time, `+isChild+
		fromArtifacts+` WHERE r.name = $1 AND a.id > $2 ORDER BY a.id LIMIT $3`, repository, after, chunk)
	if err != nil || len(part) == 0 {
		return nil, err
	}
	byID := make(map[int64]*listed, len(part))
	ids := make([]any, len(part))
	for i := range part {
		byID[part[i].id] = &part[i]
		ids[i] = part[i].id
	}
	in := " IN (" + placeholders(1, len(ids)) + ")"
	tags, err := x.names(ctx, `SELECT t.artifact_id, t.name, t.push_time FROM tags t WHERE t.artifact_id`+in+` ORDER BY t.name`, ids)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		l := byID[t.artifactID]
		l.Tags, l.TagTimes = append(l.Tags, t.name), append(l.TagTimes, store.Time(t.time))
	}
	labels, err := x.names(ctx, `SELECT al.artifact_id, l.name, 0 FROM labels l JOIN artifact_labels al ON al.label_id = l.id
		WHERE al.artifact_id`+in+` ORDER BY l.name`, ids)
	for _, l := range labels {
		byID[l.artifactID].Labels = append(byID[l.artifactID].Labels, l.name)
	}
	return part, err
}

type named struct {
	artifactID int64
	name       string
	time       int64
}

func (x *Index) names(ctx context.Context, query string, ids []any) ([]named, error) {
	return collect(ctx, x.db, func(s scanner) (named, error) {
		var n named
		err := s.Scan(&n.artifactID, &n.name, &n.time)
		return n, err
	}, query, ids...)
}

// Listing returns one artifact, given by tag or digest, as AllArtifacts has it.
func (x *Index) Listing(ctx context.Context, repository string, reference string) (Listing, error) {
	a, err := x.GetArtifact(ctx, repository, reference)
	if err != nil {
		return Listing{}, err
	}
	parents, err := x.Parents(ctx, repository, a.Digest)
	if err != nil {
		return Listing{}, err
	}
	l := Listing{
		Repository: repository, Digest: digest.Digest(a.Digest), MediaType: a.ManifestMediaType, Type: a.Type, ConfigType: a.MediaType,
		ArtifactType: a.ArtifactType,
		Size:         a.Size, SubjectDigest: digest.Digest(a.SubjectDigest), AccessoryOf: digest.Digest(a.AccessoryOf), Child: len(parents) > 0,
		PushTime: a.PushTime,
	}
	for _, t := range a.Tags {
		l.Tags, l.TagTimes = append(l.Tags, t.Name), append(l.TagTimes, t.PushTime)
	}
	for _, label := range a.Labels {
		l.Labels = append(l.Labels, label.Name)
	}
	return l, nil
}
