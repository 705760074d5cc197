package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/tree"
)

// migrateServerCommands are those by which a running server moves its own storage.
func (a *app) migrateServerCommands() []*cobra.Command {
	return []*cobra.Command{
		a.migrateRunCommand(), a.migrateStatusCommand(), a.migrateResumeCommand(),
		a.migrateAskCommand("pause", "Stop a server's migration for now",
			`Stop the work of a migration. What is copied stays, and the registry can be pushed to:
in the read-only window it is opened again. "migrate resume" goes on.`,
			func(ctx context.Context, c *api) (*http.Response, []byte, error) {
				r, err := c.PauseStorageMigrationWithResponse(ctx)
				return answerOf(err, func() (*http.Response, []byte) { return r.HTTPResponse, r.Body })
			}),
		a.migrateAskCommand("cutover", "Let a server's migration go on to the read-only window",
			`Let a migration go on to the read-only window: what is new is copied once more, the
registry is made read-only, everything is compared, the registry serves the
destination, images are pulled and one is pushed, and the registry is opened again.
Where anything is not right the registry stays where it is, and open.`,
			func(ctx context.Context, c *api) (*http.Response, []byte, error) {
				r, err := c.CutOverStorageMigrationWithResponse(ctx)
				return answerOf(err, func() (*http.Response, []byte) { return r.HTTPResponse, r.Body })
			}),
		a.migrateAskCommand("cancel", "End a server's migration before it has changed anything",
			`End a migration before the registry serves the destination. What is copied stays
there; a later migration to it goes on from that.`,
			func(ctx context.Context, c *api) (*http.Response, []byte, error) {
				r, err := c.CancelStorageMigrationWithResponse(ctx)
				return answerOf(err, func() (*http.Response, []byte) { return r.HTTPResponse, r.Body })
			}),
		a.onKubernetes(a.migrateAskCommand("rollback", "Have a server serve its old storage again, or a Harbor on Kubernetes",
			`Have the registry serve the storage that it was moved from. What was pushed and deleted
since is brought back first, while the registry is in use, and in a read-only window of
its own. It can be asked for until "migrate finish".

With --kubernetes a Harbor in a cluster gets its volume again, from wherever "migrate run
--kubernetes" is: where the registry has not been given the bucket, Harbor is opened
and nothing else was changed; otherwise Harbor is made read-only, what was pushed since
is brought into the volume and checked, the registry is given the volume, and Harbor is
opened when its images have been pulled.`,
			func(ctx context.Context, c *api) (*http.Response, []byte, error) {
				r, err := c.RollBackStorageMigrationWithResponse(ctx)
				return answerOf(err, func() (*http.Response, []byte) { return r.HTTPResponse, r.Body })
			}), (*moveFlags).addMove, a.moveBack),
		a.onKubernetes(a.migrateAskCommand("finish", "End the migration of a server, or of a Harbor on Kubernetes, for good",
			`End a migration after the registry serves the destination. It cannot be rolled back any
more. The old storage is not touched; it may be deleted by hand. With --kubernetes the
Jobs and the state of a Harbor's move are deleted, when it has ended.`,
			func(ctx context.Context, c *api) (*http.Response, []byte, error) {
				r, err := c.FinishStorageMigrationWithResponse(ctx)
				return answerOf(err, func() (*http.Response, []byte) { return r.HTTPResponse, r.Body })
			}), (*moveFlags).addBase, func(ctx context.Context, k *moveFlags, _ bool, output string) error {
			return a.moveFinish(ctx, k, output)
		}),
	}
}

// answerOf takes a generated answer apart, which is nil after an error.
func answerOf(err error, parts func() (*http.Response, []byte)) (*http.Response, []byte, error) {
	if err != nil {
		return nil, nil, err
	}
	response, body := parts()
	return response, body, nil
}

// migrateRunFlags are those of "migrate run".
type migrateRunFlags struct {
	automatic, deep, detach, quiet bool
	concurrency                    int
	bandwidth                      bandwidth
	window                         time.Duration
	provider, output               string
}

