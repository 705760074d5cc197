package cli

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
)

// addDestinations adds the destinations of --also to a route. done ends them.
func (a *app) addDestinations(ctx context.Context, route *replication.Route, f replicateFlags) (done func(), err error) {
	done = func() {
		for _, side := range route.More {
			side.Engine.Wait() // half-done uploads are cancelled
			side.Adapter.Client().Close()
		}
	}
	route.Destination.ID = 1
	for _, text := range f.also {
		to, err := parseLocation("--also", text)
		if err != nil {
			return done, err
		}
		if to.path != "" || to.tag != "" {
			return done, usage("--also %q: want HOST[:PORT]; the namespace is that of DST", text)
		}
		if to.url == route.Source.Adapter.Client().URL() {
			return done, usage("--also %s: that is SRC", text)
		}
		for _, one := range append([]*replication.Side{route.Destination}, route.More...) {
			if to.url == one.Adapter.Client().URL() {
				return done, usage("--also %s: that is a destination already", text)
			}
		}
		side, err := a.side(ctx, to, f.destination, registry.Options{Concurrency: f.concurrency, UserAgent: "lighterage/" + a.Version.Version})
		if err != nil {
			return done, fmt.Errorf("--also %s: %w", text, err)
		}
		side.ID = int64(len(route.More) + 2)
		route.More = append(route.More, side)
	}
	return done, nil
}

// destinationsByID names the destinations of a route, nil when there is only one.
func destinationsByID(route replication.Route) map[int64]string {
	if len(route.More) == 0 {
		return nil
	}
	names := map[int64]string{route.Destination.ID: route.Destination.Name}
	for _, side := range route.More {
		names[side.ID] = side.Name
	}
	return names
}
