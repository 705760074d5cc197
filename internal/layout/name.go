package layout

import (
	_ "crypto/sha256" // so that go-digest knows all that is valid here
	_ "crypto/sha512"
	"strings"
)

// hexLength is the length of digests in hexadecimal by algorithm: those that the
// registry knows (distribution registers SHA-256, SHA-384 and SHA-512).
func hexLength(algorithm string) int {
	switch algorithm {
	case "sha256":
		return 64
	case "sha384":
		return 96
	case "sha512":
		return 128
	default:
		return 0
	}
}

// ValidDigest reports whether hex is a digest of the algorithm as the registry
// writes it: whole, and in lower case.
func ValidDigest(algorithm, hex string) bool {
	length := hexLength(algorithm)
	if length == 0 || len(hex) != length {
		return false
	}
	for i := range len(hex) {
		if c := hex[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// maxRepository is how long a repository's name may be, in bytes, without a first
// component that could be a host.
const maxRepository = 255

// ValidRepository reports whether a registry takes name as a repository's: components
// of lower case letters and digits with single separators between them, joined by
// slashes (OCI distribution-spec, "Pulling manifests"). To the registry the first of
// several may be a host too, with upper case letters; one with a port it accepts but
// cannot store (github.com/distribution/reference, WithName; distribution,
// storagedriver.PathRegexp).
func ValidRepository(name string) bool {
	if host, path, ok := strings.Cut(name, "/"); ok && validHost(host) {
		return len(path) <= maxRepository && validPath(path)
	}
	return len(name) <= maxRepository && validPath(name)
}

func validPath(path string) bool {
	for component := range strings.SplitSeq(path, "/") {
		if !validComponent(component) {
			return false
		}
	}
	return true
}

// validHost follows [a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?, once or joined by dots.
func validHost(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !letterOrDigit(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

// validComponent follows [a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*.
func validComponent(c string) bool {
	if c == "" || !alphanumeric(c[0]) || !alphanumeric(c[len(c)-1]) {
		return false
	}
	for i := 0; i < len(c); {
		if alphanumeric(c[i]) {
			i++
			continue
		}
		start := i
		for i < len(c) && !alphanumeric(c[i]) {
			i++
		}
		separator := c[start:i]
		if separator != "." && separator != "_" && separator != "__" && strings.Trim(separator, "-") != "" {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func letterOrDigit(c byte) bool { return alphanumeric(c) || c >= 'A' && c <= 'Z' }

// ValidTag reports whether tag can be a tag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func ValidTag(tag string) bool {
	if tag == "" || len(tag) > 128 || tag[0] == '.' || tag[0] == '-' {
		return false
	}
	for i := range len(tag) {
		if c := tag[i]; !letterOrDigit(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// validRest accepts what may follow _uploads/: a relative path that goes nowhere else.
func validRest(rest string) bool {
	if rest == "" || strings.HasPrefix(rest, "/") || strings.HasSuffix(rest, "/") || strings.Contains(rest, "//") {
		return false
	}
	for component := range strings.SplitSeq(rest, "/") {
		if component == "." || component == ".." {
			return false
		}
	}
	return true
}
