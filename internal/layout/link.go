package layout

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// What can be wrong with the content of a link.
var (
	ErrEmptyLink     = errors.New("the link is empty")
	ErrMalformedLink = errors.New("the link holds no digest")
	ErrWrongLink     = errors.New("the link holds another digest than its path")
)

// LinkContent is what the link at f must hold, to the byte. It is known for links
// of SHA-256 digests. It is not for tags, and not for links of other algorithms:
// the registry keeps the blob under its SHA-256 digest, and the link leads there.
func (f File) LinkContent() (content string, known bool) {
	if !f.IsLink() || f.Algorithm != "sha256" {
		return "", false
	}
	return "sha256:" + f.Hex, true
}

// Target is the digest that the content of the link at f leads to. A content that
// the registry would not have written is an error: ErrEmptyLink, ErrMalformedLink
// (also for white space around a digest, at which the registry fails) or
// ErrWrongLink.
func (f File) Target(content []byte) (digest.Digest, error) {
	if len(content) == 0 {
		return "", ErrEmptyLink
	}
	text := string(content)
	algorithm, hex, _ := strings.Cut(text, ":")
	if !ValidDigest(algorithm, hex) {
		return "", fmt.Errorf("%w: %q", ErrMalformedLink, text[:min(len(text), 100)])
	}
	if want, known := f.LinkContent(); known && text != want {
		return "", fmt.Errorf("%w: %s", ErrWrongLink, text)
	}
	return digest.Digest(text), nil
}
