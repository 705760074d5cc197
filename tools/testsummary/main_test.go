package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func events(t *testing.T, list ...event) string {
	t.Helper()
	var b bytes.Buffer
	for _, e := range list {
		if err := json.NewEncoder(&b).Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestSummary(t *testing.T) {
	tests := []struct {
		name  string
		input string
		again string // what tests say that are run again; "": they are not
		want  string
		ok    bool
	}{
		{
			name: "what passed is one line a package and is counted by its innermost tests",
			input: events(t,
				event{Action: "start", Package: "p"},
				event{Action: "output", Package: "p", Test: "TestA", Output: "=== RUN   TestA\n"},
				event{Action: "output", Package: "p", Test: "TestA/x", Output: "noise\n"},
				event{Action: "pass", Package: "p", Test: "TestA/x"},
				event{Action: "pass", Package: "p", Test: "TestA/y"},
				event{Action: "pass", Package: "p", Test: "TestA"},
				event{Action: "output", Package: "p", Output: "PASS\n"},
				event{Action: "output", Package: "p", Output: "ok  \tp\t0.1s\n"},
				event{Action: "pass", Package: "p"},
			),
			want: "ok  \tp\t0.1s\n2 passed, 0 failed, 0 skipped\n",
			ok:   true,
		},
		{
			name: "a failure shows its output",
			input: events(t,
				event{Action: "output", Package: "p", Test: "TestA", Output: "a_test.go:1: bad\n"},
				event{Action: "fail", Package: "p", Test: "TestA"},
				event{Action: "output", Package: "p", Test: "TestB", Output: "fine\n"},
				event{Action: "pass", Package: "p", Test: "TestB"},
				event{Action: "output", Package: "p", Output: "FAIL\tp\t0.1s\n"},
				event{Action: "fail", Package: "p"},
			),
			want: "a_test.go:1: bad\nFAIL\tp\t0.1s\n1 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a failed subtest is one failure",
			input: events(t,
				event{Action: "fail", Package: "p", Test: "TestA/x"},
				event{Action: "fail", Package: "p", Test: "TestA"},
				event{Action: "fail", Package: "p"},
			),
			want: "0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a failure of the test itself counts beside subtests that passed",
			input: events(t,
				event{Action: "pass", Package: "p", Test: "TestA/x"},
				event{Action: "fail", Package: "p", Test: "TestA"},
				event{Action: "fail", Package: "p"},
			),
			want: "1 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "skipped tests say why",
			input: events(t,
				event{Action: "output", Package: "p", Test: "TestA", Output: "=== RUN   TestA\n"},
				event{Action: "output", Package: "p", Test: "TestA", Output: "    a_test.go:7: no skopeo: here\n"},
				event{Action: "output", Package: "p", Test: "TestA", Output: "--- SKIP: TestA (0.00s)\n"},
				event{Action: "skip", Package: "p", Test: "TestA"},
				event{Action: "pass", Package: "p", Test: "TestB"},
			),
			want: "SKIPPED 1: no skopeo: here\n1 passed, 0 failed, 1 skipped\n",
			ok:   true,
		},
		{
			name: "a package that does not build is a failure",
			input: events(t,
				event{Action: "build-output", ImportPath: "p", Output: "p.go:1: syntax error\n"},
				event{Action: "output", Package: "p", Output: "FAIL\tp [build failed]\n"},
				event{Action: "fail", Package: "p"},
				event{Action: "pass", Package: "q", Test: "TestB"},
			),
			want: "p.go:1: syntax error\nFAIL\tp [build failed]\nBROKEN p: it did not build, or failed outside its tests\n1 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a crash shows what the test had said",
			input: events(t,
				event{Action: "output", Package: "p", Test: "TestA", Output: "panic: oh\n"},
				event{Action: "fail", Package: "p"},
			),
			want: "panic: oh\nBROKEN p: it did not build, or failed outside its tests\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a test that passes when it is run again is flaky, with its subtests",
			input: events(t,
				event{Action: "pass", Package: "p", Test: "TestA/x"},
				event{Action: "output", Package: "p", Test: "TestA/y", Output: "bad\n"},
				event{Action: "fail", Package: "p", Test: "TestA/y"},
				event{Action: "fail", Package: "p", Test: "TestA"},
				event{Action: "pass", Package: "p", Test: "TestAB"},
				event{Action: "fail", Package: "p"},
			) + "exit 1\n",
			again: events(t,
				event{Action: "pass", Package: "p", Test: "TestA/x"},
				event{Action: "pass", Package: "p", Test: "TestA/y"},
				event{Action: "pass", Package: "p", Test: "TestA"},
				event{Action: "pass", Package: "p"},
			),
			want: "bad\nFLAKY p TestA: it failed, and passed when it was run again\n3 passed, 0 failed, 0 skipped\n",
			ok:   true,
		},
		{
			name: "what fails twice is a failure",
			input: events(t,
				event{Action: "fail", Package: "p", Test: "TestA"},
				event{Action: "fail", Package: "p"},
			) + "exit 1\n",
			again: events(t,
				event{Action: "output", Package: "p", Test: "TestA", Output: "bad again\n"},
				event{Action: "fail", Package: "p", Test: "TestA"},
				event{Action: "fail", Package: "p"},
			),
			want: "bad again\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "what crashes when it is run again is a failure",
			input: events(t,
				event{Action: "fail", Package: "p", Test: "TestA"},
				event{Action: "fail", Package: "p"},
			),
			again: events(t,
				event{Action: "output", Package: "p", Test: "TestA", Output: "panic: oh\n"},
				event{Action: "fail", Package: "p"},
			),
			want: "panic: oh\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "many failures are not run again",
			input: events(t,
				event{Action: "fail", Package: "p", Test: "TestA"},
				event{Action: "fail", Package: "p", Test: "TestB"},
				event{Action: "fail", Package: "p", Test: "TestC"},
				event{Action: "fail", Package: "q", Test: "TestA"},
				event{Action: "fail", Package: "q", Test: "TestB"},
				event{Action: "fail", Package: "q", Test: "TestC"},
			),
			want: "0 passed, 6 failed, 0 skipped\n",
		},
		{
			name: "go test fails though no test does",
			input: events(t,
				event{Action: "pass", Package: "p", Test: "TestA"},
			) + "exit 2\n",
			want: "BROKEN: go test failed, and no test did\n1 passed, 1 failed, 0 skipped\n",
		},
		{
			name:  "no test at all is a failure, and what is no event is passed on",
			input: "go: downloading x\n",
			want:  "go: downloading x\n0 passed, 0 failed, 0 skipped\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			s := newSummary(&out)
			if err := s.readAll(strings.NewReader(tt.input)); err != nil {
				t.Fatal(err)
			}
			s.again(func(pkg string, tests []string) []byte {
				if tt.again == "" && !strings.Contains(tt.want, " 1 failed") {
					t.Errorf("%v of %s are run again", tests, pkg)
				}
				return []byte(tt.again)
			})
			if ok := s.finish(); ok != tt.ok {
				t.Errorf("finish returned %v", ok)
			}
			if out.String() != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", out.String(), tt.want)
			}
		})
	}
}
