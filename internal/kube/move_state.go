package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lighterage/lighterage/internal/problem"
)

// Direction is where a move goes.
type Direction string

// The directions.
const (
	There Direction = "there" // from the volume to the bucket
	Back  Direction = "back"
)

// stateVersion is that of the format below.
const stateVersion = 1

// Migration is the state of a move, as it is kept in the cluster: all that another
// machine needs to go on, and all that is reported. It holds no secret.
type Migration struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"`
	Direction Direction `json:"direction"`
	Phase     Phase     `json:"phase"` // the one that is done next, or "done"
	Problem   string    `json:"problem,omitempty"`

	Started  *time.Time `json:"started"`
	Updated  *time.Time `json:"updated"`
	Finished *time.Time `json:"finished,omitempty"`

	Release Release        `json:"release"` // as it was in the beginning
	Kept    releaseParts   `json:"release_parts"`
	Target  Target         `json:"target"`
	Switch  map[string]any `json:"switch"`
	Undo    map[string]any `json:"undo"`

	// Paused are the queues that the move has paused, and Frozen tells that it has
	// switched read-only mode on. Both are written before it is done.
	Paused []string `json:"paused,omitempty"`
	Frozen bool     `json:"frozen"`
	// Locked: Harbor's API does not let read-only mode be switched, and it is by the value
	// core.configureUserSettings. What that was is in a Secret, for it may hold passwords.
	Locked bool `json:"locked,omitempty"`
	// WasReadOnly: Harbor was read-only before, and stays so.
	WasReadOnly bool `json:"was_read_only"`
	// Switched: the registry has been given the bucket, or perhaps.
	Switched bool `json:"switched"`
	// Undone: the registry has been given its volume again, or perhaps.
	Undone bool `json:"undone"`
	// Opened: pushes into the bucket have been possible.
	Opened bool `json:"opened"`

	Staged *Staged `json:"staged,omitempty"`
	// Listed is of the artifacts that Harbor knew before the window, Late of those that
	// came since.
	Listed *ArtifactCheck   `json:"artifacts,omitempty"`
	Late   *ArtifactCheck   `json:"late_artifacts,omitempty"`
	Final  []map[string]any `json:"final,omitempty"`  // of copy and check in the window
	Return []map[string]any `json:"return,omitempty"` // of copy and check on the way back
	Flush  map[string]any   `json:"flush,omitempty"`
	Pulled []Pull           `json:"pulled,omitempty"`
	Pushed *Pull            `json:"pushed,omitempty"`
	Window Window           `json:"window"`

	revision string // of the ConfigMap that holds this
}

// Window is how long Harbor was read-only for the move.
type Window struct {
	From *time.Time `json:"from,omitempty"`
	To   *time.Time `json:"to,omitempty"`
	// Seconds is the sum of all windows that have ended.
	Seconds float64 `json:"seconds"`
	// Phases are the seconds that each phase in the window took.
	Phases map[Phase]float64 `json:"phases,omitempty"`
}

// add adds what a phase in the window took.
func (w *Window) add(p Phase, d time.Duration) {
	if w.Phases == nil {
		w.Phases = map[Phase]float64{}
	}
	w.Phases[p] += d.Round(time.Millisecond).Seconds()
}

// releaseParts are the parts of a release that are of use for its Jobs only.
type releaseParts struct {
	Selector    map[string]any `json:"selector,omitempty"`
	Tolerations []any          `json:"tolerations,omitempty"`
	PullSecrets []any          `json:"pull_secrets,omitempty"`
}

// release returns the release as it was before the move.
func (m *Migration) release() *Release {
	r := m.Release
	r.Registry.selector, r.Registry.tolerations, r.Registry.pullSecrets = m.Kept.Selector, m.Kept.Tolerations, m.Kept.PullSecrets
	return &r
}

func (m *Migration) keep(r *Release) {
	m.Release = *r
	m.Kept = releaseParts{r.Registry.selector, r.Registry.tolerations, r.Registry.pullSecrets}
}

func now() *time.Time {
	t := time.Now().UTC().Truncate(time.Millisecond)
	return &t
}

func stamp(t *time.Time) string {
	if t == nil {
		return "an unknown time"
	}
	return t.Format(time.RFC3339)
}

// stateName is the name of the ConfigMap and of the lock of a release's move. It is the
// same before and after, when nothing else is.
func stateName(fullName string) string { return fullName + "-to-s3" }

const (
	stateLabel = "lighterage.io/move"
	stateKey   = "state.json"
)

func (m *mover) name() string { return stateName(m.release.FullName) }

// beforeName is that of the Secret with what was there before the move.
func (m *mover) beforeName() string { return m.name() + "-before" }

// The keys of that Secret.
const (
	beforeKey   = "before.json"
	settingsKey = "settings.json"
)

// Migrations returns the moves that are known in the namespace.
func (c *Cluster) Migrations(ctx context.Context) ([]Migration, error) {
	kept, err := c.list(ctx, configMaps, metav1.ListOptions{LabelSelector: stateLabel})
	if err != nil {
		return nil, err
	}
	found := make([]Migration, 0, len(kept))
	for i := range kept {
		state, err := readState(&kept[i])
		if err != nil {
			return nil, err
		}
		found = append(found, state)
	}
	return found, nil
}

