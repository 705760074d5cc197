package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/metrics"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/store"
)

// listenForMetrics opens the address at which metrics are told, if there is one.
func (c Config) listenForMetrics(ctx context.Context) (*listener, error) {
	if c.MetricsListen == "" {
		return nil, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	return &listener{l, "http"}, nil
}

// metricsRoutes is what the address of the metrics answers: those, and how the
// server is, which the other address says too.
func metricsRoutes(numbers *metrics.Metrics, main http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", numbers.Handler())
	mux.Handle("GET /healthz", main)
	mux.Handle("GET /readyz", main)
	return mux
}

// withToken serves who brings the token.
func withToken(next http.Handler, token string) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, brought, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(brought))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) == 0 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			answer(w, http.StatusUnauthorized, "metrics need the token of LIGHTERAGE_METRICS_TOKEN\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sources are where the metrics are read that are not counted as things happen.
func (s *server) sources(accounts *account.Service, index *home.Index) metrics.Sources {
	holdings := &holdings{accounts: accounts, index: index}
	return metrics.Sources{
		Replication:   s.replication.Numbers,
		Queue:         s.queue.Counts,
		Home:          holdings.read,
		Notifications: s.notifications.Waiting,
		Drift:         s.drift,
		Health: func(ctx context.Context) []metrics.Component {
			var all []metrics.Component
			for _, c := range s.health(ctx) {
				all = append(all, metrics.Component{Name: c.Name, Up: c.Err == nil})
			}
			return all
		},
	}
}

// drift names the rules and endpoints of which drift is known.
func (s *server) drift(ctx context.Context) ([]metrics.Drift, error) {
	counts, err := s.replication.DriftCounts(ctx)
	if err != nil || len(counts) == 0 {
		return nil, err
	}
	rules, _, err := s.replication.ListPolicies(ctx, store.ListQuery{})
	if err != nil {
		return nil, err
	}
	type place struct{ rule, endpoint int64 }
	names := map[place][2]string{}
	for _, p := range rules {
		for _, e := range p.Destinations() {
			names[place{p.ID, e.ID}] = [2]string{p.Name, e.Label()}
		}
	}
	var places []place // in the order of the counts
	found := map[place]map[replication.DriftState]int64{}
	for _, c := range counts {
		at := place{c.PolicyID, c.DestinationID}
		if found[at] == nil {
			places = append(places, at)
			found[at] = map[replication.DriftState]int64{}
		}
		found[at][c.State] = c.Count
	}
	var all []metrics.Drift
	for _, at := range places {
		name, known := names[at]
		if !known {
			continue // the rule has gone elsewhere since
		}
		for _, state := range []replication.DriftState{
			replication.InSync, replication.Missing, replication.Different, replication.Extra, replication.NotVerified,
		} { // zeros too: what is not told any more might as well be unknown
			all = append(all, metrics.Drift{Rule: name[0], Endpoint: name[1], State: string(state), Artifacts: found[at][state]})
		}
	}
	return all, nil
}

// holdings counts what the home registry holds. To add up its blobs costs as much as
// there are, so that is done now and then only.
type holdings struct {
	accounts *account.Service
	index    *home.Index

	mu    sync.Mutex
	added time.Time
	bytes int64
}

const bytesFreshFor = 5 * time.Minute

func (h *holdings) read(ctx context.Context) (metrics.Home, error) {
	counts, err := h.accounts.CountProjects(ctx)
	if err != nil {
		return metrics.Home{}, err
	}
	waiting, oldest, err := h.index.EventsWaiting(ctx)
	if err != nil {
		return metrics.Home{}, err
	}
	found := metrics.Home{
		PublicProjects: counts.Public, PrivateProjects: counts.Private,
		PublicRepositories: counts.PublicRepositories, PrivateRepositories: counts.PrivateRepositories,
		EventsWaiting: waiting, OldestEvent: oldest,
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.added.IsZero() || time.Since(h.added) >= bytesFreshFor {
		all, err := h.index.Statistics(ctx, nil)
		if err != nil {
			return metrics.Home{}, err
		}
		h.bytes, h.added = all.Bytes, time.Now()
	}
	found.Bytes = h.bytes
	return found, nil
}
