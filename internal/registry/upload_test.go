package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func blob(n int) ([]byte, digest.Digest) {
	content := bytes.Repeat([]byte("lighterage "), n/11+1)[:n]
	return content, digest.FromBytes(content)
}

func begin(t testing.TB, c *registry.Client, repo string) *registry.Upload {
	t.Helper()
	up, err := c.StartUpload(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	return up
}

func stored(t testing.TB, c *registry.Client, repo string, d digest.Digest, content []byte) {
	t.Helper()
	got, err := read(t, c, repo, d, 0, int64(len(content)))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("stored are %d bytes of %d: %v", len(got), len(content), err)
	}
}

func TestUploadInOnePiece(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		c := clientOf(t, r)
		for _, n := range []int{0, 1, 100_000} {
			content, d := blob(n)
			if err := begin(t, c, "app").Put(t.Context(), bytes.NewReader(content), int64(n), d); err != nil {
				t.Fatal(err)
			}
			stored(t, c, "app", d, content)
		}
		content, d := blob(50_000)
		if err := begin(t, c, "app").Put(t.Context(), bytes.NewReader(content), -1, d); err != nil {
			t.Fatalf("of unknown size: %v", err)
		}
		stored(t, c, "app", d, content)
	})
}

func TestUploadInParts(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		c := clientOf(t, r)
		content, d := blob(100_000)
		up := begin(t, c, "app")
		if _, err := up.Status(t.Context()); err != nil && !errors.Is(err, registry.ErrOffsetUnknown) {
			t.Errorf("nothing sent yet: %v", err)
		}
		if err := up.Patch(t.Context(), bytes.NewReader(content[:60_000]), 0, 60_000); err != nil {
			t.Fatal(err)
		}
		if n, err := up.Status(t.Context()); n != 60_000 || err != nil {
			t.Errorf("status: %d, %v", n, err)
		}
		if err := up.Patch(t.Context(), bytes.NewReader(content[60_000:]), 60_000, 40_000); err != nil {
			t.Fatal(err)
		}
		if err := up.Commit(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		stored(t, c, "app", d, content)
	})
}

func TestAPartAtTheWrongPlace(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		c := clientOf(t, r)
		up := begin(t, c, "app")
		if err := up.Patch(t.Context(), strings.NewReader("0123456789"), 0, 10); err != nil {
			t.Fatal(err)
		}
		if err := up.Patch(t.Context(), strings.NewReader("x"), 20, 1); !errors.Is(err, registry.ErrRange) {
			t.Errorf("%v", err)
		}
		// Distribution 2 does not look where a part belongs; its answer shows it.
		if n, err := up.Status(t.Context()); n != 10 && n != 11 || err != nil {
			t.Errorf("the session lives on: %d, %v", n, err)
		}
		if err := up.Cancel(t.Context()); err != nil {
			t.Errorf("cancel: %v", err)
		}
		if err := up.Cancel(t.Context()); err != nil {
			t.Errorf("cancel again: %v", err)
		}
		if _, err := up.Status(t.Context()); !errors.Is(err, registry.ErrUploadLost) {
			t.Errorf("status of what is cancelled: %v", err)
		}
	})
}

func TestALostSession(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		c := clientOf(t, r)
		content, d := blob(1000)
		put, patch, commit := begin(t, c, "app"), begin(t, c, "app"), begin(t, c, "app")
		r.Faults.ForgetUploads()
		for i, err := range []error{
			put.Put(t.Context(), bytes.NewReader(content), 1000, d),
			patch.Patch(t.Context(), bytes.NewReader(content), 0, 1000),
			commit.Commit(t.Context(), d),
		} {
			if !errors.Is(err, registry.ErrUploadLost) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

func TestWrongBytesAreRefused(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		_, d := blob(1000)
		err := begin(t, clientOf(t, r), "app").Put(t.Context(), bytes.NewReader(make([]byte, 1000)), 1000, d)
		e, ok := errors.AsType[*registry.Error](err)
		if !ok || e.Status != http.StatusBadRequest || registry.IsTemporary(err) || errors.Is(err, registry.ErrUploadLost) {
			t.Errorf("%v", err)
		}
		if e.Codes[0].Code == "DIGEST_INVALID" && !errors.Is(err, registry.ErrDigestMismatch) {
			t.Errorf("not seen for what it is: %v", err)
		}
	})
}

