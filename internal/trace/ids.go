package trace

import (
	"context"
	"crypto/rand"

	"go.opentelemetry.io/otel/trace"
)

type idsKey struct{}

// ids makes the ids of spans: those that follow from a key where the context has them,
// else random ones.
type ids struct{}

// NewIDs implements sdk.IDGenerator.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if id, ok := ctx.Value(idsKey{}).(identity); ok {
		return id.trace, id.span
	}
	var id identity
	_, _ = rand.Read(id.trace[:]) // never fails
	_, _ = rand.Read(id.span[:])
	return id.trace, id.span
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var id trace.SpanID
	_, _ = rand.Read(id[:]) // never fails
	return id
}
