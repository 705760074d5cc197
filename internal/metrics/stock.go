package metrics

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/replication"
)

// Sources are where numbers are read that this process does not count itself. Those
// that are nil are left out.
type Sources struct {
	Replication func(ctx context.Context) (replication.Numbers, error)
	Queue       func(ctx context.Context) ([]queue.Count, error)
	Home        func(ctx context.Context) (Home, error)
	Health      func(ctx context.Context) []Component
	Drift       func(ctx context.Context) ([]Drift, error)
	// Notifications tells how many deliveries wait for each target, by its name.
	Notifications func(ctx context.Context) (map[string]int64, error)
}

// Home is what the home registry holds.
type Home struct {
	PublicProjects, PrivateProjects         int64
	PublicRepositories, PrivateRepositories int64
	Bytes                                   int64 // of all blobs, each once
	EventsWaiting                           int64 // recorded, and not yet turned into work
	OldestEvent                             time.Time
}

// Component is a part of the server and whether it works.
type Component struct {
	Name string
	Up   bool
}

// Drift is how many artifacts of a rule are in a state at an endpoint.
type Drift struct {
	Rule, Endpoint string
	State          string // in_sync, missing, different, extra, not_verified
	Artifacts      int64
}

// Reading costs a few queries: whoever asks more often than this gets the same
// again, and whoever waits longer than that gets what there is.
const (
	freshFor = 2 * time.Second
	readTime = 10 * time.Second
)

// stock is what is read when somebody asks.
type stock struct {
	sources Sources
	keep    func(rules []string)
	log     *slog.Logger

	mu   sync.Mutex
	read time.Time
	last []prometheus.Metric
}

func newStock(s Sources, keep func(rules []string), log *slog.Logger) *stock {
	return &stock{sources: s, keep: keep, log: log}
}

// Describe implements prometheus.Collector.
func (s *stock) Describe(out chan<- *prometheus.Desc) {
	for _, d := range stockDescriptions {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *stock) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || time.Since(s.read) >= freshFor {
		s.last, s.read = s.readAll(), time.Now()
	}
	for _, m := range s.last {
		out <- m
	}
}

// readAll asks every source. What one of them cannot tell is missing from the
// answer, and lighterage_numbers_up says so: a number that is not known is no zero.
func (s *stock) readAll() []prometheus.Metric {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	all := &numbers{}
	for _, part := range []struct {
		name string
		read func(context.Context, *numbers) error
	}{
		{"replication", s.replication}, {"queue", s.queue}, {"home", s.home}, {"health", s.health}, {"drift", s.drift}, {"notifications", s.notifications},
	} {
		found := &numbers{}
		up := 1.0
		if err := part.read(ctx, found); err != nil {
			up = 0
			s.log.Warn("some metrics could not be read", "part", part.name, "error", err)
		} else {
			all.list = append(all.list, found.list...)
		}
		all.gauge(descNumbersUp, up, part.name)
	}
	return all.list
}

// numbers is a list that grows.
type numbers struct{ list []prometheus.Metric }

func (n *numbers) gauge(d *prometheus.Desc, value float64, labels ...string) {
	n.list = append(n.list, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...))
}

func (n *numbers) time(d *prometheus.Desc, at time.Time, labels ...string) {
	if !at.IsZero() {
		n.gauge(d, float64(at.UnixMilli())/1000, labels...)
	}
}

func (s *stock) replication(ctx context.Context, n *numbers) error {
	if s.sources.Replication == nil {
		return nil
	}
	found, err := s.sources.Replication(ctx)
	if err != nil {
		return err
	}
	for _, e := range found.Endpoints {
		n.gauge(descEndpointUp, truth(e.Status == replication.Healthy), e.Name)
	}
	rules := make([]string, 0, len(found.Rules))
	for i, r := range found.Rules {
		rules = append(rules, r.Name)
		if i >= mostRules {
			continue
		}
		n.gauge(descRule, truth(r.Enabled), r.Name, string(r.Trigger))
		n.time(descVerified, r.Verified, r.Name)
		n.gauge(descHeld, truth(r.Held != 0), r.Name)
		for _, d := range r.Destinations {
			n.gauge(descLag, max(0, d.Lag.Seconds()), r.Name, d.Name)
			n.gauge(descFailing, truth(d.Failing), r.Name, d.Name)
			n.time(descSuccess, d.Success, r.Name, d.Name)
			for _, status := range []replication.Status{replication.Pending, replication.InProgress, replication.Failed} {
				n.gauge(descTasks, float64(d.Unfinished[status]), r.Name, d.Name, string(status))
			}
		}
	}
	s.keep(rules)
	return nil
}

func (s *stock) queue(ctx context.Context, n *numbers) error {
	if s.sources.Queue == nil {
		return nil
	}
	counts, err := s.sources.Queue(ctx)
	if err != nil {
		return err
	}
	for _, c := range counts {
		n.gauge(descJobs, float64(c.Waiting), c.Kind, "waiting")
		n.gauge(descJobs, float64(c.Running), c.Kind, "running")
	}
	return nil
}

func (s *stock) home(ctx context.Context, n *numbers) error {
	if s.sources.Home == nil {
		return nil
	}
	h, err := s.sources.Home(ctx)
	if err != nil {
		return err
	}
	n.gauge(descProjects, float64(h.PublicProjects), "true")
	n.gauge(descProjects, float64(h.PrivateProjects), "false")
	n.gauge(descRepositories, float64(h.PublicRepositories+h.PrivateRepositories))
	n.gauge(descPublicRepositories, float64(h.PublicRepositories))
	n.gauge(descPrivateRepositories, float64(h.PrivateRepositories))
	n.gauge(descStorage, float64(h.Bytes))
	n.gauge(descEvents, float64(h.EventsWaiting))
	age := 0.0
	if !h.OldestEvent.IsZero() {
		age = max(0, time.Since(h.OldestEvent).Seconds())
	}
	n.gauge(descEventAge, age)
	return nil
}

func (s *stock) health(ctx context.Context, n *numbers) error {
	if s.sources.Health == nil {
		return nil
	}
	healthy := true
	for _, c := range s.sources.Health(ctx) {
		n.gauge(descUp, truth(c.Up), c.Name)
		healthy = healthy && c.Up
	}
	n.gauge(descHealth, truth(healthy))
	return nil
}

func (s *stock) drift(ctx context.Context, n *numbers) error {
	if s.sources.Drift == nil {
		return nil
	}
	found, err := s.sources.Drift(ctx)
	if err != nil {
		return err
	}
	const most = 5 * mostRules
	for _, d := range found[:min(len(found), most)] {
		n.gauge(descDrift, float64(d.Artifacts), d.Rule, d.Endpoint, cmp.Or(d.State, "not_verified"))
	}
	return nil
}

func (s *stock) notifications(ctx context.Context, n *numbers) error {
	if s.sources.Notifications == nil {
		return nil
	}
	found, err := s.sources.Notifications(ctx)
	if err != nil {
		return err
	}
	const most = 200
	for _, name := range slices.Sorted(maps.Keys(found))[:min(len(found), most)] {
		n.gauge(descDeliveries, float64(found[name]), name)
	}
	return nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
