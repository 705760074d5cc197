package metrics

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// served counts the requests that this process answers: those to its registry with
// the names that the distribution registry gives them, those to its API with the
// names of Harbor's core.
type served struct {
	requests, operations      *prometheus.CounterVec
	seconds, operationSeconds *prometheus.HistogramVec
	inFlight                  *prometheus.GaugeVec
	operationsInFlight        prometheus.Gauge
}

func newServed() served {
	buckets := []float64{.005, .02, .1, .5, 2, 10, 60}
	return served{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_http_requests_total", Help: "Requests to the home registry.",
		}, []string{"handler", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "registry_http_request_duration_seconds", Help: "Time to answer a request to the home registry, bodies included.", Buckets: buckets,
		}, []string{"handler", "method"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "registry_http_in_flight_requests", Help: "Requests to the home registry that are being answered.",
		}, []string{"handler"}),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "harbor_core_http_request_total", Help: "Requests to the API.",
		}, []string{"operation", "method", "code"}),
		operationSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "harbor_core_http_request_duration_seconds", Help: "Time to answer a request to the API.", Buckets: buckets,
		}, []string{"operation", "method"}),
		operationsInFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "harbor_core_http_inflight_requests", Help: "Requests to the API that are being answered.",
		}),
	}
}

func (s *served) collectors() []prometheus.Collector {
	return []prometheus.Collector{s.requests, s.seconds, s.inFlight, s.operations, s.operationSeconds, s.operationsInFlight}
}

// Registry counts the requests to the home registry that next answers.
func (m *Metrics) Registry(next http.Handler) http.Handler {
	s := &m.served
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, method, start := handlerOf(r.URL.Path), methodOf(r.Method), time.Now()
		s.inFlight.WithLabelValues(handler).Inc()
		noted := &statusWriter{ResponseWriter: w}
		defer func() {
			s.inFlight.WithLabelValues(handler).Dec()
			s.requests.WithLabelValues(handler, method, noted.code()).Inc()
			s.seconds.WithLabelValues(handler, method).Observe(time.Since(start).Seconds())
		}()
		next.ServeHTTP(noted, r)
	})
}

// API counts the requests to the API that next answers. note prepares a request's
// context and returns who tells the id of its operation once it has been answered, ""
// if it has none.
func (m *Metrics) API(next http.Handler, note func(context.Context) (context.Context, func() string)) http.Handler {
	s := &m.served
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, start := methodOf(r.Method), time.Now()
		s.operationsInFlight.Inc()
		noted := &statusWriter{ResponseWriter: w}
		ctx, operation := note(r.Context())
		defer func() {
			s.operationsInFlight.Dec()
			name := cmp.Or(operation(), "unknown")
			s.operations.WithLabelValues(name, method, noted.code()).Inc()
			s.operationSeconds.WithLabelValues(name, method).Observe(time.Since(start).Seconds())
		}()
		next.ServeHTTP(noted, r.WithContext(ctx))
	})
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // what comes before is not the answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what the writer below can do.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// code is the status; 200 is what an answer without any has.
func (w *statusWriter) code() string { return strconv.Itoa(cmp.Or(w.status, http.StatusOK)) }

// methodOf bounds the methods: a client may make up any.
func methodOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return other
	}
}

// handlerOf names the kind of a path below /v2/.
func handlerOf(path string) string {
	switch {
	case strings.Contains(path, "/manifests/"):
		return "manifest"
	case strings.Contains(path, "/blobs/uploads"):
		return "blob_upload"
	case strings.Contains(path, "/blobs/"):
		return "blob"
	case strings.HasSuffix(path, "/tags/list"):
		return "tags"
	case strings.Contains(path, "/referrers/"):
		return "referrers"
	case strings.HasSuffix(path, "/_catalog"):
		return "catalog"
	default:
		return "base"
	}
}