func (a *app) migrateRunCommand() *cobra.Command {
	var s serverFlags
	var f migrateRunFlags
	var k moveFlags
	cmd := &cobra.Command{
		Use:   "run DST",
		Short: "Have a server move its own storage to S3, or move a Harbor on Kubernetes",
		Long: `Have a server move the content of its embedded registry to S3 while it serves, without a
restart. It copies, looks again for what is new until that takes less than --window,
checks everything, and waits for "migrate cutover", or goes on by itself with
--automatic. In the window the registry is read-only for seconds; reading goes on.

DST is s3://BUCKET[/PREFIX]?endpoint=URL&region=R. Keys come from the options access_key
and secret_key, or from LIGHTERAGE_DST_AWS_ACCESS_KEY_ID and
LIGHTERAGE_DST_AWS_SECRET_ACCESS_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
here; the server keeps them sealed. The option ca names a file on this machine.

The command follows it until it waits for you, has ended or has stopped; an interrupt
ends the following, not the migration. "migrate status" shows how it is.

With --kubernetes no server is meant but a Harbor in a cluster, and this command moves
it from its volume to the bucket: it brings the images there while Harbor is in use
(as "stage" does), pauses garbage collection, retention and replication, makes Harbor
read-only, copies and checks what is new, changes where the registry keeps its images
(in the Harbor resource of the Alauda operator, in the Helm release, or with --adopt by
somebody else), waits until registry and core have been replaced, empties the
registry's cache, pulls images and hashes them, opens Harbor, pushes an image and finds
it in the bucket, and resumes what was paused. Where it fails or is interrupted before
the registry is given the bucket, Harbor is as it was; later the same command, from any
machine, goes on, or "migrate rollback --kubernetes" goes back. Its state is in the
cluster. The password of Harbor's administrator comes from HARBOR_PASSWORD, or from the
Secret that the chart has it in; the keys of the bucket as for "stage".

` + exitCodes,
		Example: `  lighterage migrate run 's3://images/harbor?endpoint=http://minio:9000'
  lighterage migrate cutover
  lighterage migrate status
  lighterage migrate rollback     # if something is not right
  lighterage migrate finish       # when all is well
  lighterage migrate run 's3://harbor?endpoint=http://minio.storage:9000' --kubernetes \
    --namespace harbor --image registry.example.com/tools/lighterage:1.0 --report moved.md`,
		Args: takes("DST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := k.check(cmd, "bandwidth"); err != nil {
				return err
			}
			if k.kubernetes {
				k.bandwidth = f.bandwidth
				return a.moveRun(cmd.Context(), args[0], &k, f.quiet, f.output)
			}
			return a.migrateRun(cmd.Context(), &s, args[0], f)
		},
	}
	s.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.automatic, "automatic", false, "go on to the read-only window when what is new is little, without waiting for \"migrate cutover\"")
	flags.BoolVar(&f.deep, "deep", false, "read everything back from the destination and hash it, before the window")
	flags.BoolVar(&f.detach, "detach", false, "do not follow it")
	flags.DurationVar(&f.window, "window", 5*time.Second, "what is new must take less than this to be copied before the window")
	flags.IntVar(&f.concurrency, "concurrency", migration.DefaultConcurrency, "most objects on their way at a time")
	flags.Var(&f.bandwidth, "bandwidth", "most bytes a second outside of the window, such as 50M (default no limit)")
	flags.StringVar(&f.provider, "provider", "", "name of the kind of store that is shown: Minio, Ceph, AWS or another")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	outputFlag(cmd, &f.output, "text", "json")
	k.addRun(cmd)
	return cmd
}

