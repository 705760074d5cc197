package cli

import (
	"net/url"
	"strings"

	"github.com/lighterage/lighterage/internal/rule"
)

// location is one end of a replication as it is written on the command line:
//
//	[http://|https://|docker://]HOST[:PORT][/PATH][:TAG]
//
// At the source PATH is a pattern of repositories and TAG one of tags; at the
// destination PATH is a namespace.
type location struct {
	url  string // of the registry
	host string // with the port, for messages and credentials
	path string // "" if none
	tag  string
}

// dockerHub is the registry that people call docker.io.
const dockerHub = "registry-1.docker.io"

// parseLocation takes a location apart. which names it in errors: SRC, DST.
func parseLocation(which, text string) (location, error) {
	var l location
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "", text
	}
	host, path, _ := strings.Cut(rest, "/")
	switch {
	case scheme != "" && scheme != "docker" && scheme != "http" && scheme != "https":
		return l, usage("%s %q: want http://, https:// or docker:// in front of a host, or nothing", which, text)
	case host == "":
		return l, usage("%s %q names no registry: want HOST[:PORT]/...", which, text)
	case strings.Contains(host, "@") && !strings.Contains(host, "@sha"):
		return l, usage("%s: a password does not belong into a location; use --src-creds, --dest-creds or \"docker login\"", which)
	case strings.ContainsAny(host, "*?{}[") && !strings.HasPrefix(host, "["):
		return l, usage("%s %q: the registry comes first and cannot be a pattern: HOST[:PORT]/%s", which, text, host)
	}
	if strings.Contains(path, "@") {
		return l, usage("%s %q: a digest cannot be selected; select a repository and tags", which, text)
	}
	if scheme == "" || scheme == "docker" {
		scheme = "https"
		if isLoopback(host) {
			scheme = "http"
		}
	}
	l.host = host
	if host == "docker.io" || host == "index.docker.io" {
		host = dockerHub
	}
	l.url = scheme + "://" + host
	if u, err := url.Parse(l.url); err != nil || u.Hostname() == "" || u.Host != host {
		return l, usage("%s %q: %q is not a host", which, text, host)
	}
	l.path, l.tag, found = strings.Cut(path, ":")
	if found && l.tag == "" {
		return l, usage("%s %q: no tag follows the colon", which, text)
	}
	return l, nil
}

// source reads the location as a source. A slash at the end stands for all
// that is below it.
func (l location) source() (name, tag string) {
	if l.path != "" && strings.HasSuffix(l.path, "/") {
		return l.path + "**", l.tag
	}
	return l.path, l.tag
}

// namespace reads the location as a destination.
func (l location) namespace() (string, error) {
	if l.tag != "" {
		return "", usage("DST: %q: tags keep their names; a destination is HOST[:PORT][/NAMESPACE]", ":"+l.tag)
	}
	namespace := strings.Trim(l.path, "/")
	if namespace == "" {
		return "", nil
	}
	if err := rule.ValidateNamespace(namespace); err != nil {
		return "", usage("DST: %w", err)
	}
	return namespace, nil
}
