package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
)

func TestSeveralDestinationsAreGivenTheSame(t *testing.T) {
	t.Parallel()
	src, first, second := testserver.Distribution(t), testserver.Distribution(t), testserver.Distribution(t)
	image := testserver.Image(t, 1, 2, 300_000)
	testserver.Push(t, src, "apps/web", "v1", image)
	args := []string{"replicate", src.Host + "/apps/", first.Host + "/mirror", "--also", second.Host}

	got := run(t, nil, append(args, "--plan")...)
	for _, r := range []*testserver.Registry{first, second} {
		if line := "apps/web:v1 -> mirror/apps/web:v1 at " + r.Host; !strings.Contains(got.out, line) {
			t.Errorf("the plan does not say %q:\n%s%s", line, got.out, got.errors)
		}
	}
	got = run(t, nil, append(args, "--output", "json")...)
	if got.code != exitOK {
		t.Fatalf("code %d: %s", got.code, got.errors)
	}
	var document struct {
		Also         []string
		Repositories []struct{ Destination string }
		Summary      struct{ Artifacts int }
	}
	if err := json.Unmarshal([]byte(got.out), &document); err != nil {
		t.Fatalf("%v in %s", err, got.out)
	}
	if len(document.Also) != 1 || document.Also[0] != second.URL || document.Summary.Artifacts != 2 || len(document.Repositories) != 2 ||
		document.Repositories[0].Destination == document.Repositories[1].Destination {
		t.Errorf("%s", got.out)
	}
	for _, r := range []*testserver.Registry{first, second} {
		if there := testserver.Pull(t, r, "mirror/apps/web", "v1"); there.Digest != image.Digest {
			t.Errorf("%s has %s", r.Host, there.Digest)
		}
	}
}

func TestADestinationThatHangsDoesNotKeepTheOthersFromTheirs(t *testing.T) {
	t.Parallel()
	memory := testserver.WithMemory()
	src, hanging, up := testserver.Distribution(t, memory), testserver.Distribution(t, memory), testserver.Distribution(t, memory)
	image := testserver.Image(t, 1, 1, 100)
	const repositories = artifactsAtOnce + 20 // more than one destination has under way
	for i := range repositories {
		testserver.Push(t, src, fmt.Sprintf("apps/web%d", i), "v1", image)
	}
	hold := testserver.NewHold()
	t.Cleanup(hold.Release)
	hanging.Faults.Add(testserver.Fault{Method: http.MethodPost, Do: hold.Before()})
	ended := make(chan output)
	go func() { ended <- run(t, nil, "replicate", src.Host+"/apps/", hanging.Host, "--also", up.Host) }()
	testserver.Eventually(t, "the other one has everything", func() bool {
		return up.Requests().Count("PUT manifest") == repositories
	})
	hold.Release()
	if got := <-ended; got.code != exitOK {
		t.Errorf("code %d: %s%s", got.code, got.out, got.errors)
	}
}

func TestADestinationThatIsDownDoesNotKeepTheOthersFromTheirs(t *testing.T) {
	t.Parallel()
	src, down, up := testserver.Distribution(t), testserver.Distribution(t), testserver.Distribution(t)
	image := testserver.Image(t, 1, 1, 1000)
	testserver.Push(t, src, "apps/web", "v1", image)
	down.Stop()
	for _, order := range [][]*testserver.Registry{{down, up}, {up, down}} {
		got := run(t, nil, "replicate", src.Host+"/apps/", order[0].Host, "--also", order[1].Host)
		if got.code != exitFailed || !strings.Contains(got.out, "apps/web at "+down.Host) {
			t.Errorf("code %d: %s%s", got.code, got.out, got.errors)
		}
		if there := testserver.Pull(t, up, "apps/web", "v1"); there.Digest != image.Digest {
			t.Errorf("the other one has %s", there.Digest)
		}
	}
}

func TestFurtherDestinationsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for also, want := range map[string]string{
		"127.0.0.1:2":        "is a destination already",
		"127.0.0.1:1":        "that is SRC",
		"127.0.0.1:3/mirror": "the namespace is that of DST",
		"":                   "names no registry",
	} {
		got := run(t, nil, "replicate", "127.0.0.1:1/apps/", "127.0.0.1:2", "--also", also)
		if got.code != exitUsage || !strings.Contains(got.errors, want) {
			t.Errorf("--also %q: code %d: %s", also, got.code, got.errors)
		}
	}
	got := run(t, nil, "replicate", "127.0.0.1:1/apps/", "127.0.0.1:2", "--also", "127.0.0.1:3", "--dest-creds", "me", "--dest-password-stdin")
	if got.code != exitUsage || !strings.Contains(got.errors, "for one destination") {
		t.Errorf("code %d: %s", got.code, got.errors)
	}
}
