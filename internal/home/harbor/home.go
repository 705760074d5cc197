package harbor

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// Options are what a Home works with. All but the intervals, Clock and Log are required.
type Options struct {
	API *registry.Harbor
	DB  *store.DB
	// Secret is what webhooks must bring in their Authorization header, by itself or
	// as "Bearer SECRET".
	Secret string
	// AuditInterval is how often the audit log is read; 0: 20 s. A webhook that is
	// lost is made up for by the next reading.
	AuditInterval time.Duration
	Clock         func() time.Time // nil: time.Now
	Log           *slog.Logger     // nil: none
}

// Home is a Harbor as home registry. It is safe for concurrent use.
type Home struct {
	api      *registry.Harbor
	db       *store.DB
	secret   string
	interval time.Duration
	now      func() time.Time
	log      *slog.Logger

	mu        sync.Mutex
	listeners []func()
	back      []func(context.Context)
	told      map[int64]telling // events that have been completed, by id
	owners    map[owned]ownersFound
	checked   time.Time
	trouble   error // of the last check
	audit     auditState
}

// New makes a Home. It does no I/O.
func New(o Options) *Home {
	h := &Home{
		api: o.API, db: o.DB, secret: o.Secret, interval: o.AuditInterval, now: o.Clock, log: o.Log, told: map[int64]telling{}, owners: map[owned]ownersFound{},
	}
	if h.interval <= 0 {
		h.interval = 20 * time.Second
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	return h
}

// OnEvent has f called after events were recorded by this process. f must return at once.
func (h *Home) OnEvent(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners = append(h.listeners, f)
}

func (h *Home) wake() {
	h.mu.Lock()
	listeners := h.listeners
	h.mu.Unlock()
	for _, f := range listeners {
		f()
	}
}

// OnBack has f called when the Harbor answers again after it did not.
func (h *Home) OnBack(f func(context.Context)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.back = append(h.back, f)
}

// Client talks to the Harbor's registry with the credential of home.
func (h *Home) Client() *registry.Client { return h.api.Client() }

// Artifacts lists what the Harbor holds and m may want; see registry.Adapter.
func (h *Home) Artifacts(ctx context.Context, m *rule.Matcher) iter.Seq2[registry.Listing, error] {
	return h.api.Adapter().Artifacts(ctx, m)
}

// Artifact says what a tag or digest is now; problem.NotFound if the Harbor says
// that it is nothing.
func (h *Home) Artifact(ctx context.Context, repository, reference string) (registry.Artifact, error) {
	a, err := h.api.Artifact(ctx, repository, reference)
	if registry.IsGone(err) {
		return registry.Artifact{}, problem.Wrap(problem.NotFound, err, "artifact %s of %s not found", reference, repository)
	}
	return a.Artifact, err
}

// Digest says what a reference is now, "" if it is nothing. The registry answers
// faster than the API, but only the API is believed that something is gone.
func (h *Home) Digest(ctx context.Context, repository, reference string) (string, error) {
	d, err := h.Client().Resolve(ctx, repository, reference)
	if err == nil {
		return d.Digest.String(), nil
	}
	if !registry.IsNotFound(err) {
		return "", err
	}
	a, err := h.Artifact(ctx, repository, reference)
	if problem.Is(err, problem.NotFound) {
		return "", nil
	}
	return a.Digest, err
}

// IsChild reports whether an index contains the digest, which has no tags.
func (h *Home) IsChild(ctx context.Context, repository, digest string) (bool, error) {
	place, err := h.api.Place(ctx, repository, digest)
	return place == registry.InAnIndex, err
}

// IsAccessory reports whether the digest refers to another artifact, there or not.
func (h *Home) IsAccessory(ctx context.Context, repository, digest string) (bool, error) {
	place, err := h.api.Place(ctx, repository, digest)
	if err != nil || place != registry.Accessory {
		return false, err
	}
	_, err = h.api.Artifact(ctx, repository, digest) // what is in no list may also be gone
	if registry.IsGone(err) {
		return false, nil
	}
	return err == nil, err
}

// Prepare makes the projects of the repositories; problem.Denied in read-only mode.
func (h *Home) Prepare(ctx context.Context, repositories []string) error {
	err := h.api.Adapter().Prepare(ctx, repositories, nil)
	if registry.IsReadOnly(err) {
		return problem.Wrap(problem.Denied, err, "%s takes no pushes", h.api.Client().Host())
	}
	return err
}

// Public reports whether everybody may pull from a repository.
func (h *Home) Public(ctx context.Context, repository string) (bool, error) {
	tells, ok := h.api.Adapter().(registry.Publisher)
	if !ok {
		return false, nil
	}
	return tells.Public(ctx, repository)
}

// DeleteTag removes a tag and nothing else.
func (h *Home) DeleteTag(ctx context.Context, repository, tag string) error {
	return h.api.Adapter().DeleteTag(ctx, repository, tag)
}

// Close closes idle connections.
func (h *Home) Close() { h.api.Client().Close() }

// URL is where the Harbor is.
func (h *Home) URL() string { return h.api.Client().URL() }

// Login asks the Harbor who has a name and password; see registry.Harbor.Login.
func (h *Home) Login(ctx context.Context, name, password string) (registry.HarborUser, bool, error) {
	return h.api.Login(ctx, name, password)
}

// checkedFor is how long an answer to Check counts: whoever asks often must not become
// a load for the Harbor.
const checkedFor = 15 * time.Second

// Check reports whether the Harbor can be reached and takes the credential.
func (h *Home) Check(ctx context.Context) error {
	h.mu.Lock()
	fresh, trouble := h.now().Sub(h.checked) < checkedFor && !h.checked.IsZero(), h.trouble
	h.mu.Unlock()
	if fresh {
		return trouble
	}
	err := h.api.Client().Ping(ctx)
	if ctx.Err() != nil {
		return err
	}
	h.noteHealth(ctx, err)
	return err
}

// Trouble is what was wrong with the Harbor when it was last asked; nil: nothing.
func (h *Home) Trouble() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trouble
}

// noteHealth remembers how the Harbor was found, and tells when it has come back.
func (h *Home) noteHealth(ctx context.Context, err error) {
	h.mu.Lock()
	before := h.trouble
	h.checked, h.trouble = h.now(), err
	back := h.back
	h.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		h.log.Warn("the Harbor that is home is in trouble", "url", h.URL(), "error", err)
	case err == nil && before != nil:
		h.log.Info("the Harbor that is home answers again", "url", h.URL())
		for _, f := range back {
			f(ctx)
		}
	}
}

// Run reads the audit log, keeps webhooks in new projects and sweeps what is no longer
// needed, until ctx ends.
func (h *Home) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { every(ctx, h.interval, h.followAudit) })
	wg.Go(func() { every(ctx, attachInterval, h.keepAttached) })
	wg.Go(func() { every(ctx, sweepInterval, h.sweep) })
	wg.Wait()
	return ctx.Err()
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

// checkRepository refuses names that a webhook or log entry should not have.
func checkRepository(name string) error {
	if err := rule.ValidateRepositoryName(name); err != nil {
		return err
	}
	if !strings.Contains(name, "/") {
		return fmt.Errorf("repository %q is in no project", name)
	}
	return nil
}
