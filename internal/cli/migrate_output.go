package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/cli/term"
)

// migrateOutput writes what a migration command finds, while it goes on: lines for
// people, one JSON document, or a JSON line for each event.
type migrateOutput struct {
	format string
	report string // file, or ""
	live   *term.Live

	mu      sync.Mutex
	out     *bufio.Writer // of JSON
	items   int           // written into the document so far
	err     error         // the first failure to write
	stop    chan struct{}
	ticking sync.WaitGroup
}

// newMigrateOutput starts to show line, or to write counts once a second.
func (a *app) newMigrateOutput(f migrateFlags, line func() string, counts func() any) *migrateOutput {
	o := &migrateOutput{format: f.output, report: f.report, out: bufio.NewWriter(a.Stdout), stop: make(chan struct{})}
	o.live = a.screen.NewLive(f.quiet || f.output == "jsonl", line)
	if f.output == "jsonl" && !f.quiet {
		o.ticking.Go(func() {
			ticker := time.NewTicker(time.Second)
			defer ticker.Stop()
			for {
				select {
				case <-o.stop:
					return
				case <-ticker.C:
					o.event("progress", counts())
				}
			}
		})
	}
	return o
}

// item writes one thing that was found: its text for people, its value for programs.
func (o *migrateOutput) item(kind, text string, value any) {
	switch o.format {
	case "text":
		o.keep(o.live.Print(func(w io.Writer) error {
			_, err := fmt.Fprintln(w, text)
			return err
		}))
	case "jsonl":
		o.event(kind, value)
	default:
		o.mu.Lock()
		defer o.mu.Unlock()
		separator := ",\n"
		if o.items++; o.items == 1 {
			separator = "{\"items\": [\n"
		}
		o.write(separator, kind, value)
	}
}

// event writes a JSON line.
func (o *migrateOutput) event(kind string, value any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.write("", kind, value)
	o.out.WriteByte('\n') // a failure is kept by the writer, and comes with Flush
	if err := o.out.Flush(); err != nil && o.err == nil {
		o.err = err
	}
}

// write puts the kind before the fields of value. The caller holds the lock.
func (o *migrateOutput) write(separator, kind string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		if o.err == nil {
			o.err = err
		}
		return
	}
	fields := strings.TrimPrefix(string(text), "{")
	if fields != "}" {
		fields = "," + fields
	}
	fmt.Fprintf(o.out, "%s{\"event\":%q%s", separator, kind, fields)
}

func (o *migrateOutput) keep(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
}

// end writes the report, unless failed says that there is none to be relied on: then
// JSON tells the error with what is known. It returns what could not be written.
func (o *migrateOutput) end(failed error, report any, text func(w io.Writer)) error {
	close(o.stop)
	o.ticking.Wait()
	o.live.Stop()
	summary := struct {
		Report any    `json:"report"`
		Error  string `json:"error,omitempty"`
	}{Report: report}
	if failed != nil {
		summary.Error = failed.Error()
	}
	if o.report != "" {
		o.keep(writeReport(o.report, summary))
	}
	switch o.format {
	case "text":
		if failed == nil {
			o.keep(o.live.Print(func(w io.Writer) error {
				buffered := bufio.NewWriter(w)
				text(buffered)
				return buffered.Flush()
			}))
		}
	case "jsonl":
		o.event("summary", summary)
	default:
		tail, err := json.Marshal(summary)
		o.keep(err)
		o.mu.Lock()
		if o.items == 0 {
			o.out.WriteString("{\"items\": [")
		}
		fmt.Fprintf(o.out, "\n],\n%s\n", tail[1:])
		err = o.out.Flush()
		o.mu.Unlock()
		o.keep(err)
	}
	if o.err != nil {
		return fmt.Errorf("write results: %w", o.err)
	}
	return nil
}

// writeReport writes a report into a file as it stands: in a pod it is one that the
// node has made, and that cannot be replaced.
func writeReport(path string, summary any) error {
	text, err := json.Marshal(summary)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}

// grouped writes a count with commas between thousands.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// objects writes a number of objects.
func objects(n int64) string {
	if n == 1 {
		return "1 object"
	}
	return grouped(n) + " objects"
}

func sortedByCount(counts map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(x, y string) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
}

// counted writes a number with its noun: 1 tag, 2,000 tags, 3 repositories.
func counted(n int64, singular string) string {
	text := term.Count(n, singular)
	_, noun, _ := strings.Cut(text, " ")
	return grouped(n) + " " + noun
}
