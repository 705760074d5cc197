package server

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// lastTraces is how long the last traces may take at the end of the server.
const lastTraces = 5 * time.Second

// endTraces sends what was not sent yet. A collector that is down ends no server in
// disorder.
func (c Config) endTraces(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTraces)
	defer cancel()
	if err := c.Tracer.Close(ctx); err != nil {
		c.Log.Warn("some traces were not sent", "error", err)
	}
}

// traceName tells the executions of this database from those of others: they are
// numbered from 1 in each.
func (s *server) traceName(ctx context.Context) (name string, err error) {
	err = s.db.InTx(ctx, func(tx *store.Tx) error {
		name, err = store.InitSetting(ctx, tx, "trace.name", rand.Text())
		return err
	})
	return name, err
}
