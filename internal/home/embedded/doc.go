// Package embedded serves the home registry itself: the OCI distribution API under
// /v2/, on the registry of the distribution project as a library, with the storage
// layout that Harbor has too.
//
// In front of that registry stands a handler of our own, because a push must not be
// lost and the library answers before anybody else knows of it. The handler
// authorizes each request, refuses writes in read-only mode, makes every change of
// a manifest or tag through an intent and a record in the home index before the
// client has its answer, and adds what the library lacks: referrers, manifests by
// digests other than SHA-256, deletes that survive a crash, and lists that are
// answered from the index.
//
// The package never decides who may do what (see Access), never deletes blobs that
// nobody asked it to delete (collecting garbage is not its work), and never changes
// a byte of a manifest.
//
// An index whose children are not all here is refused, as in Harbor, unless the
// request comes through Transport with AllowSparse: a replication that leaves
// platforms out must be able to write it.
package embedded
