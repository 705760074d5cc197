package main

import (
	"bytes"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// againAtMost is how many failed tests are run again: more are no accident.
const againAtMost = 5

// runAgain runs some tests of a package and returns what `go test -json` prints. Its
// exit code is of no interest: a test that does not pass is told of in the output.
type runAgain func(pkg string, tests []string) []byte

// goTest runs tests as the first time, in the folder dir, with flags.
func goTest(dir string, flags []string) runAgain {
	return func(pkg string, tests []string) []byte {
		args := append([]string{"test", "-json"}, flags...)
		args = append(args, "-count=1", "-run", "^("+strings.Join(tests, "|")+")$", pkg)
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		out, _ := cmd.Output()
		return out
	}
}

// again gives the tests that failed a second chance, each package's by themselves.
// They start real servers, and a machine that others use as well can make one of
// thousands fail; what is broken fails twice. What passes only now is named in flaky.
func (s *summary) again(run runAgain) {
	failed := map[string]map[string]bool{} // package to its tests
	count := 0
	for t, result := range s.result {
		if name := topTest(t.name); result == "fail" && !failed[t.pkg][name] {
			if failed[t.pkg] == nil {
				failed[t.pkg] = map[string]bool{}
			}
			failed[t.pkg][name] = true
			count++
		}
	}
	if count == 0 || count > againAtMost || len(s.broken) > 0 {
		return
	}
	for _, pkg := range slices.Sorted(maps.Keys(failed)) {
		tests := slices.Sorted(maps.Keys(failed[pkg]))
		second := newSummary(s.out)
		if err := second.readAll(bytes.NewReader(run(pkg, tests))); err != nil || len(second.broken) > 0 {
			continue
		}
		for _, name := range tests {
			if second.result[test{pkg, name}] == "pass" {
				s.flaky = append(s.flaky, test{pkg, name})
				s.replace(second, test{pkg, name})
			}
		}
	}
}

// replace takes the results of a test and its subtests from another run.
func (s *summary) replace(from *summary, t test) {
	maps.DeleteFunc(s.result, func(other test, _ string) bool {
		return other.pkg == t.pkg && topTest(other.name) == t.name
	})
	for other, result := range from.result {
		if other.pkg == t.pkg && topTest(other.name) == t.name {
			s.result[other], s.reason[other], s.within[other] = result, from.reason[other], from.within[other]
		}
	}
}

func topTest(name string) string {
	top, _, _ := strings.Cut(name, "/")
	return top
}
