package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Start has jobs of a kind run now in this process although its places are taken. It is
// for a handler whose job costs less when some others go with it. What does not wait, is
// not due, or waits for a running job of its key is left as it is.
func (q *Queue) Start(ctx context.Context, kind string, ids []int64) error {
	q.mu.Lock()
	base, jobs := q.base, q.jobs
	q.mu.Unlock()
	if base == nil || len(ids) == 0 {
		return nil // no handler runs
	}
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = strconv.FormatInt(id, 10)
	}
	claimed, err := q.claim(ctx, base, kind, len(ids), " AND id IN ("+strings.Join(list, ", ")+")")
	if err != nil {
		return fmt.Errorf("start %d jobs of kind %s: %w", len(ids), kind, err)
	}
	for _, job := range claimed {
		jobs.Go(func() { q.execute(job) })
	}
	return nil
}
