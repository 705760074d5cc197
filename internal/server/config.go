package server

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/console"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/trace"
)

// DefaultListen is where a server listens when it is not told otherwise.
const DefaultListen = "127.0.0.1:8580"

// Config says how a server runs. Only DataDir is required.
type Config struct {
	DataDir string // database, key file and, by default, the registry's storage

	Listen      string // address; "" is DefaultListen, port 0 a free one
	ExternalURL string // how clients reach the server, if not at Listen: behind a proxy
	// TrustedProxies are addresses and networks of proxies that tell in
	// X-Forwarded-For whom they were asked by.
	TrustedProxies []string
	// TLSCertificate and TLSKey are PEM files; with them the server speaks https.
	TLSCertificate string
	TLSKey         string

	Database string // sqlite:FILE or postgres://...; "" is a file in DataDir
	Storage  string // a folder, or s3://...; "" is a folder in DataDir. See ParseStorage

	// Home makes a Harbor the home registry, in the place of the embedded one.
	Home HomeConfig

	// AdminPassword is the password of the user admin at the first start; "" has
	// one made up, which Info tells once.
	AdminPassword string
	// AutoCreateProjects lets a push make the project that it names.
	AutoCreateProjects bool
	// Reconcile is how often event rules are compared with what they should have done,
	// besides at the start; 0: never.
	Reconcile time.Duration
	// Verify is how often all other rules that have run are compared with their
	// destinations; 0: never.
	Verify time.Duration
	// Deletions bounds what follows from such a comparison without anybody's being asked;
	// nil: replication.DefaultDeletionCap.
	Deletions *DeletionCap
	// MetricsListen is an address at which metrics are told to whoever asks, over http
	// and without a login; "": there is none.
	MetricsListen string
	// MetricsToken lets who brings it as a Bearer token ask for metrics at Listen too;
	// "": nobody may.
	MetricsToken string
	// Reindex rebuilds the index of the home registry from its storage at start.
	Reindex bool

	Version string // of this program, to be told; "": that of the build
	// Console is the web console; nil: the one that was built into the program.
	Console fs.FS

	Log *slog.Logger
	// Tracer tells how executions went; nil: nobody is told. Run closes it.
	Tracer *trace.Tracer
	// Ready is called once when the server takes requests.
	Ready func(Info)

	ownURL  string // ExternalURL, or where the server listens
	trusted proxies
}

// DeletionCap bounds deletions that no event told of.
type DeletionCap = replication.DeletionCap

// HomeConfig says which Harbor is home. Without a URL the embedded registry is.
type HomeConfig struct {
	URL           string
	Username      string // an administrator or a robot account of it
	Secret        string
	CACertificate string // PEM of the authority that signed its certificate
	Insecure      bool   // do not verify its certificate
	// WebhookSecret is what its webhooks must bring; "": one is made up and kept.
	WebhookSecret string
	// AuditInterval is how often its audit log is read; 0: see harbor.Options.
	AuditInterval time.Duration
	// Change lets a database have another home than before.
	Change bool
}

// Info is what a server tells when it is ready.
type Info struct {
	URL               string // where clients reach it
	AdminUser         string
	GeneratedPassword string // of AdminUser; "" unless it was made up at this start
	DataDir           string
	Storage           string
	MetricsURL        string // "" unless they have an address of their own
}

// withDefaults checks the config and fills in what is left out.
func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		return c, problem.New(problem.BadRequest, "no data folder is given")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return c, fmt.Errorf("data folder %s: %w", c.DataDir, err)
	}
	c.DataDir = dir
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return c, problem.New(problem.BadRequest, "listen address %q: want host:port, such as %s", c.Listen, DefaultListen)
	}
	if c.Reconcile < 0 {
		return c, problem.New(problem.BadRequest, "reconcile interval %s: want 0 for never, or more", c.Reconcile)
	}
	if c.Verify < 0 {
		return c, problem.New(problem.BadRequest, "verify interval %s: want 0 for never, or more", c.Verify)
	}
	if d := c.Deletions; d != nil && (d.Count < 0 || d.Share < 0 || d.Share > 100) {
		return c, problem.New(problem.BadRequest, "deletion cap of %d, and %d percent: want a number of deletions, and 0 to 100 percent", d.Count, d.Share)
	}
	if _, _, err := net.SplitHostPort(c.MetricsListen); c.MetricsListen != "" && err != nil {
		return c, problem.New(problem.BadRequest, "listen address of the metrics %q: want host:port, such as 127.0.0.1:8590", c.MetricsListen)
	}
	if c.ExternalURL != "" {
		u, err := url.Parse(c.ExternalURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return c, problem.New(problem.BadRequest, "external URL %q: want http(s)://host[:port] without a path, as docker clients know no path", c.ExternalURL)
		}
		c.ExternalURL = u.Scheme + "://" + u.Host
	}
	if c.trusted, err = parseProxies(c.TrustedProxies); err != nil {
		return c, err
	}
	if c.Home.URL != "" {
		if c.Home.URL, err = registry.NormalizeURL(c.Home.URL); err != nil {
			return c, problem.Wrap(problem.BadRequest, err, "home")
		}
		if c.Home.Username == "" || c.Home.Secret == "" {
			return c, problem.New(problem.BadRequest, "home %s: it needs the name and secret of an account, an administrator or a robot", c.Home.URL)
		}
		if c.Storage != "" || c.Reindex {
			return c, problem.New(problem.BadRequest, "home is %s, which keeps its images by itself: there is no storage to be named or indexed here", c.Home.URL)
		}
	}
	if (c.TLSCertificate == "") != (c.TLSKey == "") {
		return c, problem.New(problem.BadRequest, "TLS needs both a certificate file and a key file")
	}
	if c.Database == "" {
		c.Database = "sqlite:" + filepath.Join(c.DataDir, "lighterage.db")
	}
	if c.Storage == "" {
		c.Storage = filepath.Join(c.DataDir, "registry")
	}
	if c.Version == "" {
		c.Version = buildVersion()
	}
	if c.Console == nil {
		c.Console = console.Built()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// tokenRealm says where clients get tokens: at the external URL, or without one
// (nil) at the host by which they have reached the server, which the listen address
// does not tell when it is every address of the machine.
func (c Config) tokenRealm() func(*http.Request) string {
	if c.ExternalURL == "" {
		return nil
	}
	return func(*http.Request) string { return c.ExternalURL + "/service/token" }
}
