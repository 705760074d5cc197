package cli

import (
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/replication"
)

// tally adds up what was planned and what became of it.
type tally struct {
	repositories int
	artifacts    int
	actions      map[replication.Action]int
	outcomes     map[replication.Outcome]int
	leftOut      int   // artifacts that the rule does not want after all
	broken       int   // repositories that could not be replicated as a whole
	failed       int   // artifacts that failed, and broken repositories
	size         int64 // of the artifacts to copy, as far as it is known
	unsized      int   // artifacts to copy of which it is not
	sent         int64
}

// add counts one repository.
func (t *tally) add(plan replication.RepositoryPlan) {
	if t.actions == nil {
		t.actions, t.outcomes = map[replication.Action]int{}, map[replication.Outcome]int{}
	}
	t.repositories++
	t.artifacts += len(plan.Items)
	if plan.Err != nil {
		t.broken++
		t.failed++
	}
	for _, item := range plan.Items {
		if item.Action == replication.ActionCopy || item.Action == replication.ActionOverwrite {
			t.size += item.Size
			if item.Size == 0 {
				t.unsized++
			}
		}
		t.actions[item.Action]++
		if item.LeftOut() {
			t.leftOut++
		}
		if item.Outcome != "" {
			t.outcomes[item.Outcome]++
		}
		t.sent += item.BytesSent
		if item.Outcome == replication.Lost || collides(item) {
			t.failed++
		}
	}
}

// collides reports whether another repository has a claim to the name of an item that
// is planned. Running the plan would fail there.
func collides(item replication.Item) bool {
	return item.Outcome == "" && item.Action == replication.ActionConflict && item.Reason != ""
}

// settled is how many artifacts are now as they should be.
func (t *tally) settled() int {
	n := 0
	for outcome, count := range t.outcomes {
		if outcome != replication.Lost {
			n += count
		}
	}
	return n
}

// counts writes the numbers that are not zero: 3 to copy, 1 to overwrite.
func counts[K ~string](all map[K]int, words ...[2]string) string {
	var parts []string
	for _, w := range words {
		if n := all[K(w[0])]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, w[1]))
		}
	}
	return strings.Join(parts, ", ")
}

// apart takes those that are left out from among the others that they are counted with.
func apart[K ~string](all map[K]int, among K, leftOut int) map[K]int {
	const word = "left out"
	all = maps.Clone(all)
	if leftOut > 0 {
		all[among] -= leftOut
		all[word] = leftOut
	}
	return all
}

// planned sums a plan up in one line.
func (t *tally) planned(out io.Writer, complete bool) error {
	word := "Plan"
	if !complete {
		word = "Plan, not complete"
	}
	line := fmt.Sprintf("%s: %s in %s", word, term.Count(t.artifacts, "artifact"), repositoryCount(t.repositories))
	if c := counts(apart(t.actions, replication.ActionSkip, t.leftOut), [2]string{"copy", "to copy"}, [2]string{"overwrite", "to overwrite"}, [2]string{"delete", "to delete"},
		[2]string{"skip", "there already"}, [2]string{"left out", "left out"}, [2]string{"conflict", "in conflict"}); c != "" {
		line += ": " + c
	}
	if t.broken > 0 {
		line += fmt.Sprintf("; %s cannot be replicated", repositoryCount(t.broken))
	}
	if t.size > 0 {
		line += fmt.Sprintf("; up to %s", term.Bytes(t.size))
		if t.unsized > 0 {
			line += fmt.Sprintf(", the size of %d of them is not known", t.unsized)
		}
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

// outcome sums a run up in one line.
func (t *tally) outcome() string {
	c := counts(apart(t.outcomes, replication.Absent, t.leftOut), [2]string{"copied", "copied"}, [2]string{"deleted", "deleted"}, [2]string{"unchanged", "there already"},
		[2]string{"kept", "kept (something else is there)"}, [2]string{"foreign", "left alone"}, [2]string{"absent", "gone"}, [2]string{"left out", "left out"}, [2]string{"failed", "failed"})
	line := fmt.Sprintf("%s in %s", term.Count(t.artifacts, "artifact"), repositoryCount(t.repositories))
	switch {
	case c != "":
		line += ": " + c
	case t.artifacts > 0:
		line += ": none done"
	}
	if t.broken > 0 {
		line += fmt.Sprintf("; %s could not be replicated", repositoryCount(t.broken))
	}
	return line
}

func repositoryCount(n int) string { return term.Count(n, "repository") }

// planLines writes what is planned or was done, one artifact a line.
type planLines struct {
	screen  *term.Screen
	verbose bool             // those that need nothing too
	done    bool             // outcomes, not intentions
	at      map[int64]string // names of the destinations, if there are several
}

// write writes the lines of one repository.
func (p planLines) write(out io.Writer, plan replication.RepositoryPlan) error {
	var b strings.Builder
	for _, item := range plan.Items {
		word, style := string(item.Action), term.Plain
		switch item.Action {
		case replication.ActionOverwrite:
			style = term.Note
		case replication.ActionConflict:
			style = term.Note
		case replication.ActionSkip:
			style = term.Faint
		}
		if !p.done && item.Action == "" {
			continue // its repository cannot be replicated
		}
		if p.done {
			if item.Outcome == "" {
				continue // not reached
			}
			word, style = string(item.Outcome), outcomeStyle(item.Outcome)
		}
		if item.LeftOut() {
			word = "left out"
		} else if !p.verbose && (item.Action == replication.ActionSkip || item.Outcome == replication.Unchanged) {
			continue
		}
		text := reference(plan.SourceRepository, item.Reference)
		if plan.DestinationRepository != plan.SourceRepository && plan.DestinationRepository != "" {
			text += " -> " + reference(plan.DestinationRepository, item.Reference)
		}
		if at := p.at[plan.DestinationID]; at != "" {
			text += " at " + at
		}
		if note := p.note(item); note != "" {
			text += "  " + p.screen.Paint(term.Faint, "("+note+")")
		}
		fmt.Fprintf(&b, "%s  %s\n", p.screen.Paint(style, fmt.Sprintf("%-9s", word)), text)
	}
	if plan.Err != nil {
		text := plan.SourceRepository
		if at := p.at[plan.DestinationID]; at != "" {
			text += " at " + at
		}
		fmt.Fprintf(&b, "%s  %s: %s\n", p.screen.Paint(term.Bad, fmt.Sprintf("%-9s", "failed")), text, term.Safe(plan.Err.Error()))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func outcomeStyle(o replication.Outcome) term.Style {
	switch o {
	case replication.Copied, replication.Deleted:
		return term.Good
	case replication.Lost:
		return term.Bad
	case replication.Kept, replication.Foreign:
		return term.Note
	}
	return term.Faint
}

// note is what stands in brackets after an artifact.
func (p planLines) note(item replication.Item) string {
	switch {
	case item.Reason != "":
		return term.Safe(item.Reason)
	case p.done && item.Outcome == replication.Copied:
		return term.Bytes(item.BytesSent) + " sent"
	case item.Action == replication.ActionConflict:
		return "something else is there"
	case item.Size > 0 && !p.done:
		return term.Bytes(item.Size)
	}
	return ""
}

// reference writes repository:tag or repository@digest.
func reference(repository, ref string) string {
	if strings.Contains(ref, ":") {
		return repository + "@" + ref
	}
	return repository + ":" + ref
}
