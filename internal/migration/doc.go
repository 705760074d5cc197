// Package migration moves a registry's storage from one tree to another, a volume
// to S3 above all, and says of every artifact whether it is whole.
//
// Assess looks at a tree before anything is moved, Fsck says whether every artifact
// in a tree can be pulled, Repair mends the links that follow from their paths, the
// copy brings one tree into another and the check compares the two.
//
// All of it rests on what package layout says: a blob hashes to the digest in its
// path, a link holds the digest in its path, and only a tag's current link can
// change. So whether a file is right can be known without a second copy of it.
//
// The package never deletes what it did not put there, never changes a blob, never
// copies or passes over damage in silence, and never calls a tree clean of which it
// could not see everything.
package migration
