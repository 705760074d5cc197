// Package cloudsign signs calls of cloud providers' APIs: Amazon's Signature Version 4,
// Alibaba's ACS3, Tencent's TC3 and Volcengine's variant of them. All of them hash what
// is asked into a text and authenticate it with a key made from the secret.
//
// It calculates: what to send is given as values, and what to add is returned. It never
// sends anything, reads no clock, and never returns or keeps a secret.
package cloudsign

import "net/url"

// Request is what is asked of an API.
type Request struct {
	Method string
	Host   string
	Path   string // escaped; "" is "/"
	Query  url.Values
	Header map[string]string // to be signed too: the names in small letters
	Body   []byte
}

// Key is an account's access key.
type Key struct {
	ID      string
	Secret  string
	Session string // token of temporary keys, "" for lasting ones
}
