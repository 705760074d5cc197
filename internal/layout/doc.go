// Package layout knows the storage layout of the distribution registry, which is
// also Harbor's: what each path means, whether its content may change, and what
// the content must be. It calculates only: it reads no files and no stores.
//
// Every path but one kind is write-once, and its content follows from the path:
// a blob hashes to the digest in its path, a link holds it. The exception is the
// link that says which manifest a tag stands for now. All that the storage
// migration does rests on this.
//
// Paths are relative to the registry's root directory, with slashes and without
// one in front, as in "docker/registry/v2/blobs/sha256/ab/ab.../data".
// Source: distribution, registry/storage/paths.go.
package layout
