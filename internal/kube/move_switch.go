package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lighterage/lighterage/internal/problem"
)

// switchThere gives the registry the bucket.
func (m *mover) switchThere(ctx context.Context) error {
	m.state.Switched = true // from here on it is not known without a look
	if err := m.save(ctx); err != nil {
		return err
	}
	return m.change(ctx, m.state.Switch)
}

// switchBack gives the registry its volume.
func (m *mover) switchBack(ctx context.Context) error {
	// The pods of the step back have the volume.
	if err := m.DeleteJob(ctx, m.release.JobName(BackStep)); err != nil {
		return err
	}
	m.state.Undone = true
	if err := m.save(ctx); err != nil {
		return err
	}
	return m.change(ctx, m.state.Undo)
}

// change applies a merge patch to the values of the release, or says which one is to be
// applied.
func (m *mover) change(ctx context.Context, patch map[string]any) error {
	switch {
	case m.byOthers():
	case m.release.Packaging == AlaudaResource:
		return m.changeResource(ctx, patch)
	default:
		return m.changeHelm(ctx, patch)
	}
	text, err := toYAML(patch)
	if err != nil {
		return fmt.Errorf("write the change: %w", err)
	}
	what := "the values of the chart"
	if m.release.Packaging == AlaudaResource {
		what = "the Harbor " + m.release.Name
	}
	m.o.Note(fmt.Sprintf("waiting for you: merge this into %s now (null takes a value away), and have it applied\n%s", what, text))
	return nil
}

// byOthers reports whether the values are changed by somebody else.
func (m *mover) byOthers() bool {
	return m.o.Adopt || m.release.Packaging == Manifests || m.release.Packaging == HelmRelease && m.o.Helm.Path == ""
}

// changeResource changes the Harbor resource and nothing in it but what the patch names.
func (m *mover) changeResource(ctx context.Context, patch map[string]any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("write the change of the Harbor %s: %w", m.release.Name, err)
	}
	for {
		_, err = m.of(alaudaHarbor).Patch(ctx, m.release.Name, types.MergePatchType, text, metav1.PatchOptions{})
		if !apierrors.IsConflict(err) {
			break
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	if apierrors.IsNotFound(err) {
		return problem.New(problem.NotFound, "the Harbor %s in namespace %s is gone", m.release.Name, m.Namespace)
	}
	if err != nil {
		return m.explain(err, "patch", alaudaHarbor, m.release.Name)
	}
	return nil
}

func (m *mover) rollOutThere(ctx context.Context) error { return m.rollOut(ctx, true) }
func (m *mover) rollOutBack(ctx context.Context) error  { return m.rollOut(ctx, false) }

// rollOut waits until every pod of the registry and of core has the new storage and none
// is left that has the old one.
func (m *mover) rollOut(ctx context.Context, toBucket bool) error {
	end, said, notes := time.Now().Add(m.o.Rollout), "", map[string]bool{}
	for {
		pending, err := m.pending(ctx, toBucket, func(text string) {
			if !notes[text] {
				notes[text] = true
				m.o.Note(text)
			}
		})
		if err != nil || pending == "" {
			return err
		}
		if time.Now().After(end) {
			return problem.New(problem.Precondition, "it has not ended within %s: %s; wait longer with --rollout-timeout", m.o.Rollout, pending)
		}
		if pending != said {
			said = pending
			m.o.Note("waiting: " + pending)
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("%w: %s", err, pending)
		}
	}
}

// pending says what a rollout waits for, "" when it is complete.
func (m *mover) pending(ctx context.Context, toBucket bool, note func(string)) (string, error) {
	all, err := m.deployments(ctx)
	if err != nil {
		return "", err
	}
	for _, component := range []string{"registry", "core"} {
		var d *deployment
		for i := range all {
			if belongs(all[i], m.release, component) {
				d = &all[i]
			}
		}
		if d == nil {
			if component == "core" {
				continue // discovery has told of it
			}
			return "there is no Deployment of the " + component, nil
		}
		pending, err := m.pendingOf(ctx, d, component, toBucket, note)
		if err != nil || pending != "" {
			return pending, err
		}
	}
	return m.unhealthy(ctx)
}

func (m *mover) pendingOf(ctx context.Context, d *deployment, component string, toBucket bool, note func(string)) (string, error) {
	if component == "registry" {
		fresh := Release{}
		if err := m.lookAtRegistry(ctx, &fresh, d); err != nil {
			return "", err
		}
		if pending := m.wrongStorage(&fresh, toBucket); pending != "" {
			return pending, nil
		}
		if m.hasVolume(&d.Spec.Template.Spec) == toBucket {
			return fmt.Sprintf("the Deployment %s is not yet without, or with, %s", d.Metadata.Name, m.release.Volume.Describe()), nil
		}
	}
	running, err := m.list(ctx, pods, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(d.Spec.Selector.MatchLabels).String()})
	if err != nil {
		return "", err
	}
	stale := 0
	for _, one := range running {
		var p pod
		if err := read(one, &p); err != nil {
			return "", err
		}
		if over := p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed"; !over && (one.GetDeletionTimestamp() != nil || component == "registry" && m.hasVolume(&p.Spec) == toBucket) {
			stale++
		}
		m.tellOf(ctx, p, note)
	}
	s, name := d.Status, d.Metadata.Name
	want := int64(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	for _, c := range s.Conditions {
		if c.Type == "Progressing" && c.Status == "False" {
			return "", problem.New(problem.Precondition, "the Deployment %s does not get on: %s: %s", name, c.Reason, c.Message)
		}
	}
	switch {
	case s.ObservedGeneration < d.Metadata.Generation:
		return fmt.Sprintf("the change of the Deployment %s has not been taken up", name), nil
	case s.UpdatedReplicas < want || s.AvailableReplicas < want:
		return fmt.Sprintf("%s has %d of %d new pods, %d available", name, s.UpdatedReplicas, want, s.AvailableReplicas), nil
	case s.Replicas > s.UpdatedReplicas || stale > 0:
		return fmt.Sprintf("%d old pods of %s are left", max(s.Replicas-s.UpdatedReplicas, int64(stale)), name), nil
	}
	return "", nil
}

