package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Server runs a server until ctx ends and returns when it has ended in order.
type Server func(ctx context.Context, c ServeConfig) error

// ServeConfig says how a server runs. Empty fields are for the server to decide.
type ServeConfig struct {
	DataDir            string
	Listen             string
	ExternalURL        string
	TrustedProxies     []string
	TLSCertificate     string
	TLSKey             string
	Database           string
	Storage            string
	AdminPassword      string
	Home               HomeConfig
	AutoCreateProjects bool
	Reindex            bool
	ReconcileInterval  time.Duration
	VerifyInterval     time.Duration
	DeletionCap        int // deletions that no event told of
	DeletionCapShare   int // percent of what a rule has put at its destinations
	MetricsListen      string
	MetricsToken       string
	Log                *slog.Logger
	Ready              func(ServeInfo) // called once when requests are taken
}

// ServeInfo is what a server tells when it is ready.
type ServeInfo struct {
	URL               string
	AdminUser         string
	GeneratedPassword string // "" unless it was made up at this start
	DataDir           string
	Storage           string
	MetricsURL        string // "" unless they have an address of their own
}

const defaultListen = "127.0.0.1:8580"

func (a *app) serveCommand() *cobra.Command {
	var c ServeConfig
	var home homeFlags
	var logFormat, logLevel string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a home registry that replicates what is pushed to it",
		Long: `Run a home registry, the API and the replication workers on one port, until
SIGINT or SIGTERM. Requests and copies under way are ended in order then; what is
not done goes on at the next start. A second signal ends it at once.

Every flag can be given as an environment variable too: LIGHTERAGE_ and the
flag's name in capitals, with _ for -, such as LIGHTERAGE_EXTERNAL_URL. The flag
wins. The password of the user admin comes from LIGHTERAGE_ADMIN_PASSWORD only
and counts at the first start; without it one is made up and shown once. With
LIGHTERAGE_METRICS_TOKEN whoever brings that text as a Bearer token gets /metrics.
With OTEL_EXPORTER_OTLP_ENDPOINT executions are traced, over HTTP.

The storage is a folder or s3://BUCKET[/PREFIX]?endpoint=URL&region=R; keys for S3
come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The database is a file by
default; postgres://USER@HOST/NAME lets several servers share the work.

With --home the rules follow a Harbor instead: what is pushed to it is replicated,
and its administrators log in here with their own names. The server has no registry
then. "lighterage harbor attach" has the Harbor tell of pushes at once;
LIGHTERAGE_WEBHOOK_SECRET sets what its webhooks bring, else one is made up.

` + exitCodes,
		Example: `  # everything in one folder, for this machine only
  lighterage serve --data /srv/lighterage

  # for others, with a certificate
  lighterage serve --data /srv/lighterage --listen :443 \
    --tls-certificate tls.crt --tls-key tls.key

  # behind a proxy that speaks https
  lighterage serve --data /srv/lighterage --external-url https://registry.example.com \
    --trusted-proxies 10.0.0.0/8

  # a bucket for the images, PostgreSQL for the rest
  lighterage serve --data /srv/lighterage --storage 's3://images/harbor?endpoint=http://minio:9000' \
    --database postgres://lighterage@db/lighterage

  # for a Harbor that is there
  LIGHTERAGE_HOME_SECRET=... lighterage serve --data /srv/lighterage \
    --home https://harbor.example.com --home-username 'robot$lighterage' \
    --external-url https://lighterage.example.com`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.LocalFlags(), a.Getenv); err != nil {
				return err
			}
			var err error
			if c.DataDir, err = a.dataDir(c.DataDir); err != nil {
				return err
			}
			if c.Log, err = newLogger(a.Stderr, logFormat, logLevel); err != nil {
				return err
			}
			if c.Home, err = home.config(a.Getenv); err != nil {
				return err
			}
			c.AdminPassword = a.Getenv("LIGHTERAGE_ADMIN_PASSWORD")
			c.MetricsToken = a.Getenv("LIGHTERAGE_METRICS_TOKEN")
			c.Ready = a.welcome
			return a.serve(cmd.Context(), c)
		},
	}
	logFormat, logLevel = "text", "info"
	f := cmd.Flags()
	f.StringVar(&c.DataDir, "data", "", "folder of the database, the key file and, by default, the images (default $XDG_DATA_HOME/lighterage)")
	f.StringVar(&c.Listen, "listen", defaultListen, "address to listen at; \":8580\" is every address of the machine")
	f.StringVar(&c.ExternalURL, "external-url", "", "how clients reach the server, if that is not the listen address")
	f.StringSliceVar(&c.TrustedProxies, "trusted-proxies", nil, "addresses or networks of proxies whose X-Forwarded-For tells the client, such as 10.0.0.0/8")
	f.StringVar(&c.TLSCertificate, "tls-certificate", "", "PEM file with the certificate and its chain: serve https")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM file with the key of the certificate")
	f.StringVar(&c.Database, "database", "", "sqlite:FILE or postgres://... (default a file in the data folder)")
	f.StringVar(&c.Storage, "storage", "", "where images are kept: a folder or s3://... (default a folder in the data folder)")
	home.add(cmd)
	f.BoolVar(&c.AutoCreateProjects, "auto-create-projects", false, "a push to a project that does not exist makes it")
	f.DurationVar(&c.ReconcileInterval, "reconcile-interval", time.Hour, "how often event rules are compared with their destinations, besides at the start; 0 is never")
	f.DurationVar(&c.VerifyInterval, "verify-interval", 24*time.Hour, "how often all other rules that have run are compared with their destinations (HEAD only, nothing is changed); 0 is never")
	f.IntVar(&c.DeletionCap, "deletion-cap", 100, "most deletions of a rule that no event told of and that are made without asking; 0: none")
	f.IntVar(&c.DeletionCapShare, "deletion-cap-share", 25, "the same in percent of what the rule has put at its destinations, when they are more than 10")
	f.StringVar(&c.MetricsListen, "metrics-listen", "", "address at which Prometheus gets /metrics without a login, such as 127.0.0.1:8590 (default: none)")
	f.BoolVar(&c.Reindex, "reindex", false, "build the index of the images anew from the storage")
	f.Var(&choice{&logFormat, []string{"text", "json"}}, "log-format", "text or json")
	f.Var(&choice{&logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "debug, info, warn or error")
	complete(cmd, "log-format", "text", "json")
	complete(cmd, "log-level", "debug", "info", "warn", "error")
	for _, name := range []string{"data", "storage"} {
		_ = cmd.MarkFlagDirname(name) // fails for unknown flags only
	}
	for _, name := range []string{"tls-certificate", "tls-key"} {
		_ = cmd.MarkFlagFilename(name)
	}
	return cmd
}

