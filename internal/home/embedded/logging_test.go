package embedded

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// guarded is a buffer that is read while it may be written.
type guarded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

// Not parallel: the logger is one for the whole process.
func TestTheLogTellsWhyTheStorageFailed(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var log guarded
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))

	h := start(t)
	blobs := filepath.Join(h.dir, "docker/registry/v2/blobs")
	if err := os.MkdirAll(filepath.Dir(blobs), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blobs, nil, 0o600); err != nil { // where a folder must be made
		t.Fatal(err)
	}
	content := []byte("a layer")
	upload := h.want(202, "POST", "/v2/"+repo+"/blobs/uploads/", nil).header.Get("Location")
	h.want(404, "HEAD", "/v2/"+repo+"/blobs/"+digest.FromString("x").String(), nil)
	h.want(500, "PUT", upload+"&digest="+digest.FromBytes(content).String(), content)
	// The line follows the answer.
	ts.Eventually(t, "a failure is logged", func() bool { return log.String() != "" })
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 1 || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "not a directory") || !strings.Contains(lines[0], "/v2/"+repo+"/blobs/uploads/") {
		t.Errorf("%d lines:\n%s", len(lines), log.String())
	}
}