func (a *app) migrateRun(ctx context.Context, s *serverFlags, to string, f migrateRunFlags) error {
	if f.window < time.Second || f.window > time.Hour {
		return usage("--window %s: want 1s to 1h", f.window)
	}
	if f.concurrency < 1 || f.concurrency > 1000 {
		return usage("--concurrency %d: want 1 to 1000", f.concurrency)
	}
	at, err := a.location(destinationEnd, to)
	if err != nil {
		return err
	}
	if !at.IsS3() {
		return usage("DST %s: a server moves its content to S3 only", to)
	}
	destination, err := wireDestination(at.S3)
	if err != nil {
		return err
	}
	destination.Provider = f.provider
	c, err := a.connect(s)
	if err != nil {
		return err
	}
	r, err := c.StartStorageMigrationWithResponse(ctx, gen.StorageMigrationStart{
		Destination: destination, Automatic: f.automatic, Deep: f.deep, Bandwidth: int64(f.bandwidth), Concurrency: int64(f.concurrency),
		WindowSeconds: int64(f.window.Seconds()),
	})
	if err != nil {
		return c.check(err, nil, nil, "start the migration")
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "start the migration"); err != nil {
		return err
	}
	if f.detach {
		_, err := fmt.Fprintln(a.Stdout, "The migration has begun. Follow it with: lighterage migrate status --follow")
		return err
	}
	return a.followMigration(ctx, c, f.quiet, f.output)
}

// wireDestination is a store in the words of the API.
func wireDestination(c tree.S3Config) (gen.StorageDestination, error) {
	d := gen.StorageDestination{
		Bucket: c.Bucket, Prefix: c.RootDirectory, Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey,
		Insecure: c.Insecure, StorageClass: c.StorageClass, ACL: c.ACL, Encrypt: c.Encrypt, EncryptKey: c.EncryptKey,
	}
	if c.SessionToken != "" {
		return d, usage("DST: a session token is over before long, and the server needs the keys for good")
	}
	if c.PathStyle != tree.PathStyleAuto {
		on := c.PathStyle == tree.PathStyleOn
		d.PathStyle = &on
	}
	if c.CAFile != "" {
		var err error
		if d.CaCertificate, err = readFile("DST: ca", c.CAFile); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (a *app) migrateStatusCommand() *cobra.Command {
	var s serverFlags
	var follow, quiet bool
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a server's migration is, or that of a Harbor on Kubernetes",
		Long: `Show how the migration of a server's storage is: its phase, what was copied and proven,
how long the registry was read-only, and what to do next. With --kubernetes that of a
Harbor in a cluster, from the state that is kept there; Harbor itself is not asked.

` + exitCodes,
		Example: `  lighterage migrate status
  lighterage migrate status --follow
  lighterage migrate status --output json
  lighterage migrate status --kubernetes --namespace harbor`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(&s)
			if err != nil {
				return err
			}
			if follow {
				return a.followMigration(cmd.Context(), c, quiet, output)
			}
			m, err := c.migration(cmd.Context())
			if err != nil {
				return err
			}
			return a.tellMigration(m, output)
		},
	}
	s.add(cmd)
	cmd.Flags().BoolVar(&follow, "follow", false, "until it waits, has ended or has stopped")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	outputFlag(cmd, &output, "text", "json")
	return a.onKubernetes(cmd, (*moveFlags).addBase, func(ctx context.Context, k *moveFlags, _ bool, output string) error {
		return a.moveStatus(ctx, k, output)
	})
}

func (a *app) migrateResumeCommand() *cobra.Command {
	var s serverFlags
	var keys, detach, quiet bool
	var output string
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Go on with a server's migration",
		Long: `Go on with a migration that is paused or has stopped. With --new-keys the destination's
keys are replaced by those of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

` + exitCodes,
		Example: `  lighterage migrate resume
  lighterage migrate resume --new-keys`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(&s)
			if err != nil {
				return err
			}
			var body gen.StorageMigrationResume
			if keys {
				body.AccessKey, body.SecretKey = a.Getenv("AWS_ACCESS_KEY_ID"), a.Getenv("AWS_SECRET_ACCESS_KEY")
				if body.AccessKey == "" || body.SecretKey == "" {
					return usage("--new-keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
				}
			}
			r, err := c.ResumeStorageMigrationWithResponse(cmd.Context(), body)
			if err != nil {
				return c.check(err, nil, nil, "resume the migration")
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "resume the migration"); err != nil {
				return err
			}
			return a.afterAsking(cmd.Context(), c, detach, quiet, output)
		},
	}
	s.add(cmd)
	cmd.Flags().BoolVar(&keys, "new-keys", false, "with other keys for the destination, from the environment")
	followFlags(cmd, &detach, &quiet, &output)
	return cmd
}

