package registry

import "time"

// Age makes the login that a client's provider gave out so much older.
func Age(c *Client, by time.Duration) {
	i := c.auth.issuer
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = i.got.Add(-by)
	if !i.renew.IsZero() {
		i.renew = i.renew.Add(-by)
	}
}
