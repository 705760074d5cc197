package kube

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// pause pauses the queues of Harbor's jobs that delete or push images, and waits for
// those that run. Queues that somebody else has paused are left to them. A Harbor that is
// read-only takes no such change, and needs none: it refuses what these jobs do.
func (m *mover) pause(ctx context.Context) error {
	activity, err := m.harbor.activity(ctx)
	if err != nil {
		return err
	}
	if !activity.ReadOnly {
		if err := m.pauseQueues(ctx, activity); err != nil {
			return err
		}
	}
	return m.awaitJobs(ctx)
}

func (m *mover) pauseQueues(ctx context.Context, activity *Activity) error {
	for _, kind := range changing {
		if !slices.Contains(activity.Paused, kind) && !slices.Contains(m.state.Paused, kind) {
			m.state.Paused = append(m.state.Paused, kind)
		}
	}
	if err := m.save(ctx); err != nil {
		return err
	}
	for _, kind := range m.state.Paused {
		if err := m.harbor.queue(ctx, kind, "pause"); err != nil {
			return err
		}
	}
	activity, err := m.harbor.activity(ctx)
	if err != nil {
		return err
	}
	for _, kind := range m.state.Paused {
		if !slices.Contains(activity.Paused, kind) && slices.Contains(activity.Queues, kind) {
			return problem.New(problem.Precondition, "Harbor did not pause its queue %s", kind)
		}
	}
	return nil
}