func readState(from *unstructured.Unstructured) (state Migration, err error) {
	text := textAt(from.Object, "data", stateKey)
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		return state, fmt.Errorf("read the state of a move in the ConfigMap %s: %w", from.GetName(), err)
	}
	if state.Version != stateVersion {
		return state, problem.New(problem.Precondition, "the move in the ConfigMap %s was begun by another release of this program (its format is %d, and %d is known here): go on with that release", from.GetName(), state.Version, stateVersion)
	}
	state.revision = from.GetResourceVersion()
	return state, nil
}

// find finds the release that is meant: one that is being moved, or one that can be.
func (m *mover) find(ctx context.Context, name string) error {
	known, err := m.Migrations(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, state := range known {
		if name == "" || state.Release.Name == name {
			m.state = state
			names = append(names, state.Release.Name)
		}
	}
	if len(names) > 1 {
		return problem.New(problem.BadRequest, "several Harbors of namespace %s are being moved, or have been: say which with --harbor: %v", m.Namespace, names)
	}
	if len(names) == 1 {
		m.release = m.state.release()
		if m.state.Phase != PhaseDone {
			return nil
		}
	}
	found, err := m.Discover(ctx, name)
	if err != nil {
		if m.release != nil {
			return nil // nothing is to be found, but what to go back to is known
		}
		return err
	}
	if len(found) > 1 {
		for _, r := range found {
			names = append(names, r.Name)
		}
		return problem.New(problem.BadRequest, "namespace %s has several Harbors; say which with --harbor: %v", m.Namespace, names)
	}
	if m.release == nil {
		m.release = found[0]
	}
	if m.release.FullName == "" { // nothing of it is running that could be moved
		return standsInTheWay(found[0])
	}
	return nil
}

// standsInTheWay is the error that something stops the move of a release; nil: nothing does.
func standsInTheWay(r *Release) error {
	for _, o := range r.Obstacles {
		if o.Severity == Stops {
			return problem.New(problem.Precondition, "%s (%s) %s", o.Found, o.Code, o.WayOut)
		}
	}
	return nil
}

// load reads the state that is kept, if there is one.
func (m *mover) load(ctx context.Context) error {
	kept, err := m.get(ctx, configMaps, m.name())
	if err != nil {
		return err
	}
	if kept == nil {
		m.state = Migration{}
		return nil
	}
	if m.state, err = readState(kept); err != nil {
		return err
	}
	m.release = m.state.release()
	return nil
}

// save keeps the state. It fails if somebody else has changed it.
func (m *mover) save(ctx context.Context) error {
	m.state.Updated = now()
	text, err := json.MarshalIndent(m.state, "", "  ")
	if err != nil {
		return fmt.Errorf("write the state of the move: %w", err)
	}
	object := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": m.name(), "labels": map[string]any{
			"app.kubernetes.io/name": "lighterage", stateLabel: m.release.Name,
		}},
		"data": map[string]any{stateKey: string(text)},
	}}
	var kept *unstructured.Unstructured
	verb := "create"
	if m.state.revision == "" {
		kept, err = m.of(configMaps).Create(ctx, &object, metav1.CreateOptions{})
	} else {
		verb = "update"
		object.SetResourceVersion(m.state.revision)
		kept, err = m.of(configMaps).Update(ctx, &object, metav1.UpdateOptions{})
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return problem.Wrap(problem.Conflict, err, "somebody else goes on with this move: keep its state in the ConfigMap %s", m.name())
	}
	if err != nil {
		return m.explain(err, verb, configMaps, m.name())
	}
	m.state.revision = kept.GetResourceVersion()
	return nil
}

// Holder says who goes on with a move at this moment, "" if nobody says so.
func (c *Cluster) Holder(ctx context.Context, m Migration) (string, error) {
	lease, err := c.get(ctx, leases, stateName(m.Release.FullName))
	if err != nil || lease == nil {
		return "", err
	}
	renewed, err := time.Parse(time.RFC3339Nano, textAt(lease.Object, "spec", "renewTime"))
	if err != nil || time.Since(renewed) > 2*lockDuration {
		return "", nil
	}
	return textAt(lease.Object, "spec", "holderIdentity"), nil
}

// Finish forgets a move that has ended: its Jobs, its state, and what was kept of the
// time before. The volume stays.
func (c *Cluster) Finish(ctx context.Context, name string) (Migration, error) {
	return c.moving(ctx, name, MoveOptions{}, func(ctx context.Context, m *mover) error {
		switch {
		case m.state.Version == 0:
			return problem.New(problem.NotFound, "no move of a Harbor to S3 is known in namespace %s", c.Namespace)
		case m.state.Phase != PhaseDone:
			return problem.New(problem.Precondition, "the move of %s has not ended: it is in the phase %q; go on with \"migrate run --kubernetes\", or go back with \"migrate rollback --kubernetes\"", m.state.Release.Name, m.state.Phase)
		}
		if err := m.clear(ctx); err != nil {
			return err
		}
		if err := m.of(configMaps).Delete(ctx, m.release.listName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return m.explain(err, "delete", configMaps, m.release.listName())
		}
		for kind, name := range map[schema.GroupVersionResource]string{secrets: m.beforeName(), configMaps: m.name()} {
			if err := m.of(kind).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return m.explain(err, "delete", kind, name)
			}
		}
		return nil
	})
}
