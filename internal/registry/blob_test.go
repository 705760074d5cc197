package registry_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func read(t testing.TB, c *registry.Client, repo string, d digest.Digest, offset, size int64) ([]byte, error) {
	t.Helper()
	body, err := c.Blob(t.Context(), repo, d, offset, size)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func TestBlobsAreReadFromAnyOffset(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		image := ts.Image(t, 10, 1, 100_000)
		ts.Push(t, r, "app", "v1", image)
		layer := image.Blobs[1]
		c := clientOf(t, r)
		check := func(what string) {
			for _, offset := range []int64{0, 1, 50_000, layer.Size - 1} {
				for _, size := range []int64{layer.Size, -1} {
					got, err := read(t, c, "app", layer.Digest, offset, size)
					if err != nil || !bytes.Equal(got, layer.Content[offset:]) {
						t.Errorf("%s: from %d of %d: %d bytes, %v", what, offset, size, len(got), err)
					}
				}
			}
		}
		check("ranges")
		r.Faults.Add(ts.Fault{Class: "GET blob", Do: ts.IgnoreRange()})
		check("ranges ignored")
		r.Faults.Clear()

		if exists, size, err := c.BlobExists(t.Context(), "app", layer.Digest); !exists || size != layer.Size || err != nil {
			t.Errorf("exists: %t, %d, %v", exists, size, err)
		}
		other := digest.FromString("other")
		if exists, _, err := c.BlobExists(t.Context(), "app", other); exists || err != nil {
			t.Errorf("another exists: %t, %v", exists, err)
		}
		if _, err := read(t, c, "app", other, 0, -1); !registry.IsNotFound(err) {
			t.Errorf("read another: %v", err)
		}
		if _, err := read(t, c, "app", layer.Digest, layer.Size+5, -1); !errors.Is(err, registry.ErrRange) && !errors.Is(err, io.EOF) {
			t.Errorf("read behind the end: %v", err)
		}
	})
}

func TestATruncatedBlobIsNeverComplete(t *testing.T) {
	t.Parallel()
	content := []byte("0123456789")
	d := digest.FromBytes(content)
	for name, answer := range map[string]http.HandlerFunc{
		"less than announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write(content[:4])
		},
		"less without a length": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(content[:4])
			_ = http.NewResponseController(w).Flush()
		},
		"another size": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content[:4]) },
		"more without a length": func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(append(content, 'x'))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := read(t, fake(t, answer), "app", d, 0, 10); err == nil {
				t.Errorf("got %q without an error", got)
			}
		})
	}
}

func TestARangeThatWasNotAskedForIsRefused(t *testing.T) {
	t.Parallel()
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 2-9/10")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "23456789")
	})
	if _, err := read(t, c, "app", digest.FromString("x"), 5, 10); !errors.Is(err, registry.ErrRange) {
		t.Errorf("%v", err)
	}
}

func TestCredentialsStayHomeWhenABlobIsElsewhere(t *testing.T) {
	t.Parallel()
	content := "layer"
	storage := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			http.Error(w, "the storage was shown a credential", http.StatusTeapot)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	r := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "robot$x" || password != "p" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path != "/v2/" {
			http.Redirect(w, r, storage.URL+"/bucket/x?X-Amz-Signature=secret", http.StatusTemporaryRedirect)
		}
	})
	c := client(t, registry.Endpoint{URL: r.URL, Credential: registry.Credential{AccessKey: "robot$x", AccessSecret: "p"}}, quick)
	for _, offset := range []int64{0, 2} {
		if got, err := read(t, c, "app", digest.FromString(content), offset, 5); err != nil || string(got) != content[offset:] {
			t.Errorf("%q, %v", got, err)
		}
	}
	if exists, size, err := c.BlobExists(t.Context(), "app", digest.FromString(content)); !exists || size != -1 || err != nil {
		t.Errorf("exists: %t, %d, %v: a redirect says it is there", exists, size, err)
	}
	storage.Close()
	_, err := read(t, c, "app", digest.FromString(content), 0, 5)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the signature: %v", err)
	}
}

func TestARegistryThatMovedIsNotABlobThatExists(t *testing.T) {
	t.Parallel()
	moved := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, digest.FromString("there").String()) {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "")
		}
	})
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, moved.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	for _, content := range []string{"there", "gone"} {
		exists, _, err := c.BlobExists(t.Context(), "app", digest.FromString(content))
		if exists != (content == "there") || err != nil {
			t.Errorf("%s: %t, %v", content, exists, err)
		}
	}
}

func TestAStalledDownloadEnds(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	image := ts.Image(t, 11, 1, 200_000)
	ts.Push(t, r, "app", "v1", image)
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	r.Faults.Add(ts.Fault{Class: "GET blob", Do: hold.Response(100_000)})
	o := quick
	o.StallTimeout = 100 * time.Millisecond
	_, err := read(t, client(t, endpointOf(r), o), "app", image.Blobs[1].Digest, 0, image.Blobs[1].Size)
	if _, ok := errors.AsType[*registry.StallError](err); !ok || !registry.IsTemporary(err) {
		t.Errorf("%v", err)
	}
}

func TestACutDownloadIsTemporary(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	image := ts.Image(t, 13, 1, 200_000)
	ts.Push(t, r, "app", "v1", image)
	r.Faults.Add(ts.Fault{Class: "GET blob", Times: 1, Do: ts.ResetResponse(100_000)})
	c := clientOf(t, r)
	got, err := read(t, c, "app", image.Blobs[1].Digest, 0, image.Blobs[1].Size)
	if err == nil || !registry.IsTemporary(err) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	rest, err := read(t, c, "app", image.Blobs[1].Digest, int64(len(got)), image.Blobs[1].Size)
	if err != nil || !bytes.Equal(append(got, rest...), image.Blobs[1].Content) {
		t.Errorf("going on at %d: %v", len(got), err)
	}
}

func TestABlobsSizeIsFoundOut(t *testing.T) {
	t.Parallel()
	content, d := blob(5000)
	for name, h := range map[string]http.HandlerFunc{
		"by HEAD": func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodHead {
				t.Errorf("%s was not needed", r.Method)
			}
			w.Header().Set("Content-Length", "5000")
		},
		"by the storage": func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/storage":
				_, _ = w.Write(content)
			default:
				http.Redirect(w, r, "/storage?signature=x", http.StatusTemporaryRedirect)
			}
		},
		"by counting": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush() // no length
			if r.Method != http.MethodHead {
				_, _ = w.Write(content)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n, err := fake(t, h).BlobSize(t.Context(), "app", d); n != 5000 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
	missing := fake(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	if _, err := missing.BlobSize(t.Context(), "app", d); !registry.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}
