package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/home/embedded"
	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/tree"
)

// storageService is the storage of the embedded registry: where it is, as the database
// says, which all servers follow, and how it gets elsewhere.
type storageService struct {
	db     *store.DB
	book   *cutover.Book
	home   *embedded.Registry // set once, before anything follows
	index  *home.Index
	looks  looksList // set once, before anything is asked
	log    *slog.Logger
	name   string // of this server
	cli    string // Config.storageName
	wake   chan struct{}
	nudged chan struct{} // of who works on a migration

	commandLine       cutover.Place
	commandLineSecret cutover.Secret

	following sync.Mutex // one follows at a time

	mu      sync.Mutex
	tried   *cutover.Tried
	place   cutover.Place // that is served
	secret  cutover.Secret
	where   cutover.Where // as it was last read
	applied int64         // generation of where that the registry follows
	trouble string        // why it follows no further
	read    time.Time     // when where was last read
	said    time.Time     // when the others were last told
	shown   time.Time     // see tell
}

// Timings of servers that share a storage.
const (
	followPause = time.Second      // between two looks at what the database says
	sayPause    = 5 * time.Second  // between two signs of life
	staleAfter  = 15 * time.Second // a server that cannot ask for so long takes no pushes: others may have gone on without it
	patience    = 20 * time.Second // with uploads that were begun before the window
	checkTime   = time.Minute      // that a storage may take to answer once
	followTime  = 7 * time.Minute  // that all servers may take to follow
)

// openStorage finds out where the content is.
func (s *server) openStorage(ctx context.Context, c Config, book *cutover.Book, name string) (*storageService, embedded.Storage, error) {
	parameters, err := ParseStorage(c.Storage)
	if err != nil {
		return nil, parameters, err
	}
	text := c.Storage
	if strings.Contains(text, "://") {
		text, _ = takeOption(text, "v4auth") // trees know no other signatures
	} else {
		text, _ = parameters.Parameters["rootdirectory"].(string)
	}
	location, err := tree.ParseLocation(text, os.Getenv)
	if err != nil {
		return nil, parameters, problem.Wrap(problem.BadRequest, err, "storage")
	}
	f := &storageService{
		db: s.db, book: book, log: c.Log, name: name, cli: c.storageName(), wake: make(chan struct{}, 1), nudged: make(chan struct{}, 1),
	}
	f.commandLine, f.commandLineSecret = cutover.PlaceOf(location)
	f.place, f.secret = f.commandLine, f.commandLineSecret
	// First it is said that this server is there: who changes something from now on waits
	// for it.
	if err := f.say(ctx); err != nil {
		return nil, parameters, err
	}
	if f.where, err = book.Where(ctx); err != nil {
		return nil, parameters, err
	}
	if f.where.Place == nil {
		return f, parameters, refuseMoved(f.commandLine, c.Reindex)
	}
	moved := *f.where.Place
	switch {
	case f.commandLine.Same(moved):
		return f, parameters, nil // with the keys of the command line, which may be newer
	case f.where.Replaced != f.cli && c.Reindex:
		c.Log.Warn("the content was moved, and another storage is named now and to be indexed: it is served from there",
			"moved_to", moved.String(), "storage", f.commandLine.String())
		if err := book.Move(ctx, nil, cutover.Secret{}, "", f.cli); err != nil {
			return nil, parameters, err
		}
		f.where, err = book.Where(ctx)
		return f, parameters, err
	case f.where.Replaced != f.cli:
		return nil, parameters, problem.New(problem.Precondition,
			"the content is in %s since %s, where it was moved from %s, and --storage is now %s: name the first or the second, or, if it really is elsewhere, start once with --reindex",
			moved, f.where.Since.Format(time.RFC3339), f.where.Replaced, f.commandLine)
	}
	c.Log.Info("the content was moved, and is served from where it is now", "storage", moved.String(), "since", f.where.Since.Format(time.RFC3339),
		"command_line", f.commandLine.String())
	f.place, f.secret = moved, f.where.Secret
	parameters, err = driverStorage(f.place, f.secret)
	return f, parameters, err
}

