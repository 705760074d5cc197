package replication_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// world is a home registry, a cluster registry, a database, and the service
// between them, which can be stopped and started again.
type world struct {
	*replication.Service
	t        *testing.T
	url      string
	db       *store.DB
	box      *secret.Box
	queue    *queue.Queue
	home     *homeRegistry
	cluster  *ts.Registry
	endpoint int64 // of the cluster
	log      *slog.Logger
	ends     ends
	cap      *replication.DeletionCap

	verify, reconcile time.Duration // intervals

	mu   sync.Mutex
	skew time.Duration // of the service's clock
	stop func()
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, rawURL string) { test(newWorld(t, rawURL)) })
}

// onSQLite runs a test whose subject the database is not.
func onSQLite(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	test(newWorld(t, storetest.SQLiteURL(t)))
}

// newWorld makes a world in which nothing runs yet.
func newWorld(t *testing.T, rawURL string) *world {
	t.Helper()
	var key [32]byte
	box, err := secret.NewBox(key)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, url: rawURL, box: box, cluster: ts.Distribution(t)} // what it has survives its restarts
	w.home = newHome(t)
	w.log = slog.New(slog.NewTextHandler(t.Output(), nil))
	w.open()
	w.endpoint = w.create("cluster", w.cluster.URL)
	return w
}

// open makes a service as a process that starts does.
func (w *world) open() {
	w.t.Helper()
	w.db = storetest.OpenURL(w.t, w.url)
	w.home.index = home.NewIndex(w.db)
	w.queue = queue.New(w.db, queue.Options{Lease: 3 * time.Second, Poll: 30 * time.Millisecond, Log: w.log, Clock: w.now})
	w.Service = replication.New(replication.Options{
		Announcer: &w.ends,
		DB:        w.db, Queue: w.queue, Box: w.box, Home: w.home, Log: w.log, Clock: w.now, Verify: w.verify, Reconcile: w.reconcile,
		Remote:       registry.Options{Attempts: 2, Backoff: time.Millisecond},
		Deletions:    w.cap,
		HomeEndpoint: func() replication.Endpoint { return replication.Endpoint{Name: "Local", Type: "harbor"} },
	})
	w.home.onEvent = w.Wake
}

// run starts the workers; they stop when the test ends at the latest.
func (w *world) run() { w.work(w.Run) }

// runQueue starts the workers without health checks by themselves.
func (w *world) runQueue() { w.work(w.DispatchEvents) }

func (w *world) work(beside func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var failure error
	queue := w.queue // the world may become another server's before the goroutine begins
	wg.Go(func() { failure = queue.Run(ctx) })
	wg.Go(func() { _ = beside(ctx) })
	w.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if failure != nil {
			w.t.Errorf("the queue ended with: %v", failure)
		}
		w.Close()
	})
	w.t.Cleanup(w.stop)
}

// restart stops everything and starts it again.
func (w *world) restart() {
	w.t.Helper()
	if w.stop != nil {
		w.stop()
	}
	w.open()
	w.run()
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.skew)
}

// advance moves the clock.
func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	w.skew += d
	w.mu.Unlock()
	w.queue.Wake()
}

