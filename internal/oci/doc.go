// Package oci reads manifests: what each one needs to be whole, in all formats that
// registries hold. It calculates only: it fetches nothing and decides nothing.
//
// Manifests are written by anybody who may push. Parse accepts what registries
// accept, and refuses what claims the impossible.
package oci
