package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Rules say what a spec may hold beside the fields of a type.
type Rules struct {
	// ReadOnly are fields of the type that a file cannot set.
	ReadOnly []string
	// Extra are further fields of the spec and where they go.
	Extra map[string]any
	// Secrets are fields, anywhere in the spec, that are read from elsewhere: the field
	// access_secret is given by accessSecretFrom: {env: NAME} or {file: PATH}.
	Secrets []string
	Getenv  func(string) string
}

// Decode puts the spec into a struct with JSON names. Unknown fields and values of
// the wrong type are refused, all of them.
func (d Document) Decode(into any, r Rules) error {
	if d.spec == nil {
		return nil
	}
	c := decoding{d: d, r: r}
	fields := map[string]any{}
	for i := 0; i+1 < len(d.spec.Content); i += 2 {
		key, value := d.spec.Content[i], d.spec.Content[i+1]
		if target, ok := r.Extra[key.Value]; ok {
			if err := value.Decode(target); err != nil {
				c.fail(value, key.Value, "%s", typeError(err))
			}
			continue
		}
		if slices.Contains(r.ReadOnly, key.Value) {
			c.fail(key, key.Value, "a file cannot set it")
			continue
		}
		c.field(fields, reflect.TypeOf(into).Elem(), key, value, "")
	}
	if len(c.failures) > 0 {
		return errors.Join(c.failures...)
	}
	text, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return d.Errorf("", "%w", err)
	}
	return nil
}

type decoding struct {
	d        Document
	r        Rules
	failures []error
}

func (c *decoding) fail(at *yaml.Node, path, format string, args ...any) {
	prefix := fmt.Sprintf("%s:%d: %s %s: spec.%s: ", c.d.File, at.Line, c.d.Kind, c.d.Name, path)
	c.failures = append(c.failures, fmt.Errorf("%s"+format, append([]any{prefix}, args...)...))
}

// field reads one field of a struct into fields.
func (c *decoding) field(fields map[string]any, t reflect.Type, key, value *yaml.Node, path string) {
	path += key.Value
	known := jsonFields(t)
	if field, ok := known[key.Value]; ok {
		if v, ok := c.value(field, value, path); ok {
			fields[key.Value] = v
		}
		return
	}
	for _, secret := range c.r.Secrets {
		if _, has := known[secret]; has && key.Value == fromName(secret) {
			text, err := c.secret(value)
			if err != nil {
				c.fail(value, path, "%w", err)
				return
			}
			fields[secret] = text
			return
		}
	}
	hint := ""
	if near := nearest(key.Value, known); near != "" {
		hint = fmt.Sprintf(" (did you mean %s?)", near)
	}
	c.fail(key, path, "unknown field%s", hint)
}

// value reads a node as a Go type would be in JSON.
func (c *decoding) value(t reflect.Type, node *yaml.Node, path string) (any, bool) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if node.Tag == "!!null" {
		return nil, true
	}
	switch {
	case t.Kind() == reflect.Struct && !isText(t):
		if node.Kind != yaml.MappingNode {
			c.fail(node, path, "want fields")
			return nil, false
		}
		fields := map[string]any{}
		before := len(c.failures)
		for i := 0; i+1 < len(node.Content); i += 2 {
			c.field(fields, t, node.Content[i], node.Content[i+1], path+".")
		}
		return fields, len(c.failures) == before
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		if node.Kind != yaml.SequenceNode {
			c.fail(node, path, "want a list")
			return nil, false
		}
		all := []any{}
		for i, item := range node.Content {
			v, ok := c.value(t.Elem(), item, fmt.Sprintf("%s[%d]", path, i))
			if !ok {
				return nil, false
			}
			all = append(all, v)
		}
		return all, true
	}
	target := reflect.New(t)
	if err := node.Decode(target.Interface()); err != nil {
		c.fail(node, path, "%s", typeError(err))
		return nil, false
	}
	return target.Elem().Interface(), true
}

// isText reports whether a struct is written as a text in JSON, as times are.
func isText(t reflect.Type) bool {
	_, marshals := reflect.New(t).Interface().(json.Marshaler)
	return marshals
}

// typeError says what is wrong with a value, without the line, which is said already.
func typeError(err error) string {
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) && len(wrong.Errors) > 0 {
		_, text, found := strings.Cut(wrong.Errors[0], ": ")
		if found {
			return text
		}
	}
	return syntax(err)
}

// jsonFields are the fields of a struct by their JSON names.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = t.Field(i).Type
		}
	}
	return fields
}

// fromName is the field that says where a secret comes from: access_secret becomes
// accessSecretFrom.
func fromName(field string) string {
	parts := strings.Split(field, "_")
	for i, part := range parts[1:] {
		parts[i+1] = strings.ToUpper(part[:1]) + part[1:]
	}
	return strings.Join(parts, "") + "From"
}

// secret reads a secret from where the document says.
func (c *decoding) secret(node *yaml.Node) (string, error) {
	const want = "want {env: NAME} or {file: PATH}"
	if node.Kind != yaml.MappingNode || len(node.Content) != 2 || node.Content[1].Kind != yaml.ScalarNode || node.Content[1].Value == "" {
		return "", errors.New(want)
	}
	where := node.Content[1].Value
	switch node.Content[0].Value {
	case "env":
		text := c.r.Getenv(where)
		if text == "" {
			return "", fmt.Errorf("the environment variable %s is not set", where)
		}
		return text, nil
	case "file":
		content, err := os.ReadFile(c.d.Path(where))
		if err != nil {
			return "", err
		}
		text := strings.TrimRight(string(content), "\r\n")
		if text == "" {
			return "", fmt.Errorf("%s is empty", c.d.Path(where))
		}
		return text, nil
	default:
		return "", errors.New(want)
	}
}

// Path is a file that the document names, which may be relative to the document's.
func (d Document) Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.dir, name)
}

// nearest is the known name that is most like a misspelt one, "" if none is.
func nearest(name string, known map[string]reflect.Type) string {
	best, least := "", 3
	for candidate := range known {
		if d := distance(name, candidate); d < least || d == least && candidate < best {
			best, least = candidate, d
		}
	}
	return best
}

// distance counts the letters to add, drop or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
