// Package server puts a home registry, the API and the workers into one process
// on one port. It is the only package that knows all the others, and it knows
// nothing else: what a request means, what a rule does and what is stored is
// decided below it.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api"
	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/console"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/home/embedded"
	"github.com/lighterage/lighterage/internal/home/harbor"
	"github.com/lighterage/lighterage/internal/metrics"
	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/notification"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
)

// Run serves until ctx ends or something that cannot be done without fails. When
// it returns, what was under way has been given back to the queue.
func Run(ctx context.Context, c Config) (err error) {
	c, err = c.withDefaults()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	l, err := c.listen(ctx)
	if err != nil {
		return err
	}
	c.ownURL = cmp.Or(c.ExternalURL, l.url())

	told, err := c.listenForMetrics(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}

	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	work := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	// It answers while the server is being opened, which takes long where a large
	// index has to be built: whoever watches it must not take it for dead.
	front := &front{}
	work("listener", func(ctx context.Context) error { return serve(ctx, l, front, c.Log) })
	numbers := metrics.New(c.Version)
	if told != nil {
		work("metrics listener", func(ctx context.Context) error { return serve(ctx, told, metricsRoutes(numbers, front), c.Log) })
	}
	s, err := open(ctx, c, numbers)
	if err != nil {
		cancel(err)
		wg.Wait()
		if outer.Err() != nil {
			return nil // it was told to end before it was ready
		}
		return context.Cause(ctx)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	defer c.endTraces(ctx)
	front.open(s.handler)
	work("queue", s.queue.Run)
	work("replication", s.replication.Run)
	work("audit log", s.audit.Run)
	if s.files != nil {
		work("storage", s.files.Run)
	}
	if s.harbor != nil {
		work("home", s.harbor.Run)
		work("permissions", s.tellLacks(c.Log))
	}
	if c.Ready != nil {
		info := Info{URL: c.ownURL, AdminUser: "admin", GeneratedPassword: s.generated, DataDir: c.DataDir, Storage: s.shownHome(c)}
		if told != nil {
			info.MetricsURL = told.url() + "/metrics"
		}
		c.Ready(info)
	}
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// server is what a running process is made of.
type server struct {
	db            *store.DB
	unlock        func() error
	queue         *queue.Queue
	home          *embedded.Registry // nil: home is a Harbor
	files         *storageService    // of the embedded registry
	harbor        *harbor.Home       // nil: home is the embedded registry
	replication   *replication.Service
	notifications *notification.Service
	audit         *audit.Log
	metrics       *metrics.Metrics
	handler       http.Handler
	generated     string // admin's password, if it was made up
}

func open(ctx context.Context, c Config, numbers *metrics.Metrics) (*server, error) {
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, c.Database)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	s := &server{db: db, unlock: unlock, metrics: numbers}
	box, err := openKey(ctx, c, db)
	if err == nil {
		err = s.build(ctx, c, box)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openKey reads the key file, or makes it at the first start. A database that was
// sealed with a key which is gone is not given another one: what is sealed would be
// lost for good where a forgotten file can be put back.
func openKey(ctx context.Context, c Config, db *store.DB) (*secret.Box, error) {
	file := filepath.Join(c.DataDir, "secret.key")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		_, sealed, err := db.Setting(ctx, "token_key")
		if err != nil {
			return nil, err
		}
		if sealed {
			return nil, problem.New(problem.Precondition,
				"%s is missing, and the database holds secrets that were sealed with it: put the file back from where it was kept", file)
		}
	}
	return secret.OpenKeyFile(file)
}

func (s *server) build(ctx context.Context, c Config, box *secret.Box) error {
	if err := s.checkHome(ctx, c); err != nil {
		return err
	}
	remote := registry.Options{UserAgent: "lighterage/" + c.Version, Log: c.Log, Meter: s.metrics}
	settings := api.NewSettings(s.db)
	o := account.Options{AutoCreateProjects: c.AutoCreateProjects, Box: box, Log: c.Log}
	if c.Home.URL != "" {
		if err := s.openHarbor(ctx, c, box, remote); err != nil {
			return err
		}
		o.Elsewhere = harborUsers{s.harbor}
	}
	accounts, err := account.New(ctx, s.db, o)
	if err != nil {
		return err
	}
	if s.generated, err = accounts.EnsureAdmin(ctx, c.AdminPassword); err != nil {
		return err
	}
	s.audit = audit.New(s.db, c.Log)
	index := home.NewIndex(s.db, home.WithProjects(accounts), home.WithAudit(s.audit))
	s.queue = queue.New(s.db, queue.Options{Log: c.Log})
	s.notifications = notification.New(notification.Options{
		DB: s.db, Queue: s.queue, Box: box, UserAgent: "lighterage/" + c.Version, Log: c.Log,
	})
	part := homePart{}
	if s.harbor != nil {
		part = s.harborPart()
	} else if part, err = s.openEmbedded(ctx, c, box, index, accounts, settings); err != nil {
		return err
	}
	traceName, err := s.traceName(ctx)
	if err != nil {
		return err
	}
	s.replication = replication.New(replication.Options{
		DB: s.db, Queue: s.queue, Box: box, Remote: remote, Log: c.Log, Meter: s.metrics, Home: part.home, HomeEndpoint: part.endpoint,
		Reconcile: c.Reconcile, Verify: c.Verify, Deletions: c.Deletions, Announcer: announcer{s.notifications, c.ownURL}, Tracer: c.Tracer, TraceName: traceName,
	})
	part.onEvent(s.replication.Wake)
	part.api.Accounts, part.api.Index, part.api.Settings, part.api.Replication = accounts, index, settings, s.replication
	part.api.Notifications, part.api.Applied = s.notifications, api.NewApplied(s.db)
	part.api.Audit = s.audit
	part.api.Ending = ctx.Done()
	part.api.Health, part.api.Version, part.api.ExternalURL, part.api.Log = s.health, c.Version, c.ExternalURL, c.Log
	if s.harbor != nil {
		s.harbor.OnBack(s.replication.HomeIsBack)
		part.api.WebhookURL = c.ownURL + harbor.WebhookPath
	}
	rest, err := api.New(part.api)
	if err != nil {
		return err
	}
	s.metrics.Watch(s.sources(accounts, index), c.Log)
	pages, err := console.New(c.Console)
	if err != nil {
		return err
	}
	s.handler = s.routes(rest, pages, c)
	// Last: a start that fails before leaves the password to be made up again.
	if s.generated != "" {
		tell, err := accounts.TellAdminPassword(ctx)
		if err != nil {
			return err
		}
		if !tell { // another server has made up another one
			s.generated = ""
		}
	}
	return nil
}

// homePart is what the rest of the server has to know of the home registry.
type homePart struct {
	home     replication.Home
	endpoint func() replication.Endpoint // registry 0
	onEvent  func(func())
	api      api.Options // what of it depends on home
}

// openEmbedded opens the registry that is in this process.
func (s *server) openEmbedded(ctx context.Context, c Config, box *secret.Box, index *home.Index, accounts *account.Service, settings *api.Settings) (homePart, error) {
	name := serverName(c, rand.Text()[:8])
	files, storage, err := s.openStorage(ctx, c, cutover.NewBook(s.db, box, name), name)
	if err != nil {
		return homePart{}, err
	}
	settings.ReadOnlyToo(files.mustNotWrite)
	uploadKey, err := uploadSecret(ctx, s.db)
	if err != nil {
		return homePart{}, err
	}
	err = trusting(files.place, func() (err error) {
		s.home, err = embedded.New(ctx, embedded.Options{
			Storage: storage, Index: index, Access: auditedAccess{accounts, s.audit}, ReadOnly: settings.ReadOnly, HTTPSecret: uploadKey,
			TokenRealm: c.tokenRealm(), Log: c.Log, Frozen: files.where.Frozen,
		})
		return err
	})
	if err != nil {
		return homePart{}, fmt.Errorf("home registry: %w", err)
	}
	if err := s.recoverIndex(ctx, c, files, index); err != nil {
		return homePart{}, err
	}
	client, err := registry.NewClient(registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: c.ownURL},
		registry.Options{Transport: s.home.Transport(), UserAgent: "lighterage"})
	if err != nil {
		return homePart{}, err
	}
	files.home, files.index = s.home, index
	files.mu.Lock()
	files.applied, files.read = files.where.Generation, time.Now()
	files.mu.Unlock()
	if err := files.say(ctx); err != nil {
		return homePart{}, err
	}
	s.files = files
	return homePart{
		home:     &homeRegistry{index: index, client: client, accounts: accounts, db: s.db, readOnly: settings.ReadOnly},
		endpoint: func() replication.Endpoint { return homeEndpoint(c.ownURL) },
		onEvent:  index.OnEvent,
		api: api.Options{
			Contents: s.home, Home: client, StorageProvider: files.provider, Volume: files.volume, Storage: files, Inspections: s.inspections(c, settings, files),
		},
	}, nil
}

// recoverIndex makes the index say what the storage holds: after a crash for the
// references that were being changed, as a whole when it is new or told to.
func (s *server) recoverIndex(ctx context.Context, c Config, files *storageService, index *home.Index) error {
	complete, err := index.Complete(ctx)
	if err != nil {
		return err
	}
	const indexed = cutover.IndexedSetting // what the index was made from
	here := c.storageName()
	if files.where.Place != nil {
		here = files.where.Place.String()
	}
	before, known, err := s.db.Setting(ctx, indexed)
	if err != nil {
		return err
	}
	if complete && known && before != here && !c.Reindex {
		return problem.New(problem.Precondition,
			"the index was made from the storage %s, and the storage is now %s: if that is meant, start once with --reindex", before, here)
	}
	remember := func() error {
		return s.db.InTx(ctx, func(tx *store.Tx) error { return store.SetSetting(ctx, tx, indexed, here) })
	}
	if complete && !c.Reindex {
		if !known {
			return remember()
		}
		return nil // New has settled what a crash left behind
	}
	start, last := time.Now(), time.Time{}
	var done embedded.Progress
	err = s.home.Reindex(ctx, func(p embedded.Progress) {
		done = p
		if time.Since(last) > 5*time.Second {
			last = time.Now()
			c.Log.Info("the index is being built from the storage", "repositories", p.Repositories, "artifacts", p.Artifacts)
		}
	})
	if err != nil {
		return fmt.Errorf("build the index from the storage %s: %w", files.place, err)
	}
	if done.Repositories > 0 { // a new server has nothing to tell
		c.Log.Info("the index is complete", "repositories", done.Repositories, "artifacts", done.Artifacts,
			"unreadable", done.Skipped, "took", time.Since(start).Round(time.Millisecond))
	}
	return remember()
}

func (s *server) close() error {
	if s.replication != nil {
		s.replication.Close()
	}
	if s.home != nil {
		s.home.Close()
	}
	if s.harbor != nil {
		s.harbor.Close()
	}
	return errors.Join(s.db.Close(), s.unlock())
}

// uploadSecret is the key that signs upload sessions: all processes on one
// database and every restart share it, so that an upload can go on.
func uploadSecret(ctx context.Context, db *store.DB) (string, error) {
	const name = "home.upload_secret"
	if value, found, err := db.Setting(ctx, name); err != nil || found {
		return value, err
	}
	err := db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, rand.Text())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("store upload secret: %w", err)
	}
	value, _, err := db.Setting(ctx, name)
	return value, err
}

