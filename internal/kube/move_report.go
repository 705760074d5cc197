package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Report tells of a move, as JSON or as Markdown.
func (m Migration) Report(asJSON bool) ([]byte, error) {
	if asJSON {
		text, err := json.MarshalIndent(m, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write the report: %w", err)
		}
		return append(text, '\n'), nil
	}
	return []byte(m.markdown()), nil
}

func (m Migration) markdown() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	r := m.Release
	say("# Harbor %s in namespace %s\n", r.Name, r.Namespace)
	say("%s\n", m.headline())
	say("| | |\n|---|---|")
	row := func(name, format string, args ...any) {
		say("| %s | %s |", name, strings.ReplaceAll(fmt.Sprintf(format, args...), "|", `\|`))
	}
	row("Harbor", "%s, chart %s", orDash(r.HarborVersion), orDash(r.ChartVersion))
	row("From", "%s", r.Volume.Describe())
	row("To", "`%s`", m.Target.Location())
	row("Begun", "%s", stamp(m.Started))
	if m.Finished != nil {
		row("Ended", "%s", stamp(m.Finished))
	}
	if m.Frozen {
		row("**Read-only**", "**since %s, by this move**", stamp(m.Window.From))
	}
	if m.Window.Seconds > 0 {
		row("Read-only", "%.1f s", m.Window.Seconds)
	}
	for _, phase := range slices.Sorted(maps.Keys(m.Window.Phases)) {
		row("in it: "+string(phase), "%.1f s", m.Window.Phases[phase])
	}
	if m.Problem != "" {
		say("\n## What went wrong\n\n%s", m.Problem)
	}
	m.evidence(say)
	m.artifacts(say)
	m.tried(say)
	m.wayOn(say)
	return b.String()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (m Migration) headline() string {
	switch {
	case m.Phase != PhaseDone && m.Direction == Back:
		return fmt.Sprintf("It is on its way back to its volume, in the phase \"%s\".", m.Phase)
	case m.Phase != PhaseDone:
		return fmt.Sprintf("It is on its way to the bucket, in the phase \"%s\".", m.Phase)
	case m.Direction == Back:
		return "It has its images in its volume."
	}
	return "It has its images in the bucket."
}

// evidence tells of each copy and check, with what the check says of how it knows.
func (m Migration) evidence(say func(string, ...any)) {
	if m.Staged == nil && len(m.Final) == 0 && len(m.Return) == 0 {
		return
	}
	say("\n## Copies and checks\n")
	say("| when | what | objects | bytes | result | seconds |\n|---|---|---|---|---|---|")
	line := func(when, what string, report map[string]any) {
		if report == nil {
			return
		}
		n := func(name string) float64 { return number(report, name) }
		if what == "copy" {
			say("| %s | copy | %.0f copied, %.0f there already | %.0f | %.0f failed | %.1f |", when, n("copied"), n("known"), n("bytes"), n("failed"), n("seconds"))
			return
		}
		say("| %s | check | %.0f | %.0f read back | %.0f right, %.0f missing, %.0f different, %.0f unreadable | %.1f |",
			when, n("objects"), n("read_bytes"), n("same"), n("missing"), n("different"), n("unreadable"), n("seconds"))
	}
	if m.Staged != nil {
		for _, report := range m.Staged.Copies {
			line("in use", "copy", report)
		}
		line("in use", "check", m.Staged.Check)
	}
	for when, reports := range map[string][]map[string]any{"read-only": m.Final, "on the way back": m.Return} {
		for _, report := range reports {
			line(when, textAt(report, "container"), report)
		}
	}
	for _, report := range append([]map[string]any{stagedCheck(m.Staged)}, m.Final...) {
		proofs := mapAt(report, "proofs")
		for _, how := range slices.Sorted(maps.Keys(proofs)) {
			say("\n- %v objects: %s", proofs[how], how)
		}
	}
}

// artifacts tells of what Harbor's database knows.
func (m Migration) artifacts(say func(string, ...any)) {
	if m.Listed == nil {
		return
	}
	say("\n## Harbor's artifacts\n")
	found := func(when string, c *ArtifactCheck) {
		say("- %s: %d artifacts in %d repositories, as Harbor lists them; %d are whole in the bucket, with manifest, config, layers and links, %d are missing there, %d are not whole in the volume either.",
			when, c.Artifacts, c.Repositories, c.Whole, c.Missing, c.Before)
	}
	found("Before the window", m.Listed)
	if m.Late != nil {
		found("In the window, of what had changed since", m.Late)
	}
}

func stagedCheck(s *Staged) map[string]any {
	if s == nil {
		return nil
	}
	return s.Check
}

func (m Migration) tried(say func(string, ...any)) {
	if len(m.Pulled) == 0 && m.Pushed == nil {
		return
	}
	say("\n## Tried through Harbor\n")
	for _, p := range m.Pulled {
		say("- pulled `%s@%s`: %d blobs, %d bytes, each hashed", p.Repository, p.Digest, p.Blobs, p.Bytes)
	}
	if m.Pushed != nil {
		say("- pushed an image, pulled it, found it in the bucket, and deleted it; its blobs go with the next garbage collection")
	}
}

func (m Migration) wayOn(say func(string, ...any)) {
	where := "--namespace " + m.Release.Namespace + " --harbor " + m.Release.Name
	switch {
	case m.Phase != PhaseDone && m.Direction == There:
		say("\n## Going on, or back\n\nThe same command goes on from there. Going back:\n\n```sh\nlighterage migrate rollback --kubernetes %s\n```", where)
	case m.Phase != PhaseDone:
		say("\n## Going on\n\n```sh\nlighterage migrate rollback --kubernetes %s\n```", where)
	case m.Direction == There:
		say("\n## Going back\n\nWhat was pushed since is brought into the volume first. Keep %s until you are sure.\n", m.Release.Volume.Describe())
		say("```sh\nlighterage migrate rollback --kubernetes %s\n```", where)
	}
}