func TestMount(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		c := clientOf(t, r)
		content, d := blob(1000)
		if err := begin(t, c, "base").Put(t.Context(), bytes.NewReader(content), 1000, d); err != nil {
			t.Fatal(err)
		}
		mounted, up, err := c.Mount(t.Context(), "app", d, "base")
		if !mounted || up != nil || err != nil {
			t.Fatalf("%t, %v, %v", mounted, up, err)
		}
		stored(t, c, "app", d, content)

		other, od := blob(2000)
		mounted, up, err = c.Mount(t.Context(), "app", od, "base")
		if mounted || up == nil || err != nil {
			t.Fatalf("what is not there was mounted: %t, %v", mounted, err)
		}
		if err := up.Put(t.Context(), bytes.NewReader(other), 2000, od); err != nil {
			t.Fatalf("the session that came instead: %v", err)
		}
		stored(t, c, "app", od, other)
	})
}

func TestALostAnswerToACommitIsNoFailure(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	c := clientOf(t, r)
	content, d := blob(1000)
	up := begin(t, c, "app")
	if err := up.Patch(t.Context(), bytes.NewReader(content), 0, 1000); err != nil {
		t.Fatal(err)
	}
	r.Faults.Add(ts.Fault{Class: "PUT upload", Times: 1, Do: ts.ResetAnswer()})
	if err := up.Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	stored(t, c, "app", d, content)
}

func TestAStreamIsSentOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]ts.Action{
		"503":   ts.Status(http.StatusServiceUnavailable),
		"429":   ts.TooManyRequests(0),
		"reset": ts.ResetRequest(50_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ts.Distribution(t)
			c := clientOf(t, r)
			content, d := blob(1 << 20)
			for _, send := range []func(*registry.Upload) error{
				func(up *registry.Upload) error { return up.Put(t.Context(), bytes.NewReader(content), 1<<20, d) },
				func(up *registry.Upload) error { return up.Patch(t.Context(), bytes.NewReader(content), 0, 1<<20) },
			} {
				up := begin(t, c, "app")
				r.Faults.Add(ts.Fault{Path: "/blobs/uploads/.", Do: fault})
				r.ResetRequests()
				err := send(up)
				if !registry.IsTemporary(err) {
					t.Errorf("%v", err)
				}
				if _, ok := errors.AsType[*registry.BodyError](err); ok {
					t.Errorf("the source is blamed: %v", err)
				}
				if n := r.Requests().Count("PUT upload", "PATCH upload"); n != 1 {
					t.Errorf("sent %d times", n)
				}
				r.Faults.Clear()
			}
		})
	}
}

func TestABodyThatFailsIsTheSourcesFault(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	c := clientOf(t, r)
	_, d := blob(1000)
	broken := errors.New("the source broke")
	for name, body := range map[string]io.Reader{
		"fails": io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)),
		"short": strings.NewReader("abc"),
	} {
		for _, send := range []func(*registry.Upload) error{
			func(up *registry.Upload) error { return up.Put(t.Context(), body, 1000, d) },
			func(up *registry.Upload) error { return up.Patch(t.Context(), body, 0, 1000) },
		} {
			err := send(begin(t, c, "app"))
			e, ok := errors.AsType[*registry.BodyError](err)
			if !ok {
				t.Errorf("%s: %v", name, err)
			} else if name == "fails" && !errors.Is(e, broken) && !errors.Is(e, io.ErrUnexpectedEOF) {
				t.Errorf("%s: the cause is lost: %v", name, e)
			}
		}
	}
}

func TestAStalledUploadEnds(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	o := quick
	o.StallTimeout = 100 * time.Millisecond
	c := client(t, endpointOf(r), o)
	content, d := blob(32 << 20) // more than the sockets' buffers take
	up := begin(t, c, "app")
	r.Faults.Add(ts.Fault{Class: "PUT upload", Do: hold.Request(100_000)})
	err := up.Put(t.Context(), bytes.NewReader(content), int64(len(content)), d)
	if e, ok := errors.AsType[*registry.StallError](err); !ok || e.What != "upload" {
		t.Errorf("%v", err)
	}
}

func TestAStoppedUploadEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	c := clientOf(t, r)
	content, d := blob(32 << 20)
	up := begin(t, c, "app")
	r.Faults.Add(ts.Fault{Class: "PUT upload", Do: hold.Request(100_000)})
	stopped := errors.New("stopped by the user")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- up.Put(ctx, bytes.NewReader(content), int64(len(content)), d) }()
	ts.Eventually(t, "the upload is under way", func() bool { return hold.Waiting() == 1 })
	cancel(stopped)
	if err := <-ended; !errors.Is(err, stopped) || registry.IsTemporary(err) {
		t.Errorf("%v", err)
	}
}

