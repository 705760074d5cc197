package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/lighterage/lighterage/bench/harness"
	"github.com/lighterage/lighterage/bench/site"
)

const mostLayers = 100 // of one image

// fill pushes repositories with enough for every trial: eight in two halves, one for each
// of two rules, and one that has as much as all of them.
func fill(ctx context.Context, s *site.Site, layer int, trials []trial, window time.Duration) error {
	most := 0
	for _, t := range trials {
		most = max(most, t.limit)
	}
	// Half as much again as can be copied, since repositories do not take turns.
	bytes := int(float64(most) * (warmUp + window).Seconds() * 1.5)
	harness.Log("pushing %s in layers of %s to home, twice", size(bytes), size(layer))
	each := func(repository string, bytes int) error {
		for count, tag := max(bytes/layer, 1), 0; count > 0; count, tag = count-mostLayers, tag+1 {
			image, err := random.Image(int64(layer), int64(min(count, mostLayers)))
			if err != nil {
				return err
			}
			if err := s.Push(ctx, repository, fmt.Sprint("v", tag), image); err != nil {
				return err
			}
		}
		return nil
	}
	if err := each(repository(layer, "alone", 0), bytes); err != nil {
		return err
	}
	for i := range 8 {
		if err := each(repository(layer, []string{"left", "right"}[i%2], i), bytes/8); err != nil {
			return err
		}
	}
	return nil
}

func repository(layer int, part string, i int) string {
	return fmt.Sprintf("library/%d/%s/%d", layer, part, i)
}

// measure copies to a new registry and returns the bytes that reach it within the window.
func (t trial) measure(ctx context.Context, s *site.Site, window time.Duration) (int64, error) {
	var read atomic.Int64
	host, stop := s.Registry(ctx, "cluster", func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = counted{r.Body, &read}
			registry.ServeHTTP(w, r)
		})
	})
	defer func() {
		stop()
		_ = os.RemoveAll(filepath.Join(s.Dir, "cluster"))
	}()
	location, err := s.Create(ctx, "registries", t.registryOf(host))
	if err != nil {
		return 0, err
	}
	var rules []string
	for _, part := range t.parts() {
		rule, err := t.start(ctx, s, path.Base(location), part)
		if err != nil {
			return 0, err
		}
		rules = append(rules, rule)
	}
	if err := sleep(ctx, warmUp); err != nil {
		return 0, err
	}
	before, began := read.Load(), time.Now()
	if err := sleep(ctx, window); err != nil {
		return 0, err
	}
	got, took := read.Load()-before, time.Since(began)
	for _, rule := range rules {
		if err := finish(ctx, s, rule); err != nil {
			return 0, err
		}
	}
	if _, err := s.Call(ctx, http.MethodDelete, "registries/"+path.Base(location), nil, nil); err != nil {
		return 0, err
	}
	return int64(float64(got) * window.Seconds() / took.Seconds()), nil
}

func (t trial) registryOf(host string) map[string]any {
	registry := map[string]any{"name": "cluster", "type": "docker-registry", "url": "http://" + host}
	if t.registry {
		registry["speed"] = speed(t.limit)
	}
	return registry
}

// parts are the repositories of each rule.
func (t trial) parts() []string {
	switch {
	case t.registry:
		return []string{"left", "right"}
	case t.workers > 1:
		return []string{"{left,right}"}
	default:
		return []string{"alone"}
	}
}

// speed is a limit in the unit of the API.
func speed(bytes int) int { return bytes / 128 }

// start makes a rule and runs it. It returns the rule's id.
func (t trial) start(ctx context.Context, s *site.Site, registry, part string) (string, error) {
	rule := map[string]any{
		"name": part, "dest_registry": map[string]any{"id": json.Number(registry)}, "enabled": true, "override": true,
		"filters": []map[string]any{{"type": "name", "value": fmt.Sprintf("library/%d/%s/*", t.layer, part)}},
	}
	if part == "{left,right}" {
		rule["name"] = "both"
	}
	if !t.registry {
		rule["speed"] = speed(t.limit)
	}
	location, err := s.Create(ctx, "replication/policies", rule)
	if err != nil {
		return "", err
	}
	id := path.Base(location)
	_, err = s.Create(ctx, "replication/executions", map[string]any{"policy_id": json.Number(id)})
	return id, err
}

// finish stops a rule's execution, which must not have ended by itself, and deletes the rule.
func finish(ctx context.Context, s *site.Site, rule string) error {
	var executions []struct {
		ID     int64  `json:"id"`
		Status string `json:"status"`
		Text   string `json:"status_text"`
	}
	if _, err := s.Call(ctx, http.MethodGet, "replication/executions?policy_id="+rule, nil, &executions); err != nil {
		return err
	}
	for _, e := range executions {
		if e.Status != "InProgress" {
			return fmt.Errorf("execution %d had ended too soon: %s %s", e.ID, e.Status, e.Text)
		}
		if _, err := s.Call(ctx, http.MethodPut, fmt.Sprint("replication/executions/", e.ID), nil, nil); err != nil {
			return err
		}
	}
	_, err := s.Call(ctx, http.MethodDelete, "replication/policies/"+rule, nil, nil)
	return err
}

// counted is a body whose bytes are counted as they are read.
type counted struct {
	io.ReadCloser
	read *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
