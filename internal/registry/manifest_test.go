package registry_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// registries are all implementations that the protocol is tested against.
func registries(t *testing.T, test func(t *testing.T, r *ts.Registry)) {
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Registry{
		"distribution": ts.Distribution, "distribution v2": ts.DistributionV2, "olareg": ts.Olareg,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

func TestManifestsAreReadByTagAndDigest(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		image, index := ts.Image(t, 1, 2, 100), ts.Index(t, 2, "linux/amd64", "linux/arm64")
		ts.Push(t, r, "library/app", "v1", image)
		ts.Push(t, r, "library/app", "multi", index)
		c := clientOf(t, r)
		for tag, want := range map[string]*ts.Artifact{"v1": image, "multi": index} {
			for _, reference := range []string{tag, want.Digest.String()} {
				d, err := c.Resolve(t.Context(), "library/app", reference)
				if err != nil {
					t.Fatal(err)
				}
				if d.Digest != want.Digest || d.MediaType != want.MediaType || d.Size != int64(len(want.Manifest)) {
					t.Errorf("%s resolves to %+v, want %s of %s", reference, d, want.MediaType, want.Digest)
				}
				m, err := c.Manifest(t.Context(), "library/app", reference)
				if err != nil {
					t.Fatal(err)
				}
				if m.Digest != want.Digest || m.MediaType != want.MediaType || !bytes.Equal(m.Content, want.Manifest) {
					t.Errorf("%s is %s %s, want %s %s", reference, m.MediaType, m.Digest, want.MediaType, want.Digest)
				}
			}
		}
		for _, missing := range []string{"nope", digest.FromString("nope").String()} {
			if _, err := c.Resolve(t.Context(), "library/app", missing); !registry.IsNotFound(err) {
				t.Errorf("resolve %s: %v, want not found", missing, err)
			}
			if _, err := c.Manifest(t.Context(), "library/other", missing); !registry.IsNotFound(err) {
				t.Errorf("read %s: %v, want not found", missing, err)
			}
		}
	})
}

func TestManifestsArePutUnchanged(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		image := ts.Image(t, 3, 1, 10)
		ts.Push(t, r, "app", "old", image)
		c := clientOf(t, r)
		m := registry.Manifest{MediaType: image.MediaType, Digest: image.Digest, Content: image.Manifest}
		for _, reference := range []string{"new", image.Digest.String()} {
			got, err := c.PutManifest(t.Context(), "app", reference, m)
			if err != nil || got.Digest != image.Digest || got.SubjectAccepted {
				t.Errorf("put %s: %+v, %v", reference, got, err)
			}
		}
		if d, ok := ts.Digest(t, r, "app", "new"); !ok || d != image.Digest {
			t.Errorf("new is %s", d)
		}
		_, err := c.PutManifest(t.Context(), "app", digest.FromString("x").String(), m)
		if !errors.Is(err, registry.ErrDigestMismatch) {
			t.Errorf("put under another digest: %v", err)
		}
	})
}

func TestSubjectIsAcceptedWhereReferrersAreKept(t *testing.T) {
	t.Parallel()
	r := ts.Olareg(t)
	image := ts.Image(t, 4, 1, 10)
	ts.Push(t, r, "app", "v1", image)
	signature := ts.Referrer(t, image, "application/vnd.test.signature", 5)
	ts.Push(t, r, "app", "", signature)
	got, err := clientOf(t, r).PutManifest(t.Context(), "app", signature.Digest.String(),
		registry.Manifest{MediaType: signature.MediaType, Digest: signature.Digest, Content: signature.Manifest})
	if err != nil || !got.SubjectAccepted {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDeletingManifestsAndTags(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, r *ts.Registry) {
		image := ts.Image(t, 6, 1, 10)
		ts.Push(t, r, "app", "v1", image)
		ts.Push(t, r, "app", "v2", image)
		c := clientOf(t, r)

		err := c.DeleteTag(t.Context(), "app", "v1")
		_, sibling := ts.Digest(t, r, "app", "v2")
		if !sibling {
			t.Fatal("deleting v1 has deleted v2")
		}
		switch _, there := ts.Digest(t, r, "app", "v1"); {
		case err == nil && there:
			t.Error("v1 is still there")
		case err != nil && !errors.Is(err, registry.ErrUnsupported):
			t.Errorf("delete tag: %v", err)
		case err != nil && !there:
			t.Errorf("v1 is gone, in spite of %v", err)
		}
		if err := c.DeleteTag(t.Context(), "app", "none"); err == nil || !registry.IsNotFound(err) && !errors.Is(err, registry.ErrUnsupported) {
			t.Errorf("delete a tag that is not there: %v", err)
		}
		if err := c.DeleteManifest(t.Context(), "app", image.Digest); err != nil {
			t.Fatal(err)
		}
		if _, there := ts.Digest(t, r, "app", "v2"); there {
			t.Error("v2 has outlived its manifest")
		}
		if err := c.DeleteManifest(t.Context(), "app", image.Digest); !registry.IsNotFound(err) {
			t.Errorf("delete again: %v", err)
		}
	})
}

