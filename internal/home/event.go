package home

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Types of events.
const (
	PushArtifact   = "push_artifact"   // a manifest was pushed; Tags has the tag it was pushed by
	DeleteArtifact = "delete_artifact" // Tags has the tags that went with it
	CreateTag      = "create_tag"      // a tag was added to an artifact that was there
	DeleteTag      = "delete_tag"
	LabelArtifact  = "label_artifact" // its labels are others now; Tags has all its tags
)

// Event is something that happened to the home registry.
type Event struct {
	ID         int64
	Type       string
	Repository string
	Digest     string   // "" where a deletion does not tell it
	Tags       []string // that the event is about; never nil
	Labels     []string // names of the artifact's labels at that time; never nil
	// FormerLabels are those before a change of labels; never nil.
	FormerLabels []string
	Artifact     string // type of the artifact: IMAGE, ...
	Operator     string // who did it
	Time         time.Time
}

// Events returns the oldest events that nobody has taken, at most limit of them.
func (x *Index) Events(ctx context.Context, limit int) ([]Event, error) {
	return x.EventsAfter(ctx, 0, limit)
}

// EventsAfter returns the oldest events with a greater id that nobody has taken,
// at most limit of them.
func (x *Index) EventsAfter(ctx context.Context, id int64, limit int) ([]Event, error) {
	return EventsAfter(ctx, x.db, id, limit)
}

// EventsAfter is Index.EventsAfter for a home registry that has no index here.
func EventsAfter(ctx context.Context, q store.Querier, id int64, limit int) ([]Event, error) {
	events, err := collect(ctx, q, scanEvent, `SELECT id, type, repository, digest, tags, labels, former_labels, artifact, operator, time
		FROM events WHERE id > $1 ORDER BY id LIMIT $2`, id, limit)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return events, nil
}

func scanEvent(s scanner) (Event, error) {
	var e Event
	var tags, labels, former string
	var millis int64
	if err := s.Scan(&e.ID, &e.Type, &e.Repository, &e.Digest, &tags, &labels, &former, &e.Artifact, &e.Operator, &millis); err != nil {
		return Event{}, err
	}
	e.Time = store.Time(millis)
	if err := store.FromJSON(tags, &e.Tags); err != nil {
		return Event{}, err
	}
	if err := store.FromJSON(former, &e.FormerLabels); err != nil {
		return Event{}, err
	}
	return e, store.FromJSON(labels, &e.Labels)
}

// EventsWaiting returns how many events nobody has taken, and when the oldest of them
// happened.
func (x *Index) EventsWaiting(ctx context.Context) (n int64, oldest time.Time, err error) {
	var millis int64
	err = x.db.QueryRowContext(ctx, `SELECT count(*), coalesce(min(time), 0) FROM events`).Scan(&n, &millis)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("count events: %w", err)
	}
	return n, store.Time(millis), nil
}

// TakeEvent deletes an event, in the transaction that puts it to work. It returns
// false when another process has taken it already.
func TakeEvent(ctx context.Context, tx *store.Tx, id int64) (bool, error) {
	result, err := tx.ExecContext(ctx, `DELETE FROM events WHERE id = $1`, id)
	if err != nil {
		return false, fmt.Errorf("take event %d: %w", id, err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// OnEvent has f called after each transaction of this process that added events.
// f must return at once: pushes wait for it.
func (x *Index) OnEvent(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.listeners = append(x.listeners, f)
}

// emit records an event in tx.
func (x *Index) emit(ctx context.Context, tx *store.Tx, e Event) error {
	if err := AddEvent(ctx, tx, e); err != nil {
		return err
	}
	if err := x.recordChange(ctx, tx, e); err != nil {
		return err
	}
	tx.OnCommit(x.wake)
	return nil
}

// AddEvent records an event in tx.
func AddEvent(ctx context.Context, tx *store.Tx, e Event) error {
	for _, list := range []*[]string{&e.Tags, &e.Labels, &e.FormerLabels} {
		if *list == nil {
			*list = []string{}
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO events (type, repository, digest, tags, labels, former_labels, artifact, operator, time)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		e.Type, e.Repository, e.Digest, store.JSON(e.Tags), store.JSON(e.Labels), store.JSON(e.FormerLabels), e.Artifact, e.Operator, store.Millis(e.Time))
	if err != nil {
		return fmt.Errorf("record event %s of %s@%s: %w", e.Type, e.Repository, e.Digest, err)
	}
	return nil
}

func (x *Index) wake() {
	x.mu.Lock()
	listeners := x.listeners
	x.mu.Unlock()
	for _, f := range listeners {
		f()
	}
}
