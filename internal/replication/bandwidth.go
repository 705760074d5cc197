package replication

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/rule"
)

// All tasks of a rule that run in this process share one limit. Each process that
// shares the database has one of its own.

// bandwidthInterval is how often the limits of running rules are compared with the
// database, where another process may have changed them.
const bandwidthInterval = 5 * time.Second

// bandwidths are the limits of the rules that are at work. The zero value is ready.
type bandwidths struct {
	mu    sync.Mutex
	rules map[int64]*ruleBandwidth // by id
}

type ruleBandwidth struct {
	limit *pace.Bandwidth
	users int
}

// use returns the limit of a rule, which may be none for the time being. release must
// be called when it is used no more.
func (b *bandwidths) use(p Policy) (limit *pace.Bandwidth, release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	shared, ok := b.rules[p.ID]
	if !ok {
		if b.rules == nil {
			b.rules = map[int64]*ruleBandwidth{}
		}
		shared = &ruleBandwidth{limit: pace.NewAdjustable(p.BytesPerSecond())}
		b.rules[p.ID] = shared
	}
	shared.users++
	return shared.limit, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if shared.users--; shared.users == 0 {
			delete(b.rules, p.ID)
		}
	}
}

// set changes the limit of a rule, for what it is copying just now too.
func (b *bandwidths) set(policy int64, r rule.Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if shared, ok := b.rules[policy]; ok {
		shared.limit.SetRate(r.BytesPerSecond())
	}
}

// idle reports whether no rule is at work.
func (b *bandwidths) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.rules) == 0
}

// watchBandwidths follows the limits of running rules in the database until ctx ends.
func (s *Service) watchBandwidths(ctx context.Context) {
	every(ctx, bandwidthInterval, func(ctx context.Context) {
		if err := s.FollowBandwidths(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("whether bandwidths were changed is not known", "error", err)
		}
	})
}

// FollowBandwidths gives running rules the limits that the database has for them now.
func (s *Service) FollowBandwidths(ctx context.Context) error {
	if s.bandwidths.idle() {
		return nil
	}
	rows, err := s.o.DB.QueryContext(ctx, `SELECT id, speed FROM replication_policies`)
	if err != nil {
		return fmt.Errorf("read the bandwidths of rules: %w", err)
	}
	type limit struct{ id, speed int64 }
	limits, err := collect(rows, func(row scanner) (l limit, err error) { return l, row.Scan(&l.id, &l.speed) })
	if err != nil {
		return fmt.Errorf("read the bandwidths of rules: %w", err)
	}
	for _, l := range limits {
		s.bandwidths.set(l.id, rule.Rule{Speed: int32(l.speed)})
	}
	return nil
}
