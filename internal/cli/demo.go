package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/demo"
	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/registry"
)

// Where the demonstration listens, if nothing else does.
const (
	demoHome    = defaultListen
	demoCluster = "127.0.0.1:8581"
)

// The names of the demonstration.
const (
	demoRegistry   = "cluster1"
	demoPolicy     = "everything-to-cluster1"
	demoRepository = "library/hello"
	demoTag        = "1.0"
)

func (a *app) demoCommand() *cobra.Command {
	var data string
	var exit bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job in a minute: a push arrives in the cluster's registry",
		Long: `Show the main job: start a server and a second, plain registry that plays the one
of a cluster; add it and a rule through the API; push a small image for two
platforms; watch it being replicated; and pull it from the cluster's registry by
digest, checking every byte. All of it stays up until Ctrl-C, to be tried out.

The server listens at ` + demoHome + ` and the cluster's registry at ` + demoCluster + `, or at
free ports where these are taken. Everything is kept in a temporary folder and
removed at the end, unless --data names a folder. No login is stored.`,
		Example: `  lighterage demo
  lighterage demo --exit    # end by itself: 0 if everything was right, else 1`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), data, exit)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "keep everything in this folder, which must be new or empty (default a temporary one)")
	cmd.Flags().BoolVar(&exit, "exit", false, "end when everything was shown")
	_ = cmd.MarkFlagDirname("data") // fails for unknown flags only
	return cmd
}

// demonstration is one run of demo.
type demonstration struct {
	*app
	folder   string
	password string
	home     string // URL of the server
	cluster  *demo.Cluster
	api      *api
	step     int
}

func (a *app) demo(ctx context.Context, folder string, exit bool) (err error) {
	d := &demonstration{app: a, password: "Demo1-" + rand.Text()[:12]} // letters of both cases and a digit, as the server wants
	if d.folder, err = demoFolder(folder); err != nil {
		return err
	}
	if folder == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(d.folder)) }()
	}
	ended, stop, err := d.startServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if d.cluster, err = demo.StartCluster(context.WithoutCancel(ctx), demoCluster, filepath.Join(d.folder, "cluster")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.cluster.Stop()) }()

	if err := d.show(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return advise(err, "The server's log is in %s", filepath.Join(d.folder, "serve.log"))
	}
	d.whereNext(exit)
	if exit {
		return nil
	}
	select {
	case <-ctx.Done():
		d.say("\nEverything is stopped%s.", map[bool]string{true: " and removed", false: ""}[folder == ""])
		return nil
	case err := <-ended:
		return errors.Join(errors.New("the server ended by itself"), err)
	}
}

// demoFolder prepares the folder. One with something in it is left alone: it
// may be somebody's.
func demoFolder(folder string) (string, error) {
	if folder == "" {
		return os.MkdirTemp("", "lighterage-demo-")
	}
	entries, err := os.ReadDir(folder)
	if err == nil && len(entries) > 0 {
		return "", usage("--data %s: the folder is not empty; name a new one", folder)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", usage("--data: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", usage("--data: %w", err)
	}
	return filepath.Abs(folder)
}