// routes is the one port.
func (s *server) routes(rest http.Handler, pages *console.Console, c Config) http.Handler {
	mux := http.NewServeMux()
	// Wrong passwords are slowed down by where they come from.
	var registry http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.home.ServeHTTP(w, r.WithContext(account.WithRemote(r.Context(), r.RemoteAddr)))
	})
	if s.harbor != nil {
		registry = noRegistry(s.harbor.URL())
		mux.Handle(harbor.WebhookPath, s.harbor)
	}
	registry, rest = s.metrics.Registry(registry), s.metrics.API(rest, api.NoteOperation)
	mux.Handle("/v2/", registry)
	mux.Handle("/v2", registry)
	mux.Handle("/api/", rest)
	mux.Handle("/service/", rest)
	mux.Handle("/c/", rest)
	if c.MetricsToken != "" {
		mux.Handle("GET /metrics", withToken(s.metrics.Handler(), c.MetricsToken))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /{$}", greet(pages, c.Version))
	for _, path := range []string{"/assets/", "/harbor/", "/account/", "/favicon.svg"} { // Harbor's portal is at these too
		mux.Handle("GET "+path, pages)
	}
	return protect(limitStalls(api.RequestID(clientAddress(mux, c.trusted)), stallTimeout), c.Log)
}
