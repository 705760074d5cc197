package tree

import (
	"context"
	"net"
)

// DialTo makes all connections lead to one address, as a name service would.
func DialTo(c S3Config, address string) S3Config {
	c.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, address)
	}
	return c
}

// PartSize is the size of parts for an object of a size in bytes.
func PartSize(c S3Config, size int64) int64 {
	c, _, err := c.check()
	if err != nil {
		panic(err)
	}
	return (&S3{config: c}).partSize(size)
}
