// Package api serves Harbor's v2.0 REST API, exactly enough that Harbor's
// clients cannot tell the difference, and the few operations that Lighterage
// adds to it.
//
// openapi.yaml is the contract: package gen is generated from it, and requests
// are checked against it here with Harbor's texts. A handler maps between the
// types on the wire and those of the services that do the work; it decides who
// may do something, and nothing else. Errors are turned into answers in one place
// (errors.go): what a user caused is answered with a reason, what went wrong in
// the server is logged with the request's id and never shown.
//
// The package never talks to a registry or a database itself. Where its answers
// deliberately differ from Harbor's is listed in docs/compatibility.md.
package api
