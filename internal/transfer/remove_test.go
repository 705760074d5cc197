package transfer_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

// removalBench has only a destination.
func removalBench(t testing.TB, dst *testserver.Registry, change ...func(*transfer.Options)) *bench {
	t.Helper()
	return newBench(t, dst, dst, change...)
}

func (b *bench) removeTag(repository, tag string, expect digest.Digest) transfer.Removal {
	b.t.Helper()
	got, err := b.engine.RemoveTag(b.context(), repository, tag, expect)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func (b *bench) removeArtifact(repository string, d digest.Digest) transfer.Removal {
	b.t.Helper()
	got, err := b.engine.RemoveArtifact(b.context(), repository, d)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func (b *bench) wantTags(repository string, want ...string) {
	b.t.Helper()
	if got := testserver.Tags(b.t, b.dst, repository); !slices.Equal(got, want) {
		b.t.Errorf("tags %v, want %v", got, want)
	}
}

func TestRemoveTagLeavesSiblingsAndTheManifest(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := removalBench(t, d.start(t, testserver.WithMemory()))
			a := testserver.Index(t, 1)
			testserver.Push(t, b.dst, "library/app", "keep", a)
			for _, tag := range []string{"v1", "v2", "v3"} {
				testserver.PutTag(t, b.dst, "library/app", tag, a)
			}
			for _, tag := range []string{"v1", "v2"} {
				if got := b.removeTag("library/app", tag, a.Digest); got != transfer.Removed {
					t.Errorf("%s: %s", tag, got)
				}
			}
			b.wantTags("library/app", "keep", "v3")
			b.whole("library/app", "keep", a)
			b.whole("library/app", a.Digest.String(), a)
			if got := b.removeTag("library/app", "v1", a.Digest); got != transfer.NotThere {
				t.Errorf("once more: %s", got)
			}
			b.quiet()
			if got := b.removeTag("library/app", "v3", a.Digest); got != transfer.Removed {
				t.Errorf("v3: %s", got)
			}
			if d.name != "distribution v2.8" { // by now it is known that a tag can be deleted alone
				wantCounts(t, "destination", b.dst.Requests(), map[string]int{"HEAD manifest": 1, "DELETE manifest": 1})
			}
		})
	}
}

func TestRemoveTagOfTheLastTagLeavesTheManifest(t *testing.T) {
	t.Parallel()
	b := removalBench(t, testserver.Distribution(t, testserver.WithMemory()))
	a := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, b.dst, "library/app", "v1", a)
	b.removeTag("library/app", "v1", a.Digest)
	b.wantTags("library/app")
	b.whole("library/app", a.Digest.String(), a)
}

func TestRemoveTagLeavesWhatStandsForSomethingElse(t *testing.T) {
	t.Parallel()
	b := removalBench(t, testserver.Distribution(t, testserver.WithMemory()))
	ours, theirs := testserver.Image(t, 1, 1, 500), testserver.Image(t, 2, 1, 500)
	testserver.Push(t, b.dst, "library/app", "v1", theirs)
	b.quiet()
	if got := b.removeTag("library/app", "v1", ours.Digest); got != transfer.Foreign {
		t.Errorf("%s", got)
	}
	b.whole("library/app", "v1", theirs)
	if n := b.dst.Requests().Count("PUT manifest", "DELETE manifest"); n != 0 {
		t.Errorf("%d writes", n)
	}
}

// A registry that deletes the manifest when asked to delete a tag would take the
// sibling tags away too.
func TestRegistryThatDeletesManifestsByTagTakesNoSiblings(t *testing.T) {
	t.Parallel()
	b := removalBench(t, testserver.Distribution(t, testserver.WithMemory()))
	a := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, b.dst, "library/app", "keep", a)
	testserver.PutTag(t, b.dst, "library/app", "v1", a)
	testserver.PutTag(t, b.dst, "library/app", "v2", a)
	c := client(t, b.dst)
	b.dst.Faults.Add(testserver.Fault{Method: http.MethodDelete, Path: "/manifests/[^:]+$", Do: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tag := r.URL.Path[len("/v2/library/app/manifests/"):]
			desc, err := c.Resolve(r.Context(), "library/app", tag)
			if err == nil {
				r.URL.Path = "/v2/library/app/manifests/" + desc.Digest.String()
			}
			next.ServeHTTP(w, r)
		})
	}})
	for _, tag := range []string{"v1", "v2"} {
		if got := b.removeTag("library/app", tag, a.Digest); got != transfer.Removed {
			t.Errorf("%s: %s", tag, got)
		}
	}
	b.wantTags("library/app", "keep")
	b.whole("library/app", "keep", a)
}

