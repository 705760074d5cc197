package kube

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lighterage/lighterage/internal/problem"
)

// connect makes the way to Harbor's API.
func (m *mover) connect(ctx context.Context) (err error) {
	m.harbor, err = m.Cluster.harbor(ctx, m.release, m.o.Account)
	return err
}

// begin makes the state of a new move, or takes up the one that is there.
func (m *mover) begin(ctx context.Context) error {
	s := &m.state
	if s.Version == 0 || s.Direction == Back && s.Phase == PhaseDone {
		return m.beginNew(ctx)
	}
	target, err := m.o.Target(m.release)
	if err != nil {
		return err
	}
	switch {
	case s.Direction == Back && s.Undone:
		return problem.New(problem.Precondition, "Harbor %s is on its way back to its volume: end that first with \"migrate rollback --kubernetes\"", s.Release.Name)
	case !sameTarget(s.Target, target):
		return problem.New(problem.Precondition, "Harbor %s is being moved to another bucket or with other settings (%s): go on with those, or end it with \"migrate rollback --kubernetes\"", s.Release.Name, s.Target.Location())
	case s.Phase == PhaseDone:
		return nil
	}
	// How the Jobs run may be another than before; where the images go may not.
	s.Target = target
	if s.Direction == Back { // it has the bucket still, and stays there
		s.Direction, s.Phase, s.Problem = There, PhaseRollout, ""
	}
	return m.connect(ctx)
}

// sameTarget reports whether the registry would get the same storage.
func sameTarget(a, b Target) bool { return reflect.DeepEqual(a.S3, b.S3) }

func (m *mover) beginNew(ctx context.Context) error {
	found, err := m.Discover(ctx, m.release.Name)
	if err != nil {
		return err
	}
	r := found[0]
	if err := m.Ask(ctx, r, m.o.Account); err != nil {
		return err
	}
	m.release = r
	if err := standsInTheWay(r); err != nil {
		return err
	}
	for _, o := range r.Obstacles {
		m.o.Note(o.Found + " " + o.WayOut)
	}
	target, err := m.o.Target(r)
	if err != nil {
		return err
	}
	if err := m.connect(ctx); err != nil {
		return err
	}
	revision := m.state.revision
	m.state = Migration{
		Version: stateVersion, ID: strings.ToLower(rand.Text()[:8]), Direction: There, Phase: PhaseStage, Started: now(),
		Target: target, WasReadOnly: r.Activity.ReadOnly, revision: revision,
	}
	m.state.Locked = !r.Activity.Editable
	m.state.keep(r)
	m.state.Switch, m.state.Undo = r.Switch(target.S3)
	if err := m.keepBefore(ctx); err != nil {
		return err
	}
	if err := m.trySwitch(ctx); err != nil {
		return err
	}
	return m.save(ctx)
}

// trySwitch has the cluster say now what it would say in the window.
func (m *mover) trySwitch(ctx context.Context) error {
	if m.release.Packaging != AlaudaResource || m.o.Adopt {
		return nil
	}
	patches := []map[string]any{m.state.Switch, m.state.Undo}
	if m.state.Locked {
		locked, err := m.settings(ctx, true)
		if err != nil {
			return err
		}
		patches = append(patches, locked)
	}
	for _, patch := range patches {
		trial, err := m.TrySwitch(ctx, m.release, patch)
		switch {
		case err != nil:
			return err
		case trial.Refused != nil:
			return problem.Wrap(problem.Precondition, trial.Refused, "the cluster would refuse the change of the Harbor %s", m.release.Name)
		case trial.Untried != nil:
			return trial.Untried
		}
	}
	return nil
}

// keepBefore keeps what is changed as it was before, for people: a Secret, since values
// may hold passwords. The first one of a release that is still in its volume stays.
func (m *mover) keepBefore(ctx context.Context) error {
	var before any = m.release.values
	if m.release.Packaging == AlaudaResource {
		object, err := m.get(ctx, alaudaHarbor, m.release.Name)
		if err != nil {
			return err
		}
		if object != nil {
			before = object.Object
		}
	}
	text, err := json.MarshalIndent(before, "", "  ")
	if err != nil {
		return fmt.Errorf("write what was there before: %w", err)
	}
	name := m.beforeName()
	data := map[string]any{beforeKey: base64.StdEncoding.EncodeToString(text)}
	if m.state.Locked {
		data[settingsKey] = base64.StdEncoding.EncodeToString([]byte(textAt(m.release.values, "core", "configureUserSettings")))
	}
	object := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{"name": name, "labels": map[string]any{"app.kubernetes.io/name": "lighterage", stateLabel: m.release.Name}},
		"data":     data,
	}}
	_, err = m.of(secrets).Create(ctx, &object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = m.of(secrets).Update(ctx, &object, metav1.UpdateOptions{})
	}
	if err != nil {
		return m.explain(err, "keep", secrets, name)
	}
	return nil
}

// stage makes the Secret of the bucket where it is missing, and brings the images there
// while Harbor is in use.
func (m *mover) stage(ctx context.Context) error {
	made, err := m.EnsureSecret(ctx, m.state.Target, m.o.Access, m.o.Secret)
	if err != nil {
		return err
	}
	if made {
		m.o.Note("made the Secret " + m.state.Target.S3.Secret)
	}
	if err := m.tryFlush(ctx); err != nil {
		return err
	}
	// Before the copies: what is listed must be in the bucket after them.
	all, listed, err := m.harbor.list(ctx, time.Time{})
	if err != nil {
		return err
	}
	staged, err := m.Stage(ctx, m.release, m.state.Target, StageOptions{
		Window: m.o.Window, Copies: m.o.Copies, Begin: m.o.Job, Following: m.following(), End: m.o.Ended,
	})
	m.state.Staged = &staged
	if err != nil {
		return err
	}
	if !staged.Short {
		return problem.New(problem.Precondition, "the last of %d copies took %.0f s, more than the %s that the window may take: choose a quieter hour, or allow it with --max-window; nothing was changed",
			len(staged.Copies), staged.LastCopy, m.o.Window)
	}
	m.state.Listed = listed
	return m.findAll(ctx, all, listed)
}
