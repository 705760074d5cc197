// Package manifest reads YAML files that say how things should be: one document a
// thing, with its kind, its name and a spec in the fields of the API.
//
// It promises that what it takes fits the API's fields, and that every refusal names
// the file and the line. It talks to no server, and it resolves nothing but secrets,
// which it reads from where a document says.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Document is one thing of a file.
type Document struct {
	Kind, Name string
	File       string // as it was named; "-" is standard input
	Line       int    // where the document begins
	spec       *yaml.Node
	dir        string // which files that it names are relative to
}

// Errorf is an error that says where: of a field of the spec if it is named and there,
// else of the document.
func (d Document) Errorf(field, format string, args ...any) error {
	line := d.Line
	if node := d.find(field); node != nil {
		line = node.Line
	}
	return fmt.Errorf("%s:%d: %s %s: "+format, append([]any{d.File, line, d.Kind, d.Name}, args...)...)
}

// Where names file and line.
func (d Document) Where() string { return fmt.Sprintf("%s:%d", d.File, d.Line) }

// find returns the value of a field of the spec, such as credential.access_key.
func (d Document) find(field string) *yaml.Node {
	node := d.spec
	if field == "" {
		return nil
	}
	for part := range strings.SplitSeq(field, ".") {
		if node == nil || node.Kind != yaml.MappingNode {
			return nil
		}
		_, node = lookup(node, part)
	}
	return node
}

func lookup(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// Read reads files, and of folders all files below them whose names end in .yaml,
// .yml or .json, in the order of their names; hidden ones are left out. "-" is
// stdin. It tells all mistakes that it finds, not only the first.
func Read(paths []string, stdin io.Reader) ([]Document, error) {
	var all []Document
	var failures []error
	for _, path := range paths {
		files, err := list(path)
		if err != nil {
			failures = append(failures, err)
		}
		for _, file := range files {
			var content []byte
			dir := filepath.Dir(file)
			if file == "-" {
				content, err = io.ReadAll(stdin)
				dir = "."
			} else {
				content, err = os.ReadFile(file)
			}
			if err != nil {
				failures = append(failures, err)
				continue
			}
			found, err := parse(file, dir, content)
			all, failures = append(all, found...), append(failures, err)
		}
	}
	seen := map[string]Document{}
	for _, d := range all {
		key := d.Kind + " " + d.Name + " " + d.owner()
		if other, twice := seen[key]; twice {
			failures = append(failures, d.Errorf("", "it is at %s already", other.Where()))
			continue
		}
		seen[key] = d
	}
	return all, errors.Join(failures...)
}

// owner tells things of one name apart: those of a project are named within it.
func (d Document) owner() string {
	if node := d.find("project"); node != nil {
		return node.Value
	}
	return ""
}

func list(path string) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		hidden := name != path && strings.HasPrefix(entry.Name(), ".")
		switch {
		case err != nil:
			return err
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case !entry.IsDir() && !hidden && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)):
			files = append(files, name)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: there are no .yaml, .yml or .json files below it", path)
	}
	return files, err
}

// parse reads the documents of one file.
func parse(file, dir string, content []byte) ([]Document, error) {
	var all []Document
	var failures []error
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			return all, errors.Join(failures...)
		}
		if err != nil { // what follows cannot be told apart any more
			return all, errors.Join(append(failures, fmt.Errorf("%s: %s", file, syntax(err)))...)
		}
		if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
			continue // nothing between two separators
		}
		d, err := document(file, root.Content[0])
		if err != nil {
			failures = append(failures, err)
			continue
		}
		d.dir = dir
		all = append(all, d)
	}
}

// syntax takes the library's name out of its errors.
func syntax(err error) string { return strings.TrimPrefix(err.Error(), "yaml: ") }

func document(file string, node *yaml.Node) (Document, error) {
	d := Document{File: file, Line: node.Line}
	bad := func(at *yaml.Node, format string, args ...any) error {
		return fmt.Errorf("%s:%d: "+format, append([]any{file, at.Line}, args...)...)
	}
	if node.Kind != yaml.MappingNode {
		return d, bad(node, "want kind, name and spec")
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		switch key.Value {
		case "kind", "name":
			if value.Kind != yaml.ScalarNode || value.Value == "" || value.Tag == "!!null" {
				return d, bad(value, "%s: want a text", key.Value)
			}
			if key.Value == "kind" {
				d.Kind = value.Value
			} else {
				d.Name = value.Value
			}
		case "spec":
			if value.Kind != yaml.MappingNode && value.Tag != "!!null" {
				return d, bad(value, "spec: want fields, as the API has them")
			}
			if value.Kind == yaml.MappingNode {
				d.spec = value
			}
		default:
			return d, bad(key, "unknown field %q: a document has kind, name and spec", key.Value)
		}
	}
	switch {
	case d.Kind == "":
		return d, bad(node, "kind is missing")
	case d.Name == "":
		return d, bad(node, "name is missing")
	}
	return d, nil
}
