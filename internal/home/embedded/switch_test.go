package embedded

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func directory(dir string) Storage {
	return Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": dir}}
}

func TestAFrozenRegistryRefusesEveryChangeAndServesOn(t *testing.T) {
	h := start(t)
	m := h.image("library/app", "one")
	h.put("library/app", "v1", m)
	h.Freeze()
	h.want(403, "POST", "/v2/library/app/blobs/uploads/", nil)
	h.want(403, "PUT", "/v2/library/app/manifests/v2", m, "Content-Type", mediaTypeOf(m))
	h.want(403, "DELETE", "/v2/library/app/manifests/v1", nil)
	if err := h.DeleteTag(t.Context(), "admin", "library/app", "v1"); err == nil {
		t.Error("a tag was deleted while the registry was frozen")
	}
	h.want(200, "GET", "/v2/library/app/manifests/v1", nil)
	h.Thaw()
	h.put("library/app", "v2", m)
	h.agrees()
}

func TestDrainWaitsForWhatHasBegunAndBreaksOffWhatStalls(t *testing.T) {
	h := start(t)
	content := []byte("what arrives slowly")
	reader, writer := io.Pipe()
	var pushed sync.WaitGroup
	pushed.Go(func() {
		req, _ := http.NewRequestWithContext(context.Background(), "POST", "http://registry/v2/library/app/blobs/uploads/?digest="+digest.FromBytes(content).String(), reader)
		req.ContentLength = int64(len(content))
		resp, err := (&http.Client{Transport: h.Transport()}).Do(req)
		if err == nil {
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode < 400 {
				t.Errorf("an upload that was broken off was acknowledged: %s", resp.Status)
			}
		}
	})
	if _, err := writer.Write(content[:5]); err != nil { // somebody reads it: it is under way
		t.Fatal(err)
	}
	if _, err := h.Drain(t.Context(), 0); err == nil {
		t.Error("a registry that is not frozen was drained")
	}
	h.Freeze()
	aborted, err := h.Drain(t.Context(), 10*time.Millisecond)
	if err != nil || aborted != 1 {
		t.Errorf("drain: broke off %d, %v", aborted, err)
	}
	_ = writer.Close()
	pushed.Wait()
	if aborted, err := h.Drain(t.Context(), time.Minute); err != nil || aborted != 0 {
		t.Errorf("drain once more: broke off %d, %v", aborted, err)
	}
}

func TestSwitchServesTheOtherStorageAndEndsWhatItBegan(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	h := start(t, func(o *Options) { o.Storage = directory(from) })
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	d := h.blob("library/app", big)
	m := h.image("library/app", "one")
	h.put("library/app", "v1", m)
	if err := h.Switch(directory(to)); err == nil {
		t.Fatal("the storage of a registry that is not frozen was exchanged")
	}
	h.Freeze()
	if _, err := h.Drain(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	reading, err := (&http.Client{Transport: h.Transport()}).Get("http://registry/v2/library/app/blobs/" + d.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Switch(Storage{Driver: "s3", Parameters: map[string]any{}}); err == nil {
		t.Error("a storage that cannot be opened was taken")
	}
	if err := h.Switch(directory(to)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(reading.Body)
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("what was being read ended with %d bytes, %v", len(got), err)
	}
	_ = reading.Body.Close()
	h.Thaw()
	two := h.image("library/app", "two")
	h.put("library/app", "v2", two)
	h.agrees()
	link := filepath.Join("docker/registry/v2/repositories/library/app/_manifests/tags/v2/current/link")
	if _, err := os.Stat(filepath.Join(to, link)); err != nil {
		t.Errorf("the new tag is not in the new storage: %v", err)
	}
	if _, err := os.Stat(filepath.Join(from, link)); err == nil {
		t.Error("the new tag is in the old storage")
	}
}

func TestACanaryIsInTheStorageAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	h := start(t, func(o *Options) { o.Storage = directory(dir) })
	h.put("library/app", "v1", h.image("library/app", "one"))
	before := files(t, dir)
	h.Freeze()
	c, err := h.PushCanary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Objects {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("it is not in the storage: %v", err)
		}
	}
	if err := h.DeleteCanary(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if after := files(t, dir); after != before {
		t.Errorf("the storage holds\n%s\nand held\n%s", after, before)
	}
	h.Thaw()
	h.agrees()
	if events := h.events(); len(events) != 1 {
		t.Errorf("events %v, want that of the one push", events)
	}
}

// files lists what is in a folder.
func files(t *testing.T, dir string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}