func TestContentThatIsNotWhatItsDigestSays(t *testing.T) {
	t.Parallel()
	right, wrong := []byte(`{"schemaVersion":2}`), []byte(`{"schemaVersion":3}`)
	said := digest.FromBytes(right)
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", said.String())
		if strings.HasSuffix(r.URL.Path, "silent") {
			w.Header().Del("Docker-Content-Digest")
		}
		_, _ = w.Write(wrong)
	})
	for _, reference := range []string{"tag", said.String()} {
		_, err := c.Manifest(t.Context(), "app", reference)
		if !errors.Is(err, registry.ErrDigestMismatch) {
			t.Fatalf("%s: %v", reference, err)
		}
		for _, d := range []digest.Digest{said, digest.FromBytes(wrong)} {
			if !strings.Contains(err.Error(), d.String()) {
				t.Errorf("%q does not name %s", err, d)
			}
		}
	}
	m, err := c.Manifest(t.Context(), "app", "silent")
	if err != nil || m.Digest != digest.FromBytes(wrong) {
		t.Errorf("without a claim the content decides: %s, %v", m.Digest, err)
	}
	if _, err := c.Resolve(t.Context(), "app", digest.FromString("third").String()); !errors.Is(err, registry.ErrDigestMismatch) {
		t.Errorf("resolve a digest to another: %v", err)
	}
}

