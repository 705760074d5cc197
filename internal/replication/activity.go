package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// HourNumbers is what tasks did that ended within an hour. A task that was tried several
// times counts when it ended last.
type HourNumbers struct {
	Start                    time.Time // the beginning of the hour, in UTC
	Bytes                    int64     // sent to destinations
	Succeed, Failed, Stopped int64     // tasks
}

// Hours tells what was done in each of the last hours, the oldest first; the last one is
// the hour that it is. Tasks of executions that were swept meanwhile are not counted.
func (s *Service) Hours(ctx context.Context, hours int) ([]HourNumbers, error) {
	now := s.now().UTC().Truncate(time.Hour)
	list := make([]HourNumbers, hours)
	for i := range list {
		list[i].Start = now.Add(-time.Duration(hours-1-i) * time.Hour)
	}
	first := store.Millis(list[0].Start)
	rows, err := s.o.DB.QueryContext(ctx, `SELECT (end_time - $1) / 3600000, status, count(*), coalesce(sum(bytes_sent), 0) FROM tasks
		WHERE end_time > 0 AND end_time >= $1 AND end_time < $2 GROUP BY 1, 2`, first, store.Millis(now.Add(time.Hour)))
	if err != nil {
		return nil, fmt.Errorf("add up the tasks of the last hours: %w", err)
	}
	_, err = collect(rows, func(row scanner) (none struct{}, err error) {
		var hour, tasks, bytes int64
		var status Status
		if err := row.Scan(&hour, &status, &tasks, &bytes); err != nil {
			return none, err
		}
		h := &list[hour]
		h.Bytes += bytes
		switch status {
		case Succeed:
			h.Succeed += tasks
		case Failed:
			h.Failed += tasks
		case Stopped:
			h.Stopped += tasks
		}
		return none, nil
	})
	return list, err
}