// driverStorage is a place in the words of the registry.
func driverStorage(p cutover.Place, secret cutover.Secret) (embedded.Storage, error) {
	l := p.Location(secret, "")
	if !l.IsS3() {
		return embedded.Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": l.Path}}, nil
	}
	parameters, err := driverParameters(l.S3)
	return embedded.Storage{Driver: "s3", Parameters: parameters}, err
}

// trusting has f open a storage whose certificates p brings. The driver reads them from a
// file that a variable of the environment names, when it is opened and at no other time.
// What it trusts then all stores of this process are trusted by that are opened so, so the
// system's authorities are among them.
var trustingNow sync.Mutex

// systemAuthorities are where systems keep the authorities that they trust.
var systemAuthorities = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// withSystem adds the authorities of the system to certificates.
func withSystem(text string) string {
	for _, file := range append([]string{os.Getenv("SSL_CERT_FILE")}, systemAuthorities...) {
		if system, err := os.ReadFile(file); err == nil {
			return text + "\n" + string(system)
		}
	}
	return text
}

func trusting(p cutover.Place, f func() error) error {
	if p.CACertificate == "" {
		return f()
	}
	file, remove, err := temporaryCA(withSystem(p.CACertificate))
	if err != nil {
		return err
	}
	defer remove()
	trustingNow.Lock()
	defer trustingNow.Unlock()
	const variable = "AWS_CA_BUNDLE"
	before, was := os.LookupEnv(variable)
	if err := os.Setenv(variable, file); err != nil {
		return err
	}
	defer func() {
		if was {
			_ = os.Setenv(variable, before)
		} else {
			_ = os.Unsetenv(variable)
		}
	}()
	return f()
}

// shared reports whether other servers may serve the same storage.
func (s *storageService) shared() bool { return s.db.Dialect() == store.PostgreSQL }

