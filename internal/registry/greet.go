package registry

import "context"

// Greet finds out how the endpoint wants to be asked, unless that is known, so that
// the first real request need not wait for it. What goes wrong the next request says.
func (c *Client) Greet(ctx context.Context) { _, _ = c.auth.learn(ctx) }
