package migration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// promised is what the clients of a registry were told: what each tag stands for and
// which manifests are there, "" for what was deleted. What was asked for and not
// answered may have been done or not.
type promised struct {
	mu  sync.Mutex
	all map[string]promise // by repository:tag and repository@digest
}

type promise struct {
	now    string
	unsure []string
}

func (p *promised) ask(what map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, value := range what {
		one := p.all[name]
		one.unsure = append(one.unsure, value)
		p.all[name] = one
	}
}

func (p *promised) answered(what map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, value := range what {
		p.all[name] = promise{now: value}
	}
}

// client pushes, retags and deletes in repositories that others use too, but with
// tags and manifests of its own, so that it knows what must be there.
type client struct {
	t    testing.TB
	r    *ts.Registry
	n    int
	base *ts.Artifact
	p    *promised
	tags map[string]string // repository:tag: digest
	turn <-chan struct{}   // for each thing that one of them does
}

// changesOfRound is how many things clients do while one copy goes on.
const changesOfRound = 20

// work goes on until the registry refuses, which it does once it is read-only.
func (c *client) work(ctx context.Context) {
	for round := 0; ctx.Err() == nil; round++ {
		select {
		case <-c.turn:
		case <-ctx.Done():
			return
		}
		repository := fmt.Sprint("load/app", round%3)
		tag := fmt.Sprintf("c%d-%d", c.n, round%5)
		var err error
		switch {
		case round%7 == 6:
			err = c.delete(ctx, repository, tag)
		default:
			a := ts.ImageOn(c.t, c.base, uint64(100_000*(c.n+1)+round), 1, 200+rand.IntN(2000))
			if round%4 == 3 {
				a = ts.IndexOf(c.t, a, ts.DockerImage(c.t, uint64(100_000*(c.n+1)+round)))
			}
			err = c.push(ctx, repository, tag, a)
		}
		if err != nil {
			return
		}
	}
}

func (c *client) push(ctx context.Context, repository, tag string, a *ts.Artifact) error {
	what := map[string]string{repository + ":" + tag: a.Digest.String()}
	for _, one := range a.All() {
		what[repository+"@"+one.Digest.String()] = one.Digest.String()
	}
	c.p.ask(what)
	if err := ts.TryPush(ctx, c.r, repository, tag, a); err != nil {
		return err
	}
	c.tags[repository+":"+tag] = a.Digest.String()
	c.p.answered(what)
	return nil
}

// delete deletes what a tag stands for: all tags that stand for it go too.
func (c *client) delete(ctx context.Context, repository, tag string) error {
	d := c.tags[repository+":"+tag]
	if d == "" {
		return nil
	}
	what := map[string]string{repository + "@" + d: ""}
	for name, stands := range c.tags {
		if stands == d {
			what[name] = ""
		}
	}
	c.p.ask(what)
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.r.URL+"/v2/"+repository+"/manifests/"+d, nil)
	if err != nil {
		return err
	}
	answer, err := c.r.Client().Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		return errors.New(answer.Status)
	}
	maps.DeleteFunc(c.tags, func(_, stands string) bool { return stands == d })
	c.p.answered(what)
	return nil
}

// TestMigrationKillDrill copies a registry that is in use, again and again, and kills
// the copy at random moments. At each of them the bucket is a whole registry. After
// the last copy everything that a client was told is so in the bucket.
func TestMigrationKillDrill(t *testing.T) {
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
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for left := kills; left > 0; left -= killsOfRegistry {
				migrationKillDrill(t, start, min(left, killsOfRegistry), name == "v2.8")
			}
		})
	}
}

// killsOfRegistry is after how many kills a new registry begins: the old one has grown
// so that looking at all of it takes most of the time.
const killsOfRegistry = 15

