package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/lighterage/lighterage/internal/cli/manifest"
)

// thing is something that files describe and a server has: in a form in which the two
// can be compared, and in the form of the API.
type thing struct {
	key    string // its name, within its project if it is in one: project/name
	id     int64  // at the server
	canon  map[string]any
	body   any    // the API's, as its kind makes it
	secret string // that the files give; "": they give none
	doc    manifest.Document
}

// applyKind is a kind of things. The order of kinds is the one in which things are made:
// what others refer to comes first.
type applyKind interface {
	// read makes a thing of a document.
	read(d manifest.Document) (thing, error)
	// list returns what the server has, by key.
	list(ctx context.Context) (map[string]thing, error)
	// fit brings what the server has into the form to be compared with what is wanted,
	// when that says less than there is.
	fit(have, want thing) thing
	create(ctx context.Context, want thing) error
	update(ctx context.Context, have, want thing, secret bool) error
	remove(ctx context.Context, have thing) error
}

// canonical writes a body of the API without what is zero, as absent and zero mean the
// same, and without the fields that are dropped.
func canonical(body any, drop ...string) (map[string]any, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	for _, name := range drop {
		delete(fields, name)
	}
	withoutZeros(fields)
	return fields, nil
}

// withoutZeros removes fields with a zero value, also in objects below.
func withoutZeros(fields map[string]any) {
	for name, value := range fields {
		switch v := value.(type) {
		case map[string]any:
			withoutZeros(v)
			if len(v) == 0 {
				delete(fields, name)
			}
		case []any:
			for _, item := range v {
				if object, ok := item.(map[string]any); ok {
					withoutZeros(object)
				}
			}
			if len(v) == 0 {
				delete(fields, name)
			}
		case json.Number:
			if v == "0" {
				delete(fields, name)
				continue
			}
			if n, err := v.Int64(); err == nil {
				fields[name] = n
			}
		case nil:
			delete(fields, name)
		default:
			if reflect.ValueOf(value).IsZero() {
				delete(fields, name)
			}
		}
	}
}

// manifestText writes a thing as a document.
func manifestText(kind, name string, spec map[string]any) (string, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(struct {
		Kind string         `yaml:"kind"`
		Name string         `yaml:"name"`
		Spec map[string]any `yaml:"spec"`
	}{kind, name, spec})
	if err != nil {
		return "", fmt.Errorf("write %s %s: %w", kind, name, err)
	}
	return out.String(), encoder.Close()
}

// sortedTexts sorts a list of texts in a canonical form.
func sortedTexts(fields map[string]any, name string) {
	list, ok := fields[name].([]any)
	if !ok {
		return
	}
	slices.SortFunc(list, func(a, b any) int { return bytes.Compare(fmt.Append(nil, a), fmt.Append(nil, b)) })
}
