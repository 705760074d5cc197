package replication

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/rule"
)

// All tasks of a rule share its limit, and all tasks of all rules that read from or
// write to a registry share the registry's. Servers that share the database share the
// limits: each that works within one has an equal part of it.

// bandwidthInterval is how often limits in use are compared with the database, where
// other servers may have changed them, and how soon those learn of a server that has
// begun to work within one.
const bandwidthInterval = time.Second

const (
	// serverMemory is how long a server counts that was seen at work: its tasks may be
	// short, with moments in between. A server that was killed is seen at work until
	// others take over what it did.
	serverMemory = 3 * time.Second
	// limitMemory is how long a limit is remembered that nobody uses, and who else did.
	limitMemory = 10 * time.Second
)

// limitOf names a limit: a rule's, or a registry's.
type limitOf struct {
	registry bool
	id       int64
}

// bandwidths are the limits that are in use here. The zero value is ready.
type bandwidths struct {
	mu     sync.Mutex
	limits map[limitOf]*sharedBandwidth
}

type sharedBandwidth struct {
	limit   *pace.Bandwidth      // this server's part
	whole   int64                // bytes per second of all servers; 0: no limit
	servers map[string]time.Time // others that work within it, and when they were seen last
	users   int
	left    time.Time // when the last user left
	lanes   map[lane]*pace.Bandwidth
}

// lane is what has places of its own for streams within a limit: a destination that
// takes hardly anything keeps out no streams to the others, nor another rule's.
type lane struct{ policy, destination int64 }

// lane returns the limit for one lane. The caller holds the lock.
func (b *sharedBandwidth) lane(l lane) *pace.Bandwidth {
	if b.lanes[l] == nil {
		b.lanes[l] = b.limit.Lane()
	}
	return b.lanes[l]
}

// divide sets this server's part. The caller holds the lock.
func (b *sharedBandwidth) divide(now time.Time) {
	for server, seen := range b.servers {
		if now.Sub(seen) > serverMemory {
			delete(b.servers, server)
		}
	}
	part := b.whole / int64(1+len(b.servers))
	if b.whole > 0 {
		part = max(part, 1)
	}
	b.limit.SetRate(part)
}

// limits are the limits that hold for copies of a rule to one of its destinations, and
// their bytes per second. The order is the same for all rules: see pace.Limits.
func (p Policy) limits(destination int64) ([]limitOf, []int64) {
	names, rates := []limitOf{{id: p.ID}}, []int64{p.BytesPerSecond()}
	ends := slices.DeleteFunc(append(p.Destinations(), p.Source), func(e Endpoint) bool {
		return e.ID == HomeID || e.ID != p.Source.ID && e.ID != destination
	})
	slices.SortFunc(ends, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range ends {
		names, rates = append(names, limitOf{registry: true, id: e.ID}), append(rates, e.BytesPerSecond())
	}
	return names, rates
}

// use returns the limits for copies of a rule to one of its destinations, which may be
// none for the time being. release must be called when they are used no more. fresh
// says that it is not known yet who else works within them.
func (b *bandwidths) use(p Policy, destination int64) (limits pace.Limits, fresh bool, release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	names, rates := p.limits(destination)
	used := make([]*sharedBandwidth, len(names))
	for i, name := range names {
		shared, ok := b.limits[name]
		if !ok {
			if b.limits == nil {
				b.limits = map[limitOf]*sharedBandwidth{}
			}
			shared = &sharedBandwidth{limit: pace.NewAdjustable(rates[i]), whole: rates[i], servers: map[string]time.Time{}, lanes: map[lane]*pace.Bandwidth{}}
			b.limits[name] = shared
			fresh = fresh || rates[i] > 0
		}
		shared.users++
		used[i], limits = shared, append(limits, shared.lane(lane{p.ID, destination}))
	}
	return limits, fresh, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, shared := range used {
			if shared.users--; shared.users == 0 {
				shared.left = time.Now()
			}
		}
	}
}

