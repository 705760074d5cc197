package testserver

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Request is one request that came to a registry.
type Request struct {
	Class    string // see Class and StoreClass
	Method   string
	Path     string
	Query    string
	Header   http.Header
	Status   int   // 0: not answered (yet)
	BytesIn  int64 // of the body, as far as the registry read it
	BytesOut int64
	Start    time.Time
	End      time.Time // zero: still running

	recorder *recorder
}

// Requests are the requests that came to a registry, in that order.
type Requests []Request

// Of returns the requests of some classes; without classes all of them.
func (all Requests) Of(classes ...string) Requests {
	if len(classes) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(r Request) bool { return !slices.Contains(classes, r.Class) })
}

// Count returns how many requests of these classes came; without classes, how many at all.
func (all Requests) Count(classes ...string) int { return len(all.Of(classes...)) }

// BytesIn returns how many bytes of bodies came in requests of these classes.
func (all Requests) BytesIn(classes ...string) (sum int64) {
	for _, r := range all.Of(classes...) {
		sum += r.BytesIn
	}
	return sum
}

// BytesOut returns how many bytes of bodies went out in answer to these classes.
func (all Requests) BytesOut(classes ...string) (sum int64) {
	for _, r := range all.Of(classes...) {
		sum += r.BytesOut
	}
	return sum
}

// Peak returns how many requests of these classes were under way at once, at most.
func (all Requests) Peak(classes ...string) int {
	type edge struct {
		at    time.Time
		delta int
	}
	var edges []edge
	for _, r := range all.Of(classes...) {
		edges = append(edges, edge{r.Start, 1})
		if !r.End.IsZero() {
			edges = append(edges, edge{r.End, -1})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.delta - b.delta // one that ends as another begins was not beside it
	})
	now, peak := 0, 0
	for _, e := range edges {
		now += e.delta
		peak = max(peak, now)
	}
	return peak
}

// String is a table of counts and bytes by class.
func (all Requests) String() string {
	classes := map[string]bool{}
	for _, r := range all {
		classes[r.Class] = true
	}
	var b strings.Builder
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		fmt.Fprintf(&b, "%-16s %6d  in %d  out %d\n", class, all.Count(class), all.BytesIn(class), all.BytesOut(class))
	}
	return b.String()
}

// recorder collects requests.
type recorder struct {
	classify func(*http.Request) string

	mu  sync.Mutex
	all []*Request
}

func (c *recorder) begin(r *http.Request) *Request {
	record := &Request{
		Class: c.classify(r), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		Header: r.Header.Clone(), Start: time.Now(), recorder: c,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, record)
	return record
}

func (c *recorder) update(record *Request, change func(*Request)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(record)
}

func (c *recorder) finish(record *Request) {
	c.update(record, func(r *Request) { r.End = time.Now() })
}

func (c *recorder) snapshot() Requests {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(Requests, len(c.all))
	for i, r := range c.all {
		all[i] = *r
	}
	return all
}

func (c *recorder) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = nil
}