func TestResolveHashesWhenHeadDoesNotTell(t *testing.T) {
	t.Parallel()
	content := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{}}`)
	for name, head := range map[string]http.HandlerFunc{
		"no digest":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "x/y") },
		"bad digest":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", "sha256:abc") },
		"not allowed": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) },
		"no media type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", digest.FromBytes(content).String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fake(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					head(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/octet-stream")
				_, _ = w.Write(content)
			})
			d, err := c.Resolve(t.Context(), "app", "v1")
			if err != nil || d.Digest != digest.FromBytes(content) || d.Size != int64(len(content)) || d.MediaType != registry.MediaTypeDockerManifest {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

func TestManifestsHaveALimit(t *testing.T) {
	t.Parallel()
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 4<<20+1))
	})
	if _, err := c.Manifest(t.Context(), "app", "huge"); !errors.Is(err, registry.ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

func TestSHA512(t *testing.T) {
	t.Parallel()
	content := []byte(`{}`)
	d := digest.SHA512.FromBytes(content)
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		_, _ = w.Write(content)
	})
	m, err := c.Manifest(t.Context(), "app", d.String())
	if err != nil || m.Digest != d {
		t.Errorf("%s, %v", m.Digest, err)
	}
}

func TestNamesNeverLeaveTheirPlaceInTheURL(t *testing.T) {
	t.Parallel()
	c := client(t, registry.Endpoint{URL: serve(t, func(_ http.ResponseWriter, r *http.Request) {
		panic("a request was sent: " + r.URL.String())
	}).URL}, quick)
	ctx, d := t.Context(), digest.FromString("x")
	for _, repo := range []string{"", "../admin", "a/../b", "a//b", "a?b", "a#b", "a%2fb", "A", "a b", "/a", "a/", ".a", strings.Repeat("a/", 128) + "a"} {
		_, resolveErr := c.Resolve(ctx, repo, "v1")
		_, tagsErr := c.Tags(ctx, repo)
		_, _, existsErr := c.BlobExists(ctx, repo, d)
		_, blobErr := c.Blob(ctx, repo, d, 0, -1)
		_, uploadErr := c.StartUpload(ctx, repo)
		_, _, mountErr := c.Mount(ctx, "good", d, repo)
		_, referrersErr := c.Referrers(ctx, repo, d)
		for i, err := range []error{resolveErr, tagsErr, existsErr, blobErr, uploadErr, mountErr, referrersErr, c.DeleteTag(ctx, repo, "v1"), c.DeleteManifest(ctx, repo, d)} {
			if !problem.Is(err, problem.BadRequest) {
				t.Errorf("repository %q, call %d: %v", repo, i, err)
			}
		}
	}
	for _, reference := range []string{"", "a/b", "..", "v1?x=1", "sha256:abc", "sha256:" + strings.Repeat("g", 64), "md5:" + strings.Repeat("a", 32), strings.Repeat("a", 129)} {
		if _, err := c.Manifest(ctx, "app", reference); !problem.Is(err, problem.BadRequest) {
			t.Errorf("reference %q: %v", reference, err)
		}
		if _, _, err := c.BlobExists(ctx, "app", digest.Digest(reference)); !problem.Is(err, problem.BadRequest) {
			t.Errorf("digest %q: %v", reference, err)
		}
	}
}

func TestErrorsTellWhatTheRegistrySaid(t *testing.T) {
	t.Parallel()
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "DENIED", "the quota of\nproject a is used up")
	})
	_, err := c.Manifest(t.Context(), "app", "v1")
	e, ok := errors.AsType[*registry.Error](err)
	if !ok || e.Status != 403 || e.Method != "GET" || e.Path != "/v2/app/manifests/v1" || len(e.Codes) != 1 || e.Codes[0].Code != "DENIED" {
		t.Fatalf("%+v", err)
	}
	want := fmt.Sprintf("GET %s/v2/app/manifests/v1: 403 Forbidden: DENIED the quota of project a is used up", c.Host())
	if err.Error() != want {
		t.Errorf("%s\nwant %s", err, want)
	}
	if !registry.IsUnauthorized(err) || registry.IsNotFound(err) || registry.IsTemporary(err) {
		t.Error("it is a refusal and nothing else")
	}
}

// Registries give the digest of what was signed, not of what they send.
func TestSignedSchema1IsHashedWithoutItsSignatures(t *testing.T) {
	t.Parallel()
	front := `{"schemaVersion":1,"name":"app","tag":"v1","fsLayers":[]`
	signed := digest.FromString(front + "\n}")
	header := func(length int, tail string) string {
		text := fmt.Sprintf(`{"formatLength":%d,"formatTail":%q}`, length, tail)
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	tail := base64.RawURLEncoding.EncodeToString([]byte("\n}"))
	cases := map[string]struct {
		protected string
		good      bool
	}{
		"as signed":         {header(len(front), tail), true},
		"padded":            {header(len(front), tail+"="), true},
		"other bytes":       {header(len(front)-1, tail), false},
		"beyond the end":    {header(1<<30, tail), false},
		"before the start":  {header(-1, tail), false},
		"a tail of nothing": {header(len(front), "!"), false},
		"no header":         {"!", false},
		"no JSON":           {base64.RawURLEncoding.EncodeToString([]byte("{")), false},
	}
	for name, one := range cases {
		content := front + `,"signatures":[{"protected":"` + one.protected + `"}]` + "\n}"
		c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", registry.MediaTypeDockerSchema1JWS)
			w.Header().Set("Docker-Content-Digest", signed.String())
			_, _ = w.Write([]byte(content))
		})
		for _, reference := range []string{"v1", signed.String()} {
			m, err := c.Manifest(t.Context(), "app", reference)
			switch {
			case one.good && (err != nil || m.Digest != signed || string(m.Content) != content):
				t.Errorf("%s: %s, %v", name, m.Digest, err)
			case !one.good && !errors.Is(err, registry.ErrDigestMismatch):
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
