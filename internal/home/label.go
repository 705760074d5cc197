package home

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

const labelFields = `l.id, l.name, l.description, l.color, l.scope, l.project_id, l.creation_time, l.update_time`

var labelColumns = store.Columns{
	"id":            {SQL: "l.id", Kind: store.Integer},
	"name":          {SQL: "l.name", Kind: store.Text},
	"description":   {SQL: "l.description", Kind: store.Text},
	"color":         {SQL: "l.color", Kind: store.Text},
	"scope":         {SQL: "l.scope", Kind: store.Text},
	"project_id":    {SQL: "l.project_id", Kind: store.Integer},
	"creation_time": {SQL: "l.creation_time", Kind: store.Instant},
	"update_time":   {SQL: "l.update_time", Kind: store.Instant},
}

func scanLabel(s scanner, more ...any) (Label, error) {
	var l Label
	var created, updated int64
	err := s.Scan(append([]any{&l.ID, &l.Name, &l.Description, &l.Color, &l.Scope, &l.ProjectID, &created, &updated}, more...)...)
	l.CreationTime, l.UpdateTime = store.Time(created), store.Time(updated)
	return l, err
}

func (l Label) validate() error {
	switch {
	case l.Name == "":
		return problem.New(problem.BadRequest, "label name cannot be empty")
	case len(l.Name) > 128:
		return problem.New(problem.BadRequest, "label name is too long: max length is 128")
	case l.Scope != GlobalScope && l.Scope != ProjectScope:
		return problem.New(problem.BadRequest, "unsupported label scope")
	case l.Scope == ProjectScope && l.ProjectID <= 0:
		return problem.New(problem.BadRequest, "invalid project of the label: %d", l.ProjectID)
	default:
		return nil
	}
}

// CreateLabel stores a label and returns its id; problem.Conflict when its scope
// has one of that name.
func (x *Index) CreateLabel(ctx context.Context, l Label) (int64, error) {
	if l.Scope == GlobalScope {
		l.ProjectID = 0
	}
	if err := l.validate(); err != nil {
		return 0, err
	}
	var id int64
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO labels (name, description, color, scope, project_id, creation_time, update_time)
			VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id`,
			l.Name, l.Description, l.Color, string(l.Scope), l.ProjectID, store.Millis(time.Now())).Scan(&id)
	})
	if store.IsConflict(err) {
		return 0, labelExists(l)
	}
	if err != nil {
		return 0, fmt.Errorf("create label %s: %w", l.Name, err)
	}
	return id, nil
}

func labelExists(l Label) error {
	return problem.New(problem.Conflict, "label %s already exists", l.Name)
}

// GetLabel returns a label; problem.NotFound when it is not there.
func (x *Index) GetLabel(ctx context.Context, id int64) (Label, error) {
	l, err := scanLabel(x.db.QueryRowContext(ctx, `SELECT `+labelFields+` FROM labels l WHERE l.id = $1`, id))
	if store.IsNotFound(err) {
		return Label{}, labelNotFound(id)
	}
	if err != nil {
		return Label{}, fmt.Errorf("get label %d: %w", id, err)
	}
	return l, nil
}

func labelNotFound(id int64) error { return problem.New(problem.NotFound, "label %d not found", id) }

// ListLabels returns one page of the global labels or those of a project, newest
// first, and how many there are.
func (x *Index) ListLabels(ctx context.Context, scope Scope, projectID int64, q store.ListQuery) ([]Label, int64, error) {
	if scope == GlobalScope {
		projectID = 0
	}
	where, args := q.Where(labelColumns, "l.scope = $1 AND l.project_id = $2", []any{string(scope), projectID})
	var total int64
	if err := x.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM labels l`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count labels: %w", err)
	}
	labels, err := collect(ctx, x.db, func(s scanner) (Label, error) { return scanLabel(s) },
		`SELECT `+labelFields+` FROM labels l`+where+q.OrderLimit(labelColumns, "l.creation_time DESC, l.id DESC"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list labels: %w", err)
	}
	return labels, total, nil
}

