// Package demo has the props of the demonstration: a plain registry that plays
// the one of a cluster, and a small multi-platform image that is pushed, and
// later pulled and checked to the last byte.
//
// Everything goes over HTTP as it does for ordinary clients. The package tells
// no story and prints nothing; that is the command's part.
package demo
