package registry

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// digested returns the bytes of a manifest that its digest is made of: all of them,
// but for signed schema 1, where the signatures are left out. What was signed is the
// front of the content and a short tail, and each signature's protected header tells
// both (distribution specification, manifest v2 schema 1, "Signed Manifests"). A
// header that cannot be read leaves the content as it is, which then is not what its
// digest says.
func digested(mediaType string, content []byte) []byte {
	if mediaType != MediaTypeDockerSchema1JWS {
		return content
	}
	var manifest struct {
		Signatures []struct {
			Protected string `json:"protected"`
		} `json:"signatures"`
	}
	if json.Unmarshal(content, &manifest) != nil || len(manifest.Signatures) == 0 {
		return content
	}
	header, err := unpadded(manifest.Signatures[0].Protected)
	if err != nil {
		return content
	}
	var format struct {
		Length int    `json:"formatLength"`
		Tail   string `json:"formatTail"`
	}
	if json.Unmarshal(header, &format) != nil || format.Length < 0 || format.Length > len(content) {
		return content
	}
	tail, err := unpadded(format.Tail)
	if err != nil {
		return content
	}
	return slices.Concat(content[:format.Length], tail)
}

func unpadded(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}
