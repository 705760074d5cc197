package home

import (
	"context"
	"iter"
)

// Content is what the storage must hold for an artifact of the index.
type Content struct {
	Repository string
	Digest     string
	Tags       []string
	Blobs      []string // config and layers
}

// Contents yields all artifacts with what they need, in no order that means anything.
func (x *Index) Contents(ctx context.Context) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		for after := int64(0); ; {
			part, last, err := x.contents(ctx, after)
			if err != nil {
				yield(Content{}, err)
				return
			}
			for _, c := range part {
				if !yield(c, nil) {
					return
				}
			}
			if len(part) < chunk {
				return
			}
			after = last
		}
	}
}

// contents returns those whose ids follow after, and the last id.
func (x *Index) contents(ctx context.Context, after int64) (part []Content, last int64, err error) {
	type row struct {
		id int64
		Content
	}
	rows, err := collect(ctx, x.db, func(s scanner) (row, error) {
		var r row
		err := s.Scan(&r.id, &r.Repository, &r.Digest)
		return r, err
	}, `SELECT a.id, r.name, a.digest`+fromArtifacts+` WHERE a.id > $1 ORDER BY a.id LIMIT $2`, after, chunk)
	if err != nil || len(rows) == 0 {
		return nil, after, err
	}
	part, at := make([]Content, len(rows)), make(map[int64]*Content, len(rows))
	for i, r := range rows {
		part[i] = r.Content
		at[r.id] = &part[i]
	}
	last = rows[len(rows)-1].id
	for query, add := range map[string]func(c *Content, name string){
		`SELECT artifact_id, name, 0 FROM tags WHERE artifact_id > $1 AND artifact_id <= $2`:             func(c *Content, name string) { c.Tags = append(c.Tags, name) },
		`SELECT artifact_id, digest, 0 FROM artifact_blobs WHERE artifact_id > $1 AND artifact_id <= $2`: func(c *Content, name string) { c.Blobs = append(c.Blobs, name) },
	} {
		names, err := x.names(ctx, query, []any{after, last})
		if err != nil {
			return nil, after, err
		}
		for _, n := range names {
			if c := at[n.artifactID]; c != nil {
				add(c, n.name)
			}
		}
	}
	return part, last, nil
}
