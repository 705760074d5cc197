package replication

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/trace"
)

// Home is the home registry as replication sees it.
type Home interface {
	// Client talks to the registry itself, trusted and in process.
	Client() *registry.Client
	// Artifacts lists what the registry holds and the matcher may want, one
	// repository at a time: untagged children of indexes are left out, and
	// accessories are named by what they belong to.
	Artifacts(ctx context.Context, m *rule.Matcher) iter.Seq2[registry.Listing, error]
	// Artifact says what a tag or digest is now; problem.NotFound if it is nothing.
	Artifact(ctx context.Context, repository, reference string) (registry.Artifact, error)
	// Digest is Artifact for callers that need no more than the digest, of which there
	// are many; "" if it is nothing.
	Digest(ctx context.Context, repository, reference string) (string, error)
	// IsChild reports whether an index in the repository names the digest.
	IsChild(ctx context.Context, repository, digest string) (bool, error)
	// IsAccessory reports whether the digest refers to another artifact, which may not be
	// there (yet).
	IsAccessory(ctx context.Context, repository, digest string) (bool, error)
	// Owners returns what an accessory belongs to in the end: the artifact it refers
	// to, directly or through other accessories, and the indexes that contain that.
	// Children of indexes are left out unless they have tags. There are none when the
	// digest is no accessory, or one of something that is not there.
	Owners(ctx context.Context, repository, digest string) ([]registry.Artifact, error)
	// Prepare makes the projects of the repositories that are not there yet;
	// problem.Denied in read-only mode.
	Prepare(ctx context.Context, repositories []string) error
	// EventsAfter returns recorded changes with a greater id that no rule has
	// taken yet, oldest first.
	EventsAfter(ctx context.Context, id int64, limit int) ([]home.Event, error)
}

// Options are what a Service works with. Tasks, Clock, Announcer, Meter, Tracer and TraceName
// may be left out.
type Options struct {
	DB    *store.DB
	Queue *queue.Queue
	Box   *secret.Box // seals endpoint secrets
	Home  Home
	// HomeEndpoint is how registry 0 is shown by the API.
	HomeEndpoint func() Endpoint
	Remote       registry.Options // for the clients of remote registries
	Tasks        int              // tasks of event rules that run at the same time, and as many others; 0: 8
	Log          *slog.Logger
	Clock        func() time.Time
	Announcer    Announcer     // is told of what ended; nil: nobody
	Meter        Meter         // counts what is done; nil: nobody
	Tracer       *trace.Tracer // tells how executions went; nil: to nobody
	// TraceName tells the executions of this database from those of others in traces.
	TraceName string
	// Reconcile is how often event rules are compared with the truth, besides at the
	// start; 0: never.
	Reconcile time.Duration
	// Verify is how often the other rules are verified once they have run; 0: never.
	Verify time.Duration
	// Deletions bounds what such a comparison deletes by itself; nil: DefaultDeletionCap.
	Deletions *DeletionCap
}

// Service keeps rules and runs them. It is safe for concurrent use.
type Service struct {
	o    Options
	log  *slog.Logger
	now  func() time.Time
	wake chan struct{} // an event was recorded

	placements *placements
	bandwidths bandwidths
	sharings   sharings
	watchers   watchers

	mu     sync.Mutex
	sides  map[int64]sharedSide // by registry id
	trying map[int64]int        // tasks that try an unhealthy registry, by its id
}

// The kinds of queued work. Events have workers of their own: a fresh push must not
// wait until a bulk copy of hours has ended.
const (
	planJob  = "replication.plan"
	bulkJob  = "replication.task"
	eventJob = "replication.event"
)

func (t Trigger) jobKind() string {
	if t == EventBased {
		return eventJob
	}
	return bulkJob
}

// New makes a Service and registers its work with the queue. Nothing runs before Run.
func New(o Options) *Service {
	if o.Tasks <= 0 {
		o.Tasks = 8
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Deletions == nil {
		o.Deletions = &DefaultDeletionCap
	}
	if o.Meter == nil {
		o.Meter = noMeter{}
	}
	s := &Service{
		o: o, log: o.Log, now: o.Clock, wake: make(chan struct{}, 1), placements: &placements{db: o.DB},
		sides: map[int64]sharedSide{}, trying: map[int64]int{},
	}
	o.Queue.Handle(planJob, 4, s.runPlan)
	o.Queue.Handle(bulkJob, o.Tasks, s.runTask)
	o.Queue.Handle(eventJob, o.Tasks, s.runTask)
	o.Queue.Handle(driftJob, 2, s.runCheck)
	o.Queue.Merge(driftJob, mergeWishes)
	return s
}

// Run dispatches events, starts rules on their schedules, follows their limits, checks the health of
// endpoints, announces what has ended and sweeps old executions until ctx ends. The
// queue runs beside it, not in it.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.dispatchEvents(ctx) })
	wg.Go(func() { s.watchHealth(ctx) })
	wg.Go(func() { s.sweepExecutions(ctx) })
	wg.Go(func() { s.settleOrphans(ctx) })
	wg.Go(func() { s.announceEnds(ctx) })
	wg.Go(func() { s.watchSchedules(ctx) })
	wg.Go(func() { s.watchReconcile(ctx) })
	wg.Go(func() { s.watchVerifications(ctx) })
	wg.Go(func() { s.watchBandwidths(ctx) })
	wg.Wait()
	return ctx.Err()
}

// Close waits for clean-up that ended tasks left behind and closes connections.
// Nothing may run any more.
func (s *Service) Close() {
	s.mu.Lock()
	sides := s.sides
	s.sides = map[int64]sharedSide{}
	s.mu.Unlock()
	for _, side := range sides {
		side.close()
	}
}

// Wake has recorded events looked at now.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// every calls f now and then at each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, f func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		f(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
