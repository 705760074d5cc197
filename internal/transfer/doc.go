// Package transfer copies artifacts between registries, and removes them: it is the
// engine below replication.
//
// An Engine belongs to one destination. It moves each blob there once, however many
// artifacts and repositories wait for it, and mounts it into the others; it sends
// what is missing in parallel, goes on with what broke off, and puts manifests after
// what they refer to and tags last, so that the destination never shows an artifact
// that is not whole. Bytes and digests of manifests never change, unless a smaller index
// is asked for (Request.Rewrite). Nothing is written
// to a disk, and no blob of more than 256 KiB is held in memory.
//
// Copies of the same artifacts to several destinations can read the source together: a
// Sharing holds up to 1 MiB of each blob that they are at.
//
// What it never does: delete or move a tag that does not stand for what the caller
// said, believe an answer "it is there" against a later "it is not", or take the end
// of one copy for the end of another.
//
// # Requests
//
// A copy needs, at the destination (D) and the source (S), with n blobs of which m
// are already in the destination's other repositories and known to be:
//
//	tag unchanged            D: HEAD manifest              S: HEAD manifest
//	the same, both known     D: -                          S: -
//	tag new, content there   D: HEAD manifest, PUT         S: GET manifest
//	image new                D: HEAD manifest, PUT, blobs  S: GET manifest, n-m GET blob
//	index new                D: one HEAD more              S: one GET more for each child
//
// With Request.SourceDigest the HEAD at the source falls away, with Request.Target the
// one at the destination. A new blob costs D three requests: HEAD, POST, PUT. Where a
// mount from the repository itself is answered 201 for a blob that is there and 202
// for one that is not (distribution and olareg do so), the POST is the question and
// opens the session too: then a new blob costs two requests and one that is there
// costs one. The engine finds out by one extra request after 12 new blobs. A blob
// that is mounted from another repository costs one request, or two until the first
// mount has worked. A blob, child or tag that this engine has seen less than
// Options.Validity ago costs none, unless a tag of its repository has gone since.
//
// Of n destinations that lack the same and copy it at the same time with a Sharing, S sees
// the GETs of one.
//
// Accessories cost S one referrers request for each manifest of the artifact; where S
// has no referrers API, none, but one listing of the repository's tags for all copies
// with the same Request.AsOf. Where D has no referrers API an accessory costs D three
// requests more for the index under the fallback tag.
package transfer
