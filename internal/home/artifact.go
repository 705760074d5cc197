package home

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// ArtifactQuery says which artifacts of a repository to list, and with what.
type ArtifactQuery struct {
	store.ListQuery // besides columns: tags, labels (ids), base
	WithLabels      bool
	WithAccessories bool
}

var artifactColumns = store.Columns{
	"id":                  {SQL: "a.id", Kind: store.Integer},
	"project_id":          {SQL: "a.project_id", Kind: store.Integer},
	"repository_id":       {SQL: "a.repository_id", Kind: store.Integer},
	"repository_name":     {SQL: "r.name", Kind: store.Text},
	"digest":              {SQL: "a.digest", Kind: store.Text},
	"type":                {SQL: "a.type", Kind: store.Text},
	"media_type":          {SQL: "a.media_type", Kind: store.Text},
	"manifest_media_type": {SQL: "a.manifest_media_type", Kind: store.Text},
	"artifact_type":       {SQL: "a.artifact_type", Kind: store.Text},
	"size":                {SQL: "a.size", Kind: store.Integer},
	"push_time":           {SQL: "a.push_time", Kind: store.Instant},
	"pull_time":           {SQL: "a.pull_time", Kind: store.Instant},
}

const artifactFields = `a.id, a.project_id, a.repository_id, r.name, a.digest, a.type, a.media_type, a.manifest_media_type,
	a.artifact_type, a.subject_digest, a.accessory_of, a.accessory_type, a.size, a.manifest_size, a.extra_attrs, a.annotations,
	a.push_time, a.pull_time`

const fromArtifacts = ` FROM artifacts a JOIN repositories r ON r.id = a.repository_id`

func scanArtifact(s scanner) (Artifact, error) {
	var a Artifact
	var attrs, annotations string
	var pushed, pulled int64
	if err := s.Scan(&a.ID, &a.ProjectID, &a.RepositoryID, &a.RepositoryName, &a.Digest, &a.Type, &a.MediaType, &a.ManifestMediaType,
		&a.ArtifactType, &a.SubjectDigest, &a.AccessoryOf, &a.AccessoryType, &a.Size, &a.ManifestSize, &attrs, &annotations,
		&pushed, &pulled); err != nil {
		return Artifact{}, err
	}
	a.Icon = Icon(a.Type)
	a.PushTime, a.PullTime = store.Time(pushed), store.Time(pulled)
	if err := store.FromJSON(attrs, &a.ExtraAttrs); err != nil {
		return Artifact{}, err
	}
	return a, store.FromJSON(annotations, &a.Annotations)
}

// ListArtifacts returns one page of a repository's artifacts, the last pushed
// first, and how many there are. Of a repository that is not there it returns
// none, as Harbor does.
func (x *Index) ListArtifacts(ctx context.Context, repository string, q ArtifactQuery) ([]Artifact, int64, error) {
	base, args, err := artifactConditions(repository, q.ListQuery)
	if err != nil {
		return nil, 0, err
	}
	where, args := q.Where(artifactColumns, base, args)
	var total int64
	if err := x.db.QueryRowContext(ctx, `SELECT COUNT(*)`+fromArtifacts+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count artifacts of %s: %w", repository, err)
	}
	artifacts, err := collect(ctx, x.db, scanArtifact, `SELECT `+artifactFields+fromArtifacts+where+
		q.OrderLimit(artifactColumns, "a.push_time DESC, a.id DESC"), args...)
	if err == nil {
		err = x.fill(ctx, artifacts, q.WithLabels, q.WithAccessories)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("list artifacts of %s: %w", repository, err)
	}
	return artifacts, total, nil
}

