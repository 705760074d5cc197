package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/lighterage/lighterage/bench/site"
)

// world is a server and a cluster's registry.
type world struct {
	*site.Site
	cluster string // host
	policy  string // id of the rule between them
	puts    atomic.Int64
	away    atomic.Bool // the cluster's registry answers nothing but 503
	stop    func()      // of the cluster's registry

	burstAway bool // the burst that is being measured
}

func newWorld(ctx context.Context, binary, folder string) (w *world, err error) {
	w = &world{stop: func() {}}
	if w.Site, err = site.Start(ctx, binary, folder); err != nil {
		return w, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.cluster, w.stop = w.Registry(ctx, "cluster", w.front)
	location, err := w.Create(ctx, "registries", map[string]any{"name": "cluster", "type": "docker-registry", "url": "http://" + w.cluster})
	if err != nil {
		return w, err
	}
	location, err = w.Create(ctx, "replication/policies", map[string]any{
		"name": "all", "dest_registry": map[string]any{"id": json.Number(path.Base(location))},
		"trigger": map[string]any{"type": "event_based"}, "override": true, "enabled": true, "deletion": true,
	})
	w.policy = path.Base(location)
	return w, err
}

func (w *world) close() {
	w.stop()
	w.Close()
}

// front counts the manifests that the cluster's registry gets, or answers in its place.
func (w *world) front(registry http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.away.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			w.puts.Add(1)
		}
		registry.ServeHTTP(rw, r)
	})
}

func (w *world) push(ctx context.Context, tag string, image v1.Image) error {
	return w.Push(ctx, "library/app", tag, image)
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
