package api

import (
	"context"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/rule"
)

// shownRuns is how many runs of a schedule are told.
const shownRuns = 5

func (a *api) PreviewSchedule(ctx context.Context, r gen.PreviewScheduleRequestObject) (gen.PreviewScheduleResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "create"); err != nil {
		return nil, err
	}
	schedule, err := rule.ParseSchedule(r.Params.Cron, r.Params.TimeZone)
	if err != nil {
		return nil, err
	}
	body := gen.PreviewSchedule200JSONResponse{NextRunTimes: []gen.Time{}}
	for at := schedule.Next(time.Now()); !at.IsZero() && len(body.NextRunTimes) < shownRuns; at = schedule.Next(at) {
		body.NextRunTimes = append(body.NextRunTimes, gen.Time{Time: at})
	}
	return body, nil
}
