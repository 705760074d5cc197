package api

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed openapi.yaml
var specText []byte

// basePath is what all paths of the specification stand below.
const basePath = "/api/v2.0"

// operation is what the specification says about one method of one path, as far
// as requests are checked against it.
type operation struct {
	id         string
	tag        string // what it is about
	parameters []parameter
	body       string   // Harbor's name of the body; "" when there is none
	produces   []string // media types of answers
}

// parameter is one parameter of an operation.
type parameter struct {
	name, in  string // in: path, query, header
	required  bool
	kind      string // int64, int32, bool, string
	maximum   *int64
	minLength int
}

// document is the part of an OpenAPI document that is looked at.
type document struct {
	Paths      map[string]map[string]yaml.Node `yaml:"paths"`
	Components struct {
		Parameters map[string]specParameter `yaml:"parameters"`
		Responses  map[string]specResponse  `yaml:"responses"`
	} `yaml:"components"`
}

type specParameter struct {
	Ref      string `yaml:"$ref"`
	Name     string `yaml:"name"`
	In       string `yaml:"in"`
	Required bool   `yaml:"required"`
	Schema   struct {
		Type      string `yaml:"type"`
		Format    string `yaml:"format"`
		Maximum   *int64 `yaml:"maximum"`
		MinLength int    `yaml:"minLength"`
	} `yaml:"schema"`
}

type specOperation struct {
	ID         string                  `yaml:"operationId"`
	Tags       []string                `yaml:"tags"`
	BodyName   string                  `yaml:"x-codegen-request-body-name"`
	Parameters []specParameter         `yaml:"parameters"`
	Responses  map[string]specResponse `yaml:"responses"`
}

type specResponse struct {
	Ref     string               `yaml:"$ref"`
	Content map[string]yaml.Node `yaml:"content"`
}

// readSpec returns the operations by the pattern under which they are routed,
// such as "GET /api/v2.0/registries/{id}".
func readSpec(text []byte) (map[string]operation, error) {
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	operations := map[string]operation{}
	for path, item := range d.Paths {
		var shared []specParameter
		if node, ok := item["parameters"]; ok {
			if err := node.Decode(&shared); err != nil {
				return nil, fmt.Errorf("parameters of %s: %w", path, err)
			}
		}
		for key, node := range item {
			if !slices.Contains([]string{"get", "head", "post", "put", "patch", "delete"}, key) {
				continue
			}
			var o specOperation
			if err := node.Decode(&o); err != nil {
				return nil, fmt.Errorf("%s %s: %w", key, path, err)
			}
			read, err := d.operation(o, shared)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", key, path, err)
			}
			operations[strings.ToUpper(key)+" "+basePath+path] = read
		}
	}
	return operations, nil
}

func (d document) operation(o specOperation, shared []specParameter) (operation, error) {
	read := operation{id: o.ID, body: o.BodyName}
	if len(o.Tags) > 0 {
		read.tag = o.Tags[0]
	}
	for _, p := range slices.Concat(shared, o.Parameters) {
		if p.Ref != "" {
			name := strings.TrimPrefix(p.Ref, "#/components/parameters/")
			target, ok := d.Components.Parameters[name]
			if !ok {
				return operation{}, fmt.Errorf("no parameter %s", p.Ref)
			}
			p = target
		}
		read.parameters = append(read.parameters, p.parameter())
	}
	for status, response := range o.Responses {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		if response.Ref != "" {
			name := strings.TrimPrefix(response.Ref, "#/components/responses/")
			target, ok := d.Components.Responses[name]
			if !ok {
				return operation{}, fmt.Errorf("no response %s", response.Ref)
			}
			response = target
		}
		for media := range response.Content {
			read.produces = append(read.produces, media)
		}
	}
	if len(read.produces) == 0 {
		read.produces = []string{"application/json"}
	}
	return read, nil
}

func (p specParameter) parameter() parameter {
	kind := map[string]string{"integer": p.Schema.Format, "boolean": "bool"}[p.Schema.Type]
	if kind == "" {
		kind = p.Schema.Type
	}
	return parameter{name: p.Name, in: p.In, required: p.Required, kind: kind, maximum: p.Schema.Maximum, minLength: p.Schema.MinLength}
}
