// Package metrics tells Prometheus what a server does: what waits and for how long,
// what was copied, what failed, what was asked of which host.
//
// What only this process knows is counted as it happens and begins at zero when the
// process starts; several servers are added up. What the database knows is read when
// somebody asks, is the same at every server of one database, and must not be added up.
//
// Names are those of Harbor's exporter, core and registry where these have the same
// number, and begin with lighterage_ otherwise. The package never puts a name of a
// repository, tag or client into a label, and bounds how many rules and hosts it
// tells apart. It decides nothing, and nothing waits for it.
package metrics

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts and tells. It is safe for concurrent use; New makes it.
type Metrics struct {
	gatherer *prometheus.Registry
	all      []prometheus.Collector

	replicated replicated
	remote     remote
	served     served
}

// New makes the metrics of a process, with those of the Go runtime. version is
// the program's own.
func New(version string) *Metrics {
	m := &Metrics{
		gatherer: prometheus.NewRegistry(), replicated: newReplicated(), remote: newRemote(), served: newServed(),
	}
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lighterage_build_info", Help: "Always 1; the label tells the version.", ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	m.add(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.add(m.replicated.collectors()...)
	m.add(m.remote.collectors()...)
	m.add(m.served.collectors()...)
	return m
}

func (m *Metrics) add(all ...prometheus.Collector) {
	m.gatherer.MustRegister(all...) // fails for a name that two have, a mistake in this package
	m.all = append(m.all, all...)
}

// Watch adds what is read from sources when somebody asks. It may be called once.
func (m *Metrics) Watch(s Sources, log *slog.Logger) {
	m.add(newStock(s, m.replicated.keep, log))
}

// Handler answers with all metrics, in the text format of Prometheus or OpenMetrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 30 * time.Second,
	})
}

// Names returns the names of all metrics that there can be, without the suffixes
// of histograms.
func (m *Metrics) Names() []string {
	var names []string
	for _, c := range m.all {
		descriptions := make(chan *prometheus.Desc)
		go func() {
			c.Describe(descriptions)
			close(descriptions)
		}()
		for d := range descriptions {
			names = append(names, nameOf(d))
		}
	}
	return names
}
