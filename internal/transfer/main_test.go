package transfer_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

func TestMain(m *testing.M) {
	// These tests wait for disks and clocks more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, testserver.IgnoreLeaks()...)
}

// destinations are the implementations that everything has to work with.
var destinations = []struct {
	name  string
	start func(testing.TB, ...testserver.Option) *testserver.Registry
}{
	{"distribution v3", testserver.Distribution},
	{"distribution v2.8", testserver.DistributionV2},
	{"olareg", olareg},
}

// olareg keeps everything in memory: its store of files has a data race of its own.
func olareg(t testing.TB, list ...testserver.Option) *testserver.Registry {
	t.Helper()
	return testserver.Olareg(t, append(list, testserver.WithMemory())...)
}

// client makes an impatient client: tests must not wait for what never comes.
func client(t testing.TB, r *testserver.Registry, change ...func(*registry.Options)) *registry.Client {
	t.Helper()
	o := registry.Options{Backoff: time.Millisecond, StallTimeout: 10 * time.Second}
	for _, f := range change {
		f(&o)
	}
	c, err := registry.NewClient(registry.Endpoint{
		Provider: "docker-registry", URL: r.URL, CACertificate: r.CA,
		Credential: registry.Credential{AccessKey: r.Username, AccessSecret: r.Password},
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// bench is a source, a destination and the engine that writes to it.
type bench struct {
	t      testing.TB
	src    *testserver.Registry
	dst    *testserver.Registry
	source *registry.Client
	engine *transfer.Engine
	log    *lines
}

// newBench connects two registries. Waits are short.
func newBench(t testing.TB, src, dst *testserver.Registry, change ...func(*transfer.Options)) *bench {
	t.Helper()
	return newBenchWith(t, src, dst, client(t, src), client(t, dst), change...)
}

func newBenchWith(t testing.TB, src, dst *testserver.Registry, from, to *registry.Client, change ...func(*transfer.Options)) *bench {
	t.Helper()
	o := transfer.Options{Name: "cluster1", Backoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond}
	for _, f := range change {
		f(&o)
	}
	b := &bench{t: t, src: src, dst: dst, source: from, engine: transfer.NewEngine(to, o), log: &lines{}}
	t.Cleanup(b.engine.Wait)
	return b
}

// cold is a bench of two distribution v3 registries that keep nothing on disk, which
// is quick as long as blobs are small.
func cold(t testing.TB, change ...func(*transfer.Options)) *bench {
	t.Helper()
	return newBench(t, testserver.Distribution(t, testserver.WithMemory()), testserver.Distribution(t, testserver.WithMemory()), change...)
}

// onDisk is cold for large blobs and for tests that meddle with files.
func onDisk(t testing.TB, change ...func(*transfer.Options)) *bench {
	t.Helper()
	return newBench(t, testserver.Distribution(t), testserver.Distribution(t), change...)
}

func (b *bench) request(repository, tag string) transfer.Request {
	return transfer.Request{
		Source: b.source, SourceRepository: repository, SourceReference: tag,
		TargetRepository: repository, TargetReference: tag, Override: true, Log: b.log.add,
	}
}

// copy copies repository:tag and fails the test when that fails.
func (b *bench) copy(repository, tag string) transfer.Result {
	b.t.Helper()
	return b.do(b.request(repository, tag))
}

func (b *bench) do(r transfer.Request) transfer.Result {
	b.t.Helper()
	result, err := b.engine.Copy(b.context(), r)
	if err != nil {
		b.t.Fatalf("%v\nlog:\n%s", err, b.log)
	}
	return result
}

// fail copies and returns the error that has to come.
func (b *bench) fail(r transfer.Request) error {
	b.t.Helper()
	_, err := b.engine.Copy(b.context(), r)
	if err == nil {
		b.t.Fatalf("the copy passed\nlog:\n%s", b.log)
	}
	return err
}

func (b *bench) context() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

// whole fails the test unless the destination has the artifact, every byte of it.
func (b *bench) whole(repository, reference string, a *testserver.Artifact) {
	b.t.Helper()
	if got := testserver.Pull(b.t, b.dst, repository, reference); got.Digest != a.Digest {
		b.t.Fatalf("the destination's %s:%s is %s, want %s", repository, reference, got.Digest, a.Digest)
	}
}

func (b *bench) quiet() {
	b.src.ResetRequests()
	b.dst.ResetRequests()
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func wantText(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

// wantCounts compares the number of requests by class with what is wanted; classes
// that are not named must not occur.
func wantCounts(t testing.TB, who string, got testserver.Requests, want map[string]int) {
	t.Helper()
	classes := map[string]bool{}
	for _, r := range got {
		// How the registry wants to be spoken to is asked once for each client.
		if r.Class != "GET base" && r.Class != "GET token" {
			classes[r.Class] = true
		}
	}
	for class := range want {
		classes[class] = true
	}
	var wrong []string
	for class := range classes {
		if n := got.Count(class); n != want[class] {
			wrong = append(wrong, fmt.Sprintf("%s: %d, want %d", class, n, want[class]))
		}
	}
	if wrong != nil {
		t.Errorf("requests to the %s: %s\nall:\n%s", who, strings.Join(wrong, "; "), got)
	}
}
