package notification

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Event is something that happened.
type Event struct {
	Kinds    []Kind // whoever wants one of them is told, once; the last one names it
	PolicyID int64  // the rule that it is about
	Type     string // of CloudEvents, such as harbor.replication.status.changed
	Subject  string // of CloudEvents: what it is about
	Operator string
	Time     time.Time
	Data     any // event_data of Harbor's format, data of CloudEvents
}

// body is an event in Harbor's form (Harbor: pkg/notifier/model/event.go).
type body struct {
	Type     string `json:"type"`
	OccurAt  int64  `json:"occur_at"` // seconds since 1970
	Operator string `json:"operator"`
	Data     any    `json:"event_data"`
}

// cloudEvent is an event in the structured JSON form of CloudEvents 1.0, with the
// extension that Harbor adds.
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	DataContentType string    `json:"datacontenttype"`
	Time            time.Time `json:"time"`
	Data            any       `json:"data"`
	Operator        string    `json:"operator"`
}

// replicationType is the only type that events have in Harbor's form here.
const replicationType = "REPLICATION"

// write returns an event in a format, with its media type.
func (e Event) write(f Format, id string) (text, contentType string, err error) {
	var document any = body{Type: replicationType, OccurAt: e.Time.Unix(), Operator: e.Operator, Data: e.Data}
	contentType = "application/json"
	if f == CloudEvents {
		contentType = "application/cloudevents+json"
		document = cloudEvent{
			SpecVersion: "1.0", ID: id, Source: fmt.Sprintf("/replication/policies/%d", e.PolicyID), Type: e.Type, Subject: e.Subject,
			DataContentType: "application/json", Time: e.Time.UTC(), Data: e.Data, Operator: e.Operator,
		}
	}
	encoded, err := json.Marshal(document)
	if err != nil {
		return "", "", fmt.Errorf("write event %s: %w", id, err)
	}
	return string(encoded), contentType, nil
}

// newID returns a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Publish has an event told to every target that wants it, once tx is committed.
func (s *Service) Publish(ctx context.Context, tx *store.Tx, e Event) error {
	targets, err := s.selectTargets(ctx, tx, selectTarget+` WHERE enabled ORDER BY id`)
	if err != nil {
		return fmt.Errorf("list notifications: %w", err)
	}
	id := newID()
	for _, t := range targets {
		if !t.wants(e) {
			continue
		}
		text, contentType, err := e.write(t.Format, id)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO notification_deliveries (notification_id, event_id, event, content_type, body, status, creation_time)
			VALUES ($1, $2, $3, $4, $5, 'waiting', $6)`, t.ID, id, string(e.Kinds[len(e.Kinds)-1]), contentType, text, store.Millis(s.now()))
		if err != nil {
			return fmt.Errorf("publish to %s: %w", t.Name, err)
		}
		if err := s.enqueue(ctx, tx, t.ID); err != nil {
			return err
		}
	}
	return nil
}
