package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lighterage/lighterage/internal/replication"
)

// mostRules is how many rules are told apart.
const mostRules = 500

// replicated counts what this process has replicated.
type replicated struct {
	rules      *known
	executions *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	artifacts  *prometheus.CounterVec
	bytes      *prometheus.CounterVec
	checks     *prometheus.CounterVec
}

func newReplicated() replicated {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return replicated{
		rules: newKnown(mostRules),
		executions: counter("lighterage_replication_executions_total",
			"Executions that ended, by how. One of an event rule that fails and is tried again counts each time its end is another one.", "rule", "trigger", "status"),
		attempts: counter("lighterage_replication_task_attempts_total",
			"Attempts at tasks that ended, by how: Succeed, Failed, Stopped, or Pending when a shutdown cut them short.", "rule", "endpoint", "status"),
		artifacts: counter("lighterage_replication_artifacts_total",
			"Tags and untagged artifacts by what became of them: copied, unchanged, kept, deleted, absent, foreign, failed.", "rule", "endpoint", "outcome"),
		bytes: counter("lighterage_replication_sent_bytes_total", "Bytes of blobs sent to a destination.", "rule", "endpoint"),
		checks: counter("lighterage_replication_verifications_total",
			"Verifications of rules that ended, by what they found: in_sync, drift, or not_verified when something could not be found out.", "rule", "result"),
	}
}

func (r *replicated) collectors() []prometheus.Collector {
	return []prometheus.Collector{r.executions, r.attempts, r.artifacts, r.bytes, r.checks}
}

// ExecutionEnded implements replication.Meter.
func (m *Metrics) ExecutionEnded(rule string, trigger replication.Trigger, status replication.Status) {
	r := &m.replicated
	r.executions.WithLabelValues(r.rules.value(rule), string(trigger), string(status)).Inc()
}

// AttemptEnded implements replication.Meter.
func (m *Metrics) AttemptEnded(rule, endpoint string, status replication.Status, outcomes map[replication.Outcome]int) {
	r := &m.replicated
	rule = r.rules.value(rule)
	r.attempts.WithLabelValues(rule, endpoint, string(status)).Inc()
	for outcome, n := range outcomes {
		r.artifacts.WithLabelValues(rule, endpoint, string(outcome)).Add(float64(n))
	}
}

// BytesSent implements replication.Meter.
func (m *Metrics) BytesSent(rule, endpoint string, n int64) {
	r := &m.replicated
	r.bytes.WithLabelValues(r.rules.value(rule), endpoint).Add(float64(n))
}

// VerificationEnded implements replication.Meter.
func (m *Metrics) VerificationEnded(rule string, result replication.VerificationResult) {
	r := &m.replicated
	r.checks.WithLabelValues(r.rules.value(rule), string(result)).Inc()
}

// keep forgets rules that are not there any more, and with them their series.
func (r *replicated) keep(rules []string) {
	for _, rule := range r.rules.list() {
		if slices.Contains(rules, rule) {
			continue
		}
		for _, vec := range []*prometheus.CounterVec{r.executions, r.attempts, r.artifacts, r.bytes, r.checks} {
			vec.DeletePartialMatch(prometheus.Labels{"rule": rule})
		}
		r.rules.forget(rule)
	}
}
