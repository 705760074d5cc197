// Package inspection looks at what a home registry stores, as durable work: what is in
// it, who shares what with whom, and whether every artifact is whole; and mends its
// links when it is asked to. Whoever asks may go away; the last reports are kept with
// what was found.
//
// It promises that one look goes on at a time, on whichever server, and that one which a
// server's end has cut off begins anew. A look changes nothing; only a repair does, and
// only what migration.Repair describes.
package inspection

import (
	"context"
	"log/slog"
	"time"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/tree"
)

// Status is what has become of a look.
type Status string

// The statuses. The first two are of looks that have not ended.
const (
	Waiting   Status = "waiting"
	Running   Status = "running"
	Succeeded Status = "succeeded" // whatever it has found
	Failed    Status = "failed"
	Stopped   Status = "stopped"
)

// Ended reports whether nothing follows.
func (s Status) Ended() bool { return s != Waiting && s != Running }

// Request says what to look at.
type Request struct {
	Deep   bool // read every blob and hash it
	Repair bool // mend links first, and then look
}

// Inspection is one look at the storage.
type Inspection struct {
	ID       int64
	Operator string
	Request
	Status   Status
	Error    string // why it failed
	Progress Progress
	Report   *Report // of one that succeeded
	Created  time.Time
	Began    time.Time // zero: it waits
	Ended    time.Time // zero: it goes on
}

// Progress says how far a look is.
type Progress struct {
	Repairing    bool  `json:"repairing,omitempty"` // links are being mended; the look follows
	Repositories int64 `json:"repositories"`
	Tags         int64 `json:"tags"`
	Revisions    int64 `json:"revisions"`
	Links        int64 `json:"links"`
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"`
	HashedBytes  int64 `json:"hashed_bytes"`
	Damage       int64 `json:"damage"`
}

func progressOf(p *migration.FsckProgress, repairing bool) Progress {
	return Progress{
		Repairing: repairing, Repositories: p.Repositories.Load(), Tags: p.Tags.Load(), Revisions: p.Revisions.Load(), Links: p.Links.Load(),
		Blobs: p.Blobs.Load(), Bytes: p.Bytes.Load(), HashedBytes: p.HashedBytes.Load(), Damage: p.Damage.Load(),
	}
}

// Report is what a look has found in all.
type Report struct {
	migration.AssessReport
	Repair     *migration.RepairReport `json:"repair,omitempty"`
	Repairable int64                   `json:"repairable"`
	// Kept is how many findings were kept, Found how many there were. There are limits,
	// so that a storage full of junk does not fill the database.
	Kept  int64 `json:"kept"`
	Found int64 `json:"found"`
}

// Options are what a Service works with.
type Options struct {
	DB    *store.DB
	Queue *queue.Queue
	// Open opens the storage that is served now.
	Open func(ctx context.Context) (tree.Opened, error)
	// MayRepair returns an error that says why links cannot be mended now. Default: they can.
	MayRepair func(ctx context.Context) error
	Log       *slog.Logger
	Clock     func() time.Time // default time.Now
}

// Service looks at a storage.
type Service struct {
	o   Options
	now func() time.Time
}

const jobKind = "storage-fsck"

// New returns a service whose work is done by the queue, which must not run yet.
func New(o Options) *Service {
	s := &Service{o: o, now: o.Clock}
	if s.now == nil {
		s.now = time.Now
	}
	o.Queue.Handle(jobKind, 1, s.run)
	return s
}

// Start asks for a look. There must be none that goes on.
func (s *Service) Start(ctx context.Context, operator string, r Request) (id int64, err error) {
	if r.Repair && s.o.MayRepair != nil {
		if err := s.o.MayRepair(ctx); err != nil {
			return 0, err
		}
	}
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		id, err = s.insert(ctx, tx, operator, r)
		return err
	})
	return id, err
}

// Stop ends a look that goes on. What was mended stays so.
func (s *Service) Stop(ctx context.Context, id int64) error {
	return s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		job, err := jobOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if job == 0 {
			return problem.New(problem.Precondition, "the look at the storage has ended already")
		}
		if _, err := s.o.Queue.StopIn(ctx, tx, job); err != nil {
			return err
		}
		return end(ctx, tx, id, Stopped, "", nil, s.now())
	})
}
