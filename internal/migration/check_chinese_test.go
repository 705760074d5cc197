package migration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// knownInChinese are the forms of texts that the console knows in Chinese.
func knownInChinese(t *testing.T) []*regexp.Regexp {
	t.Helper()
	text, err := os.ReadFile("../../web/src/words/zh/causes.ts")
	if err != nil {
		t.Fatal(err)
	}
	var known []*regexp.Regexp
	for _, match := range regexp.MustCompile(`(?m)^  \[/(.+)/i?, "`).FindAllSubmatch(text, -1) {
		known = append(known, regexp.MustCompile(string(match[1])))
	}
	return known
}

// reasonsOfDifferences are what a check says of differences, with 1 for what it fills in.
func reasonsOfDifferences(t *testing.T) []string {
	t.Helper()
	var reasons []string
	add := func(e ast.Expr) {
		ast.Inspect(e, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				reason, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				if reason[len(reason)-1] == ' ' {
					reason += "1"
				}
				reasons = append(reasons, verbs.ReplaceAllString(reason, "1"))
			}
			return true
		})
	}
	for _, file := range []string{"check.go", "check_recent.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "Difference" && len(n.Elts) == 3 {
					add(n.Elts[2])
				}
			case *ast.FuncDecl: // these say a reason and nothing else
				if n.Name.Name == "explain" || n.Name.Name == "extraReason" {
					ast.Inspect(n.Body, func(n ast.Node) bool {
						if r, ok := n.(*ast.ReturnStmt); ok {
							add(r.Results[0])
						}
						return true
					})
				}
			}
			return true
		})
	}
	if len(reasons) < 10 {
		t.Fatalf("only these reasons were found: %q", reasons)
	}
	return reasons
}

func TestEachDifferenceOfACheckIsSaidInChineseToo(t *testing.T) {
	t.Parallel()
	known := knownInChinese(t)
	for _, reason := range reasonsOfDifferences(t) {
		said := false
		for _, form := range known {
			said = said || form.MatchString(reason)
		}
		if !said {
			t.Errorf("%q has no Chinese words", reason)
		}
	}
}