// artifactConditions reads the conditions that are no columns; the texts are Harbor's.
func artifactConditions(repository string, q store.ListQuery) (string, []any, error) {
	terms, args := []string{"r.name = $1", "a.accessory_of = ''"}, []any{repository}
	add := func(term string, values ...any) {
		terms = append(terms, fmt.Sprintf(term, placeholders(len(args)+1, len(values))))
		args = append(args, values...)
	}
	if c, ok := q.Condition("base"); !ok {
		terms = append(terms, topLevel)
	} else if c.Match != store.Exact || c.Values[0] != "*" {
		return "", nil, problem.New(problem.BadRequest, `the value of "base" query can only be exact match value with "*"`)
	}
	if c, ok := q.Condition("tags"); ok {
		const tagged = "EXISTS (SELECT 1 FROM tags t WHERE t.artifact_id = a.id)"
		switch {
		case c.Match == store.Exact && c.Values[0] == "*":
			terms = append(terms, tagged)
		case c.Match == store.Exact && c.Values[0] == "nil":
			terms = append(terms, "NOT "+tagged)
		case c.Match == store.Exact || c.Match == store.Fuzzy:
			name := store.ListQuery{Conditions: []store.Condition{{Field: "name", Match: c.Match, Values: c.Values}}}
			var where string
			where, args = name.Where(store.Columns{"name": {SQL: "t.name", Kind: store.Text}}, "t.artifact_id = a.id", args)
			terms = append(terms, "EXISTS (SELECT 1 FROM tags t"+where+")")
		default:
			return "", nil, problem.New(problem.BadRequest, `the value of "tags" query can only be fuzzy match value or exact match value`)
		}
	}
	if c, ok := q.Condition("labels"); ok {
		for _, text := range c.Values {
			id, err := strconv.ParseInt(text, 10, 64)
			if c.Match != store.AllOf || err != nil {
				return "", nil, problem.New(problem.BadRequest, `the value of "labels" query can only be integer list with intersetion relationship`)
			}
			add("EXISTS (SELECT 1 FROM artifact_labels al WHERE al.artifact_id = a.id AND al.label_id = %s)", id)
		}
	}
	return strings.Join(terms, " AND "), args, nil
}

// GetArtifact returns an artifact by tag or digest with its tags, labels,
// references and accessories; problem.NotFound when it is not there.
func (x *Index) GetArtifact(ctx context.Context, repository, reference string) (Artifact, error) {
	query := `SELECT ` + artifactFields + fromArtifacts
	if strings.Contains(reference, ":") {
		query += ` WHERE r.name = $1 AND a.digest = $2`
	} else {
		query += ` JOIN tags t ON t.artifact_id = a.id WHERE r.name = $1 AND t.name = $2`
	}
	a, err := scanArtifact(x.db.QueryRowContext(ctx, query, repository, reference))
	if store.IsNotFound(err) {
		return Artifact{}, artifactNotFound(repository, reference)
	}
	one := []Artifact{a}
	if err == nil {
		err = x.fill(ctx, one, true, true)
	}
	if err != nil {
		return Artifact{}, fmt.Errorf("get artifact %s of %s: %w", reference, repository, err)
	}
	return one[0], nil
}

func artifactNotFound(repository, reference string) error {
	separator := ":"
	if strings.Contains(reference, ":") {
		separator = "@"
	}
	return problem.New(problem.NotFound, "artifact %s%s%s not found", repository, separator, reference)
}

