package registry

import (
	"net/http"
	"net/url"
	"strings"
)

// nextPage returns the URL of the page after this answer, nil when it names none. The
// path and query of the Link header (RFC 8288) are followed at the endpoint itself:
// behind proxies registries often name hosts that only they know.
func (c *Client) nextPage(a *answer) (*url.URL, error) {
	target := nextLink(a.header)
	if target == "" {
		return nil, nil
	}
	next, err := a.request.url.Parse(target)
	if err != nil {
		return nil, err
	}
	next.Scheme, next.Host, next.User, next.Fragment = c.base.Scheme, c.base.Host, nil, ""
	return next, nil
}

// nextLink returns the target of the link with rel "next", "" when there is none.
func nextLink(h http.Header) string {
	for _, value := range h.Values("Link") {
		for rest := value; ; {
			open := strings.IndexByte(rest, '<')
			if open < 0 {
				break
			}
			end := strings.IndexByte(rest[open:], '>')
			if end < 0 {
				break
			}
			target := strings.TrimSpace(rest[open+1 : open+end])
			var rel string
			rel, rest = linkRelation(rest[open+end+1:])
			if target != "" && strings.EqualFold(rel, "next") {
				return target
			}
		}
	}
	return ""
}

// linkRelation reads a link's parameters up to the comma that ends it and returns rel
// and what follows.
func linkRelation(s string) (rel, rest string) {
	p := scanner{s}
	for {
		p.skip(" \t")
		if !p.eat(';') {
			return rel, p.rest
		}
		p.skip(" \t")
		name := p.token()
		p.skip(" \t")
		if !p.eat('=') {
			continue
		}
		p.skip(" \t")
		var value string
		if strings.HasPrefix(p.rest, `"`) {
			var ok bool
			if value, ok = p.value(); !ok {
				return rel, ""
			}
		} else {
			value = p.token()
		}
		if strings.EqualFold(name, "rel") {
			rel = value
		}
	}
}