func TestLocations(t *testing.T) {
	t.Parallel()
	content, d := blob(10)
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if got := r.URL.RawQuery; got != "sig=a%2Fb%3d&digest="+url.QueryEscape(d.String()) {
			refuse(w, http.StatusBadRequest, "STATE", got)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	for name, location := range map[string]func(r *http.Request) string{
		"relative":         func(*http.Request) string { return "session?sig=a%2Fb%3d" },
		"absolute path":    func(*http.Request) string { return "/somewhere/session?sig=a%2Fb%3d" },
		"absolute":         func(r *http.Request) string { return "http://" + r.Host + "/v2/x/session?sig=a%2Fb%3d" },
		"on another host":  func(*http.Request) string { return elsewhere.URL + "/session?sig=a%2Fb%3d" },
		"without a scheme": func(r *http.Request) string { return "//" + r.Host + "/session?sig=a%2Fb%3d" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if user, _, _ := r.BasicAuth(); user != "u" {
					w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				switch r.Method {
				case http.MethodPost:
					w.Header().Set("Location", location(r))
					w.Header().Set("OCI-Chunk-Min-Length", "77")
					w.WriteHeader(http.StatusAccepted)
				case http.MethodPut:
					if got := r.URL.RawQuery; got != "sig=a%2Fb%3d&digest="+url.QueryEscape(d.String()) {
						refuse(w, http.StatusBadRequest, "STATE", got)
						return
					}
					w.WriteHeader(http.StatusCreated)
				}
			})
			c := client(t, registry.Endpoint{URL: s.URL, Credential: registry.Credential{AccessKey: "u", AccessSecret: "p"}}, quick)
			up := begin(t, c, "x")
			if up.MinChunk() != 77 {
				t.Errorf("min chunk %d", up.MinChunk())
			}
			if err := up.Put(t.Context(), bytes.NewReader(content), 10, d); err != nil {
				t.Error(err)
			}
		})
	}
	for _, location := range []string{"", "ftp://x/y", "http://[", "file:///etc/passwd"} {
		c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusAccepted)
		})
		if _, err := c.StartUpload(t.Context(), "app"); err == nil {
			t.Errorf("location %q was taken", location)
		}
	}
}

func TestAStatusThatSaysNothing(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int64{
		"0-0": -1, "": -1, "bytes=0-9": 10, "0-1023": 1024, "5-9": -1, "0--1": -1, "0-x": -1, "0-99999999999999999999": -1,
	} {
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.Header().Set("Location", "/v2/app/blobs/uploads/1")
				w.WriteHeader(http.StatusAccepted)
				return
			}
			w.Header().Set("Range", header)
			w.WriteHeader(http.StatusNoContent)
		})
		n, err := begin(t, c, "app").Status(t.Context())
		if want < 0 && !errors.Is(err, registry.ErrOffsetUnknown) || want >= 0 && (n != want || err != nil) {
			t.Errorf("Range %q: %d, %v", header, n, err)
		}
	}
}

func TestASessionIsTakenUpAgainByAnotherClient(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		content, d := blob(1000)
		up := begin(t, clientOf(t, r), "app")
		if err := up.Patch(t.Context(), bytes.NewReader(content[:600]), 0, 600); err != nil {
			t.Fatal(err)
		}
		c := clientOf(t, r)
		again, err := c.ResumeUpload("app", up.Location())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := again.Status(t.Context()); n != 600 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if err := again.Patch(t.Context(), bytes.NewReader(content[600:]), 600, 400); err != nil {
			t.Fatal(err)
		}
		if err := again.Commit(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		stored(t, c, "app", d, content)
	})
	for _, location := range []string{"", "/v2/x", "ftp://h/x", "http://["} {
		if _, err := client(t, registry.Endpoint{URL: "h"}, quick).ResumeUpload("app", location); err == nil {
			t.Errorf("location %q was taken", location)
		}
	}
}

// dribble gives one byte at a time, and after the first few only once it may go on.
type dribble struct {
	mayGoOn <-chan struct{}
	given   int
}

func (d *dribble) Read(p []byte) (int, error) {
	if d.given++; d.given > 5 {
		<-d.mayGoOn
	}
	p[0] = 'x'
	return 1, nil
}

func TestAPartThatIsAnsweredTooEarlyHasNotArrived(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/v2/app/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
		if r.Method == http.MethodPatch {
			_ = http.NewResponseController(w).Flush()
			close(answered)
		}
	})
	err := begin(t, c, "app").Patch(t.Context(), &dribble{mayGoOn: answered}, 0, 1<<40)
	if !errors.Is(err, registry.ErrRange) {
		t.Errorf("%v", err)
	}
}
