package inspection

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/tree"
)

// mostAttempts is how often a look begins whose servers die of it.
const mostAttempts = 3

// run carries a look out. One that fails is not tried again by itself: whoever asked for
// it sees why, and asks again.
func (s *Service) run(ctx context.Context, job *queue.Job) error {
	id, err := strconv.ParseInt(job.Payload, 10, 64)
	if err != nil {
		return fmt.Errorf("storage job %d: %w", job.ID, err)
	}
	request, ok, err := s.begin(ctx, id)
	if err != nil || !ok {
		return err
	}
	if job.Attempt > mostAttempts {
		return s.finish(ctx, job, id, nil, errors.New("the server has ended each time while it looked; its log says more"))
	}
	n := s.newNotes(id)
	report, failure := s.look(ctx, request, n)
	if ctx.Err() != nil {
		return context.Cause(ctx) // stopped, which was noted then; or it begins anew
	}
	if failure == nil {
		if failure = n.flush(ctx); failure == nil {
			report.Kept, report.Found, report.Repairable = n.kept(), n.found, n.repairable
			return s.finish(ctx, job, id, &report, nil)
		}
	}
	s.o.Log.Warn("the look at the storage has failed", "error", failure)
	return s.finish(ctx, job, id, nil, failure)
}

func (s *Service) finish(ctx context.Context, job *queue.Job, id int64, report *Report, failure error) error {
	return job.Finish(ctx, func(tx *store.Tx) error {
		if failure != nil {
			return end(ctx, tx, id, Failed, failure.Error(), nil, s.now())
		}
		return end(ctx, tx, id, Succeeded, "", report, s.now())
	})
}

// look mends links, if that was asked for, and looks at the whole storage.
func (s *Service) look(ctx context.Context, r Request, n *notes) (report Report, err error) {
	if r.Repair && s.o.MayRepair != nil { // it may have waited
		if err := s.o.MayRepair(ctx); err != nil {
			return report, err
		}
	}
	t, err := s.o.Open(ctx)
	if err != nil {
		return report, err
	}
	defer func() { _ = t.Close() }()
	if r.Repair {
		if report.Repair, err = repair(ctx, t, n); err != nil {
			return report, err
		}
	}
	p := &migration.FsckProgress{}
	defer n.follow(ctx, p, false)()
	report.AssessReport, err = migration.Assess(ctx, t, migration.AssessOptions{Deep: r.Deep, OnDamage: n.add, Progress: p})
	return report, err
}

func repair(ctx context.Context, t tree.Tree, n *notes) (*migration.RepairReport, error) {
	p := &migration.FsckProgress{}
	defer n.follow(ctx, p, true)()
	report, err := migration.Repair(ctx, t, migration.RepairOptions{
		OnRepair: func(d migration.Damage, target digest.Digest) { n.mended(d, target.String()) }, Progress: p,
	})
	return &report, err
}