// awaitJobs waits until none of the jobs that change the storage runs.
func (m *mover) awaitJobs(ctx context.Context) error {
	end, said := time.Now().Add(m.o.Patience), ""
	for {
		activity, err := m.harbor.activity(ctx)
		if err != nil {
			return err
		}
		if len(activity.Running) == 0 {
			return nil
		}
		running := strings.Join(activity.Running, ", ")
		if time.Now().After(end) {
			return problem.New(problem.Precondition, "these jobs of Harbor have not ended within %s: %s; stop them, or wait longer with --patience", m.o.Patience, running)
		}
		if running != said {
			said = running
			m.o.Note("waiting until these jobs of Harbor have ended: " + running)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// resume undoes what pause did.
func (m *mover) resume(ctx context.Context) error {
	for len(m.state.Paused) > 0 {
		if err := m.harbor.queue(ctx, m.state.Paused[0], "resume"); err != nil {
			return err
		}
		m.state.Paused = m.state.Paused[1:]
		if err := m.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

// queue pauses or resumes the jobs of a kind. Harbor: PUT /jobservice/queues/{job_type}.
func (h *harborAPI) queue(ctx context.Context, kind, action string) error {
	if err := h.call(ctx, http.MethodPut, "/jobservice/queues/"+kind, map[string]any{"action": action}, nil); err != nil {
		return fmt.Errorf("%s the jobs %s: %w", action, kind, err)
	}
	return nil
}

// refusals is how often in a row Harbor must refuse a change: its core may have several
// replicas, of which one may learn later that nothing may be changed.
const refusals = 10

// freeze switches read-only mode on, and waits until no request that changes something
// comes through any more.
func (m *mover) freeze(ctx context.Context) error {
	if !m.state.WasReadOnly && !m.state.Frozen {
		m.state.Frozen = true
		m.state.Window.From, m.state.Window.To = now(), nil
		if err := m.save(ctx); err != nil {
			return err
		}
	}
	now, err := m.harbor.readOnly(ctx)
	if err != nil {
		return err
	}
	if !m.state.WasReadOnly || !now.ReadOnly {
		if err := m.setReadOnly(ctx, true); err != nil {
			return err
		}
	}
	end := time.Now().Add(m.o.Rollout)
	for refused := 0; refused < refusals; {
		// Nothing of this name can be there. Where changes are allowed the answer is that.
		err := m.harbor.call(ctx, http.MethodDelete, "/projects/lighterage-is-not-there/repositories/none", nil, nil)
		switch {
		case problem.Is(err, problem.Denied):
			refused++
			m.harbor.client.CloseIdleConnections() // the next one may reach another replica
			continue
		case !problem.Is(err, problem.NotFound) && !problem.Is(err, problem.Forbidden):
			return fmt.Errorf("find out whether Harbor is read-only: %w", orNothing(err))
		}
		if refused = 0; time.Now().After(end) {
			return problem.New(problem.Precondition, "Harbor says that it is read-only, and some of it still takes changes after %s", m.o.Rollout)
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait until Harbor refuses changes: %w", err)
		}
	}
	// What came in before may still be written.
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(m.o.Drain):
		return nil
	}
}

func orNothing(err error) error {
	if err == nil {
		return problem.New(problem.Unknown, "it deleted what is not there")
	}
	return err
}

// setReadOnly switches read-only mode through Harbor's API or, where that does not let
// it be, through the value of the chart that fixes Harbor's settings.
func (m *mover) setReadOnly(ctx context.Context, on bool) error {
	if !m.state.Locked {
		return m.harbor.setReadOnly(ctx, on)
	}
	if m.byOthers() {
		m.o.Note(fmt.Sprintf("waiting for you: have \"read_only\": %t in the value core.configureUserSettings, and have it applied", on))
	} else {
		patch, err := m.settings(ctx, on)
		if err == nil {
			err = m.change(ctx, patch)
		}
		if err != nil {
			return fmt.Errorf("switch read-only mode: %w", err)
		}
	}
	end, said := time.Now().Add(m.o.Rollout), ""
	for {
		pending, err := m.settled(ctx, on)
		if err != nil || pending == "" {
			return err
		}
		if time.Now().After(end) {
			return problem.New(problem.Precondition, "read-only mode is not %t within %s: %s", on, m.o.Rollout, pending)
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

// settled says what keeps read-only mode from being as it should, "" if nothing: every
// pod of core has the settings from its start.
func (m *mover) settled(ctx context.Context, on bool) (pending string, err error) {
	now, err := m.harbor.readOnly(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return err.Error(), nil // while core is replaced
	}
	if now.ReadOnly != on {
		return fmt.Sprintf("Harbor says that read-only mode is %t", now.ReadOnly), nil
	}
	all, err := m.deployments(ctx)
	if err != nil {
		return "", err
	}
	for i := range all {
		if belongs(all[i], m.release, "core") {
			return m.pendingOf(ctx, &all[i], "core", false, m.o.Note)
		}
	}
	return "", nil
}

// settings is the change of the chart's values by which read-only mode is switched on,
// or the settings are again what they were.
func (m *mover) settings(ctx context.Context, on bool) (map[string]any, error) {
	kept, err := m.get(ctx, secrets, m.beforeName())
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return nil, problem.New(problem.NotFound, "the Secret %s is gone, which has what core.configureUserSettings was", m.beforeName())
	}
	decoded, err := base64.StdEncoding.DecodeString(textAt(kept.Object, "data", settingsKey))
	if err != nil {
		return nil, fmt.Errorf("read the Secret %s: %w", m.beforeName(), err)
	}
	text := string(decoded)
	if on {
		var fixed map[string]any
		if err := json.Unmarshal([]byte(text), &fixed); err != nil || fixed == nil {
			return nil, problem.New(problem.Precondition, "core.configureUserSettings is no JSON object: read-only mode cannot be added to it")
		}
		fixed["read_only"] = true
		changed, err := json.Marshal(fixed)
		if err != nil {
			return nil, fmt.Errorf("write core.configureUserSettings: %w", err)
		}
		text = string(changed)
	}
	patch := map[string]any{"core": map[string]any{"configureUserSettings": text}}
	if m.release.Packaging == AlaudaResource {
		return inResource(patch), nil
	}
	return patch, nil
}

// setReadOnly switches read-only mode, and reads it back.
func (h *harborAPI) setReadOnly(ctx context.Context, on bool) error {
	if err := h.call(ctx, http.MethodPut, "/configurations", map[string]any{"read_only": on}, nil); err != nil {
		return fmt.Errorf("switch read-only mode: %w", err)
	}
	activity, err := h.readOnly(ctx)
	if err != nil {
		return err
	}
	if activity.ReadOnly != on {
		return problem.New(problem.Precondition, "Harbor says that read-only mode is %t after it was made %t: something else sets it", activity.ReadOnly, on)
	}
	return nil
}

// open switches read-only mode off, unless Harbor was read-only before.
func (m *mover) open(ctx context.Context) error {
	if m.state.WasReadOnly {
		m.o.Note("Harbor was read-only before, and stays so")
		return nil
	}
	if !m.state.Frozen {
		return nil
	}
	m.state.Opened = m.state.Opened || m.state.Switched && m.state.Direction == There
	if err := m.save(ctx); err != nil {
		return err
	}
	if err := m.setReadOnly(ctx, false); err != nil {
		return err
	}
	m.state.Frozen = false
	m.state.Window.To = now()
	if m.state.Window.From != nil {
		m.state.Window.Seconds += m.state.Window.To.Sub(*m.state.Window.From).Seconds()
	}
	return m.save(ctx)
}
