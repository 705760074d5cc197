package registry

import (
	"net/http"
	"slices"
	"strings"
)

// challenge is one way to authenticate that a host offers (RFC 9110, 11.3).
type challenge struct {
	scheme string            // lower case
	params map[string]string // names in lower case
}

// challenges reads all WWW-Authenticate headers; each may hold several challenges.
// What cannot be read ends the list: a half-understood challenge is not used.
func challenges(h http.Header) []challenge {
	var all []challenge
	for _, value := range h.Values("WWW-Authenticate") {
		all = append(all, parseChallenges(value)...)
	}
	return all
}

func parseChallenges(s string) []challenge {
	var all []challenge
	p := scanner{s}
	for {
		p.skip(" \t,")
		scheme := p.token()
		if scheme == "" {
			return all
		}
		c := challenge{scheme: strings.ToLower(scheme), params: map[string]string{}}
		for {
			mark := p
			p.skip(" \t,")
			name := p.token()
			p.skip(" \t")
			if name == "" || !p.eat('=') {
				p = mark // not a parameter: the next challenge, or the end
				break
			}
			p.skip(" \t")
			value, ok := p.value()
			if !ok {
				return all
			}
			c.params[strings.ToLower(name)] = value
		}
		all = append(all, c)
	}
}

// scanner reads header syntax from the front of what is left.
type scanner struct{ rest string }

func (p *scanner) skip(chars string) { p.rest = strings.TrimLeft(p.rest, chars) }

func (p *scanner) eat(c byte) bool {
	if p.rest != "" && p.rest[0] == c {
		p.rest = p.rest[1:]
		return true
	}
	return false
}

func (p *scanner) token() string {
	i := 0
	for i < len(p.rest) && isTokenChar(p.rest[i]) {
		i++
	}
	t := p.rest[:i]
	p.rest = p.rest[i:]
	return t
}

// value reads a quoted string, or, as some servers send them bare, everything up to a
// blank or comma.
func (p *scanner) value() (string, bool) {
	if !p.eat('"') {
		i := strings.IndexAny(p.rest, " \t,")
		if i < 0 {
			i = len(p.rest)
		}
		v := p.rest[:i]
		p.rest = p.rest[i:]
		return v, true
	}
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false // no closing quote
}

func isTokenChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// scope is an access that a token must give: what to do with one resource.
type scope struct {
	resource string // "repository:library/alpine", "registry:catalog"
	actions  []string
}

func repositoryScope(name string, actions ...string) scope {
	return scope{resource: "repository:" + name, actions: actions}
}

func (s scope) String() string { return s.resource + ":" + strings.Join(s.actions, ",") }

// parseScopes reads a challenge's scope parameter: scopes separated by blanks.
func parseScopes(text string) []scope {
	var all []scope
	for _, field := range strings.Fields(text) {
		i := strings.LastIndexByte(field, ':')
		if i <= 0 || !strings.Contains(field[:i], ":") {
			continue
		}
		actions := slices.DeleteFunc(strings.Split(field[i+1:], ","), func(action string) bool { return action == "" })
		if len(actions) > 0 {
			all = append(all, scope{resource: field[:i], actions: actions})
		}
	}
	return all
}

// mergeScopes returns the union, sorted, so that equal sets have equal texts.
func mergeScopes(scopes ...scope) []scope {
	actions := map[string][]string{}
	for _, s := range scopes {
		actions[s.resource] = append(actions[s.resource], s.actions...)
	}
	var all []scope
	for resource, names := range actions {
		slices.Sort(names)
		all = append(all, scope{resource: resource, actions: slices.Compact(names)})
	}
	slices.SortFunc(all, func(a, b scope) int { return strings.Compare(a.resource, b.resource) })
	return all
}

// covers reports whether a token asked for with have may be used for want.
func covers(have, want []scope) bool {
	for _, w := range want {
		i := slices.IndexFunc(have, func(h scope) bool { return h.resource == w.resource })
		if i < 0 {
			return false
		}
		for _, action := range w.actions {
			if !slices.Contains(have[i].actions, action) && !slices.Contains(have[i].actions, "*") {
				return false
			}
		}
	}
	return true
}

func scopesKey(scopes []scope) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = s.String()
	}
	return strings.Join(texts, " ")
}
