package api

import (
	"context"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/replication"
)

// activityHours is how far back the activity is told.
const activityHours = 24

func (a *api) GetReplicationActivity(ctx context.Context, _ gen.GetReplicationActivityRequestObject) (gen.GetReplicationActivityResponseObject, error) {
	if _, err := a.require(ctx, "replication", "list"); err != nil {
		return nil, err
	}
	hours, err := a.o.Replication.Hours(ctx, activityHours)
	if err != nil {
		return nil, err
	}
	numbers, err := a.o.Replication.Numbers(ctx)
	if err != nil {
		return nil, err
	}
	body := gen.GetReplicationActivity200JSONResponse{Destinations: []gen.ReplicationActivityDestination{}}
	for _, h := range hours {
		body.Hours = append(body.Hours, gen.ReplicationActivityHour{
			StartTime: gen.Time{Time: h.Start}, BytesSent: h.Bytes, Succeed: h.Succeed, Failed: h.Failed, Stopped: h.Stopped,
		})
	}
	for _, r := range numbers.Rules {
		for _, d := range r.Destinations {
			body.Destinations = append(body.Destinations, wireActivity(r, d, time.Now()))
		}
	}
	return body, nil
}

func wireActivity(r replication.RuleNumbers, d replication.DestinationNumbers, now time.Time) gen.ReplicationActivityDestination {
	w := gen.ReplicationActivityDestination{
		PolicyID: r.ID, RegistryID: d.ID, HeldExecutionID: r.Held, Failing: d.Failing, SuccessTime: timeOrNone(d.Success),
	}
	if d.Failing {
		w.FailingReason, w.FailingTime = d.Reason, timeOrNone(d.Since)
	}
	for _, n := range d.Unfinished {
		w.Waiting += n
	}
	if d.Lag > 0 {
		w.OldestWaitingTime = timeOrNone(now.Add(-d.Lag).UTC())
	}
	return w
}

// timeOrNone is a time of an answer, nil for the zero time.
func timeOrNone(t time.Time) *gen.Time {
	if t.IsZero() {
		return nil
	}
	return &gen.Time{Time: t}
}
