// Package gen is what oapi-codegen makes of openapi.yaml: the types that go over
// the wire, the interface of the server, and a client.
//
// Its types stay at the edge: handlers map them to the types of the packages
// that do the work.
package gen

//go:generate go tool -modfile=../../../tools/oapi/go.mod oapi-codegen -config server.yaml ../openapi.yaml
//go:generate go tool -modfile=../../../tools/oapi/go.mod oapi-codegen -config client.yaml ../openapi.yaml
