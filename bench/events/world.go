package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // driver "filesystem"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sirupsen/logrus"
)

const password = "Bench12345"

// world is a server and a cluster's registry.
type world struct {
	dir     string
	server  *exec.Cmd
	home    string // host
	cluster string // host
	policy  string // id of the rule between them
	puts    atomic.Int64
	away    atomic.Bool // the cluster's registry answers nothing but 503
	ends    []func()

	burstAway bool // the burst that is being measured
}

func newWorld(ctx context.Context, binary, folder string) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp(folder, "lighterage-bench-"); err != nil {
		return w, err
	}
	w.ends = append(w.ends, func() { _ = os.RemoveAll(w.dir) })
	w.startCluster(ctx)
	if err := w.startServer(ctx, binary); err != nil {
		return w, err
	}
	location, err := w.create(ctx, "registries", map[string]any{"name": "cluster", "type": "docker-registry", "url": "http://" + w.cluster})
	if err != nil {
		return w, err
	}
	location, err = w.create(ctx, "replication/policies", map[string]any{
		"name": "all", "dest_registry": map[string]any{"id": json.Number(path.Base(location))},
		"trigger": map[string]any{"type": "event_based"}, "override": true, "enabled": true, "deletion": true,
	})
	w.policy = path.Base(location)
	return w, err
}

func (w *world) close() {
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
}

func (w *world) startCluster(ctx context.Context) {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{}
	config.Storage = configuration.Storage{
		"filesystem":  configuration.Parameters{"rootdirectory": filepath.Join(w.dir, "cluster")},
		"delete":      configuration.Parameters{"enabled": true},
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}
	config.HTTP.Secret = "bench"
	config.Log.Level = "error"
	config.Log.AccessLog.Disabled = true
	app := handlers.NewApp(ctx, config)
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.away.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			w.puts.Add(1)
		}
		app.ServeHTTP(rw, r)
	}))
	w.cluster = web.Listener.Addr().String()
	w.ends = append(w.ends, func() {
		web.CloseClientConnections()
		web.Close()
	})
}

func (w *world) startServer(ctx context.Context, binary string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.home = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	w.server = exec.CommandContext(ctx, binary, "serve", "--data", filepath.Join(w.dir, "home"), "--listen", w.home)
	w.server.Env = append(os.Environ(), "LIGHTERAGE_ADMIN_PASSWORD="+password)
	log, err := os.Create(filepath.Join(w.dir, "log"))
	if err != nil {
		return err
	}
	w.server.Stdout, w.server.Stderr = log, log
	if err := w.server.Start(); err != nil {
		return fmt.Errorf("start %s: %w", binary, err)
	}
	w.ends = append(w.ends, func() {
		_ = w.server.Process.Kill()
		_ = w.server.Wait() // its error is that it was killed
		_ = log.Close()
	})
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := w.call(ctx, http.MethodGet, "ping", nil, nil); err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the server did not start:\n%s", text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// create makes something by the API and returns its address.
func (w *world) create(ctx context.Context, what string, body any) (string, error) {
	header, err := w.call(ctx, http.MethodPost, what, body, nil)
	return header.Get("Location"), err
}

func (w *world) call(ctx context.Context, method, what string, body, into any) (http.Header, error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+w.home+"/api/v2.0/"+what, &text)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth("admin", password)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, what, answer.Status, content)
	}
	if into != nil {
		err = json.Unmarshal(content, into)
	}
	return answer.Header, err
}

// push pushes an image to home as any client does.
func (w *world) push(ctx context.Context, tag string, image v1.Image) error {
	reference, err := name.ParseReference(w.home+"/library/app:"+tag, name.Insecure)
	if err != nil {
		return err
	}
	login := &authn.Basic{Username: "admin", Password: password}
	return remote.Write(reference, image, remote.WithContext(ctx), remote.WithAuth(login), remote.WithJobs(4))
}

// has reports whether the cluster's registry has an image under a tag.
func (w *world) has(ctx context.Context, tag, digest string) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+w.cluster+"/v2/library/app/manifests/"+tag, nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false, err
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK && answer.Header.Get("Docker-Content-Digest") == digest, nil
}