// startServer starts the server, at its usual address or at a free port. ended
// is closed when it has ended, after the reason if there is one; stop has it end
// and waits for that.
func (d *demonstration) startServer(ctx context.Context) (ended <-chan error, stop func() error, err error) {
	log, err := os.OpenFile(filepath.Join(d.folder, "serve.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	// The server has to outlive an interrupt until the demonstration is over.
	serverCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop = func() error {
		cancel()
		return errors.Join(<-ended, log.Close())
	}
	ended, err = d.serveAt(ctx, serverCtx, demoHome, log)
	if err != nil && strings.Contains(err.Error(), "address already in use") {
		ended, err = d.serveAt(ctx, serverCtx, "127.0.0.1:0", log)
	}
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return ended, stop, nil
}

// serveAt starts the server at an address and waits until it is ready.
func (d *demonstration) serveAt(ctx, serverCtx context.Context, listen string, log io.Writer) (<-chan error, error) {
	ready, ended := make(chan ServeInfo, 1), make(chan error, 1)
	go func() {
		defer close(ended)
		ended <- d.Serve(serverCtx, ServeConfig{
			DataDir: filepath.Join(d.folder, "home"), Listen: listen, AdminPassword: d.password,
			Log:   slog.New(slog.NewTextHandler(log, nil)),
			Ready: func(info ServeInfo) { ready <- info },
		})
	}()
	select {
	case info := <-ready:
		d.home = info.URL
		return ended, nil
	case err := <-ended:
		if err == nil {
			err = errors.New("it ended at once")
		}
		return ended, fmt.Errorf("start the server: %w", err)
	case <-ctx.Done():
		return ended, context.Cause(ctx)
	}
}

// show is the demonstration proper.
func (d *demonstration) show(ctx context.Context) error {
	var err error
	if d.api, err = newAPI(d.home, login{Username: "admin", Password: d.password}); err != nil {
		return err
	}
	d.next("A home registry and the registry of a cluster are running")
	d.say("   home      %s", d.home)
	d.say("   cluster   %s   (a plain Docker registry; nothing of ours is in it)", d.cluster.URL)
	policy, err := d.setUp(ctx)
	if err != nil {
		return err
	}
	image, err := demo.NewImage(demoTag)
	if err != nil {
		return err
	}
	if err := d.push(ctx, image); err != nil {
		return err
	}
	if err := d.follow(ctx, policy); err != nil {
		return err
	}
	return d.pull(ctx, image)
}

// setUp adds the cluster's registry and the rule.
func (d *demonstration) setUp(ctx context.Context) (policy int64, err error) {
	d.next("The cluster's registry is tested and added, and a rule: every push goes there")
	kind, url := registry.ProviderDockerRegistry, d.cluster.URL
	ping, err := d.api.PingRegistryWithResponse(ctx, gen.RegistryPing{Type: &kind, URL: &url})
	if err != nil {
		return 0, d.api.check(err, nil, nil, "test connection")
	}
	if err := d.api.check(nil, ping.HTTPResponse, ping.Body, "test connection"); err != nil {
		return 0, err
	}
	d.say("   Test Connection: %s answers", url)
	added, err := d.api.CreateRegistryWithResponse(ctx, gen.Registry{Name: demoRegistry, Type: kind, URL: url})
	if err != nil {
		return 0, d.api.check(err, nil, nil, "create registry")
	}
	if err := d.api.check(nil, added.HTTPResponse, added.Body, "create registry"); err != nil {
		return 0, err
	}
	id, err := created(added.HTTPResponse)
	if err != nil {
		return 0, err
	}
	d.say("   POST /api/v2.0/registries               registry %s", demoRegistry)
	made, err := d.api.CreateReplicationPolicyWithResponse(ctx, gen.ReplicationPolicy{
		Name: demoPolicy, DestRegistry: &gen.Registry{ID: id}, Enabled: true, Override: true,
		Trigger: &gen.ReplicationTrigger{Type: "event_based"},
	})
	if err != nil {
		return 0, d.api.check(err, nil, nil, "create policy")
	}
	if err := d.api.check(nil, made.HTTPResponse, made.Body, "create policy"); err != nil {
		return 0, err
	}
	d.say("   POST /api/v2.0/replication/policies     rule %s, event based", demoPolicy)
	return created(made.HTTPResponse)
}

func (d *demonstration) push(ctx context.Context, image *demo.Image) error {
	d.next("An image is pushed to home, as docker push does it")
	client, err := registry.NewClient(registry.Endpoint{
		Provider: registry.ProviderDockerRegistry, URL: d.home,
		Credential: registry.Credential{AccessKey: "admin", AccessSecret: d.password},
	}, registry.Options{})
	if err != nil {
		return err
	}
	defer client.Close()
	start := time.Now()
	if err := image.Push(ctx, client, demoRepository, demoTag); err != nil {
		return fmt.Errorf("push the image: %w", err)
	}
	d.say("   %s/%s:%s   %s, %s, pushed in %s", hostOf(d.home), demoRepository, demoTag,
		strings.Join(image.Platforms, " and "), term.Bytes(image.Size()), term.Duration(time.Since(start)))
	d.say("   %s", image.Index.Digest)
	return nil
}

// follow waits until the push has been replicated, and shows what is to be seen.
func (d *demonstration) follow(ctx context.Context, policy int64) error {
	d.next("The rule takes it to the cluster")
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("the push was not replicated within two minutes"))
	defer cancel()
	var e gen.ReplicationExecution
	for e.Status != "Succeed" {
		all, err := d.api.executions(ctx, 1, gen.ListReplicationExecutionsParams{PolicyID: policy})
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		if len(all) == 1 {
			e = all[0]
		}
		if e.Status == "Failed" || e.Status == "Stopped" {
			tasks, err := d.api.tasks(ctx, e.ID, "")
			return errors.Join(err, d.tellEnd(d.Stdout, e, tasks), fmt.Errorf("execution %d: %s", e.ID, e.Status))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := d.listExecutions([]gen.ReplicationExecution{e}, map[int64]string{policy: demoPolicy}); err != nil {
		return err
	}
	d.say("")
	tasks, err := d.api.tasks(ctx, e.ID, "")
	if err != nil {
		return err
	}
	if err := d.listTasks(tasks); err != nil {
		return err
	}
	d.say("\nThe log of the task:")
	l := logReader{api: d.api, out: d.Stdout, execution: e.ID, shown: map[int64]int{}}
	return l.show(ctx, false)
}

// pull fetches the image from the cluster's registry, by digest.
func (d *demonstration) pull(ctx context.Context, image *demo.Image) error {
	d.next("The image is pulled from the cluster's registry by digest, and every byte checked")
	client, err := registry.NewClient(registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: d.cluster.URL}, registry.Options{})
	if err != nil {
		return err
	}
	defer client.Close()
	pulled, err := demo.Pull(ctx, client, demoRepository, image.Index.Digest)
	if err != nil {
		return fmt.Errorf("pull from the cluster's registry: %w", err)
	}
	table := term.Table{Header: []string{"WHAT", "DIGEST", "SIZE", "CHECKED"}}
	for _, p := range pulled {
		table.Row(term.Text(strings.TrimSpace(p.Kind+" "+p.Note)), term.Text(p.Digest.String()), term.Text(term.Bytes(p.Bytes)), term.Cell{Text: "ok", Style: term.Good})
	}
	if err := table.Write(d.screen); err != nil {
		return err
	}
	tagged, err := client.Resolve(ctx, demoRepository, demoTag)
	if err != nil {
		return fmt.Errorf("look up the tag in the cluster's registry: %w", err)
	}
	if tagged.Digest != image.Index.Digest {
		return fmt.Errorf("the tag %s in the cluster's registry stands for %s", demoTag, tagged.Digest)
	}
	return nil
}

// whereNext says what can be tried now.
func (d *demonstration) whereNext(exit bool) {
	d.say("\n%s", d.screen.Paint(term.Good, "The push to home is in the cluster's registry."))
	if exit {
		return
	}
	home, cluster := hostOf(d.home), hostOf(d.cluster.URL)
	d.say(`
Look around while it is up:
   home      %s    user admin, password %s
   console   %s    the same address in a browser
   cluster   %s    no login
   log       %s

Try it, in another terminal:
   echo %s | %s login %s -u admin --password-stdin
   %s policy list
   %s execution list
   docker login %s -u admin
   docker tag alpine %s/library/alpine && docker push %s/library/alpine
   docker pull %s/library/alpine

Or copy from a registry of yours, without a server:
   %s replicate 'registry.example.com/library/**' %s --plan

Ctrl-C stops it.`, d.home, d.password, d.home, d.cluster.URL, filepath.Join(d.folder, "serve.log"),
		d.password, d.Program, d.home, d.Program, d.Program, home, home, home, cluster, d.Program, cluster)
}

func hostOf(url string) string {
	_, host, _ := strings.Cut(url, "://")
	return host
}

// next begins a step of the demonstration.
func (d *demonstration) next(title string) {
	d.step++
	d.say("\n%s", d.screen.Paint(term.Bold, fmt.Sprintf("%d. %s", d.step, title)))
}

func (d *demonstration) say(format string, args ...any) {
	fmt.Fprintf(d.Stdout, format+"\n", args...)
}
