package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/lighterage/lighterage/bench/harness"
)

func TestRequestsAreSortedByWhatTheyAskOfAStore(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		"PUT /harbor/docker/registry/v2/x":                "PUT object",
		"PUT /harbor/docker/registry/v2/x?x-id=PutObject": "PUT object",
		"HEAD /harbor/x":                                   "HEAD object",
		"GET /harbor/?list-type=2&prefix=a%2F":             "GET list",
		"GET /harbor?list-type=2&delimiter=&prefix=":       "GET list",
		"GET /harbor/?delimiter=%2F&list-type=2&prefix=a/": "GET folders",
		"GET /harbor/?location=":                           "GET location",
		"HEAD /harbor/":                                    "HEAD bucket",
		"POST /harbor/x?uploads=":                          "POST upload",
		"PUT /harbor/x?partNumber=1&uploadId=u":            "PUT part",
		"POST /harbor/x?uploadId=u":                        "POST complete",
		"DELETE /harbor/x?uploadId=u":                      "DELETE upload",
		"DELETE /harbor/x":                                 "DELETE object",
		"POST /harbor/?delete=":                            "POST delete",
		"GET /harbor/x?tagging=":                           "other",
		"GET /":                                            "GET bucket",
	} {
		method, target, _ := strings.Cut(request, " ")
		if got := kind(httptest.NewRequest(method, target, nil)); got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
}

func TestAFollowerFindsEveryRequestHoweverTheStreamIsCut(t *testing.T) {
	t.Parallel()
	var stream bytes.Buffer
	for i := range 50 {
		body := strings.Repeat("GET / HTTP/1.1\r\n\r\n", i) // looks like requests, and is none
		fmt.Fprintf(&stream, "PUT /harbor/object-%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body)
		fmt.Fprintf(&stream, "HEAD /harbor/object-%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	for _, size := range []int{1, 2, 3, 7, 100, 1000, stream.Len()} {
		c := &counter{}
		w := c.watch()
		for rest := stream.Bytes(); len(rest) > 0; {
			n := min(size, len(rest))
			if err := w.Sent(rest[:n]); err != nil {
				t.Fatalf("cut at %d: %v", size, err)
			}
			rest = rest[n:]
		}
		w.Answered(11)
		got := c.take()
		want := map[string]int64{"PUT object": 50, "HEAD object": 50}
		if !maps.Equal(got.requests, want) || got.sent != int64(stream.Len()) || got.received != 11 {
			t.Errorf("cut at %d: %v", size, got)
		}
		if got := c.take(); got.total() != 0 || got.sent != 0 {
			t.Errorf("counted twice: %v", got)
		}
	}
}

func TestWhatCannotBeFollowedIsAnError(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]string{
		"no HTTP":           "hello\r\n\r\n",
		"no end of a head":  "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", mostHead),
		"body without size": "PUT /harbor/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		if err := (&follower{counter: &counter{}}).Sent([]byte(stream)); err == nil {
			t.Errorf("%s was followed", name)
		}
	}
}

func TestRequestsOfARealClientAreCounted(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"x"`)
	}))
	defer web.Close()
	c := &counter{}
	front, err := harness.NewFront(web.Listener.Addr().String(), 0, c.watch)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	client, err := newClient(front.Address)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		content := strings.NewReader(strings.Repeat("x", 1+i*10_000))
		if _, err := client.PutObject(context.Background(), bucket, fmt.Sprint(i), content, content.Size(), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.take(); got.requests["PUT object"] != 20 || got.total() != 20 || front.Err() != nil {
		t.Errorf("%v, %v", got, front.Err())
	}
}
