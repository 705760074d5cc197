// Package cutover has a registry that is in use move to another storage: it copies
// while the registry is live, makes it read-only for seconds, proves that everything
// is there, has the registry serve the destination, and goes back on request.
//
// It is a state machine whose state is kept before anything follows from it: a process
// that is killed goes on from there, or stays paused where it was. What the registry has
// to be able to do it is told through Site.
//
// The package never lets a registry serve a storage that has not been compared with
// the one before while nobody could write, never leaves it read-only, never lifts a
// read-only mode that somebody else has set, and never deletes anything that the
// registry has not deleted.
package cutover
