package registry

import (
	"github.com/opencontainers/go-digest"

	// Registers SHA-384 and SHA-512, which digests may use beside SHA-256.
	_ "crypto/sha512"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

// Every URL is built from names that passed these checks, so that a name listed by one
// registry cannot reach another path of the next.

func checkRepository(name string) error { return rule.ValidateRepositoryName(name) }

func checkTag(tag string) error { return rule.ValidateTag(tag) }

func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return problem.New(problem.BadRequest, "invalid digest %q: %v", d, err)
	}
	return nil
}

// checkReference accepts a tag or a digest and returns the digest, "" for a tag.
func checkReference(reference string) (digest.Digest, error) {
	if checkTag(reference) == nil {
		return "", nil
	}
	d := digest.Digest(reference)
	if d.Validate() != nil {
		return "", problem.New(problem.BadRequest, "invalid reference %q: neither a tag nor a digest", reference)
	}
	return d, nil
}
