package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/replication"
)

func (a *app) replicationOutput(f replicateFlags, route replication.Route, live *term.Live, progress *replicationProgress) replicationOutput {
	head := jsonHead{
		Source: route.Source.Adapter.Client().URL(), Destination: route.Destination.Adapter.Client().URL(),
		Namespace: route.Rule.DestNamespace, PlanOnly: f.plan, names: destinationsByID(route),
	}
	for _, side := range route.More {
		head.Also = append(head.Also, side.Adapter.Client().URL())
	}
	switch f.output {
	case "json":
		return &jsonDocument{out: bufio.NewWriter(a.Stdout), live: live, head: head}
	case "jsonl":
		return newJSONLines(a.Stdout, head, progress)
	}
	return &textOutput{live: live, lines: planLines{screen: a.screen, verbose: f.verbose, done: !f.plan, at: head.names}}
}

// textOutput is for people: a line for each artifact that was not there already,
// and the sum.
type textOutput struct {
	live  *term.Live
	lines planLines
}

func (o *textOutput) repository(plan replication.RepositoryPlan) error {
	return o.live.Print(func(out io.Writer) error { return o.lines.write(out, plan) })
}

func (o *textOutput) end(s replicationSummary) error {
	return o.live.Print(func(out io.Writer) error {
		if s.planOnly {
			return s.tally.planned(out, s.err == nil && !s.interrupted)
		}
		word := "Done"
		switch {
		case s.interrupted:
			word = "Interrupted"
		case s.err != nil:
			word = "Given up"
		case s.tally.failed > 0:
			word = "Failed"
		}
		line := fmt.Sprintf("%s: %s; %s sent in %s", word, s.tally.outcome(), term.Bytes(s.tally.sent), term.Duration(s.took))
		if seconds := s.took.Seconds(); s.tally.sent > 1<<20 && seconds > 0 {
			line += fmt.Sprintf(" (%s/s)", term.Bytes(int64(float64(s.tally.sent)/seconds)))
		}
		_, err := fmt.Fprintln(out, line)
		return err
	})
}

// The JSON of replicate, in the names of the API where it has them.
type (
	jsonHead struct {
		Source      string   `json:"source"`
		Destination string   `json:"destination"`
		Also        []string `json:"also,omitempty"` // further destinations
		Namespace   string   `json:"namespace,omitempty"`
		PlanOnly    bool     `json:"plan"`

		names map[int64]string // of the destinations, when there are several
	}
	jsonRepository struct {
		SourceRepository      string             `json:"src_repository"`
		DestinationRepository string             `json:"dst_repository,omitempty"`
		Destination           string             `json:"destination,omitempty"` // when there are several
		ResourceType          string             `json:"resource_type,omitempty"`
		Items                 []replication.Item `json:"items"`
		Error                 string             `json:"error,omitempty"`
	}
	jsonSummary struct {
		Result       string                      `json:"result"` // succeed, failed, empty, interrupted
		Repositories int                         `json:"repositories"`
		Artifacts    int                         `json:"artifacts"`
		Actions      map[replication.Action]int  `json:"actions"`
		Outcomes     map[replication.Outcome]int `json:"outcomes"`
		Failed       int                         `json:"failed"`
		BytesSent    int64                       `json:"bytes_sent"`
		Seconds      float64                     `json:"seconds"`
		Error        string                      `json:"error,omitempty"`
	}
)

func newJSONRepository(plan replication.RepositoryPlan, names map[int64]string) jsonRepository {
	r := jsonRepository{
		Destination:      names[plan.DestinationID],
		SourceRepository: plan.SourceRepository, DestinationRepository: plan.DestinationRepository,
		ResourceType: plan.ResourceType, Items: plan.Items,
	}
	if r.Items == nil {
		r.Items = []replication.Item{}
	}
	if plan.Err != nil {
		r.Error = plan.Err.Error()
	}
	return r
}

func newJSONSummary(s replicationSummary) jsonSummary {
	j := jsonSummary{
		Result: "succeed", Repositories: s.tally.repositories, Artifacts: s.tally.artifacts,
		Actions: s.tally.actions, Outcomes: s.tally.outcomes, Failed: s.tally.failed,
		BytesSent: s.tally.sent, Seconds: float64(s.took.Milliseconds()) / 1000,
	}
	if j.Actions == nil {
		j.Actions, j.Outcomes = map[replication.Action]int{}, map[replication.Outcome]int{}
	}
	switch {
	case s.interrupted:
		j.Result = "interrupted"
	case s.err != nil:
		j.Result, j.Error = "failed", s.err.Error()
	case s.tally.failed > 0:
		j.Result = "failed"
	case s.tally.repositories == 0:
		j.Result = "empty"
	}
	return j
}

// jsonDocument writes one document while the run goes on, so that a run over
// ten thousand tags does not have to be kept in memory to be told.
type jsonDocument struct {
	out   *bufio.Writer
	live  *term.Live
	head  jsonHead
	begun bool
}

func (o *jsonDocument) begin() error {
	head, err := json.Marshal(o.head)
	if err != nil {
		return err
	}
	// The head without its closing brace, then the list.
	_, err = fmt.Fprintf(o.out, "%s,\n\"repositories\": [", head[:len(head)-1])
	return err
}

func (o *jsonDocument) repository(plan replication.RepositoryPlan) error {
	separator := ",\n"
	if !o.begun {
		if err := o.begin(); err != nil {
			return err
		}
		o.begun, separator = true, "\n"
	}
	text, err := json.Marshal(newJSONRepository(plan, o.head.names))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "%s%s", separator, text)
	return err
}

func (o *jsonDocument) end(s replicationSummary) error {
	if !o.begun {
		if err := o.begin(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(newJSONSummary(s))
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "\n],\n\"summary\": %s}\n", text)
	return o.live.Print(func(io.Writer) error { return o.out.Flush() })
}

// jsonLines writes a line for every event: the start, each repository, progress
// once a second, and the summary.
type jsonLines struct {
	head jsonHead
	mu   sync.Mutex
	out  io.Writer
	stop chan struct{}
	done sync.WaitGroup
	err  error
}

func newJSONLines(out io.Writer, head jsonHead, progress *replicationProgress) *jsonLines {
	o := &jsonLines{head: head, out: out, stop: make(chan struct{})}
	o.write("start", head)
	o.done.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-o.stop:
				return
			case <-ticker.C:
				o.write("progress", progress.state())
			}
		}
	})
	return o
}

// write writes one event; the first failure is kept for the next call.
func (o *jsonLines) write(kind string, value any) {
	text, err := json.Marshal(value)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		_, err = fmt.Fprintf(o.out, "{\"event\":%q,%s\n", kind, text[1:])
	}
	if o.err == nil {
		o.err = err
	}
}

func (o *jsonLines) repository(plan replication.RepositoryPlan) error {
	o.write("repository", newJSONRepository(plan, o.head.names))
	return o.failure()
}

func (o *jsonLines) end(s replicationSummary) error {
	close(o.stop)
	o.done.Wait()
	o.write("summary", newJSONSummary(s))
	return o.failure()
}

func (o *jsonLines) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
