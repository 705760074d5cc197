package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// mostHosts is how many hosts are told apart. An administrator may test any.
const mostHosts = 200

// remote counts the requests of this process to registries.
type remote struct {
	hosts     *known
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	remaining *prometheus.GaugeVec
}

func newRemote() remote {
	return remote{
		hosts: newKnown(mostHosts),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lighterage_registry_requests_total", Help: `Requests to a registry and its token server, by status; code "none" when there was no answer.`,
		}, []string{"host", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lighterage_registry_request_duration_seconds", Help: "Time until a registry answered; of an upload it includes sending the body.",
			Buckets: []float64{.005, .02, .1, .5, 2, 10, 60},
		}, []string{"host"}),
		remaining: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "lighterage_registry_rate_limit_remaining", Help: "Requests that a registry said it would still take (RateLimit-Remaining), as of its last answer that told.",
		}, []string{"host"}),
	}
}

func (r *remote) collectors() []prometheus.Collector {
	return []prometheus.Collector{r.requests, r.seconds, r.remaining}
}

// RegistryRequest implements registry.Meter.
func (m *Metrics) RegistryRequest(host, method string, status int, took time.Duration) {
	r := &m.remote
	host = r.hosts.value(host)
	code := "none"
	if status > 0 {
		code = strconv.Itoa(status)
	}
	r.requests.WithLabelValues(host, method, code).Inc()
	r.seconds.WithLabelValues(host).Observe(took.Seconds())
}

// RegistryRateLimit implements registry.Meter.
func (m *Metrics) RegistryRateLimit(host string, remaining int) {
	r := &m.remote
	r.remaining.WithLabelValues(r.hosts.value(host)).Set(float64(remaining))
}