func TestRegistryWithoutDeletionKeepsItsTag(t *testing.T) {
	t.Parallel()
	b := removalBench(t, testserver.Distribution(t, testserver.WithMemory()))
	a := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, b.dst, "library/app", "v1", a)
	b.dst.Faults.Add(testserver.Fault{Class: "DELETE manifest", Do: testserver.Error(http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported")})
	b.quiet()
	_, err := b.engine.RemoveTag(b.context(), "library/app", "v1", a.Digest)
	if err == nil {
		t.Fatal("the tag was removed")
	}
	wantText(t, err.Error(), "remove tag cluster1/library/app:v1", "deletion is switched off at the registry")
	if e := failureOf(t, err); e.Side != transfer.Destination || e.Retryable {
		t.Errorf("%+v", e)
	}
	if n := b.dst.Requests().Count("PUT manifest"); n != 0 {
		t.Error("the tag was touched before it was known whether it can be deleted")
	}
	b.whole("library/app", "v1", a)
}

func TestTagIsPutBackWhenItsDeletionFailsInTheEnd(t *testing.T) {
	t.Parallel()
	b := removalBench(t, testserver.Distribution(t, testserver.WithMemory()))
	a := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, b.dst, "library/app", "v1", a)
	// The question whether it deletes at all is answered well; the deletion is not.
	b.dst.Faults.Add(testserver.Fault{Class: "DELETE manifest", Skip: 1, Do: testserver.Error(http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported")})
	if _, err := b.engine.RemoveTag(b.context(), "library/app", "v1", a.Digest); err == nil {
		t.Fatal("the tag was removed")
	}
	b.whole("library/app", "v1", a)
	b.wantTags("library/app", "v1")
}

func TestInterruptedRemovalIsFinished(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := removalBench(t, d.start(t, testserver.WithMemory()))
			a, other := testserver.Image(t, 1, 1, 500), testserver.Image(t, 2, 1, 500)
			testserver.Push(t, b.dst, "library/app", "keep", a)
			testserver.PutTag(t, b.dst, "library/app", "v1", a)
			// From the moment on when the tag is moved nothing is answered any more.
			moved := b.dst.Faults.Add(testserver.Fault{Class: "PUT manifest", Skip: 1, Do: testserver.Reset()})
			gone := b.dst.Faults.Add(testserver.Fault{Method: http.MethodDelete, Path: "/manifests/", Skip: 1, Do: testserver.Reset()})
			if _, err := b.engine.RemoveTag(b.context(), "library/app", "v1", a.Digest); err == nil {
				t.Fatal("the tag was removed")
			}
			moved.Remove()
			gone.Remove()
			if state, err := b.engine.Inspect(t.Context(), "library/app", "v1"); err != nil || state.Digest() == a.Digest {
				t.Fatalf("the test did not interrupt the removal: %s, %v", state, err)
			}
			again := removalBench(t, b.dst)
			if got := again.removeTag("library/app", "v1", other.Digest); got != transfer.Foreign {
				t.Errorf("with another digest: %s", got)
			}
			if got := again.removeTag("library/app", "v1", a.Digest); got != transfer.Removed {
				t.Errorf("%s", got)
			}
			b.wantTags("library/app", "keep")
			b.whole("library/app", "keep", a)
		})
	}
}

func TestProvidersOwnTagDeletionComesFirst(t *testing.T) {
	t.Parallel()
	dst := testserver.Distribution(t, testserver.WithMemory())
	a := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, dst, "library/app", "v1", a)
	testserver.PutTag(t, dst, "library/app", "v2", a)
	c := client(t, dst)
	own := func(ctx context.Context, repository, tag string) error {
		if tag == "v2" {
			return registry.ErrUnsupported
		}
		return c.DeleteTag(ctx, repository, tag)
	}
	b := removalBench(t, dst, func(o *transfer.Options) { o.DeleteTag = own })
	dst.ResetRequests()
	b.removeTag("library/app", "v1", a.Digest)
	wantCounts(t, "destination", dst.Requests(), map[string]int{"HEAD manifest": 1, "DELETE manifest": 1})
	b.removeTag("library/app", "v2", a.Digest)
	b.wantTags("library/app")
	b.whole("library/app", a.Digest.String(), a)
}

func TestRemoveArtifactOnlyWhatNothingNeeds(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := removalBench(t, d.start(t, testserver.WithMemory()))
			image, nested := testserver.Image(t, 1, 1, 500), testserver.NestedIndex(t, 2)
			testserver.Push(t, b.dst, "library/app", "v1", image)
			testserver.Push(t, b.dst, "library/app", "multi", nested)
			lonely := testserver.Image(t, 3, 1, 500)
			testserver.Push(t, b.dst, "library/app", "", lonely)

			if got := b.removeArtifact("library/app", image.Digest); got != transfer.InUse {
				t.Errorf("tagged: %s", got)
			}
			for _, child := range nested.All() {
				if got := b.removeArtifact("library/app", child.Digest); got != transfer.InUse {
					t.Errorf("needed by an index: %s", got)
				}
			}
			if got := b.removeArtifact("library/app", lonely.Digest); got != transfer.Removed {
				t.Errorf("untagged: %s", got)
			}
			if got := b.removeArtifact("library/app", lonely.Digest); got != transfer.NotThere {
				t.Errorf("once more: %s", got)
			}
			b.whole("library/app", "v1", image)
			b.whole("library/app", "multi", nested)
		})
	}
}

func TestRemoveArtifactKeepsItWhenTagsCannotBeSeen(t *testing.T) {
	t.Parallel()
	for _, class := range []string{"GET tags", "HEAD manifest"} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			b := removalBench(t, testserver.Distribution(t, testserver.WithMemory()))
			tagged, lonely := testserver.Image(t, 1, 1, 500), testserver.Image(t, 2, 1, 500)
			testserver.Push(t, b.dst, "library/app", "v1", tagged)
			testserver.Push(t, b.dst, "library/app", "", lonely)
			b.dst.Faults.Add(testserver.Fault{Class: class, Path: "list|v1", Do: testserver.Status(http.StatusForbidden)})
			if _, err := b.engine.RemoveArtifact(b.context(), "library/app", lonely.Digest); err == nil {
				t.Error("it was removed though the tags could not be seen")
			}
			b.dst.Faults.Clear()
			b.whole("library/app", lonely.Digest.String(), lonely)
		})
	}
}

func TestRemovedArtifactIsCopiedAgain(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.copy("library/app", "v1")
	b.removeTag("library/app", "v1", a.Digest)
	b.removeArtifact("library/app", a.Digest)
	for _, blob := range a.Blobs {
		deleteBlob(t, b.dst, "library/app", blob.Digest)
	}
	b.copy("library/app", "v1")
	b.whole("library/app", "v1", a)
}
