package api_test

import (
	"encoding/json"
	"fmt"
	"maps"

	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// recordings holds exchanges recorded from a real Harbor, one a file.
const recordings = "../../testdata/harbor-api"

// exchange is one recorded request with its answer.
type exchange struct {
	Name           string            `json:"name"`
	Request        string            `json:"request"` // method and path
	Auth           string            `json:"auth"`    // anonymous, basic:<user>, session:<user>
	RequestHeaders map[string]string `json:"request_headers"`
	RequestBody    any               `json:"request_body"`
	Status         string            `json:"status"`
	Headers        header            `json:"headers"`
	Body           any               `json:"body"`
}

// header is what was answered with; of several values of one name the first.
type header map[string]string

func (h *header) UnmarshalJSON(text []byte) error {
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil // a list in notes that are no exchange
	}
	*h = header{}
	for name, value := range all {
		if list, ok := value.([]any); ok && len(list) > 0 {
			value = list[0]
		}
		(*h)[name] = fmt.Sprint(value)
	}
	return nil
}

func readExchange(t *testing.T, name string) exchange {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(recordings, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var e exchange
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

// names of all recordings, sorted.
func recorded(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(recordings, pattern+".json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings %s: %v", pattern, err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".json")
	}
	slices.Sort(files)
	return files
}

// replay sends recorded requests to a server and compares the answers.
type replay struct {
	t         *testing.T
	server    *lighterage
	secrets   map[string]string            // of users, by name
	ids       map[string]map[string]string // kind -> id in the recordings -> id here
	urls      *strings.Replacer            // addresses in the recordings -> addresses here
	texts     map[string]string            // digests and the like, recorded -> here
	additions map[string]bool              // properties that are ours
	played    map[string]bool
	events    int // executions of the rule push-all that events started, so far
}

func newReplay(t *testing.T, l *lighterage, urls ...string) *replay {
	return &replay{
		t: t, server: l, secrets: map[string]string{"admin": adminPassword}, urls: strings.NewReplacer(urls...),
		ids: map[string]map[string]string{}, texts: map[string]string{}, additions: additions(t), played: map[string]bool{},
	}
}

// additions returns the properties that the specification marks as ours.
func additions(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]map[string]any
			}
		}
	}
	if err := yaml.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, schema := range spec.Components.Schemas {
		for name, property := range schema.Properties {
			if property["x-lighterage"] == true {
				ours[name] = true
			}
		}
	}
	return ours
}

// learn says that a resource has another id here than in the recordings.
func (p *replay) learn(kind, recorded, here string) {
	if p.ids[kind] == nil {
		p.ids[kind] = map[string]string{}
	}
	p.ids[kind][recorded] = here
}

func (p *replay) id(kind, recorded string) string {
	if here, ok := p.ids[kind][recorded]; ok {
		return here
	}
	return recorded
}

var (
	pathID   = regexp.MustCompile(`/(registries|policies|executions|tasks|labels|robots|users|projects)/(\d+)`)
	policyID = regexp.MustCompile(`policy_id=(\d+)`)
)

// path is a recorded path as it has to be here.
func (p *replay) path(path string) string {
	for recorded, here := range p.texts {
		path = strings.ReplaceAll(path, recorded, here)
	}
	path = policyID.ReplaceAllStringFunc(path, func(part string) string {
		return "policy_id=" + p.id("policies", strings.TrimPrefix(part, "policy_id="))
	})
	return pathID.ReplaceAllStringFunc(path, func(part string) string {
		match := pathID.FindStringSubmatch(part)
		return "/" + match[1] + "/" + p.id(match[1], match[2])
	})
}

// body is a recorded request body as it has to be here.
func (p *replay) body(value any, key string) any {
	switch v := value.(type) {
	case string:
		return p.urls.Replace(v)
	case map[string]any:
		changed := map[string]any{}
		for name, item := range v {
			number, isNumber := item.(float64)
			switch {
			case isNumber && name == "policy_id":
				changed[name] = json.Number(p.id("policies", fmt.Sprint(number)))
			case isNumber && name == "id" && (key == "dest_registry" || key == "src_registry"):
				changed[name] = json.Number(p.id("registries", fmt.Sprint(number)))
			default:
				changed[name] = p.body(item, name)
			}
		}
		return changed
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = p.body(item, key)
		}
		return list
	default:
		return value
	}
}

// play replays exchanges in the order given. Patterns stand for all recordings
// that fit them and were not played yet.
func (p *replay) play(patterns ...string) {
	p.t.Helper()
	for _, pattern := range patterns {
		for _, name := range recorded(p.t, pattern) {
			if !p.played[name] {
				p.played[name] = true
				p.one(readExchange(p.t, name))
			}
		}
	}
}

// skip counts recordings as played that cannot be replayed.
func (p *replay) skip(patterns ...string) {
	for _, pattern := range patterns {
		for _, name := range recorded(p.t, pattern) {
			p.played[name] = true
		}
	}
}

// one replays an exchange. One that is listed as different must differ, and only
// in what is listed.
func (p *replay) one(e exchange) {
	p.t.Helper()
	if e.Status == "" {
		return // a note of the recording, not an exchange
	}
	got := p.send(e)
	d, different := differenceOf(e.Name)
	if different && len(p.compare(e, got, difference{})) == 0 {
		p.t.Errorf("%s: listed as different, and it is not", e.Name)
	}
	if found := p.compare(e, got, d); len(found) > 0 {
		p.t.Errorf("%s: %s:\n %s\n here: %s %.2000s", e.Name, e.Request, strings.Join(found, "\n "), got.Status, got.body)
	}
	p.learnFrom(e, got)
}

// learnFrom notes the id of what was made, if Harbor made something too.
func (p *replay) learnFrom(e exchange, got answer) {
	there, here := e.Headers["Location"], got.Header.Get("Location")
	if there == "" || here == "" {
		return
	}
	kind := filepath.Base(filepath.Dir(there))
	p.learn(kind, filepath.Base(there), filepath.Base(here))
}

func (p *replay) send(e exchange) answer {
	p.t.Helper()
	method, path, _ := strings.Cut(e.Request, " ")
	var body string
	switch b := e.RequestBody.(type) {
	case nil:
	case string:
		body = b
	default:
		text, err := json.Marshal(p.body(b, ""))
		if err != nil {
			p.t.Fatal(err)
		}
		body = string(text)
	}
	var headers []string
	for _, name := range slices.Sorted(maps.Keys(e.RequestHeaders)) {
		value := e.RequestHeaders[name]
		if name == "Authorization" { // a Bearer token of the administrator
			value = "Bearer " + p.token(path)
		}
		headers = append(headers, name, value)
	}
	_, user, _ := strings.Cut(e.Auth, ":")
	return p.server.do(method, p.path(path), user, p.secrets[user], body, headers...)
}

var repositoryPath = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|tags)/`)

func (p *replay) token(path string) string {
	p.t.Helper()
	scope := "repository:" + repositoryPath.FindStringSubmatch(path)[1] + ":pull,push,delete"
	got := p.server.admin("GET", "/service/token?service=harbor-registry&scope="+scope, "")
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(got.body), &token); err != nil || token.Token == "" {
		p.t.Fatalf("token: %s %s", got.Status, got.body)
	}
	return token.Token
}