func migrationKillDrill(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry, kills int, journalElsewhere bool) {
	v, store := newMemoryVolume(t), newStore(t)
	registry := start(t, ts.WithRoot(v.root))
	base := ts.Image(t, 1, 2, 3000)
	ts.Push(t, registry, "load/app0", "base", base)
	ts.Push(t, registry, "large/app", "v1", ts.Image(t, 2, 1, 6<<20))

	p := &promised{all: map[string]promise{}}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	var clients sync.WaitGroup
	turns := make(chan struct{}, changesOfRound)
	for n := range 3 {
		c := &client{t: t, r: registry, n: n, base: base, p: p, tags: map[string]string{}, turn: turns}
		clients.Go(func() { c.work(ctx) })
	}

	e := errand{From: v.root, To: store.Location("registry")}
	dst := at(t, store, "registry")
	if journalElsewhere {
		e.Journal = memoryFolder(t)
	}
	killed, span := 0, 1500*time.Millisecond
	for i := range kills {
		for len(turns) < cap(turns) {
			turns <- struct{}{}
		}
		if e.killed(t, i, &span) {
			killed++
		}
		wholeBucket(t, dst)
	}

	// Read-only, in the middle of requests.
	close(turns)
	registry.Stop()
	frozen := start(t, ts.WithRoot(v.root), ts.WithReadOnly())
	stop()
	clients.Wait()
	// A registry that is stopped while it deletes a manifest leaves the tag behind.
	_, left := fsck(t, v.tree(), FsckOptions{})
	for _, line := range left {
		if strings.HasPrefix(line, "broken dangling-tag ") {
			v.remove(path.Dir(path.Dir(line[strings.LastIndexByte(line, ' ')+1:])))
		}
	}
	e.Final = true
	for i := range (kills + 2) / 3 {
		if e.killed(t, i, &span) {
			killed++
		}
		wholeBucket(t, dst)
	}
	r := e.finish(t)
	if !r.Report.Complete() || r.Report.Postponed > 0 {
		t.Errorf("the last copy: %+v", r)
	}
	var notes tree.Tree = dst
	if journalElsewhere {
		notes = (&volume{t, e.Journal}).tree()
	}
	j, err := ReadJournal(t.Context(), dst, notes)
	if err != nil {
		t.Fatal(err)
	}
	for _, deep := range []bool{false, true} {
		c, err := Check(t.Context(), v.tree(), dst, j, CheckOptions{Deep: deep, OnDifference: func(d Difference) { t.Error(d) }})
		if err != nil || c.Differences() > 0 {
			t.Errorf("check, deep %t: %v, %+v", deep, err, c)
		}
	}
	for o, err := range notes.List(t.Context(), tree.ListOptions{Prefix: intentsFolder}) {
		t.Errorf("left in the journal: %s, %v", o.Name, err)
	}
	if r, all := fsck(t, dst, FsckOptions{}); !r.Clean {
		t.Errorf("the bucket is not whole: %q", all)
	}
	frozenFiles := v.files()
	moved := start(t, ts.WithStore(store, "registry"))
	all := everything(t, moved, frozenFiles)
	all.whole(t)
	everything(t, frozen, frozenFiles).same(t, "served from the bucket", all)
	p.kept(t, moved)
	t.Logf("%d of %d copies were killed; %d promises, %d files", killed, kills+(kills+2)/3, len(p.all), len(frozenFiles))
}

// killed runs a copy and kills it at a random moment within span, which follows how
// long copies take. It reports whether the copy had not ended before.
func (e errand) killed(t *testing.T, attempt int, span *time.Duration) bool {
	t.Helper()
	cmd := e.command(t)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The one place where time is the subject: the moment must be arbitrary.
	moment := time.Duration(rand.Int64N(int64(*span)))
	began := time.Now()
	timer := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == -1 {
		*span += *span / 8
		return true
	}
	if err != nil {
		t.Fatalf("copy %d: %v", attempt, err)
	}
	*span = time.Since(began) * 5 / 4
	e.judge(t, out.Bytes())
	return false
}

// finish runs a copy to its end.
func (e errand) finish(t *testing.T) outcome {
	t.Helper()
	out, err := e.command(t).Output()
	if err != nil {
		t.Fatal(err)
	}
	return e.judge(t, out)
}

// judge fails the test if a copy came upon anything but a registry at work.
func (e errand) judge(t *testing.T, out []byte) outcome {
	t.Helper()
	o := parseOutcome(t, out)
	if o.Error != "" || len(o.Failed)+len(o.Damaged) > 0 {
		t.Errorf("a copy ended so: %+v", o)
	}
	return o
}

// wholeBucket fails the test if something in the bucket that has a tag is not whole. An
// index without one may lack what it lists until the copy has come to its end.
func wholeBucket(t *testing.T, dst tree.Tree) {
	t.Helper()
	for folder, err := range dst.Folders(t.Context(), layout.Root) {
		if err != nil {
			t.Fatal(err)
		}
		if folder != "repositories" {
			continue // nothing has been copied yet but blobs
		}
		r, all := fsck(t, dst, FsckOptions{})
		for _, line := range all {
			unlisted := strings.HasPrefix(line, "broken missing-child ") && !strings.Contains(line, ":")
			if !strings.HasPrefix(line, "note ") && !unlisted {
				t.Errorf("what is in the bucket is not whole: %s", line)
			}
		}
		if r.Incomplete {
			t.Errorf("report %+v", r)
		}
	}
}

// kept fails the test for each promise that a registry does not keep. That what is
// there can be pulled is looked at elsewhere.
func (p *promised) kept(t *testing.T, r *ts.Registry) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(p.all)) {
		one := p.all[name]
		at := strings.IndexAny(name, ":@")
		repository, reference := name[:at], name[at+1:]
		got, _ := ts.Digest(t, r, repository, reference)
		if allowed := append([]string{one.now}, one.unsure...); !slices.Contains(allowed, got.String()) {
			t.Errorf("%s is %q, but a client was told one of %q", name, got, allowed)
		}
	}
}
