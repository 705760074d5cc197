package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/server"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// serverFolder makes this test binary a server on the folder it names.
const serverFolder = "LIGHTERAGE_TEST_SERVER_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serverFolder); dir != "" {
		err := server.Run(context.Background(), server.Config{
			DataDir: dir, Listen: os.Getenv(serverFolder + "_LISTEN"), Database: os.Getenv(serverFolder + "_DATABASE"), AdminPassword: adminPassword,
			Log:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
			Ready: func(i server.Info) { fmt.Println(i.URL) },
		})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// With it the S3 driver changes the client that tests share.
	_ = os.Unsetenv("AWS_CA_BUNDLE")
	os.Exit(m.Run())
}

// process is a server in a process of its own, to be killed.
type process struct {
	*api
	cmd    *exec.Cmd
	output *bytes.Buffer
}

func startProcess(t *testing.T, dir, listen, database string) *process {
	t.Helper()
	p, err := tryProcess(t, dir, listen, database, func(*exec.Cmd) {})
	if err != nil {
		p.kill()
		t.Fatalf("the server did not start: %v\n%s", err, p.output)
	}
	return p
}

// tryProcess is startProcess for a process that may not come to answer. change changes
// its command before it is started.
func tryProcess(t *testing.T, dir, listen, database string, change func(*exec.Cmd)) (*process, error) {
	t.Helper()
	p := &process{output: &bytes.Buffer{}}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), serverFolder+"="+dir, serverFolder+"_LISTEN="+listen, serverFolder+"_DATABASE="+database)
	p.cmd.Stderr = p.output
	change(p.cmd)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	p.api = &api{t: t, url: strings.TrimSpace(line)}
	return p, err
}

// kill ends the process as a power cut does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // its error is that it was killed
}

// acknowledged is what the clients were told: the last state of each tag, and
// what was asked and not answered, which may have happened or not.
type acknowledged struct {
	mu   sync.Mutex
	tags map[string]possible
}

type possible struct {
	now    string   // digest, "" when deleted
	unsure []string // asked for since, without an answer
}

func (a *acknowledged) ask(tag, d string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.tags[tag]
	p.unsure = append(p.unsure, d)
	a.tags[tag] = p
}

func (a *acknowledged) answer(tag, d string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tags[tag] = possible{now: d}
}

// TestKillDrill kills the server at random moments while clients push, retag and
// delete. Afterwards every change that a client was told of must be at the
// destination, and home and destination must say the same.
func TestKillDrill(t *testing.T) {
	kills := 6
	if text := os.Getenv("LIGHTERAGE_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("LIGHTERAGE_KILLS=%q: %v", text, err)
		}
		kills = n
	} else if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killDrill(t, kills, "")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		killDrill(t, (kills+1)/2, storetest.PostgreSQLURL(t))
	})
}

func killDrill(t *testing.T, kills int, database string) {
	dir := t.TempDir()
	port := ts.Address(t)
	cluster := ts.Distribution(t)
	home := startProcess(t, dir, port, database)
	policy := home.eventRule("all", home.endpoint("cluster", cluster), nil)

	known := &acknowledged{tags: map[string]possible{}}
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() { changeThings(ctx, t, home.url, c, known) })
	}
	for range kills {
		// The one place where time is the subject: the moment must be arbitrary.
		time.Sleep(time.Duration(20+rand.IntN(700)) * time.Millisecond)
		home.kill()
		home = startProcess(t, dir, port, database)
	}
	stop()
	clients.Wait()
	t.Cleanup(home.kill)

	for tag, p := range known.tags {
		var at string
		ts.Eventually(t, fmt.Sprintf("home and destination agree on %s", tag), func() bool {
			here, _ := ts.Digest(t, home.registry(), "library/drill", tag)
			there, _ := ts.Digest(t, cluster, "library/drill", tag)
			at = there.String()
			return here == there
		})
		allowed := append([]string{p.now}, p.unsure...)
		if !slices.Contains(allowed, at) {
			t.Errorf("%s is %q, but a client was told one of %q", tag, at, allowed)
		}
		if at != "" {
			if _, err := ts.TryPull(t.Context(), cluster, "library/drill", tag); err != nil {
				t.Errorf("%s cannot be pulled: %v", tag, err)
			}
		}
	}
	ts.Eventually(t, "everything is settled", func() bool {
		var running []execution
		home.do(http.MethodGet, "/replication/executions?status=InProgress&page_size=0", nil, &running)
		return len(running) == 0
	})
	for _, e := range home.executions(policy) {
		if e.Total != e.Succeed+e.Failed+e.Stopped || e.Total != int64(len(home.tasks(e.ID))) {
			t.Errorf("the counts are wrong: %+v", e)
		}
	}
	t.Logf("%d kills, %d tags", kills, len(known.tags))
}

// changeThings pushes and deletes tags of its own until ctx ends.
func changeThings(ctx context.Context, t *testing.T, url string, client int, known *acknowledged) {
	registry := ts.Remote(url, "admin", adminPassword, "")
	for i := 0; ctx.Err() == nil; i++ {
		tag := fmt.Sprintf("c%d-%d", client, rand.IntN(5))
		if rand.IntN(5) == 0 {
			known.ask(tag, "")
			if deleteTag(ctx, url, "library/drill", tag) == nil {
				known.answer(tag, "")
			}
			continue
		}
		image := ts.Image(t, uint64(client*1_000_000+i), 1, 200)
		d := image.Digest.String()
		known.ask(tag, d)
		if ts.TryPush(ctx, registry, "library/drill", tag, image) == nil {
			known.answer(tag, d)
		}
	}
}

// deleteTag deletes a tag; nil means that the server said so.
func deleteTag(ctx context.Context, url, repository, tag string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, url+"/v2/"+repository+"/manifests/"+tag, nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth("admin", adminPassword)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusAccepted && answer.StatusCode != http.StatusNotFound {
		return fmt.Errorf("delete %s:%s: %s", repository, tag, answer.Status)
	}
	return nil
}
