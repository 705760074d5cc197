package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/replication"
)

func examplePlan() replication.RepositoryPlan {
	return replication.RepositoryPlan{
		SourceRepository: "library/app", DestinationRepository: "mirror/app", ResourceType: "image",
		Items: []replication.Item{
			{Reference: "1", Action: replication.ActionCopy, Size: 5 << 20},
			{Reference: "2", Action: replication.ActionOverwrite},
			{Reference: "3", Action: replication.ActionSkip},
			{Reference: "4", Action: replication.ActionConflict},
			{Reference: "sha256:0000", Action: replication.ActionCopy, Size: 1 << 20},
		},
	}
}

func TestAPlanIsToldLineByLine(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	var total tally
	lines := planLines{screen: &term.Screen{}}
	broken := replication.RepositoryPlan{SourceRepository: "x", Err: errors.New("no such project")}
	nameless := replication.RepositoryPlan{SourceRepository: "y", Items: []replication.Item{{Reference: "1"}, {Reference: "2"}}, Err: errors.New("no name")}
	for _, plan := range []replication.RepositoryPlan{examplePlan(), broken, nameless} {
		total.add(plan)
		if err := lines.write(&b, plan); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(total.planned(&b, true), new(tally).planned(&b, false)); err != nil {
		t.Fatal(err)
	}
	want := `copy       library/app:1 -> mirror/app:1  (5.0 MiB)
overwrite  library/app:2 -> mirror/app:2
conflict   library/app:4 -> mirror/app:4  (something else is there)
copy       library/app@sha256:0000 -> mirror/app@sha256:0000  (1.0 MiB)
failed     x: no such project
failed     y: no name
Plan: 7 artifacts in 3 repositories: 2 to copy, 1 to overwrite, 1 there already, 1 in conflict; 2 repositories cannot be replicated; up to 6.0 MiB, the size of 1 of them is not known
Plan, not complete: 0 artifacts in 0 repositories
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestOutcomesAreToldLineByLine(t *testing.T) {
	t.Parallel()
	plan := examplePlan()
	for i, outcome := range []replication.Outcome{replication.Copied, replication.Lost, replication.Unchanged, replication.Kept, ""} {
		plan.Items[i].Outcome = outcome
	}
	plan.Items[0].BytesSent = 2048
	plan.Items[1].Reason = "put manifest: 507 Insufficient Storage"
	var b strings.Builder
	if err := (planLines{screen: &term.Screen{}, done: true}).write(&b, plan); err != nil {
		t.Fatal(err)
	}
	want := `copied     library/app:1 -> mirror/app:1  (2.0 KiB sent)
failed     library/app:2 -> mirror/app:2  (put manifest: 507 Insufficient Storage)
kept       library/app:4 -> mirror/app:4  (something else is there)
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	var total tally
	total.add(plan)
	if total.failed != 1 || total.settled() != 3 || total.sent != 2048 {
		t.Errorf("%+v", total)
	}
	if got, want := total.outcome(), "5 artifacts in 1 repository: 1 copied, 1 there already, 1 kept (something else is there), 1 failed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestProgressCountsWhatIsDone(t *testing.T) {
	t.Parallel()
	p := newReplicationProgress(false)
	plan := examplePlan()
	p.planned(plan)
	p.planned(replication.RepositoryPlan{Err: errors.New("x")})
	f := p.follow(&plan)
	if s := p.state(); s.Done != 2 || s.Artifacts != 5 || s.Repositories != 2 || !s.Planning {
		t.Errorf("at the beginning: %+v", s)
	}
	f.placed("1")
	f.placed("1")
	f.bytes(100, 40)
	if s := p.state(); s.Done != 3 || s.BytesTotal != 100 || s.BytesSent != 40 {
		t.Errorf("in the middle: %+v", s)
	}
	if line := p.line(); line != "3/5+ artifacts, 40 B of 100 B+" {
		t.Errorf("line %q", line)
	}
	p.allPlanned()
	f.end()
	if s := p.state(); s.Done != 5 || s.Planning || s.BytesSent != 40 {
		t.Errorf("at the end: %+v", s)
	}
}

// Both forms of JSON are well-formed whatever was written before the end.
func TestJSONOutput(t *testing.T) {
	t.Parallel()
	head := jsonHead{Source: "http://a", Destination: "http://b"}
	for _, plans := range [][]replication.RepositoryPlan{nil, {examplePlan()}, {examplePlan(), {SourceRepository: "x", Err: errors.New("<no>")}}} {
		var out bytes.Buffer
		screen := &term.Screen{Out: &out, Err: &out}
		live := screen.NewLive(true, func() string { return "" })
		document := &jsonDocument{out: bufio.NewWriter(&out), live: live, head: head}
		var lines bytes.Buffer
		events := newJSONLines(&lines, head, newReplicationProgress(false))
		var total tally
		for _, plan := range plans {
			total.add(plan)
			if err := errors.Join(document.repository(plan), events.repository(plan)); err != nil {
				t.Fatal(err)
			}
		}
		s := replicationSummary{tally: total, took: 1500 * time.Millisecond}
		if err := errors.Join(document.end(s), events.end(s)); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Source       string           `json:"source"`
			Repositories []jsonRepository `json:"repositories"`
			Summary      jsonSummary      `json:"summary"`
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%v in %s", err, out.String())
		}
		if got.Source != "http://a" || len(got.Repositories) != len(plans) || got.Repositories == nil || got.Summary.Seconds != 1.5 {
			t.Errorf("%d plans: %s", len(plans), out.String())
		}
		count := 0
		for line := range strings.Lines(lines.String()) {
			var event struct {
				Event string `json:"event"`
			}
			if err := json.Unmarshal([]byte(line), &event); err != nil || event.Event == "" {
				t.Errorf("%v in %s", err, line)
			}
			count++
		}
		if count != len(plans)+2 {
			t.Errorf("%d lines for %d plans", count, len(plans))
		}
	}
}

func TestSummaryNamesTheResult(t *testing.T) {
	t.Parallel()
	failed := tally{repositories: 1, failed: 1}
	for want, s := range map[string]replicationSummary{
		"succeed":     {tally: tally{repositories: 1}},
		"empty":       {},
		"failed":      {tally: failed},
		"interrupted": {tally: failed, interrupted: true},
	} {
		if got := newJSONSummary(s).Result; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
