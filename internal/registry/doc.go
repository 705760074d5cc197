// Package registry speaks to remote registries: one client for the OCI
// distribution protocol (specification 1.1, and the Docker registry v2 habits it
// grew from), and an adapter per provider type for what the protocol lacks.
//
// The client is a good guest. Every request to a host passes one gate, which finds
// out how much the host can take, keeps short requests from waiting behind long
// bodies, and stands still for as long as the host asks. Requests without a
// streaming body are repeated after failures that pass; streaming bodies never are,
// because only the caller knows where to go on. Nothing has a total timeout: a
// transfer may take hours as long as bytes move.
//
// A provider is one file and a line in providers: most are a plain registry with means of
// their own beside the protocol (type means), used through its API (type api) and with
// logins that its API gives out for a time (type issuer). CONTRIBUTING.md says how.
//
// What the package never does: it never believes a manifest it has not hashed, never
// sends a credential to a host other than the endpoint, its token server and the
// provider's own API, never builds a URL from a name that the distribution grammar
// refuses, and never decides what should be copied.
package registry
