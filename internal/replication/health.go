package replication

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

const (
	healthInterval = time.Minute // how often endpoints are looked at
	probesAtOnce   = 32          // most of which may wait for an endpoint that hangs
)

// watchHealth keeps the status of all endpoints up to date until ctx ends.
func (s *Service) watchHealth(ctx context.Context) {
	every(ctx, healthInterval, func(ctx context.Context) {
		if err := s.CheckHealth(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("the health of registries is not known", "error", err)
		}
	})
}

// CheckHealth looks at every endpoint now and stores its status and the reason.
// What waits for an endpoint that has come back is tried at once.
func (s *Service) CheckHealth(ctx context.Context) error {
	endpoints, _, err := s.ListEndpoints(ctx, store.ListQuery{})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	limit := make(chan struct{}, probesAtOnce)
	for _, e := range endpoints {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			status, reason := s.probe(ctx, e)
			if ctx.Err() != nil {
				return
			}
			if err := s.noteHealth(ctx, e, status, reason); err != nil && ctx.Err() == nil {
				s.log.Error("the health of a registry is not stored", "registry", e.Name, "error", err)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

func (s *Service) noteHealth(ctx context.Context, e Endpoint, status, reason string) error {
	if status != e.Status {
		level := slog.LevelInfo
		if status == Unhealthy {
			level = slog.LevelWarn
		}
		s.log.Log(ctx, level, "a registry changed its health", "registry", e.Name, "url", e.URL, "status", status, "reason", reason)
	}
	return s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		// An update of the endpoint meanwhile has looked at it by itself. Another server
		// may have found something else since, and put work off for it.
		var before string
		err := tx.QueryRowContext(ctx, `UPDATE registries SET id = id WHERE id = $1 AND update_time = $2 RETURNING status`,
			e.ID, store.Millis(e.UpdateTime)).Scan(&before)
		if store.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read health: %w", err)
		}
		_, err = tx.ExecContext(ctx, `UPDATE registries SET status = $2, status_reason = $3, checked_time = $4 WHERE id = $1`,
			e.ID, status, reason, store.Millis(s.now()))
		if err != nil {
			return fmt.Errorf("store health: %w", err)
		}
		if status != Healthy || before == Healthy {
			return nil
		}
		return s.hasten(ctx, tx, e.ID)
	})
}

// HomeIsBack has what waits for the home registry tried now.
func (s *Service) HomeIsBack(ctx context.Context) {
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error { return s.hasten(ctx, tx, HomeID) })
	if err != nil && ctx.Err() == nil {
		s.log.Error("what waits for the home registry is not hastened", "error", err)
	}
}
