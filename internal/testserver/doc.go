// Package testserver starts real registries for tests, and makes and moves the
// images that are put into them.
//
// The registries are not imitations: distribution v3 and olareg run in the test's
// process, distribution v2.8 in one of its own. In front of each stands a layer
// that a test can look at and play tricks with: Registry.Requests tells what was
// asked, Registry.Faults makes the registry fail as real ones do. Everything
// listens on 127.0.0.1 at a free port and ends with its test.
//
// Content is made from a seed and is the same in every run. What is pushed goes
// through go-containerregistry, an ordinary client, and what is pulled is hashed
// to the last byte. Only tests may import this package.
package testserver

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a condition may take that a test waits for. It is far
// more than it ever takes on a machine that is not about to fall over.
const patience = 60 * time.Second

// Eventually waits until cond is true and fails the test when it does not become
// so. what names the condition in the failure: "v1 is at the destination".
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; !cond(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %s: %s", patience, what)
		}
		time.Sleep(pause)
	}
}

// Unavailable skips a test for something that the machine lacks, in a line that
// cannot be overlooked. Where everything has to be tested the environment
// variable LIGHTERAGE_REQUIRE_ALL=1 makes it a failure.
func Unavailable(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("LIGHTERAGE_REQUIRE_ALL") == "1" {
		t.Fatalf("LIGHTERAGE_REQUIRE_ALL=1, but: "+format, args...)
	}
	t.Skipf("NOT TESTED HERE: "+format, args...)
}

// IgnoreLeaks returns the options with which goleak overlooks the goroutine that
// distribution never ends.
func IgnoreLeaks() []goleak.Option {
	return []goleak.Option{goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run")}
}
