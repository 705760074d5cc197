package embedded

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

// killedServerVariable tells the test binary to be a server on a folder.
const killedServerVariable = "LIGHTERAGE_TEST_KILLED_SERVER"

func databaseIn(dir string) string { return "sqlite:" + filepath.Join(dir, "test.db") }

// serveUntilKilled serves a registry and prints its address.
func serveUntilKilled(dir string) {
	fatal := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	db, err := store.Open(ctx, databaseIn(dir))
	fatal(err)
	r, err := New(ctx, Options{
		Storage: Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": filepath.Join(dir, "storage")}},
		Index:   home.NewIndex(db), Access: everybody{},
	})
	fatal(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(err)
	fmt.Println(listener.Addr())
	fatal(http.Serve(listener, r))
}

// startKillable starts a server in a process of its own.
func startKillable(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), killedServerVariable+"="+dir)
	cmd.Stderr = t.Output()
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error is that it was killed
	})
	t.Cleanup(kill)
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return "http://" + strings.TrimSpace(address), kill
}

// expectation is what a client was told about one tag.
type expectation struct {
	possible []string // digests it may point at now, "" for none; one when the last change was acknowledged
	pushed   []string // digests whose push under the tag was acknowledged
}

// TestKillingTheProcessLosesNothingThatWasAcknowledged kills the server at random
// moments while clients push, move and delete tags. LIGHTERAGE_KILLS sets how often.
func TestKillingTheProcessLosesNothingThatWasAcknowledged(t *testing.T) {
	kills := 5
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
	dir := t.TempDir()
	db := storetest.OpenURL(t, databaseIn(dir))
	makeProjects(t, db)
	first := startOn(t, db, filepath.Join(dir, "storage"))
	images := map[string][]byte{}
	for i := range 4 {
		image := first.image(repo, fmt.Sprint(i))
		images[digest.FromBytes(image).String()] = image
	}

	const clients, tagsEach = 3, 2
	told := make([]map[string]*expectation, clients)
	for c := range told {
		told[c] = map[string]*expectation{}
		for i := range tagsEach {
			told[c][fmt.Sprintf("c%d-%d", c, i)] = &expectation{possible: []string{""}}
		}
	}
	for range kills {
		url, kill := startKillable(t, dir)
		var running sync.WaitGroup
		for _, tags := range told {
			running.Go(func() { changeUntilItFails(t, url, tags, images) })
		}
		// The one place where time is the subject: the moment must be arbitrary.
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		kill()
		running.Wait()
	}
	last := startOn(t, db, filepath.Join(dir, "storage"))
	last.agrees()
	last.nothingIsLeftOver()
	events, err := last.index.Events(t.Context(), 1_000_000)
	last.must(err)
	for _, tags := range told {
		for tag, e := range tags {
			now, err := last.index.Tagged(t.Context(), repo, tag)
			last.must(err)
			if !slices.Contains(e.possible, now) {
				t.Errorf("%s points at %q, but the client was told one of %q", tag, now, e.possible)
			}
			for _, d := range e.pushed {
				if !slices.ContainsFunc(events, func(e home.Event) bool { return e.Digest == d && slices.Contains(e.Tags, tag) }) {
					t.Errorf("the push of %s as %s was acknowledged and has no event", d, tag)
				}
			}
		}
	}
	t.Logf("%d kills, %d events", kills, len(events))
}

// changeUntilItFails makes one change after the other until the server is gone.
func changeUntilItFails(t *testing.T, url string, tags map[string]*expectation, images map[string][]byte) {
	for {
		for tag, e := range tags {
			want, image := "", []byte(nil)
			method := http.MethodDelete
			if rand.IntN(4) > 0 {
				method = http.MethodPut
				for want, image = range images {
					break
				}
			}
			before := e.possible
			e.possible = append(slices.Clone(before), want)
			req, err := http.NewRequestWithContext(t.Context(), method, url+"/v2/"+repo+"/manifests/"+tag, strings.NewReader(string(image)))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", ocispec.MediaTypeImageManifest)
			resp, err := http.DefaultClient.Do(req)
			if err != nil { // killed: whether the change was made is not known
				return
			}
			_ = resp.Body.Close()
			switch {
			case resp.StatusCode == http.StatusCreated:
				e.possible, e.pushed = []string{want}, append(e.pushed, want)
			case resp.StatusCode == http.StatusAccepted, resp.StatusCode == http.StatusNotFound && slices.Contains(before, ""):
				e.possible = []string{""}
			default:
				t.Errorf("%s %s: %s", method, tag, resp.Status)
				return
			}
		}
	}
}
