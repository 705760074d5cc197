package main

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/lighterage/lighterage/bench/harness"
)

// traffic is what a server was asked.
type traffic struct {
	requests       map[string]int64 // by kind, see kind
	sent, received int64            // bytes, heads included, seen from the client
}

func (t traffic) total() int64 {
	var sum int64
	for _, n := range t.requests {
		sum += n
	}
	return sum
}

// listings are the requests for lists of keys.
func (t traffic) listings() int64 { return t.requests["GET list"] + t.requests["GET folders"] }

func (t traffic) String() string {
	var all []string
	for _, k := range slices.SortedFunc(maps.Keys(t.requests), func(a, b string) int { return int(t.requests[b] - t.requests[a]) }) {
		all = append(all, fmt.Sprintf("%d %s", t.requests[k], k))
	}
	return strings.Join(all, ", ")
}

// kind sorts a request to S3: "PUT object", "HEAD object", "GET list" (of a bucket, or
// below a prefix), "GET folders" (the same with a delimiter), "PUT part", "POST
// upload" (begins one), "POST complete", "POST delete" (of many), "HEAD bucket", "GET
// location" (of a bucket) and "other".
func kind(r *http.Request) string {
	q := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	noun := ""
	switch {
	case q.Has("uploads"):
		noun = "upload"
	case q.Has("uploadId") && r.Method == http.MethodPost:
		noun = "complete"
	case q.Has("uploadId") && r.Method == http.MethodDelete:
		noun = "upload"
	case q.Has("uploadId"):
		noun = "part"
	case q.Has("delete"):
		noun = "delete"
	case key != "" && len(q) == 0 || key != "" && q.Has("x-id"): // SDKs name the operation
		noun = "object"
	case q.Has("location"):
		noun = "location"
	case key == "" && len(q) == 0:
		noun = "bucket"
	case key == "" && q.Get("delimiter") != "":
		noun = "folders"
	case key == "" && (q.Has("list-type") || q.Has("prefix")):
		noun = "list"
	default:
		return "other"
	}
	return r.Method + " " + noun
}

// counter counts what passes a front.
type counter struct {
	mu sync.Mutex
	traffic
}

// take returns what was counted since the last time.
func (c *counter) take() traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.traffic
	c.traffic = traffic{}
	return t
}

func (c *counter) watch() harness.Watcher { return &follower{counter: c} }

func (c *counter) add(f func(*traffic)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.traffic)
}

// follower finds the requests in what a client sends on a connection. It only looks
// at heads, so it costs little beside what the server does.
type follower struct {
	counter *counter
	head    []byte // an unfinished one
	body    int64  // bytes that are still to come
}

const mostHead = 64 << 10

// Sent implements harness.Watcher.
func (f *follower) Sent(p []byte) error {
	f.counter.add(func(t *traffic) { t.sent += int64(len(p)) })
	for len(p) > 0 {
		if f.body > 0 {
			n := min(f.body, int64(len(p)))
			f.body -= n
			p = p[n:]
			continue
		}
		// The end may be cut in two, so what is there already is looked at again.
		f.head = append(f.head, p[:min(len(p), mostHead)]...)
		end := bytes.Index(f.head, []byte("\r\n\r\n"))
		if end < 0 {
			if len(f.head) >= mostHead {
				return fmt.Errorf("this is no HTTP: %.100q", f.head)
			}
			return nil
		}
		end += len("\r\n\r\n")
		p = p[end-(len(f.head)-min(len(p), mostHead)):]
		if err := f.request(f.head[:end]); err != nil {
			return err
		}
		f.head = f.head[:0]
	}
	return nil
}

func (f *follower) request(head []byte) error {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return fmt.Errorf("follow a connection: %w: %.100q", err, head)
	}
	if r.ContentLength < 0 || len(r.TransferEncoding) > 0 {
		return fmt.Errorf("follow a connection: %s %s has a body of unknown length", r.Method, r.URL)
	}
	f.body = r.ContentLength
	k := kind(r)
	f.counter.add(func(t *traffic) {
		if t.requests == nil {
			t.requests = map[string]int64{}
		}
		t.requests[k]++
	})
	return nil
}

// Answered implements harness.Watcher.
func (f *follower) Answered(n int) { f.counter.add(func(t *traffic) { t.received += int64(n) }) }
