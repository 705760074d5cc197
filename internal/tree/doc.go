// Package tree keeps the files of a registry: in a directory, or below a prefix of
// an S3 bucket. Both are the same small interface, so that whatever moves or checks
// a registry works in every direction.
//
// A tree promises:
//   - what Put has reported as stored is whole and is there after a crash, and the
//     receipt says who has seen that the bytes are right;
//   - a name shows either its old or its new content to readers, never a part of it;
//   - nothing outside the root directory or the prefix is read as the tree's or
//     changed;
//   - what a store fails at for a moment is tried again inside; an error that comes
//     out is final for that object, and IsFatal tells whether it is final for all.
//
// It never decides what is to be stored or deleted, and never deletes anything but
// the names that Remove is given.
package tree
