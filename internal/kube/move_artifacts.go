package kube

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lighterage/lighterage/internal/problem"
)

// ArtifactCheck is what was found of the artifacts that Harbor knows: its database, and
// not the storage, says which there are.
type ArtifactCheck struct {
	Repositories int64 `json:"repositories"`
	Artifacts    int64 `json:"artifacts"` // with accessories
	Whole        int64 `json:"whole"`     // in the bucket
	Missing      int64 `json:"missing"`
	// Before: not whole in the bucket, and not in the volume either: broken before, or
	// deleted since they were listed.
	Before int64 `json:"before"`
	// Latest is when the repository that changed last did so, by Harbor's clock.
	Latest time.Time `json:"latest,omitzero"`
}

// artifactsAtOnce is how many repositories Harbor is asked about at a time.
const artifactsAtOnce = 8

// list returns the artifacts of all repositories that changed after a time, as
// REPOSITORY@DIGEST; the zero time is that of all.
func (h *harborAPI) list(ctx context.Context, after time.Time) ([]string, *ArtifactCheck, error) {
	found := &ArtifactCheck{Latest: after}
	var all []string
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(artifactsAtOnce)
	const page = 100
	older := false
	for n := 1; !older; n++ {
		var repositories []struct {
			Name    string    `json:"name"`
			Changed time.Time `json:"update_time"`
		}
		if err := h.get(gctx, fmt.Sprintf("/repositories?page=%d&page_size=%d&sort=-update_time", n, page), &repositories); err != nil {
			return nil, nil, errors.Join(err, g.Wait())
		}
		for _, r := range repositories {
			if older = !r.Changed.After(after); older && !after.IsZero() {
				break
			}
			if older = false; r.Changed.After(found.Latest) {
				found.Latest = r.Changed
			}
			found.Repositories++
			g.Go(func() error {
				of, err := h.artifactsOf(gctx, r.Name)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, of...)
				return err
			})
		}
		older = older || len(repositories) < page
	}
	err := g.Wait()
	found.Artifacts = int64(len(all))
	return all, found, err
}

func (h *harborAPI) artifactsOf(ctx context.Context, repository string) (all []string, err error) {
	project, rest, _ := strings.Cut(repository, "/")
	const page = 100
	for n := 1; ; n++ {
		var artifacts []struct {
			Digest      string `json:"digest"`
			Accessories []struct {
				Digest string `json:"digest"`
			} `json:"accessories"`
		}
		path := fmt.Sprintf("/projects/%s/repositories/%s/artifacts?page=%d&page_size=%d&with_tag=false&with_accessory=true", project, escapeRepository(rest), n, page)
		if err := h.get(ctx, path, &artifacts); err != nil {
			if problem.Is(err, problem.NotFound) { // deleted meanwhile
				return all, nil
			}
			return all, fmt.Errorf("list the artifacts of %s: %w", repository, err)
		}
		for _, a := range artifacts {
			all = append(all, repository+"@"+a.Digest)
			for _, accessory := range a.Accessories {
				all = append(all, repository+"@"+accessory.Digest)
			}
		}
		if len(artifacts) < page {
			return all, nil
		}
	}
}

// listLimit is how many artifacts go into one ConfigMap, which holds 1 MiB: a digest
// takes 32 bytes however well it is packed.
const listLimit = 20000

// listKey is the file that they are in.
const listKey = "artifacts.gz"

func (r *Release) listName() string { return stateName(r.FullName) + "-artifacts" }

// findAll looks for artifacts in the bucket.
func (m *mover) findAll(ctx context.Context, all []string, found *ArtifactCheck) error {
	for round := 1; len(all) > 0; round++ {
		part := all[:min(len(all), listLimit)]
		all = all[len(part):]
		if err := m.keepList(ctx, part); err != nil {
			return err
		}
		out, err := m.job(ctx, ArtifactsStep, round)
		if err != nil {
			return err
		}
		report := out.Reports["find"]
		found.Whole += int64(number(report, "whole"))
		found.Missing += int64(number(report, "missing"))
		found.Before += int64(number(report, "before"))
		if out.Failed {
			return fmt.Errorf("artifacts that Harbor knows are whole in the volume, and not in the bucket: %w", m.failed(ctx, out, ArtifactsStep, "find"))
		}
	}
	if found.Before > 0 {
		m.o.Note(fmt.Sprintf("%d of %d artifacts that Harbor knows are not whole in the volume: they were broken before, or have been deleted since; \"migrate fsck\" says why", found.Before, found.Artifacts))
	}
	return nil
}

// keepList puts a list where a pod reads it.
func (m *mover) keepList(ctx context.Context, list []string) error {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(strings.Join(list, "\n")))
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("pack the list of artifacts: %w", err)
	}
	name := m.release.listName()
	object := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata":   map[string]any{"name": name, "labels": map[string]any{"app.kubernetes.io/name": "lighterage"}},
		"binaryData": map[string]any{listKey: base64.StdEncoding.EncodeToString(packed.Bytes())},
	}}
	_, err = m.of(configMaps).Create(ctx, &object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		// A pod of an earlier list must not read this one.
		if err := m.DeleteJob(ctx, m.release.JobName(ArtifactsStep)); err != nil {
			return err
		}
		_, err = m.of(configMaps).Update(ctx, &object, metav1.UpdateOptions{})
	}
	if err != nil {
		return m.explain(err, "keep the list of artifacts in", configMaps, name)
	}
	return nil
}
