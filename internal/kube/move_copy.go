package kube

import (
	"context"

	"github.com/lighterage/lighterage/internal/problem"
)

// finals is how often the copy in the window is made again when something has arrived
// that was on its way when read-only mode was switched on.
const finals = 3

// final copies what is new since the last copy, and checks that nothing differs and that
// the artifacts that Harbor got since are there.
func (m *mover) final(ctx context.Context) error {
	out, err := m.untilEqual(ctx, FinalStep)
	m.state.Final = reportsOf(out)
	if err != nil || m.state.Listed == nil {
		return err
	}
	all, late, err := m.harbor.list(ctx, m.state.Listed.Latest)
	if err != nil {
		return err
	}
	m.state.Late = late
	return m.findAll(ctx, all, late)
}

// bringBack brings what was pushed since into the volume, and checks that nothing differs.
func (m *mover) bringBack(ctx context.Context) error {
	claim, err := m.volumeIsThere(ctx)
	if err != nil {
		return err
	}
	if !claim {
		return problem.New(problem.Precondition, "%s is gone: there is nothing to go back to", m.release.Volume.Describe())
	}
	out, err := m.untilEqual(ctx, BackStep)
	m.state.Return = reportsOf(out)
	return err
}

func (m *mover) volumeIsThere(ctx context.Context) (bool, error) {
	if m.release.Volume.Kind != ClaimVolume {
		return true, nil
	}
	claim, err := m.get(ctx, claims, m.release.Volume.Claim)
	return claim != nil && claim.GetDeletionTimestamp() == nil, err
}

// untilEqual runs a step that copies and checks until the check finds no difference.
func (m *mover) untilEqual(ctx context.Context, step Step) (out Outcome, err error) {
	for round := 1; ; round++ {
		if out, err = m.job(ctx, step, round); err != nil {
			return out, err
		}
		if !out.Failed {
			return out, nil
		}
		late := onlyNew(out, m.Lines(ctx, out, "check", "difference"))
		if !late || round == finals {
			container := "check"
			if out.Exits["copy"] != 0 {
				container = "copy"
			}
			return out, m.failed(ctx, out, step, container)
		}
		m.o.Note("something was written after the copy, by a request that was on its way before the window: once more")
	}
}

// reportsOf returns what the containers of a Job reported, in their order.
func reportsOf(o Outcome) []map[string]any {
	var found []map[string]any
	for _, name := range []string{"copy", "check"} {
		if report := o.Reports[name]; report != nil {
			report["container"] = name
			found = append(found, report)
		}
	}
	return found
}

// clear deletes the Jobs: a volume that is one node's stays there while a pod of them is.
func (m *mover) clear(ctx context.Context) error {
	for _, step := range allSteps {
		if err := m.DeleteJob(ctx, m.release.JobName(step)); err != nil {
			return err
		}
	}
	return nil
}
