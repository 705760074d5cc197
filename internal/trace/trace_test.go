package trace_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/trace"
)

func TestTheTasksOfAnExecutionAreOneTrace(t *testing.T) {
	t.Parallel()
	kept := tracetest.NewInMemoryExporter()
	first := trace.New(sdk.NewSimpleSpanProcessor(kept), sdk.AlwaysSample())
	second := trace.New(sdk.NewSimpleSpanProcessor(kept), sdk.AlwaysSample()) // another process

	ctx, task := trace.Start(first.Execution(t.Context(), "db/1"), "task", "attempt", 1)
	_, blob := trace.Start(ctx, "blob", "size", int64(7))
	blob.End(nil)
	task.End(errors.New("it broke"))
	_, again := trace.Start(second.Execution(t.Context(), "db/1"), "task")
	again.End(nil)
	_, other := trace.Start(second.Execution(t.Context(), "db/2"), "task")
	other.End(nil)
	start := time.Now().Add(-time.Hour)
	second.ExecutionEnded("db/1", start, start.Add(time.Minute), nil, "rule", "all")

	spans := kept.GetSpans()
	if len(spans) != 5 {
		t.Fatalf("%d spans", len(spans))
	}
	blobSpan, taskSpan, againSpan, otherSpan, whole := spans[0], spans[1], spans[2], spans[3], spans[4]
	if whole.Name != "execution" || whole.Parent.IsValid() || whole.EndTime.Sub(whole.StartTime) != time.Minute {
		t.Errorf("the execution: %+v", whole)
	}
	for _, s := range []tracetest.SpanStub{taskSpan, againSpan} {
		if s.SpanContext.TraceID() != whole.SpanContext.TraceID() || s.Parent.SpanID() != whole.SpanContext.SpanID() {
			t.Errorf("%s is not a part of the execution", s.Name)
		}
	}
	if blobSpan.Parent.SpanID() != taskSpan.SpanContext.SpanID() {
		t.Error("the blob is not a part of the task")
	}
	if otherSpan.SpanContext.TraceID() == whole.SpanContext.TraceID() {
		t.Error("two executions are one trace")
	}
	if taskSpan.Status.Description != "it broke" {
		t.Errorf("the task ended with %+v", taskSpan.Status)
	}
}

func TestNothingIsTracedWithoutATracer(t *testing.T) {
	t.Parallel()
	var none *trace.Tracer
	ctx := none.Execution(t.Context(), "x")
	after, span := trace.Start(ctx, "task", "a", 1)
	span.Set("b", 2)
	span.End(errors.New("failed"))
	none.ExecutionEnded("x", time.Now(), time.Now(), nil)
	if after != t.Context() || none.Close(t.Context()) != nil {
		t.Error("something was made of nothing")
	}
}

func TestExecutionsThatAreNotSampledHaveNoSpans(t *testing.T) {
	t.Parallel()
	kept := tracetest.NewInMemoryExporter()
	half := trace.New(sdk.NewSimpleSpanProcessor(kept), sdk.TraceIDRatioBased(0.5))
	for i := range 200 {
		key := strings.Repeat("x", i)
		_, span := trace.Start(half.Execution(t.Context(), key), "task")
		span.End(nil)
		half.ExecutionEnded(key, time.Now(), time.Now(), nil)
	}
	wholes := map[string]bool{}
	tasks := 0
	for _, s := range kept.GetSpans() {
		if s.Name == "execution" {
			wholes[s.SpanContext.TraceID().String()] = true
		} else {
			tasks++
		}
	}
	if len(wholes) < 50 || len(wholes) > 150 || tasks != len(wholes) {
		t.Errorf("%d executions and %d tasks of 200", len(wholes), tasks)
	}
}

// collector notes which paths it was sent something to.
func collector(t *testing.T) (url string, got func() string) {
	var mu sync.Mutex
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(string(body), "a task") && strings.Contains(string(body), "the harbor") {
			paths = append(paths, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("X-Key"))
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(s.Close)
	return s.URL, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(paths, ", ")
	}
}

// Not parallel: the exporter reads the process's environment.
func TestTheStandardEnvironmentSaysWhereTracesGo(t *testing.T) {
	url, got := collector(t)
	environment := map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_HEADERS": "X-Key=abc", "OTEL_SERVICE_NAME": "the harbor",
	}
	for name, value := range environment {
		t.Setenv(name, value)
	}
	getenv := func(name string) string { return environment[name] }
	var lines strings.Builder
	tracer, err := trace.FromEnvironment(t.Context(), getenv, "1.0", slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil || tracer == nil {
		t.Fatalf("%v, %v", tracer, err)
	}
	_, span := trace.Start(tracer.Execution(context.Background(), "k"), "a task")
	span.End(nil)
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 { // a collector that is down is worth one line
		otel.Handle(errors.New("nobody is there"))
	}
	if n := strings.Count(lines.String(), "traces are not sent"); n != 1 {
		t.Errorf("%d lines", n)
	}
	if got() != "POST /v1/traces application/x-protobuf abc" {
		t.Errorf("the collector got %q", got())
	}
}

func TestWhatIsNotConfiguredIsNotMade(t *testing.T) {
	t.Parallel()
	const endpoint = "http://127.0.0.1:4318"
	for name, tc := range map[string]struct {
		environment map[string]string
		refused     string
	}{
		"nothing":         {map[string]string{}, ""},
		"disabled":        {map[string]string{"OTEL_SDK_DISABLED": "true"}, ""},
		"no exporter":     {map[string]string{"OTEL_TRACES_EXPORTER": "none"}, ""},
		"another one":     {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"},
		"grpc":            {map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"a sampler":       {map[string]string{"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER"},
		"a strange share": {map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG"},
	} {
		get := func(variable string) string {
			if variable == "OTEL_EXPORTER_OTLP_ENDPOINT" && name != "nothing" {
				return endpoint
			}
			return tc.environment[variable]
		}
		tracer, err := trace.FromEnvironment(t.Context(), get, "", slog.New(slog.DiscardHandler))
		switch {
		case tracer != nil:
			t.Errorf("%s: there is a tracer", name)
		case tc.refused == "" && err != nil, tc.refused != "" && (!problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), tc.refused)):
			t.Errorf("%s: %v", name, err)
		}
	}
}
