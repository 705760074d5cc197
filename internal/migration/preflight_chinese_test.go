package migration

import (
	"encoding/json"
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

// chinese are the words that the console has for a preflight in Chinese. In English it
// shows what is said here.
type chinese struct {
	Permission, PermissionUnknown string
	Rows                          map[string]struct {
		Name, Means, Advice string
		Reasons             map[string]struct{ Means, Advice string }
	}
	Found map[string]string
}

func readChinese(t *testing.T) chinese {
	t.Helper()
	text, err := os.ReadFile("../../web/src/words/zh/preflight.json")
	if err != nil {
		t.Fatal(err)
	}
	var c chinese
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEachRowAndReasonOfAPreflightIsSaidInChineseToo(t *testing.T) {
	t.Parallel()
	c := readChinese(t)
	if c.Permission == "" || c.PermissionUnknown == "" {
		t.Error("nothing is said of permissions")
	}
	for _, words := range rowWords {
		row, known := c.Rows[string(words.kind)]
		if !known || row.Name == "" || (row.Means == "") != (words.means == "") || row.Advice == "" && words.advice != "" {
			t.Errorf("%q is in Chinese %+v", words.kind, row)
		}
		for reason, special := range words.reasons {
			said := row.Reasons[string(reason)]
			if (said.Advice == "") != (special.advice == "") || (said.Means == "") != (special.means == "") {
				t.Errorf("%q for the reason %q is in Chinese %+v", words.kind, reason, said)
			}
		}
	}
	if c.Rows[string(tree.TrialRedirect)].Reasons[reasonHandsOn].Means == "" || c.Found[foundHandsOn] == "" {
		t.Error("that a registry redirects nobody is not said in Chinese")
	}
}

// speakers are the functions that put into words what a trial has found.
var speakers = regexp.MustCompile(`^(works|differs|saying|finding|more)$`)

var verbs = regexp.MustCompile(`%[.0-9]*[a-z]`)

// formsOfTrials are the forms in the sources of the trials of stores.
func formsOfTrials(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../tree/*trial*.go")
	if err != nil {
		t.Fatal(err)
	}
	var forms []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "directory") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !speakers.MatchString(called(call)) {
				return true
			}
			for _, arg := range call.Args {
				if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING && text.Value != `""` {
					form, err := strconv.Unquote(text.Value)
					if err != nil {
						t.Fatal(err)
					}
					forms = append(forms, verbs.ReplaceAllString(form, "{}"))
					break
				}
			}
			return true
		})
	}
	if len(forms) < 60 {
		t.Fatalf("only %d forms were found", len(forms))
	}
	return forms
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

func TestEverythingThatAPreflightFindsIsSaidInChineseToo(t *testing.T) {
	t.Parallel()
	c := readChinese(t)
	for _, form := range formsOfTrials(t) {
		said := c.Found[form]
		if said == "" {
			t.Errorf("%q has no Chinese words", form)
		}
		if strings.Count(said, "{}") != strings.Count(form, "{}") {
			t.Errorf("%q is in Chinese %q, which has not the same values", form, said)
		}
	}
}
