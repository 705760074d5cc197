package cutover

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/tree"
)

// wordsOf are the keys of a group of the console's words for a migration.
func wordsOf(t *testing.T, language, group string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../../web/src/words/" + language + "/migration.ts")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?ms)^  ` + group + `: \{(.*?)^?  \}`).FindSubmatch(text)
	if block == nil {
		t.Fatalf("no %s in %s", group, language)
	}
	keys := map[string]bool{}
	for _, key := range regexp.MustCompile(`(?m)(?:^|[{,])\s*(?:"([^"]+)"|(\w+)): "`).FindAllStringSubmatch(string(block[1]), -1) {
		keys[key[1]+key[2]] = true
	}
	return keys
}

// codes are those of the problems that the sources of the machine know.
func codes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	add := func(e ast.Expr) {
		if text, ok := e.(*ast.BasicLit); ok {
			code, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, code)
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "failure" && len(n.Elts) > 0 {
					if pair, ok := n.Elts[0].(*ast.KeyValueExpr); ok {
						add(pair.Value)
					} else {
						add(n.Elts[0])
					}
				}
			case *ast.AssignStmt:
				if to, ok := n.Lhs[0].(*ast.SelectorExpr); ok && to.Sel.Name == "code" {
					add(n.Rhs[0])
				}
			}
			return true
		})
	}
	if len(list) < 10 {
		t.Fatalf("only these codes were found: %q", list)
	}
	return list
}

func TestTheConsoleHasWordsForWhateverAMigrationSays(t *testing.T) {
	var statuses, names, proofs []string
	for _, s := range []Status{Running, Paused, Waiting, Failed, Migrated, Finished, RolledBack, Canceled} {
		statuses = append(statuses, string(s))
	}
	for _, p := range phases {
		names = append(names, string(p))
	}
	for p := tree.Unproven; p <= tree.ReadBack; p++ {
		proofs = append(proofs, p.String())
	}
	groups := map[string][]string{"problems": codes(t), "problemTodo": codes(t), "status": statuses, "statusText": statuses, "phases": names, "proofs": proofs}
	for _, language := range []string{"en", "zh"} {
		for group, keys := range groups {
			known := wordsOf(t, language, group)
			for _, key := range keys {
				if !known[key] {
					t.Errorf("%s: %s has no words for %q", language, group, key)
				}
			}
		}
	}
}