// UpdateLabel changes name, description and color of a label. For whatever has it, a
// new name is a change of labels: see LabelArtifact.
func (x *Index) UpdateLabel(ctx context.Context, l Label) error {
	stored, err := x.GetLabel(ctx, l.ID)
	if err != nil {
		return err
	}
	stored.Name, stored.Description, stored.Color = l.Name, l.Description, l.Color
	if err := stored.validate(); err != nil {
		return err
	}
	err = x.db.InTx(ctx, func(tx *store.Tx) error {
		return x.relabel(ctx, tx, hasLabel, l.ID, func() error {
			_, err := tx.ExecContext(ctx, `UPDATE labels SET name = $2, description = $3, color = $4, update_time = $5 WHERE id = $1`,
				l.ID, l.Name, l.Description, l.Color, store.Millis(time.Now()))
			return err
		})
	})
	if store.IsConflict(err) {
		return labelExists(l)
	}
	if err != nil {
		return fmt.Errorf("update label %d: %w", l.ID, err)
	}
	return nil
}

// DeleteLabel removes a label, from its artifacts too.
func (x *Index) DeleteLabel(ctx context.Context, id int64) error {
	return x.db.InTx(ctx, func(tx *store.Tx) error {
		return x.relabel(ctx, tx, hasLabel, id, func() error {
			result, err := tx.ExecContext(ctx, `DELETE FROM labels WHERE id = $1`, id)
			if err != nil {
				return fmt.Errorf("delete label %d: %w", id, err)
			}
			if n, err := result.RowsAffected(); err != nil || n == 1 {
				return err
			}
			return labelNotFound(id)
		})
	})
}

// hasLabel is the condition of artifacts that have a label.
const hasLabel = `EXISTS (SELECT 1 FROM artifact_labels al WHERE al.artifact_id = a.id AND al.label_id = $1)`

// AddLabel puts a label on an artifact and records it as an event. A label of another
// project is as unknown as one that is not there.
func (x *Index) AddLabel(ctx context.Context, repository, reference string, labelID int64) error {
	a, err := x.GetArtifact(ctx, repository, reference)
	if err != nil {
		return err
	}
	l, err := x.GetLabel(ctx, labelID)
	if err != nil {
		return err
	}
	if l.Scope == ProjectScope && l.ProjectID != a.ProjectID {
		return problem.New(problem.NotFound, "project id %d, label %d not found", a.ProjectID, labelID)
	}
	err = x.db.InTx(ctx, func(tx *store.Tx) error {
		return x.relabel(ctx, tx, `a.id = $1`, a.ID, func() error {
			_, err := tx.ExecContext(ctx, `INSERT INTO artifact_labels (artifact_id, label_id) VALUES ($1, $2)`, a.ID, labelID)
			return err
		})
	})
	switch {
	case store.IsConflict(err):
		return problem.New(problem.Conflict, "label %d is already added to the artifact %d", labelID, a.ID)
	case store.IsReferenced(err): // one of them was deleted just now
		return labelNotFound(labelID)
	case err != nil:
		return fmt.Errorf("add label %d to %s:%s: %w", labelID, repository, reference, err)
	default:
		return nil
	}
}

// RemoveLabel takes a label from an artifact and records it as an event.
func (x *Index) RemoveLabel(ctx context.Context, repository, reference string, labelID int64) error {
	a, err := x.GetArtifact(ctx, repository, reference)
	if err != nil {
		return err
	}
	return x.db.InTx(ctx, func(tx *store.Tx) error {
		return x.relabel(ctx, tx, `a.id = $1`, a.ID, func() error {
			result, err := tx.ExecContext(ctx, `DELETE FROM artifact_labels WHERE artifact_id = $1 AND label_id = $2`, a.ID, labelID)
			if err != nil {
				return fmt.Errorf("remove label %d from %s:%s: %w", labelID, repository, reference, err)
			}
			if n, err := result.RowsAffected(); err != nil || n == 1 {
				return err
			}
			return problem.New(problem.NotFound, "reference with label %d and artifact %d not found", labelID, a.ID)
		})
	})
}
