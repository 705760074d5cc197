package cli

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/replication"
)

// planView writes a plan for people: references below their repository, and at the end
// the counts, on standard output; warnings come last, on standard error.
type planView struct {
	screen  *term.Screen
	out     *bufio.Writer
	errors  io.Writer
	verbose bool   // what is there already, too
	policy  string // name of the rule, "" without a server
	group   string // the repository that was written last
}

func (v *planView) line(l replication.PlanLine) error {
	switch l.Type {
	case replication.LineItem:
		v.item(l)
	case replication.LineError:
		v.trouble(l)
	case replication.LineSummary:
		if l.Summary != nil {
			v.summary(l.Summary)
		}
	}
	return v.out.Flush()
}

// head writes what a group of lines is about, once.
func (v *planView) head(l replication.PlanLine) {
	text := l.SourceRepository
	if l.DestinationRepository != "" && l.DestinationRepository != l.SourceRepository {
		text += " -> " + l.DestinationRepository
	}
	text += " at " + l.Destination
	if v.group != text {
		v.group = text
		fmt.Fprintln(v.out, term.Safe(text))
	}
}

func (v *planView) item(l replication.PlanLine) {
	if l.Action == replication.ActionSkip && l.Reason == "" && !v.verbose {
		return
	}
	style := map[replication.Action]term.Style{
		replication.ActionOverwrite: term.Note, replication.ActionConflict: term.Note,
		replication.ActionDelete: term.Bad, replication.ActionSkip: term.Faint,
	}[l.Action]
	v.head(l)
	fmt.Fprintf(v.out, "  %s  %s", v.screen.Paint(style, fmt.Sprintf("%-9s", term.Safe(string(l.Action)))), term.Safe(l.Reference()))
	var notes []string
	switch {
	case l.Bytes != nil && l.Action != replication.ActionSkip && l.Action != replication.ActionConflict && l.Subject == "":
		notes = append(notes, term.Bytes(*l.Bytes)+" to send")
	case l.Size > 0:
		notes = append(notes, term.Bytes(l.Size))
	}
	if l.Kind != "" && l.Kind != "image" {
		notes = append(notes, l.Kind)
	}
	if l.Reason != "" {
		notes = append(notes, l.Reason)
	}
	if notes != nil {
		fmt.Fprintf(v.out, "  %s", v.screen.Paint(term.Faint, "("+term.Safe(strings.Join(notes, ", "))+")"))
	}
	fmt.Fprintln(v.out)
}

func (v *planView) trouble(l replication.PlanLine) {
	if l.SourceRepository != "" {
		v.head(l)
		fmt.Fprint(v.out, "  ")
	}
	text := l.Error
	if l.Reference() != "" {
		text = l.Reference() + ": " + text
	}
	fmt.Fprintf(v.out, "%s  %s\n", v.screen.Paint(term.Bad, fmt.Sprintf("%-9s", "failed")), term.Safe(text))
}

func (v *planView) summary(s *replication.PlanSummary) {
	word := "Plan"
	if !s.Complete {
		word = "Plan, not complete"
	}
	fmt.Fprintf(v.out, "%s: %s, %s in %s%s\n", word, term.Count(s.Tags, "tag"), term.Count(s.Artifacts, "artifact"),
		repositoryCount(s.Repositories), planNumbers(s.Actions, s.LeftOut, s.Failed, s.Bytes))
	if len(s.Destinations) > 1 {
		for _, d := range s.Destinations {
			fmt.Fprintf(v.out, "  %s: %s, %s in %s%s\n", term.Safe(d.Destination), term.Count(d.Tags, "tag"), term.Count(d.Artifacts, "artifact"),
				repositoryCount(d.Repositories), planNumbers(d.Actions, d.LeftOut, d.Failed, d.Bytes))
		}
	}
	var platforms []string
	for _, p := range slices.Sorted(maps.Keys(s.Platforms)) {
		platforms = append(platforms, fmt.Sprintf("%s %d", term.Safe(p), s.Platforms[p]))
	}
	if platforms != nil {
		fmt.Fprintf(v.out, "Platforms of what is to be copied: %s\n", strings.Join(platforms, ", "))
	}
	for _, r := range s.Requests {
		fmt.Fprintln(v.out, term.Safe(planRequests(r)))
	}
	if s.PlanID != 0 && s.ExpiryTime != nil {
		fmt.Fprintf(v.out, "Kept as plan %d until %s. Have exactly this done with: lighterage execution start %s --plan %d\n",
			s.PlanID, s.ExpiryTime.Local().Format(time.DateTime), quoted(v.policy), s.PlanID)
	}
	_ = v.out.Flush() // line says whether that went well
	for _, w := range s.Warnings {
		fmt.Fprintln(v.errors, v.screen.Paint(term.Note, "WARNING: "+term.Safe(w.Message)))
	}
}

// planNumbers goes behind what a plan is about: ": 3 to copy, 1 failed; 12 MiB to send".
func planNumbers(actions map[replication.Action]int, leftOut, failed int, bytes *replication.PlanBytes) string {
	text := counts(apart(actions, replication.ActionSkip, leftOut), [2]string{"copy", "to copy"}, [2]string{"overwrite", "to overwrite"}, [2]string{"delete", "to delete"},
		[2]string{"skip", "there already"}, [2]string{"left out", "left out"}, [2]string{"conflict", "in conflict"})
	if failed > 0 {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d failed", failed)
	}
	if text != "" {
		text = ": " + text
	}
	if bytes != nil {
		text += fmt.Sprintf("; %s to send, %s to mount, %s there already", term.Bytes(bytes.Send), term.Bytes(bytes.Mount), term.Bytes(bytes.Present))
	}
	return text
}

// planRequests says what a plan costs at a host that counts requests.
func planRequests(r replication.PlanRequests) string {
	atLeast := ""
	if r.AtLeast {
		atLeast = "at least "
	}
	text := fmt.Sprintf("%s counts pulls: the plan takes %s%d", r.Host, atLeast, r.Pulls)
	if r.Planned > 0 {
		text += fmt.Sprintf(", and %d were made to plan it", r.Planned)
	}
	if r.Remaining != nil {
		text += fmt.Sprintf("; %d", *r.Remaining)
		if r.Limit != nil {
			text += fmt.Sprintf(" of %d", *r.Limit)
		}
		text += " are left"
		if r.WindowSeconds > 0 {
			text += " in " + term.Duration(time.Duration(r.WindowSeconds)*time.Second)
		}
	}
	return text
}
