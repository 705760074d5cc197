// Package volume makes registry volumes for benchmarks, in the layout of the
// distribution registry: images whose digests are right, which share base layers,
// have tags, and a tag that has stood for each of them. What is in a volume follows
// from its profile and a seed.
//
// It also changes a volume as a registry in use does, and takes the changes back. It
// never writes outside the folder it is given and one beside it.
package volume
