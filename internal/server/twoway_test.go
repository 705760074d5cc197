package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// pair is two servers, each of which has a rule that repeats at the other what happens
// to it.
type pair struct {
	t          *testing.T
	a, b       *instance
	aToB, bToA int64
	markers    int
}

func newPair(t *testing.T, kind string, more object) *pair {
	t.Helper()
	p := &pair{t: t, a: start(t, server.Config{DataDir: t.TempDir()}), b: start(t, server.Config{DataDir: t.TempDir()})}
	to := func(from, other *instance) int64 {
		return from.eventRule("to the other", from.create("/registries", object{
			"name": "the other", "type": kind, "url": other.url,
			"credential": object{"type": "basic", "access_key": "admin", "access_secret": adminPassword},
		}), more)
	}
	p.aToB, p.bToA = to(p.a, p.b), to(p.b, p.a)
	return p
}

func (p *pair) at(home *instance, tag string) string {
	p.t.Helper()
	d, _ := ts.Digest(p.t, home.registry(), "library/app", tag)
	return d.String()
}

// quiet waits until an event that came after all others has been repeated on both
// sides, and nothing is under way.
func (p *pair) quiet() {
	p.t.Helper()
	p.markers++
	repository := fmt.Sprint("library/marker", p.markers)
	marker := ts.Push(p.t, p.a.registry(), repository, "m", ts.Image(p.t, uint64(1000+p.markers), 1, 100))
	arrives(p.t, p.b.registry(), repository, "m", marker)
	ts.Eventually(p.t, "both are quiet", func() bool {
		for _, side := range []struct {
			home   *instance
			policy int64
		}{{p.a, p.aToB}, {p.b, p.bToA}} {
			marked := false
			for _, e := range side.home.executions(side.policy) {
				tasks := side.home.tasks(e.ID)
				if e.Status == "InProgress" || slices.ContainsFunc(tasks, func(t task) bool { return t.NextAttempt != "" }) {
					return false
				}
				marked = marked || len(tasks) == 1 && tasks[0].Source == repository+" [1 item(s) in total]"
			}
			if !marked {
				return false
			}
		}
		return true
	})
}

func (p *pair) counts() (a, b int) {
	p.t.Helper()
	return len(p.a.executions(p.aToB)), len(p.b.executions(p.bToA))
}

// What one side does by replication is an event on the other, which has nothing to do
// about it: everything is repeated once and then it is quiet.
func TestTwoWayRulesDoNotLoop(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"docker-registry", "harbor"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, kind, nil)
			step := func(what string, events int, do func(), done func() bool) {
				t.Helper()
				a, b := p.counts()
				do()
				ts.Eventually(t, what, done)
				ts.Eventually(t, what+": it is repeated", func() bool {
					na, nb := p.counts()
					return na > a && nb > b
				})
				p.quiet()
				// One on each side for what was done and one for the marker. What one
				// deletes with its tags, the other one deletes tag by tag.
				if na, nb := p.counts(); na < a+2 || na > a+events || nb < b+2 || nb > b+events {
					t.Errorf("%s: %d and %d executions, want 2 to %d of each", what, na-a, nb-b, events)
				}
			}
			var first, second digest.Digest
			step("an index is pushed to A", 2, func() {
				first = ts.Push(t, p.a.registry(), "library/app", "v1", ts.Index(t, 1, "linux/amd64", "linux/arm64"))
			}, func() bool { return p.at(p.b, "v1") == first.String() })
			step("the tag is moved on B", 2, func() {
				second = ts.Push(t, p.b.registry(), "library/app", "v1", ts.Image(t, 2, 1, 100))
			}, func() bool { return p.at(p.a, "v1") == second.String() })
			step("the tag is deleted on A", 2, func() {
				p.a.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/"+second.String()+"/tags/v1", nil, nil)
			}, func() bool { return p.at(p.b, "v1") == "" })
			if got := p.at(p.a, "v1"); got != "" {
				t.Errorf("the deleted tag came back as %s", got)
			}
			step("it is pushed again", 2, func() {
				ts.Push(t, p.b.registry(), "library/app", "v1", ts.Image(t, 3, 1, 100))
			}, func() bool { return p.at(p.a, "v1") != "" })
			step("the artifact is deleted on B", 3, func() {
				p.b.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/v1", nil, nil)
			}, func() bool { return p.at(p.a, "v1") == "" })
		})
	}
}

// Two who move the same tags at the same time chase each other until both have the same.
func TestTwoWayRulesAgreeAfterAConflict(t *testing.T) {
	t.Parallel()
	p := newPair(t, "docker-registry", nil)
	const tags = 8
	var all sync.WaitGroup
	for i := range tags {
		a, b := ts.Image(t, uint64(10+i), 1, 1000), ts.Image(t, uint64(100+i), 1, 1000)
		all.Go(func() { ts.Push(t, p.a.registry(), "library/app", fmt.Sprint("v", i), a) })
		all.Go(func() { ts.Push(t, p.b.registry(), "library/app", fmt.Sprint("v", i), b) })
	}
	all.Wait()
	agree := func() bool {
		for i := range tags {
			tag := fmt.Sprint("v", i)
			if a := p.at(p.a, tag); a == "" || a != p.at(p.b, tag) {
				return false
			}
		}
		return true
	}
	ts.Eventually(t, "both have the same", agree)
	p.quiet()
	ts.Eventually(t, "it stays so", agree)
	if a, b := p.counts(); a > 20*tags || b > 20*tags {
		t.Errorf("it took %d and %d executions", a, b)
	}
}

// Without override each side keeps what it has, and says so.
func TestTwoWayRulesWithoutOverrideKeepBoth(t *testing.T) {
	t.Parallel()
	p := newPair(t, "docker-registry", object{"override": false})
	a := ts.Push(t, p.a.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	arrives(t, p.b.registry(), "library/app", "v1", a)
	b := ts.Push(t, p.b.registry(), "library/app", "v1", ts.Image(t, 2, 1, 100))
	p.quiet()
	if at := p.at(p.a, "v1"); at != a.String() {
		t.Errorf("A has %s, want %s", at, a)
	}
	if at := p.at(p.b, "v1"); at != b.String() {
		t.Errorf("B has %s, want %s", at, b)
	}
}