func followFlags(cmd *cobra.Command, detach, quiet *bool, output *string) {
	cmd.Flags().BoolVar(detach, "detach", false, "do not follow what comes of it")
	cmd.Flags().BoolVarP(quiet, "quiet", "q", false, "show no progress")
	outputFlag(cmd, output, "text", "json")
}

// migrateAskCommand makes a command that asks something of a migration and follows it.
func (a *app) migrateAskCommand(name, short, long string, ask func(ctx context.Context, c *api) (*http.Response, []byte, error)) *cobra.Command {
	var s serverFlags
	var detach, quiet bool
	var output string
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long + "\n\n" + exitCodes,
		Example: "  lighterage migrate " + name,
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(&s)
			if err != nil {
				return err
			}
			response, body, err := ask(cmd.Context(), c)
			if err := c.check(err, response, body, "%s the migration", name); err != nil {
				return err
			}
			return a.afterAsking(cmd.Context(), c, detach, quiet, output)
		},
	}
	s.add(cmd)
	followFlags(cmd, &detach, &quiet, &output)
	return cmd
}

func (a *app) afterAsking(ctx context.Context, c *api, detach, quiet bool, output string) error {
	if !detach {
		return a.followMigration(ctx, c, quiet, output)
	}
	_, err := fmt.Fprintln(a.Stdout, "It is asked for. Follow it with: lighterage migrate status --follow")
	return err
}

func (c *api) migration(ctx context.Context) (gen.StorageMigration, error) {
	r, err := c.GetStorageMigrationWithResponse(ctx)
	if err != nil {
		return gen.StorageMigration{}, c.check(err, nil, nil, "ask for the migration")
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "ask for the migration"); err != nil {
		return gen.StorageMigration{}, err
	}
	return *r.JSON200, nil
}

// followMigration follows a migration until nothing goes on, and tells how it is then. A
// server that cannot be reached for a while is asked again: a migration survives a restart.
func (a *app) followMigration(ctx context.Context, c *api, quiet bool, output string) error {
	var last gen.StorageMigration
	live := a.screen.NewLive(quiet, func() string { return migrationLine(last) })
	m, err := a.pollMigration(ctx, c, live, func(m gen.StorageMigration) { last = m })
	live.Stop()
	if ctx.Err() != nil {
		return &failure{exitInterrupted, errInterrupted, "The migration goes on. Stop it with: lighterage migrate pause"}
	}
	if err != nil {
		return err
	}
	return a.tellMigration(m, output)
}

