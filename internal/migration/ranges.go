package migration

import (
	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// split divides a listing at bounds, which are in ascending order and more than one
// byte longer than prefix. Each name is in one part.
func split(o tree.ListOptions, bounds []string) []tree.ListOptions {
	parts := make([]tree.ListOptions, 0, len(bounds)+1)
	for _, bound := range bounds {
		part := o
		part.Until = bound
		parts = append(parts, part)
		o.After = justBefore(bound)
	}
	return append(parts, o)
}

// justBefore is less than bound and not less than any name that is: bounds of
// listings leave themselves out on both sides.
func justBefore(bound string) string {
	last := len(bound) - 1
	return bound[:last] + string(rune(bound[last]-1)) + "\U0010FFFF"
}

// blobParts divides a listing of all blobs into those that can go on at the same time,
// by the first digit of their SHA-256 digests.
func blobParts(o tree.ListOptions) []tree.ListOptions {
	var bounds []string
	for _, digit := range "123456789abcdef" {
		bounds = append(bounds, layout.Blobs+"sha256/"+string(digit))
	}
	o.Prefix = layout.Blobs
	return split(o, bounds)
}