// wrongStorage says where the registry's images still are, "" if that is right.
func (m *mover) wrongStorage(now *Release, toBucket bool) string {
	want := m.state.Target.S3
	switch s := now.Storage; {
	case toBucket && s.Driver != "s3":
		return fmt.Sprintf("the registry's configuration still says %q", s.Driver)
	case toBucket && (s.Bucket != want.Bucket || s.Endpoint != want.Endpoint || strings.Trim(s.RootDirectory, "/") != strings.Trim(want.RootDirectory, "/")):
		return fmt.Sprintf("the registry's configuration names the bucket %s%s and the folder %q, which are not those of the move", s.Bucket, atEndpoint(s.Endpoint), s.RootDirectory)
	case !toBucket && s.Driver != "filesystem":
		return fmt.Sprintf("the registry's configuration still says %q", s.Driver)
	}
	return ""
}

// hasVolume reports whether a pod uses the volume that the images were in.
func (m *mover) hasVolume(spec *podSpec) bool {
	v := m.release.Volume
	for _, volume := range spec.Volumes {
		if v.Kind == ClaimVolume && textAt(volume, "persistentVolumeClaim", "claimName") == v.Claim ||
			v.Kind == HostVolume && textAt(volume, "hostPath", "path") == v.HostPath {
			return true
		}
	}
	return false
}

// unhealthy says which of its parts Harbor calls unhealthy, "" if none.
func (m *mover) unhealthy(ctx context.Context) (string, error) {
	var health struct {
		Components []struct {
			Name   string `json:"name"`
			Status string `json:"status"`
			Error  string `json:"error"`
		} `json:"components"`
	}
	if err := m.harbor.get(ctx, "/health", &health); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return err.Error(), nil // while core is replaced
	}
	for _, c := range health.Components {
		if c.Status != "healthy" && (c.Name == "registry" || c.Name == "registryctl" || c.Name == "core") {
			return fmt.Sprintf("Harbor says that its %s is %s %s", c.Name, c.Status, c.Error), nil
		}
	}
	return "", nil
}
