// Package trace tells OpenTelemetry how an execution went: which tasks, artifacts and
// blobs it was made of, and how long each took.
//
// Nothing is measured and nothing is kept unless the standard environment names where
// traces go (OTEL_EXPORTER_OTLP_ENDPOINT). The tracer travels in the context of an
// execution, so that code which is not part of one costs a look-up and no more. The
// package changes nothing of the process but the handler for OpenTelemetry's own
// errors, and traces never keep work waiting: what cannot be sent in time is dropped.
package trace

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes traces. The nil Tracer makes none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	root     sdk.Sampler // decides about whole executions
}

// New makes a Tracer that gives finished spans to a processor; root decides which
// executions are traced. See FromEnvironment.
func New(processor sdk.SpanProcessor, root sdk.Sampler, options ...sdk.TracerProviderOption) *Tracer {
	provider := sdk.NewTracerProvider(append(options,
		sdk.WithSpanProcessor(processor), sdk.WithSampler(sdk.ParentBased(root)), sdk.WithIDGenerator(ids{}))...)
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/lighterage/lighterage"), root: root}
}

// Close sends what was not sent yet.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}

type tracerKey struct{}

// Execution returns a context whose spans are parts of an execution. Its trace follows
// from the key, so that the tasks of one execution are one trace, in whichever process
// and after whatever restart they run.
func (t *Tracer) Execution(ctx context.Context, key string) context.Context {
	if t == nil {
		return ctx
	}
	id := idsOf(key)
	config := trace.SpanContextConfig{TraceID: id.trace, SpanID: id.span, Remote: true}
	if t.root.ShouldSample(sdk.SamplingParameters{TraceID: id.trace, Name: "execution"}).Decision == sdk.RecordAndSample {
		config.TraceFlags = trace.FlagsSampled
	}
	ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(config))
	return context.WithValue(ctx, tracerKey{}, t)
}

// ExecutionEnded tells of an execution as a whole, of which parts have been told. err is
// why it failed. attributes are names and values in turn.
func (t *Tracer) ExecutionEnded(key string, start, end time.Time, err error, attributes ...any) {
	if t == nil {
		return
	}
	ctx := context.WithValue(context.Background(), idsKey{}, idsOf(key))
	_, span := t.tracer.Start(ctx, "execution", trace.WithTimestamp(start), trace.WithAttributes(pairs(attributes)...), trace.WithNewRoot())
	fail(span, err)
	span.End(trace.WithTimestamp(end))
}

// Span is a part of an execution that is under way. The zero Span is none.
type Span struct{ span trace.Span }

// Start begins a part of the execution that ctx belongs to, if it belongs to one that
// is traced. attributes are names and values in turn. End must be called.
func Start(ctx context.Context, name string, attributes ...any) (context.Context, Span) {
	t, ok := ctx.Value(tracerKey{}).(*Tracer)
	if !ok || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(pairs(attributes)...))
	return ctx, Span{span}
}

// Set adds attributes: names and values in turn.
func (s Span) Set(attributes ...any) {
	if s.span != nil {
		s.span.SetAttributes(pairs(attributes)...)
	}
}

// End ends the span. err is why it failed, nil if it did not.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	fail(s.span, err)
	s.span.End()
}

func fail(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
}

// pairs makes attributes of names and values in turn.
func pairs(list []any) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		key := attribute.Key("lighterage." + fmt.Sprint(list[i]))
		switch v := list[i+1].(type) {
		case int64:
			all = append(all, key.Int64(v))
		case int:
			all = append(all, key.Int(v))
		case bool:
			all = append(all, key.Bool(v))
		default:
			all = append(all, key.String(fmt.Sprint(v)))
		}
	}
	return all
}

// identity is how a trace and its first span are known.
type identity struct {
	trace trace.TraceID
	span  trace.SpanID
}

func idsOf(key string) identity {
	sum := sha256.Sum256([]byte("lighterage trace\x00" + key))
	return identity{trace: trace.TraceID(sum[:16]), span: trace.SpanID(sum[16:24])}
}
