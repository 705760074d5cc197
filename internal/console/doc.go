// Package console serves the web console to browsers. Its source is in web/; "make
// console" builds it into dist/, where the Go compiler takes it from. A program that
// was built without it says in words how to get it.
//
// The package serves files and nothing else: what the console shows and does goes
// through the public API.
package console
