// Package archtest keeps the architecture: which package may import which. It
// reads the import lines of all Go files of the module and compares them with the
// tables in rules.go. It is a test and part of no program.
package archtest

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/lighterage/lighterage/"

// violations returns a line for every import that breaks a rule, in the order of
// the files.
func violations(tree fs.FS) ([]string, error) {
	var found []string
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && foreign(tree, name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		broken, err := checkFile(tree, name)
		found = append(found, broken...)
		return err
	})
	return found, err
}

// foreign reports whether a folder holds no package of the module.
func foreign(tree fs.FS, folder string) bool {
	if folder == "." {
		return false
	}
	base := path.Base(folder)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := fs.Stat(tree, path.Join(folder, "go.mod"))
	return err == nil
}

func checkFile(tree fs.FS, name string) ([]string, error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var broken []string
	isTest := strings.HasSuffix(name, "_test.go")
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if rule := brokenRule(path.Dir(name), imported, isTest); rule != "" {
			broken = append(broken, fmt.Sprintf("%s imports %s: %s", name, strings.TrimPrefix(imported, module), rule))
		}
	}
	return broken, nil
}

// brokenRule says which rule forbids the import, "" when none does.
func brokenRule(importer, imported string, isTest bool) string {
	own, isOwn := strings.CutPrefix(imported, module)
	switch {
	case isTest || slices.Contains(helpers, importer):
		return ""
	case !isOwn:
		return brokenOutside(importer, imported)
	case slices.Contains(helpers, own):
		return own + " is for tests: only _test.go files import it"
	}
	from, known := stepOf(importer)
	if !known {
		return importer + " is on no floor: add it to the table in internal/archtest/rules.go"
	}
	to, known := stepOf(own)
	switch {
	case !known:
		return own + " is on no floor: add it to the table in internal/archtest/rules.go"
	case steps[from].floor == "jobs" && steps[to].floor == "jobs" && !strings.HasPrefix(importer, own+"/"): // a part of a job may use the job
		return "jobs never import each other"
	case to == from:
		return "packages of one step never import each other"
	case to > from:
		return fmt.Sprintf("%s (%s) stands above %s (%s), and imports go down", own, steps[to].floor, importer, steps[from].floor)
	default:
		return ""
	}
}

func stepOf(pkg string) (int, bool) {
	for i, step := range steps {
		if slices.ContainsFunc(step.packages, func(p string) bool { return matches(p, pkg) }) {
			return i, true
		}
	}
	return 0, false
}

func brokenOutside(importer, imported string) string {
	if slices.Contains(pure, importer) && slices.ContainsFunc(impure, func(p string) bool { return matches(p, imported) }) &&
		!slices.Contains(harmless, imported) {
		return importer + " is pure: no network, no files, no context, no logs"
	}
	for _, o := range owned {
		inside := imported == o.module || strings.HasPrefix(imported, o.module+"/")
		if inside && !slices.ContainsFunc(o.by, func(p string) bool { return matches(p, importer) }) {
			return fmt.Sprintf("%s is for %s", o.module, cmp.Or(strings.Join(o.by, ", "), "tests only"))
		}
	}
	return ""
}

// matches reports whether pkg is the pattern or, for a pattern that ends in /...,
// below it.
func matches(pattern, pkg string) bool {
	if folder, all := strings.CutSuffix(pattern, "/..."); all {
		return pkg == folder || strings.HasPrefix(pkg, folder+"/")
	}
	return pkg == pattern
}
