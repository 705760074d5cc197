package archtest

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	found, err := violations(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range found {
		t.Error(line)
	}
}

func TestViolationsNameFileAndRule(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file    string
		imports string
		want    string // "" for an import that is allowed
	}{
		{"internal/api/x.go", module + "internal/replication", ""},
		{"internal/server/x.go", module + "internal/api", ""},
		{"internal/home/embedded/x.go", module + "internal/home", ""},
		{"internal/rule/x.go", "net/url", ""},
		{"internal/rule/x_test.go", "os", ""},
		{"internal/api/x_test.go", module + "internal/server", ""},
		{"internal/api/x_test.go", module + "internal/testserver", ""},
		{"internal/testserver/x.go", module + "internal/server", ""},
		{"internal/store/x.go", "github.com/jackc/pgx/v5/stdlib", ""},
		{"internal/other/testdata/x.go", module + "internal/server", ""},
		{"web/node_modules/x.go", module + "internal/server", ""},
		{"nested/x.go", module + "internal/server", ""},

		{"internal/store/x.go", module + "internal/replication",
			"internal/store/x.go imports internal/replication: internal/replication (jobs) stands above internal/store (abilities), and imports go down"},
		{"internal/api/x.go", module + "internal/cli",
			"internal/api/x.go imports internal/cli: packages of one step never import each other"},
		{"internal/kube/x.go", module + "internal/replication",
			"internal/kube/x.go imports internal/replication: jobs never import each other"},
		{"internal/queue/x.go", module + "internal/store/storetest",
			"internal/queue/x.go imports internal/store/storetest: internal/store/storetest is for tests: only _test.go files import it"},
		{"internal/rule/x.go", "net/http",
			"internal/rule/x.go imports net/http: internal/rule is pure: no network, no files, no context, no logs"},
		{"internal/rule/x.go", "context",
			"internal/rule/x.go imports context: internal/rule is pure: no network, no files, no context, no logs"},
		{"internal/new/x.go", module + "internal/store",
			"internal/new/x.go imports internal/store: internal/new is on no floor: add it to the table in internal/archtest/rules.go"},
		{"internal/api/x.go", module + "internal/new",
			"internal/api/x.go imports internal/new: internal/new is on no floor: add it to the table in internal/archtest/rules.go"},
		{"internal/api/x.go", "github.com/jackc/pgx/v5",
			"internal/api/x.go imports github.com/jackc/pgx/v5: github.com/jackc/pgx is for internal/store"},
		{"internal/api/x.go", "pgregory.net/rapid",
			"internal/api/x.go imports pgregory.net/rapid: pgregory.net/rapid is for tests only"},
		{"internal/api/x.go", "testing",
			"internal/api/x.go imports testing: testing is for tests only"},
	}
	for _, tt := range tests {
		got, err := violations(fstest.MapFS{
			"nested/go.mod": {},
			tt.file:         {Data: []byte("package x\n\nimport _ \"" + tt.imports + "\"\n")},
		})
		var want []string
		if tt.want != "" {
			want = []string{tt.want}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s imports %s: got %q, %v, want %q", tt.file, tt.imports, got, err, tt.want)
		}
	}
}

func TestAFileThatDoesNotParseIsAnError(t *testing.T) {
	t.Parallel()
	_, err := violations(fstest.MapFS{"internal/api/x.go": {Data: []byte("packag")}})
	if err == nil || !strings.Contains(err.Error(), "internal/api/x.go") {
		t.Errorf("got %v", err)
	}
}

func TestAPackageStandsOnOneStep(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, step := range steps {
		for _, pkg := range step.packages {
			if seen[pkg] {
				t.Errorf("%s is in the table twice", pkg)
			}
			seen[pkg] = true
		}
	}
}
