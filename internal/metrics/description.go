package metrics

import "github.com/prometheus/client_golang/prometheus"

// What the database knows. Every server of one database tells the same.
var (
	descNumbersUp = describe("lighterage_numbers_up", "1 when a part of the metrics could be read; 0: they are missing from this answer.", "part")

	descRule    = describe("lighterage_replication_rule_enabled", "1 for rules that may run.", "rule", "trigger")
	descHeld    = describe("lighterage_replication_held", "1 while deletions of a rule wait for somebody to release or discard them.", "rule")
	descLag     = describe("lighterage_replication_lag_seconds", "Age of the oldest push, tag or deletion that an event rule has not carried to an endpoint yet; 0: none waits.", "rule", "endpoint")
	descTasks   = describe("lighterage_replication_tasks", "Tasks that are not done: Pending, InProgress, or Failed and to be tried again.", "rule", "endpoint", "status")
	descFailing = describe("lighterage_replication_failing", "1 while a rule fails at an endpoint.", "rule", "endpoint")
	descSuccess = describe("lighterage_replication_last_success_timestamp_seconds", "When the last execution succeeded at an endpoint.", "rule", "endpoint")
	descDrift   = describe("lighterage_replication_drift_artifacts", "Artifacts by how the endpoint differs from what the rule asks for: in_sync, missing, different, extra, not_verified.", "rule", "endpoint", "state")

	descVerified = describe("lighterage_replication_verified_timestamp_seconds", "When the last verification of a rule ended.", "rule")

	descEndpointUp = describe("lighterage_registry_up", "1 for registries that answered when they were looked at last.", "endpoint")
	descJobs       = describe("lighterage_queue_jobs", "Jobs of the queue.", "kind", "state")
	descDeliveries = describe("lighterage_notification_deliveries_waiting", "Events that a target has not taken yet.", "notification")
	descEvents     = describe("lighterage_home_events_waiting", "Changes of the home registry that are not turned into work yet.")
	descEventAge   = describe("lighterage_home_oldest_event_seconds", "Age of the oldest of them; 0: there is none.")

	descUp                  = describe("harbor_up", "1 for parts of the server that work.", "component")
	descHealth              = describe("harbor_health", "1 when all of them do.")
	descProjects            = describe("harbor_project_total", "Projects.", "public")
	descRepositories        = describe("harbor_statistics_total_repo_amount", "Repositories.")
	descPublicRepositories  = describe("harbor_statistics_public_repo_amount", "Repositories in public projects.")
	descPrivateRepositories = describe("harbor_statistics_private_repo_amount", "Repositories in private projects.")
	descStorage             = describe("harbor_statistics_total_storage_consumption", "Bytes of all blobs of the home registry, each once.")
)

// stockDescriptions are all of them.
var stockDescriptions = []*prometheus.Desc{
	descNumbersUp, descRule, descHeld, descLag, descTasks, descFailing, descSuccess,
	descDrift, descVerified, descEndpointUp, descJobs, descDeliveries, descEvents, descEventAge, descUp,
	descHealth, descProjects, descRepositories, descPublicRepositories, descPrivateRepositories, descStorage,
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}
