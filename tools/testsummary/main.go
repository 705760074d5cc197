// Command testsummary reads what `go test -json` prints and writes it for
// people: the line of every package as plain `go test` prints it, the output of
// what failed, why tests were skipped, and last the counts. A few tests that failed
// are run again by themselves, with the flags that it is given, and named if they
// pass then. It exits with 1 when anything failed or nothing was tested.
//
//	{ go test -json ./...; echo "exit $?"; } | testsummary -dir .
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	dir := flag.String("dir", ".", "`folder` that the tests run in; flags of go test may follow")
	flag.Parse()
	s := newSummary(os.Stdout)
	if err := s.readAll(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(1)
	}
	s.again(goTest(*dir, flag.Args()))
	if !s.finish() {
		os.Exit(1)
	}
}

// event is a line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

type test struct{ pkg, name string }

type summary struct {
	out    io.Writer
	output map[test]*strings.Builder // of tests that are not over
	within map[test]bool             // tests with subtests: only those count
	result map[test]string           // pass, fail, skip
	reason map[test]string           // why it was skipped
	broken []string                  // packages that failed outside their tests
	failed bool                      // go test says that something did
	flaky  []test                    // failed first and passed when run again
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[test]*strings.Builder{}, within: map[test]bool{}, result: map[test]string{}, reason: map[test]string{}}
}

func (s *summary) readAll(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) line(line string) {
	var e event
	if code, ok := strings.CutPrefix(line, "exit "); ok {
		s.failed = strings.TrimSpace(code) != "0"
		return
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		fmt.Fprint(s.out, line) // what go itself says, such as its downloads
		return
	}
	t := test{e.Package, e.Test}
	switch {
	case e.Action == "build-output":
		fmt.Fprint(s.out, e.Output)
	case e.Action == "output" && e.Test == "":
		s.packageOutput(t, e.Output)
	case e.Action == "output":
		s.of(t).WriteString(e.Output)
	case e.Test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
		s.end(t, e.Action)
	case e.Action == "fail":
		s.packageFailed(t)
	}
}

// packageOutput passes on the last line of a package and keeps the rest, which is
// of interest when the package fails.
func (s *summary) packageOutput(t test, text string) {
	for _, prefix := range []string{"ok  \t", "FAIL\t", "?   \t", "---", "panic:", "coverage:"} {
		if strings.HasPrefix(text, prefix) || strings.HasPrefix(text, "\t") && strings.Contains(text, "coverage:") {
			fmt.Fprint(s.out, text)
			return
		}
	}
	if text != "PASS\n" && text != "FAIL\n" {
		s.of(t).WriteString(text)
	}
}

func (s *summary) of(t test) *strings.Builder {
	if s.output[t] == nil {
		s.output[t] = &strings.Builder{}
	}
	return s.output[t]
}

func (s *summary) end(t test, result string) {
	s.result[t] = result
	if i := strings.LastIndexByte(t.name, '/'); i >= 0 {
		s.within[test{t.pkg, t.name[:i]}] = true
	}
	text := s.of(t).String()
	delete(s.output, t)
	switch result {
	case "fail":
		fmt.Fprint(s.out, text)
	case "skip":
		s.reason[t] = skipReason(text)
	}
}

// packageFailed prints what a package said outside of its tests, and what tests
// said that did not come to an end (a crash, a timeout).
func (s *summary) packageFailed(pkg test) {
	failed := false
	for t, result := range s.result {
		failed = failed || t.pkg == pkg.pkg && result == "fail"
	}
	var unfinished []test
	for t := range s.output {
		if t.pkg == pkg.pkg {
			unfinished = append(unfinished, t)
		}
	}
	slices.SortFunc(unfinished, func(a, b test) int { return cmp.Compare(a.name, b.name) })
	for _, t := range unfinished {
		fmt.Fprint(s.out, s.output[t].String())
		delete(s.output, t)
	}
	if !failed {
		s.broken = append(s.broken, pkg.pkg)
	}
}

// skipReason finds what t.Skip said: the line after which the result stands.
func skipReason(output string) string {
	reason := "no reason given"
	for line := range strings.Lines(output) {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "===") && !strings.HasPrefix(text, "---") {
			reason = text
		}
	}
	if _, text, found := strings.Cut(reason, ".go:"); found { // file.go:12: reason
		if _, text, found = strings.Cut(text, ": "); found {
			reason = text
		}
	}
	return reason
}

// finish prints the end and reports whether all is well.
func (s *summary) finish() bool {
	counts := map[string]int{}
	skipped := map[string]int{}
	for t, result := range s.result {
		if s.within[t] && result != "fail" {
			continue // its subtests are counted
		}
		if s.within[t] && s.failedWithin(t) {
			continue
		}
		counts[result]++
		if result == "skip" {
			skipped[s.reason[t]]++
		}
	}
	reasons := make([]string, 0, len(skipped))
	for reason := range skipped {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		fmt.Fprintf(s.out, "SKIPPED %d: %s\n", skipped[reason], reason)
	}
	for _, pkg := range s.broken {
		fmt.Fprintf(s.out, "BROKEN %s: it did not build, or failed outside its tests\n", pkg)
	}
	for _, t := range s.flaky {
		fmt.Fprintf(s.out, "FLAKY %s %s: it failed, and passed when it was run again\n", t.pkg, t.name)
	}
	failed := counts["fail"] + len(s.broken)
	if s.failed && failed == 0 && len(s.flaky) == 0 {
		failed++
		fmt.Fprintln(s.out, "BROKEN: go test failed, and no test did")
	}
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", counts["pass"], failed, counts["skip"])
	return failed == 0 && counts["pass"] > 0
}

func (s *summary) failedWithin(t test) bool {
	for other, result := range s.result {
		if result == "fail" && other.pkg == t.pkg && strings.HasPrefix(other.name, t.name+"/") {
			return true
		}
	}
	return false
}
