// Package notification tells others what happened: by HTTP, in the words of
// Harbor's webhooks or as CloudEvents.
//
// It promises that an event that was published in a committed transaction reaches
// every target that wants it at least once, and in the order of events at each
// target, for as long as the target comes back within three days. Every attempt
// carries the same id. What could not be delivered stays visible with the reason.
//
// It knows nothing of rules and executions: who publishes says what happened. It
// never follows a redirect, never sends a target's secret elsewhere, and never shows
// what a target answered beyond the status.
package notification

import (
	"log/slog"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
)

// Kind is what a target can want to be told.
type Kind string

// The kinds.
const (
	Finished Kind = "finished" // each execution that ended, however it did
	Failed   Kind = "failed"   // each execution that failed
	Changed  Kind = "changed"  // a rule fails at a destination since now, or works there again
	Held     Kind = "held"     // an execution waits to be released
)

// test is the kind of what Test sends. No target wants it.
const test Kind = "test"

// Format is how a body is written.
type Format string

// The formats, by the names that Harbor gives them.
const (
	Default     Format = "Default"
	CloudEvents Format = "CloudEvents"
)

// Options are what a Service works with. All but UserAgent and Clock are required.
type Options struct {
	DB        *store.DB
	Queue     *queue.Queue
	Box       *secret.Box // seals the secrets of targets
	UserAgent string
	Log       *slog.Logger
	Clock     func() time.Time
}

// Service keeps targets and delivers events to them. It is safe for concurrent use.
type Service struct {
	o   Options
	now func() time.Time
}

const jobKind = "notification"

// deliveriesAtOnce is how many targets are told something at the same time.
const deliveriesAtOnce = 8

// New makes a Service and registers its work with the queue.
func New(o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.UserAgent == "" {
		o.UserAgent = "lighterage"
	}
	s := &Service{o: o, now: o.Clock}
	o.Queue.Handle(jobKind, deliveriesAtOnce, s.run)
	return s
}