// servers are those that serve the storage.
func (s *storageService) servers(ctx context.Context) ([]cutover.Server, error) {
	if s.shared() {
		return s.book.Servers(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return []cutover.Server{{Name: s.name, Generation: s.applied, Error: s.trouble}}, nil
}

// say tells the others that this server is there, and what it follows.
func (s *storageService) say(ctx context.Context) error {
	if !s.shared() {
		return nil
	}
	s.mu.Lock()
	applied, trouble := s.applied, s.trouble
	s.mu.Unlock()
	if err := s.book.Present(ctx, applied, trouble); err != nil {
		return err
	}
	s.mu.Lock()
	s.said = time.Now()
	s.mu.Unlock()
	return nil
}

// mustNotWrite reports whether a migration keeps the registry read-only, or may without
// this server's knowing.
func (s *storageService) mustNotWrite() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.where.Frozen || s.shared() && time.Since(s.read) > staleAfter
}

// follow has the registry do what the database says.
func (s *storageService) follow(ctx context.Context) error {
	s.following.Lock()
	defer s.following.Unlock()
	asked := time.Now() // what is answered was so at this time, and may not be so any more
	where, err := s.book.Where(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.where, s.read = where, asked
	behind, due := where.Generation != s.applied, time.Since(s.said) > sayPause
	s.mu.Unlock()
	if behind {
		err = s.apply(ctx, where)
		s.mu.Lock()
		s.trouble = ""
		if err != nil {
			s.trouble = err.Error()
		} else {
			s.applied = where.Generation
		}
		s.mu.Unlock()
	}
	if behind || due {
		if said := s.say(ctx); err == nil {
			err = said
		}
	}
	return err
}

func (s *storageService) apply(ctx context.Context, where cutover.Where) error {
	to, secret := s.commandLine, s.commandLineSecret
	if where.Place != nil && !where.Place.Same(s.commandLine) {
		to, secret = *where.Place, where.Secret
	}
	s.mu.Lock()
	moves := !to.Same(s.place)
	s.mu.Unlock()
	if where.Frozen || moves {
		s.home.Freeze()
		aborted, err := s.home.Drain(ctx, patience)
		if err != nil {
			return err
		}
		if aborted > 0 {
			s.log.Warn("uploads were broken off for the storage to be moved; their clients begin anew", "uploads", aborted)
		}
	}
	if moves {
		storage, err := driverStorage(to, secret)
		if err == nil {
			err = trusting(to, func() error { return s.home.Switch(storage) })
		}
		if err != nil {
			return fmt.Errorf("serve %s: %w", to, err)
		}
		// It is served from now on, whether it answers or not: who goes back must know.
		s.mu.Lock()
		s.place, s.secret = to, secret
		s.mu.Unlock()
		s.log.Info("the registry serves another storage", "storage", to.String())
	}
	if !where.Frozen {
		s.home.Thaw()
		return nil
	}
	// Others wait for this: a store that takes a connection and never answers must not keep
	// them, or the registry read-only, for good.
	asking, cancel := context.WithTimeoutCause(ctx, checkTime, problem.New(problem.Unknown, "the storage did not answer for %s", checkTime))
	defer cancel()
	if err := s.home.Check(asking); err != nil {
		if asking.Err() != nil {
			err = context.Cause(asking)
		}
		return fmt.Errorf("serve %s: %w", to, err)
	}
	return nil
}

// together waits until all servers follow what the database says now.
func (s *storageService) allFollow(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, followTime, problem.New(problem.Unknown, "not all servers have followed in time"))
	defer cancel()
	where, err := s.book.Where(ctx)
	if err != nil {
		return err
	}
	for {
		if err := s.follow(ctx); err != nil {
			return err
		}
		servers, err := s.servers(ctx)
		if err != nil {
			return err
		}
		behind, me := "", false
		for _, other := range servers {
			me = me || other.Name == s.name
			if other.Generation < where.Generation {
				if other.Error != "" {
					return problem.New(problem.Precondition, "server %s: %s", other.Name, other.Error)
				}
				behind = other.Name
			}
		}
		switch {
		case !me:
			return errNoServer
		case behind == "":
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for server %s: %w", behind, context.Cause(ctx))
		case <-time.After(followPause / 4):
		}
	}
}

// nudge says that something is wanted.
func (s *storageService) nudge() {
	for _, c := range []chan struct{}{s.wake, s.nudged} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Run follows what the database says, and works on a migration that nobody works on.
func (s *storageService) Run(ctx context.Context) error {
	var working sync.WaitGroup
	defer working.Wait()
	busy := make(chan struct{}, 1) // one migration at a time
	ticker := time.NewTicker(followPause)
	defer ticker.Stop()
	for {
		if err := s.follow(ctx); err != nil && ctx.Err() == nil {
			s.tell("follow what the database says of the storage", err)
		}
		select {
		case busy <- struct{}{}:
			state, err := s.book.Claim(ctx)
			if err != nil && ctx.Err() == nil {
				s.tell("look for a storage migration", err)
			}
			if state == nil {
				<-busy
				break
			}
			working.Go(func() {
				defer func() { <-busy }()
				s.drive(ctx, state)
			})
		default:
		}
		select {
		case <-ctx.Done():
			working.Wait()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sayPause)
			defer cancel()
			if s.shared() {
				return s.book.Leave(last)
			}
			return nil
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// tell logs what goes wrong again and again now and then.
func (s *storageService) tell(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.shown) > time.Minute {
		s.shown = time.Now()
		s.log.Error(what, "error", err)
	}
}

// drive works on a migration for as long as it is this server's.
func (s *storageService) drive(ctx context.Context, state *cutover.State) {
	id := state.ID
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var renewing sync.WaitGroup
	renewing.Go(func() {
		ticker := time.NewTicker(sayPause)
		defer ticker.Stop()
		for last := time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			err := s.book.Renew(ctx, id)
			if err == nil {
				last = time.Now()
			} else if cutover.IsLost(err) || time.Since(last) > 2*sayPause+staleAfter {
				cancel()
				return
			}
		}
	})
	err := cutover.NewMachine(&site{s, id}, s.book.Keeper(id), state, s.nudged, s.log).Run(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.Error("the storage migration rests", "id", id, "error", err)
	}
	cancel()
	renewing.Wait()
	last, done := context.WithTimeout(context.WithoutCancel(ctx), sayPause)
	defer done()
	if err := s.book.Release(last, id); err != nil && !cutover.IsLost(err) {
		s.log.Error("leave the storage migration", "id", id, "error", err)
	}
}

// serverName tells this process from others on the same database.
func serverName(c Config, random string) string {
	host, _ := os.Hostname()
	return cmp.Or(host, "server") + "/" + c.Listen + "/" + random
}