// set changes a limit, for what is being copied just now too.
func (b *bandwidths) set(name limitOf, bytesPerSecond int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if shared, ok := b.limits[name]; ok {
		shared.whole = bytesPerSecond
		shared.divide(time.Now())
	}
}

// idle reports whether no limit is in use, and forgets those that have not been for a while.
func (b *bandwidths) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, shared := range b.limits {
		if shared.users == 0 && time.Since(shared.left) > limitMemory {
			delete(b.limits, name)
		}
	}
	return len(b.limits) == 0
}

// sight notes that other servers work within limits just now, and divides those anew.
func (b *bandwidths) sight(others map[limitOf][]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for name, shared := range b.limits {
		for _, server := range others[name] {
			shared.servers[server] = now
		}
		shared.divide(now)
	}
}

// follow takes over what the limits are by now, and reports whether there are any.
func (b *bandwidths) follow(rates map[limitOf]int64) (limited bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, shared := range b.limits {
		shared.whole = rates[name]
		limited = limited || shared.whole > 0
	}
	return limited
}

// watchBandwidths follows the limits that are in use until ctx ends.
func (s *Service) watchBandwidths(ctx context.Context) {
	every(ctx, bandwidthInterval, func(ctx context.Context) {
		if err := s.FollowBandwidths(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("whether bandwidths were changed is not known", "error", err)
		}
	})
}

// FollowBandwidths gives what is being copied the limits that the database has for it
// now, divided among the servers that work within them.
func (s *Service) FollowBandwidths(ctx context.Context) error {
	if s.bandwidths.idle() {
		return nil
	}
	rates, err := s.storedBandwidths(ctx)
	if err != nil {
		return err
	}
	var others map[limitOf][]string
	if s.bandwidths.follow(rates) {
		if others, err = s.otherServers(ctx); err != nil {
			return err
		}
	}
	s.bandwidths.sight(others)
	return nil
}

// storedBandwidths reads the limits that there are, in bytes per second.
func (s *Service) storedBandwidths(ctx context.Context) (map[limitOf]int64, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT FALSE, id, speed FROM replication_policies WHERE speed > 0
		UNION ALL SELECT TRUE, id, speed FROM registries WHERE speed > 0`)
	if err != nil {
		return nil, fmt.Errorf("read bandwidths: %w", err)
	}
	rates := map[limitOf]int64{}
	_, err = collect(rows, func(row scanner) (name limitOf, err error) {
		var speed int64
		if err = row.Scan(&name.registry, &name.id, &speed); err == nil {
			rates[name] = rule.Rule{Speed: int32(speed)}.BytesPerSecond()
		}
		return name, err
	})
	if err != nil {
		return nil, fmt.Errorf("read bandwidths: %w", err)
	}
	return rates, nil
}

// otherServers tells which other servers work within limits just now: they run tasks
// of the rule, or of rules that go between the registries.
func (s *Service) otherServers(ctx context.Context) (map[limitOf][]string, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT DISTINCT j.owner, p.id, p.src_registry_id, t.dest_registry_id FROM jobs j
		JOIN tasks t ON t.id = CASE WHEN j.kind IN ($1, $2) THEN CAST(j.payload AS BIGINT) END
		JOIN executions e ON e.id = t.execution_id JOIN replication_policies p ON p.id = e.policy_id
		WHERE j.state = 'running' AND j.kind IN ($1, $2) AND j.owner <> $3`, bulkJob, eventJob, s.o.Queue.Owner())
	if err != nil {
		return nil, fmt.Errorf("look who shares bandwidths: %w", err)
	}
	others := map[limitOf][]string{}
	_, err = collect(rows, func(row scanner) (owner string, err error) {
		var policy, source, destination int64
		if err = row.Scan(&owner, &policy, &source, &destination); err == nil {
			for _, name := range []limitOf{{id: policy}, {registry: true, id: source}, {registry: true, id: destination}} {
				others[name] = append(others[name], owner)
			}
		}
		return owner, err
	})
	if err != nil {
		return nil, fmt.Errorf("look who shares bandwidths: %w", err)
	}
	return others, nil
}