// fill reads what is kept beside the artifacts.
func (x *Index) fill(ctx context.Context, artifacts []Artifact, labels, accessories bool) error {
	for part := range slices.Chunk(artifacts, chunk) {
		byID := make(map[int64]*Artifact, len(part))
		ids := make([]any, len(part))
		for i := range part {
			byID[part[i].ID] = &part[i]
			ids[i] = part[i].ID
		}
		in := " IN (" + placeholders(1, len(ids)) + ")"
		if err := x.fillTags(ctx, byID, in, ids); err != nil {
			return err
		}
		if err := x.fillReferences(ctx, byID, in, ids); err != nil {
			return err
		}
		if labels {
			if err := x.fillLabels(ctx, byID, in, ids); err != nil {
				return err
			}
		}
		if accessories {
			if err := x.fillAccessories(ctx, byID, in, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *Index) fillTags(ctx context.Context, byID map[int64]*Artifact, in string, ids []any) error {
	tags, err := collect(ctx, x.db, scanTag, `SELECT `+tagFields+` FROM tags t WHERE t.artifact_id`+in+` ORDER BY t.push_time DESC, t.id DESC`, ids...)
	for _, t := range tags {
		byID[t.ArtifactID].Tags = append(byID[t.ArtifactID].Tags, t)
	}
	return err
}

func (x *Index) fillReferences(ctx context.Context, byID map[int64]*Artifact, in string, ids []any) error {
	references, err := collect(ctx, x.db, scanReference, `SELECT ref.parent_id, COALESCE(child.id, 0), ref.child_digest, ref.platform, ref.annotations, ref.urls
		FROM artifact_references ref JOIN artifacts parent ON parent.id = ref.parent_id
		LEFT JOIN artifacts child ON child.repository_id = parent.repository_id AND child.digest = ref.child_digest
		WHERE ref.parent_id`+in+` ORDER BY ref.parent_id, ref.position`, ids...)
	for _, r := range references {
		byID[r.ParentID].References = append(byID[r.ParentID].References, r)
	}
	return err
}

func scanReference(s scanner) (Reference, error) {
	var r Reference
	var platform, annotations, urls string
	if err := s.Scan(&r.ParentID, &r.ChildID, &r.ChildDigest, &platform, &annotations, &urls); err != nil {
		return Reference{}, err
	}
	for _, field := range []struct {
		text string
		into any
	}{{platform, &r.Platform}, {annotations, &r.Annotations}, {urls, &r.URLs}} {
		if field.text == "" {
			continue
		}
		if err := store.FromJSON(field.text, field.into); err != nil {
			return Reference{}, err
		}
	}
	return r, nil
}

func (x *Index) fillLabels(ctx context.Context, byID map[int64]*Artifact, in string, ids []any) error {
	type attached struct {
		artifactID int64
		label      Label
	}
	labels, err := collect(ctx, x.db, func(s scanner) (attached, error) {
		var a attached
		var err error
		a.label, err = scanLabel(s, &a.artifactID)
		return a, err
	}, `SELECT `+labelFields+`, al.artifact_id FROM labels l JOIN artifact_labels al ON al.label_id = l.id
		WHERE al.artifact_id`+in+` ORDER BY al.artifact_id, l.id`, ids...)
	for _, l := range labels {
		byID[l.artifactID].Labels = append(byID[l.artifactID].Labels, l.label)
	}
	return err
}

func (x *Index) fillAccessories(ctx context.Context, byID map[int64]*Artifact, in string, ids []any) error {
	accessories, err := collect(ctx, x.db, scanAccessory, `SELECT acc.id, acc.accessory_type, acc.size, acc.digest, acc.push_time, a.id, a.digest, r.name
		FROM artifacts a JOIN repositories r ON r.id = a.repository_id
		JOIN artifacts acc ON acc.repository_id = a.repository_id AND acc.accessory_of = a.digest
		WHERE a.id`+in+` ORDER BY a.id, acc.id`, ids...)
	for _, acc := range accessories {
		a := byID[acc.SubjectArtifactID]
		a.Accessories = append(a.Accessories, acc)
	}
	return err
}

func scanAccessory(s scanner) (Accessory, error) {
	var acc Accessory
	var created int64
	err := s.Scan(&acc.ArtifactID, &acc.Type, &acc.Size, &acc.Digest, &created,
		&acc.SubjectArtifactID, &acc.SubjectArtifactDigest, &acc.SubjectArtifactRepo)
	acc.ID = acc.ArtifactID
	acc.Icon = AccessoryIcon(acc.Type)
	acc.CreationTime = store.Time(created)
	return acc, err
}

// ListAccessories returns one page of an artifact's accessories and how many it
// has. q may ask for type, digest and size.
func (x *Index) ListAccessories(ctx context.Context, repository, reference string, q store.ListQuery) ([]Accessory, int64, error) {
	subject, err := x.GetArtifact(ctx, repository, reference)
	if err != nil {
		return nil, 0, err
	}
	columns := store.Columns{
		"type":   {SQL: "acc.accessory_type", Kind: store.Text},
		"digest": {SQL: "acc.digest", Kind: store.Text},
		"size":   {SQL: "acc.size", Kind: store.Integer},
	}
	where, args := q.Where(columns, "a.id = $1", []any{subject.ID})
	from := ` FROM artifacts a JOIN repositories r ON r.id = a.repository_id
		JOIN artifacts acc ON acc.repository_id = a.repository_id AND acc.accessory_of = a.digest` + where
	var total int64
	if err := x.db.QueryRowContext(ctx, `SELECT COUNT(*)`+from, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count accessories of %s@%s: %w", repository, subject.Digest, err)
	}
	accessories, err := collect(ctx, x.db, scanAccessory, `SELECT acc.id, acc.accessory_type, acc.size, acc.digest, acc.push_time,
		a.id, a.digest, r.name`+from+q.OrderLimit(columns, "acc.id DESC"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list accessories of %s@%s: %w", repository, subject.Digest, err)
	}
	return accessories, total, nil
}
