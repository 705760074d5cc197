package registry

import (
	"net/http"
	"time"
)

// Meter counts what clients ask of registries. Its methods are called by many
// goroutines and must not wait for anything.
type Meter interface {
	// RegistryRequest is called after each request to a registry or its token server,
	// under the registry's host. A status of 0 says that there was no answer; took is the
	// time until the answer began.
	RegistryRequest(host, method string, status int, took time.Duration)
	// RegistryRateLimit is called when a registry has told how many requests it will
	// still take.
	RegistryRateLimit(host string, remaining int)
}

type noMeter struct{}

func (noMeter) RegistryRequest(string, string, int, time.Duration) {}
func (noMeter) RegistryRateLimit(string, int)                      {}

// count tells the meter of an exchange; resp is nil when there was no answer.
func (c *Client) count(r *request, resp *http.Response, took time.Duration) {
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	c.meter.RegistryRequest(c.Host(), r.method, status, took)
}