func (w *world) create(name, url string) int64 {
	w.t.Helper()
	id, err := w.CreateEndpoint(w.t.Context(), replication.Endpoint{Name: name, Type: registry.ProviderDockerRegistry, URL: url})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// policy creates a rule from home to the cluster.
func (w *world) policy(name string, trigger rule.TriggerType, filters ...rule.Filter) int64 {
	w.t.Helper()
	cron := ""
	if trigger == rule.Scheduled {
		cron = "0 30 2 * * *"
	}
	id, err := w.CreatePolicy(w.t.Context(), replication.Policy{
		Rule: rule.Rule{
			Name: name, Trigger: trigger, Cron: cron, Filters: filters, ReplaceCount: rule.FlattenAll,
			Deletion: true, Override: true, Enabled: true,
		},
		Destination: replication.Endpoint{ID: w.endpoint},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) change(policy int64, f func(*replication.Policy)) {
	w.t.Helper()
	p, err := w.GetPolicy(w.t.Context(), policy)
	if err != nil {
		w.t.Fatal(err)
	}
	f(&p)
	if err := w.UpdatePolicy(w.t.Context(), p); err != nil {
		w.t.Fatal(err)
	}
}

// push pushes to home and records it.
func (w *world) push(repository, tag string, a *ts.Artifact) {
	w.t.Helper()
	w.home.stamp(repository, tag, w.now())
	ts.Push(w.t, w.home.Registry, repository, tag, a)
	w.home.remember(repository, tag)
	w.home.remember(repository, a.Digest.String())
	e := home.Event{Type: home.PushArtifact, Repository: repository, Digest: a.Digest.String()}
	if tag != "" {
		e.Tags = []string{tag}
	}
	w.record(e)
}

// deleteTag deletes a tag at home and records it.
func (w *world) deleteTag(repository, tag string) {
	w.t.Helper()
	d, _ := ts.Digest(w.t, w.home.Registry, repository, tag)
	w.home.forget(repository, tag)
	w.record(home.Event{Type: home.DeleteTag, Repository: repository, Digest: d.String(), Tags: []string{tag}})
}

// deleteArtifact deletes an artifact with the tags it has.
func (w *world) deleteArtifact(repository string, a *ts.Artifact, tags ...string) {
	w.t.Helper()
	for _, tag := range tags {
		w.home.forget(repository, tag)
	}
	w.home.forget(repository, a.Digest.String())
	w.record(home.Event{Type: home.DeleteArtifact, Repository: repository, Digest: a.Digest.String(), Tags: tags})
}

// label gives an artifact of home other labels and records it.
func (w *world) label(repository string, a *ts.Artifact, labels ...string) {
	w.t.Helper()
	d := a.Digest.String()
	former := w.home.labelsOf(repository, d)
	w.home.setLabels(repository, d, labels)
	now, err := w.home.Artifact(w.t.Context(), repository, d)
	if err != nil {
		w.t.Fatal(err)
	}
	w.record(home.Event{Type: home.LabelArtifact, Repository: repository, Digest: d, Tags: now.Tags, FormerLabels: former})
}

// record writes an event as the home registry does.
func (w *world) record(e home.Event) {
	w.t.Helper()
	if e.Tags == nil {
		e.Tags = []string{}
	}
	if e.Labels == nil {
		e.Labels = w.home.labelsOf(e.Repository, e.Digest)
	}
	if e.FormerLabels == nil {
		e.FormerLabels = []string{}
	}
	w.write(`INSERT INTO events (type, repository, digest, tags, labels, former_labels, artifact, time) VALUES ($1, $2, $3, $4, $5, $6, 'IMAGE', $7)`,
		e.Type, e.Repository, e.Digest, store.JSON(e.Tags), store.JSON(e.Labels), store.JSON(e.FormerLabels), store.Millis(w.now()))
	w.Wake()
}

// write runs a statement that the service does not know of.
func (w *world) write(statement string, args ...any) {
	w.t.Helper()
	err := w.db.InTx(w.t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(w.t.Context(), statement, args...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) number(query string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.db.QueryRowContext(w.t.Context(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// executions are those of a rule, newest first.
func (w *world) executions(policy int64) []replication.Execution {
	w.t.Helper()
	list, _, err := w.ListExecutions(w.t.Context(), replication.ExecutionFilter{PolicyID: policy}, store.ListQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// tasks are all tasks of a rule, newest first.
func (w *world) tasks(policy int64) (all []replication.Task) {
	w.t.Helper()
	for _, e := range w.executions(policy) {
		list, _, err := w.ListTasks(w.t.Context(), e.ID, replication.TaskFilter{}, store.ListQuery{})
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, list...)
	}
	return all
}

// start runs a rule and waits until it has ended.
func (w *world) start(policy int64) replication.Execution {
	w.t.Helper()
	id, err := w.Start(w.t.Context(), policy, replication.Manual)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.ended(id)
}

func (w *world) ended(execution int64) (e replication.Execution) {
	w.t.Helper()
	ts.Eventually(w.t, fmt.Sprintf("execution %d ends", execution), func() bool {
		e = w.execution(execution)
		return e.Status.Final()
	})
	return e
}

func (w *world) execution(id int64) replication.Execution {
	w.t.Helper()
	e, err := w.GetExecution(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// settled waits until nothing waits or runs, and checks that the books are right.
func (w *world) settled() {
	w.t.Helper()
	ts.Eventually(w.t, "nothing is left to be done", func() bool {
		return w.number(`SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM jobs)`) == 0
	})
	w.balanced()
}

// balanced checks that every execution's counts and status follow from its tasks.
func (w *world) balanced() {
	w.t.Helper()
	executions, _, err := w.ListExecutions(w.t.Context(), replication.ExecutionFilter{}, store.ListQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range executions {
		tasks, _, err := w.ListTasks(w.t.Context(), e.ID, replication.TaskFilter{}, store.ListQuery{})
		if err != nil {
			w.t.Fatal(err)
		}
		counts := map[replication.Status]int64{}
		for _, task := range tasks {
			status := task.Status
			if status == replication.Pending {
				status = replication.InProgress
			}
			counts[status]++
			if task.JobID != 0 && w.number(`SELECT count(*) FROM jobs WHERE id = $1`, task.JobID) == 0 {
				w.t.Errorf("task %d of execution %d is %s with a job that does not exist", task.ID, e.ID, task.Status)
			}
		}
		if e.Total != int64(len(tasks)) || e.Succeed != counts[replication.Succeed] || e.Failed != counts[replication.Failed] ||
			e.InProgress != counts[replication.InProgress] || e.Stopped != counts[replication.Stopped] {
			w.t.Errorf("execution %d counts %+v, its tasks say %v", e.ID, e, counts)
		}
		if e.Status.Final() == e.EndTime.IsZero() {
			w.t.Errorf("execution %d is %s with the end time %s", e.ID, e.Status, e.EndTime)
		}
	}
}

// at reports what a tag or digest is at the cluster, "" when it is nothing.
func (w *world) at(repository, reference string) string {
	w.t.Helper()
	d, _ := ts.Digest(w.t, w.cluster, repository, reference)
	return d.String()
}

func (w *world) arrives(repository, reference string, a *ts.Artifact) {
	w.t.Helper()
	ts.Eventually(w.t, fmt.Sprintf("%s:%s is %s at the cluster", repository, reference, a.Digest), func() bool {
		return w.at(repository, reference) == a.Digest.String()
	})
}

func (w *world) vanishes(repository, reference string) {
	w.t.Helper()
	ts.Eventually(w.t, fmt.Sprintf("%s:%s is gone from the cluster", repository, reference), func() bool {
		return w.at(repository, reference) == ""
	})
}

// fails waits until a task of the rule has failed.
func (w *world) fails(policy int64) (failed replication.Task) {
	w.t.Helper()
	ts.Eventually(w.t, "a task fails", func() bool {
		for _, task := range w.tasks(policy) {
			if task.Status == replication.Failed {
				failed = task
				return true
			}
		}
		return false
	})
	return failed
}

// homeRegistry is a plain registry that plays home. What is said to be gone is
// gone for the service although the registry may still have it.
type homeRegistry struct {
	*ts.Registry
	t       testing.TB
	client  *registry.Client
	index   *home.Index
	onEvent func()

	mu        sync.Mutex
	gone      map[string]bool
	owners    map[string][]registry.Artifact
	labels    map[string][]string
	pushed    map[string]time.Time
	attached  map[string][]string
	onListing func(repository string) error
	onLook    func(repository, reference string)
}

func newHome(t testing.TB) *homeRegistry {
	r := ts.Distribution(t, ts.WithMemory())
	c, err := registry.NewClient(registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: r.URL}, registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &homeRegistry{
		Registry: r, t: t, client: c, gone: map[string]bool{}, owners: map[string][]registry.Artifact{}, labels: map[string][]string{}, pushed: map[string]time.Time{},
		attached: map[string][]string{},
	}
}

// stamp notes when a tag, or an accessory by its digest, was pushed.
func (h *homeRegistry) stamp(repository, tag string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pushed[repository+" "+tag] = at
}

// times are when tags or accessories were pushed, as far as it was noted.
func (h *homeRegistry) times(repository string, tags []string) map[string]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	times := map[string]time.Time{}
	for _, tag := range tags {
		if at, ok := h.pushed[repository+" "+tag]; ok {
			times[tag] = at
		}
	}
	return times
}

func (h *homeRegistry) forget(repository, reference string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone[repository+" "+reference] = true
}

func (h *homeRegistry) remember(repository, reference string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.gone, repository+" "+reference)
}

// interfere has f called before each repository is listed; its error is the listing's.
func (h *homeRegistry) interfere(f func(repository string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onListing = f
}

func (h *homeRegistry) listingHook() func(repository string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.onListing
}

// belongs has a listing say that an artifact is an accessory of what a tag stands for.
func (h *homeRegistry) belongs(repository, tag string, accessory *ts.Artifact) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attached[repository+" "+tag] = append(h.attached[repository+" "+tag], accessory.Digest.String())
}

// own makes an artifact an accessory of one that has a tag.
func (h *homeRegistry) own(repository string, accessory, owner *ts.Artifact, tag string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owners[repository+" "+accessory.Digest.String()] = []registry.Artifact{{Digest: owner.Digest.String(), Tags: []string{tag}, Type: "IMAGE"}}
}

func (h *homeRegistry) setLabels(repository, digest string, labels []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.labels[repository+" "+digest] = labels
}

// labelsOf are the labels of an artifact, never nil.
func (h *homeRegistry) labelsOf(repository, digest string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.labels[repository+" "+digest]...)
}

// watch has f called before each look at a reference.
func (h *homeRegistry) watch(f func(repository, reference string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onLook = f
}

func (h *homeRegistry) Client() *registry.Client { return h.client }

func (h *homeRegistry) Artifacts(ctx context.Context, m *rule.Matcher) iter.Seq2[registry.Listing, error] {
	return func(yield func(registry.Listing, error) bool) {
		for _, repository := range ts.Repositories(h.t, h.Registry) {
			if m != nil && !m.MatchRepository(repository) {
				continue
			}
			if onListing := h.listingHook(); onListing != nil {
				if err := onListing(repository); err != nil {
					if errors.Is(err, errListingEnds) {
						yield(registry.Listing{}, err)
						return
					}
					if !yield(registry.Listing{Repository: repository}, err) {
						return
					}
					continue
				}
			}
			listing := registry.Listing{Repository: repository}
			for _, tag := range ts.Tags(h.t, h.Registry, repository) {
				if a, err := h.Artifact(ctx, repository, tag); err == nil {
					h.mu.Lock()
					a.Accessories = slices.Clone(h.attached[repository+" "+tag])
					h.mu.Unlock()
					a.AccessoryTimes = h.times(repository, a.Accessories)
					listing.Artifacts = append(listing.Artifacts, a)
				}
			}
			if !yield(listing, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
	}
}

func (h *homeRegistry) Artifact(ctx context.Context, repository, reference string) (registry.Artifact, error) {
	h.mu.Lock()
	look := h.onLook
	h.mu.Unlock()
	if look != nil {
		look(repository, reference)
	}
	h.mu.Lock()
	gone := h.gone[repository+" "+reference]
	h.mu.Unlock()
	desc, err := h.client.Resolve(ctx, repository, reference)
	if gone || registry.IsNotFound(err) {
		return registry.Artifact{}, problem.New(problem.NotFound, "artifact %s:%s not found", repository, reference)
	}
	if err != nil {
		return registry.Artifact{}, err
	}
	a := registry.Artifact{Digest: desc.Digest.String(), Type: "IMAGE", Labels: h.labelsOf(repository, desc.Digest.String())}
	if !strings.Contains(reference, ":") {
		a.Tags = []string{reference}
		a.TagTimes = h.times(repository, a.Tags)
		return a, nil
	}
	for _, tag := range ts.Tags(h.t, h.Registry, repository) {
		d, ok := ts.Digest(h.t, h.Registry, repository, tag)
		h.mu.Lock()
		if ok && d == desc.Digest && !h.gone[repository+" "+tag] {
			a.Tags = append(a.Tags, tag)
		}
		h.mu.Unlock()
	}
	a.TagTimes = h.times(repository, a.Tags)
	return a, nil
}

func (h *homeRegistry) Digest(ctx context.Context, repository, reference string) (string, error) {
	a, err := h.Artifact(ctx, repository, reference)
	if problem.Is(err, problem.NotFound) {
		return "", nil
	}
	return a.Digest, err
}

func (h *homeRegistry) IsAccessory(ctx context.Context, repository, digest string) (bool, error) {
	m, err := h.client.Manifest(ctx, repository, digest)
	if registry.IsNotFound(err) {
		return false, nil
	}
	return strings.Contains(string(m.Content), `"subject"`), err
}

func (h *homeRegistry) IsChild(context.Context, string, string) (bool, error) { return false, nil }

func (h *homeRegistry) Owners(_ context.Context, repository, digest string) ([]registry.Artifact, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.owners[repository+" "+digest]), nil
}

func (h *homeRegistry) Prepare(context.Context, []string) error { return nil }

func (h *homeRegistry) EventsAfter(ctx context.Context, id int64, limit int) ([]home.Event, error) {
	return h.index.EventsAfter(ctx, id, limit)
}

var (
	errListing     = errors.New("the repository cannot be listed")
	errListingEnds = errors.New("the listing ended")
)

// settled is more than a push without a tag is left alone.
const settled = 4 * time.Second

// burst is how long a change waits that comes while the same reference is carried.
const burst = time.Second

// backoffLimit is more than a task ever waits for its next attempt.
const backoffLimit = 11 * time.Minute