// serve runs the server. To be asked to stop is not a failure.
func (a *app) serve(ctx context.Context, c ServeConfig) error {
	err := a.Serve(ctx, c)
	if ctx.Err() != nil && (err == nil || exitCode(err) == exitInterrupted) {
		return nil
	}
	if err != nil && strings.Contains(err.Error(), "address already in use") {
		return advise(err, "Something else listens at %s, perhaps another lighterage. Stop it, or choose another address with --listen.", c.Listen)
	}
	if err != nil && strings.HasPrefix(c.Storage, "s3:") && strings.Contains(err.Error(), "s3aws: ") {
		if strings.Contains(err.Error(), "NoCredentialProviders") {
			return advise(err, "There are no keys for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
		}
		return advise(err, "Check the bucket, endpoint, region and keys, and that the store is running.")
	}
	return err
}

// welcome tells a person where to go.
func (a *app) welcome(info ServeInfo) {
	fmt.Fprintf(a.Stdout, "Lighterage is ready at %s\n", info.URL)
	fmt.Fprintf(a.Stdout, "  data      %s\n", info.DataDir)
	if info.Storage != "" {
		fmt.Fprintf(a.Stdout, "  images    %s\n", info.Storage)
	}
	if info.MetricsURL != "" {
		fmt.Fprintf(a.Stdout, "  metrics   %s\n", info.MetricsURL)
	}
	if info.GeneratedPassword != "" {
		fmt.Fprintf(a.Stdout, "  user      %s\n", info.AdminUser)
		fmt.Fprintf(a.Stdout, "  password  %s   (made up at this first start; it is not shown again)\n", info.GeneratedPassword)
	}
	fmt.Fprintf(a.Stdout, "  console   open %s in a browser\n", info.URL)
	fmt.Fprintf(a.Stdout, "  log in    lighterage login %s -u %s\n", info.URL, info.AdminUser)
}

// dataDir finds the data folder: the one that was asked for, or the user's own.
func (a *app) dataDir(asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	if base := a.Getenv("XDG_DATA_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "lighterage"), nil
	}
	if home := a.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "lighterage"), nil
	}
	return "", usage("no folder for the data: say --data FOLDER or set LIGHTERAGE_DATA")
}

// fromEnvironment sets the flags that were not given on the command line.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) string) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "LIGHTERAGE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if value == "" || f.Changed || err != nil || f.Name == "help" {
			return
		}
		if f.Value.Type() == "bool" {
			if _, wrong := strconv.ParseBool(value); wrong != nil {
				err = usage("%s=%q: want true or false", name, value)
				return
			}
		}
		if wrong := flags.Set(f.Name, value); wrong != nil {
			err = usage("%s=%q: %w", name, value, wrong)
		}
	})
	return err
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("log level %q: %w", level, err)
	}
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return slog.New(slog.NewTextHandler(w, o)), nil
}

// readFile reads a small file that the user named.
func readFile(what, path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", usage("%s: %w", what, err)
	}
	return string(content), nil
}
