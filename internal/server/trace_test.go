package server_test

import (
	"net/http"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/trace"
)

func TestAnExecutionIsATraceOfItsPlanTasksArtifactsAndBlobs(t *testing.T) {
	t.Parallel()
	kept := tracetest.NewInMemoryExporter()
	home := start(t, server.Config{DataDir: t.TempDir(), Tracer: trace.New(sdk.NewSimpleSpanProcessor(kept), sdk.AlwaysSample())})
	cluster := ts.Distribution(t)
	policy := home.create("/replication/policies", object{
		"name": "manual", "dest_registry": object{"id": home.endpoint("cluster", cluster)}, "enabled": true, "override": true,
		"trigger": object{"type": "manual"},
	})
	ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 2, 1000))
	home.run(policy)
	cluster.Faults.Add(ts.Fault{Class: "PUT manifest", Do: ts.Status(http.StatusForbidden)})
	ts.Push(t, home.registry(), "library/app", "v2", ts.Image(t, 2, 2, 1000))
	home.run(policy)

	var wholes []tracetest.SpanStub
	ts.Eventually(t, "both executions are told", func() bool {
		wholes = nil
		for _, s := range kept.GetSpans() {
			if s.Name == "execution" {
				wholes = append(wholes, s)
			}
		}
		return len(wholes) == 2
	})
	names := func(whole tracetest.SpanStub) map[string]int {
		counts := map[string]int{}
		byID := map[string]tracetest.SpanStub{}
		for _, s := range kept.GetSpans() {
			byID[s.SpanContext.SpanID().String()] = s
		}
		for _, s := range kept.GetSpans() {
			if s.SpanContext.TraceID() == whole.SpanContext.TraceID() {
				counts[byID[s.Parent.SpanID().String()].Name+">"+s.Name]++
			}
		}
		return counts
	}
	first, second := names(wholes[0]), names(wholes[1])
	if first[">execution"] != 1 || first["execution>plan"] != 1 || first["execution>task"] != 1 || first["task>artifact"] != 1 || first["artifact>blob"] != 3 {
		t.Errorf("the first execution has %v", first)
	}
	if second["task>artifact"] != 1 { // what is there already is none
		t.Errorf("the second execution has %v", second)
	}
	if wholes[0].Status.Description != "" || wholes[1].Status.Description == "" {
		t.Errorf("they ended with %+v and %+v", wholes[0].Status, wholes[1].Status)
	}
}