func (a *app) pollMigration(ctx context.Context, c *api, live *term.Live, show func(gen.StorageMigration)) (gen.StorageMigration, error) {
	const patience = time.Minute
	var lostSince time.Time
	for {
		m, err := c.migration(ctx)
		switch {
		case ctx.Err() != nil:
			return m, context.Cause(ctx)
		case err == nil:
			lostSince = time.Time{}
			show(m)
			if m.Status != "running" && m.Wish == "" && !(m.Status == "waiting" && m.CutoverAsked) {
				return m, nil
			}
		case !mayComeBack(err):
			return m, err
		case lostSince.IsZero():
			lostSince = time.Now()
			live.Note("The server does not answer; trying again")
		case time.Since(lostSince) > patience:
			return m, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

// migrationLine is the line that follows a migration.
func migrationLine(m gen.StorageMigration) string {
	line := m.Phase
	if m.Direction == "back" {
		line += " (back)"
	}
	if p := m.Progress; p.Objects > 0 && (m.Phase == "copy" || m.Phase == "delta" || m.Phase == "final") {
		line += fmt.Sprintf(", %s of %s copied, %s", grouped(p.Copied), grouped(max(p.Expected, p.Copied)), term.Bytes(p.Bytes))
		if p.BytesPerSecond >= 1 {
			line += ", " + term.Bytes(int64(p.BytesPerSecond)) + "/s"
		}
		if p.SecondsLeft > 1 {
			line += ", " + term.Duration(seconds(p.SecondsLeft)) + " left"
		}
	}
	if m.Window.ReadOnly {
		line += fmt.Sprintf(", read-only for %.1f s", m.Window.Seconds)
	}
	return line
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// tellMigration says how a migration is, and turns that into an exit code.
func (a *app) tellMigration(m gen.StorageMigration, output string) error {
	var err error
	if output == "json" {
		err = writeJSON(a.Stdout, m)
	} else {
		err = a.writeMigration(a.Stdout, m)
	}
	if err == nil && m.Status == "failed" {
		return silent(exitFailed)
	}
	return err
}

// migrationNext says what to do, by the status.
var migrationNext = map[string]string{
	"waiting":  "Everything is copied. Have the registry moved with: lighterage migrate cutover",
	"paused":   "Go on with: lighterage migrate resume",
	"failed":   "Go on with: lighterage migrate resume",
	"migrated": "Look whether all is well, and end it with: lighterage migrate finish, or go back with: lighterage migrate rollback",
}

func (a *app) writeMigration(w io.Writer, m gen.StorageMigration) error {
	var err error
	say := func(format string, args ...any) {
		_, failed := fmt.Fprintf(w, format+"\n", args...)
		err = errors.Join(err, failed)
	}
	say("Migration %d is %s", m.ID, m.Status)
	say("  from         %s", term.Safe(m.Source.Place))
	say("  to           %s", term.Safe(m.Destination.Place))
	if m.Status == "running" {
		say("  phase        %s", migrationLine(m))
	}
	if m.Total.Objects > 0 {
		say("  copied       %s, %s in all", objects(m.Total.Objects), term.Bytes(m.Total.Bytes))
	}
	if n := len(m.Deltas); n > 0 {
		last := m.Deltas[n-1]
		say("  last look    %s new in %.1f s", objects(last.Objects), last.Seconds)
	}
	if r := m.Rehearsal; r != nil {
		say("  checked      %s of %s before the window: %s", grouped(r.Same), objects(r.Objects), words(r.Proofs))
	}
	if m.Evidence.Objects > 0 {
		say("  compared     %s of %s are right, %d differences", grouped(m.Evidence.Same), objects(m.Evidence.Objects), m.DifferencesTotal)
		if len(m.Evidence.Proofs) > 0 {
			say("  proof        %s", words(m.Evidence.Proofs))
		}
		say("  artifacts    %s with %s tags, %d broken, %d were so before", grouped(m.Artifacts.Manifests), grouped(m.Artifacts.Tags), m.Artifacts.Broken, m.Artifacts.BrokenBefore)
	}
	for _, p := range m.Pulls {
		what := "pulled"
		if p.What == "new" {
			what = "pushed, pulled and deleted"
		}
		if p.Error != "" {
			what = "failed: " + p.Error
		}
		say("  tried        %s:%s  %s, %s", term.Safe(p.Repository), term.Safe(p.Reference), term.Safe(what), term.Bytes(p.Bytes))
	}
	if m.Window.Seconds > 0 {
		say("  read-only    %.1f s", m.Window.Seconds)
	} else if m.Window.EstimateSeconds > 0 {
		say("  read-only    about %.0f s are to be expected", m.Window.EstimateSeconds)
	}
	for _, d := range m.Damage {
		say("  damaged      %s: %s", term.Safe(d.Name), term.Safe(d.Reason))
	}
	for _, d := range m.Differences {
		say("  %s %s: %s", d.Kind, term.Safe(d.Name), term.Safe(d.Reason))
	}
	if p := m.Problem; p != nil {
		say("\nIt stopped in %s: %s\n%s", p.Phase, term.Safe(p.Message), term.Safe(p.Advice))
	}
	if next := migrationNext[m.Status]; next != "" {
		say("\n%s", next)
	}
	return err
}
