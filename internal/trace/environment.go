package trace

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/lighterage/lighterage/internal/problem"
)

// FromEnvironment makes the Tracer that the standard environment variables of
// OpenTelemetry ask for; nil when they name no place for traces. The exporter reads its
// own ones (endpoint, headers, certificates, timeout, compression) from the process.
func FromEnvironment(ctx context.Context, getenv func(string) string, version string, log *slog.Logger) (*Tracer, error) {
	get := func(name string) string { return strings.TrimSpace(getenv(name)) }
	endpoint := get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") + get("OTEL_EXPORTER_OTLP_ENDPOINT")
	if endpoint == "" || strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	switch exporter := get("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return nil, nil
	case "", "otlp":
	default:
		return nil, problem.New(problem.BadRequest, "OTEL_TRACES_EXPORTER=%s: want otlp or none", exporter)
	}
	protocol := get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = get("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && protocol != "http/protobuf" {
		return nil, problem.New(problem.BadRequest, "OTEL_EXPORTER_OTLP_PROTOCOL=%s: want http/protobuf, usually at port 4318", protocol)
	}
	root, err := sampler(get("OTEL_TRACES_SAMPLER"), get("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("send traces to %s: %w", endpoint, err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "lighterage"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this server for traces: %w", err)
	}
	otel.SetErrorHandler(&complaints{log: log})
	return New(sdk.NewBatchSpanProcessor(exporter), root, sdk.WithResource(about)), nil
}

// complaints logs what OpenTelemetry has to say of itself, now and then: a collector
// that is down is worth a line, and not one for each batch.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex
	last time.Time
}

const complaintInterval = 5 * time.Minute

// Handle implements otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.IsZero() && time.Since(c.last) < complaintInterval {
		return
	}
	c.last = time.Now()
	c.log.Warn("traces are not sent", "error", err)
}

// sampler reads which executions are traced. What is a part of one follows it in any
// case, so the samplers that look at a parent are the same as those that do not.
func sampler(name, argument string) (sdk.Sampler, error) {
	switch strings.TrimPrefix(name, "parentbased_") {
	case "", "always_on":
		return sdk.AlwaysSample(), nil
	case "always_off":
		return sdk.NeverSample(), nil
	case "traceidratio":
		share := 1.0
		if argument != "" {
			var err error
			if share, err = strconv.ParseFloat(argument, 64); err != nil || share < 0 || share > 1 {
				return nil, problem.New(problem.BadRequest, "OTEL_TRACES_SAMPLER_ARG=%s: want a number from 0 to 1", argument)
			}
		}
		return sdk.TraceIDRatioBased(share), nil
	default:
		return nil, problem.New(problem.BadRequest, "OTEL_TRACES_SAMPLER=%s: want always_on, always_off or traceidratio", name)
	}
}
