package notification

// What a replication event says, in the words of Harbor's webhooks (Harbor:
// pkg/notifier/model/event.go), and beside it what these cannot say.

// ReplicationData is event_data of a replication event.
type ReplicationData struct {
	Replication Replication `json:"replication"`
	Execution   *Execution  `json:"execution,omitempty"` // of finished, failed and held
	State       *State      `json:"state,omitempty"`     // of changed
}

// Replication is Harbor's part. Harbor tells of each task, this of an execution: the
// resources are those of the rule.
type Replication struct {
	HarborHostname     string     `json:"harbor_hostname,omitempty"`
	JobStatus          string     `json:"job_status,omitempty"` // Success, Error, Stopped
	Description        string     `json:"description,omitempty"`
	ArtifactType       string     `json:"artifact_type,omitempty"`
	OverrideMode       bool       `json:"override_mode,omitempty"`
	TriggerType        string     `json:"trigger_type,omitempty"` // MANUAL, SCHEDULE, EVENT
	ExecutionTimestamp int64      `json:"execution_timestamp,omitempty"`
	Source             *Resource  `json:"src_resource,omitempty"`
	Destination        *Resource  `json:"dest_resource,omitempty"`
	Successful         []Artifact `json:"successful_artifact,omitempty"` // at most 100 in all
	Failed             []Artifact `json:"failed_artifact,omitempty"`
	ExecutionID        int64      `json:"execution_id,omitempty"`
}

// Resource is one side of a rule.
type Resource struct {
	RegistryName string `json:"registry_name,omitempty"`
	RegistryType string `json:"registry_type,omitempty"`
	Endpoint     string `json:"endpoint,omitempty"`
	Namespace    string `json:"namespace,omitempty"`
}

// Artifact is a tag, or an untagged artifact.
type Artifact struct {
	Type       string `json:"type"`
	Status     string `json:"status"`
	NameAndTag string `json:"name_tag"`
	FailReason string `json:"fail_reason,omitempty"`
}

// Execution is how an execution ended. Times are those of RFC 3339.
type Execution struct {
	ID         int64  `json:"id"`
	PolicyID   int64  `json:"policy_id"`
	PolicyName string `json:"policy_name"`
	Trigger    string `json:"trigger"`
	Status     string `json:"status"`
	StatusText string `json:"status_text,omitempty"`
	Total      int64  `json:"total"`
	Succeed    int64  `json:"succeed"`
	Failed     int64  `json:"failed"`
	Stopped    int64  `json:"stopped"`
	BytesTotal int64  `json:"bytes_total"`
	BytesSent  int64  `json:"bytes_sent"`
	StartTime  string `json:"start_time"`
	EndTime    string `json:"end_time,omitempty"`
}

// State is how a rule is at a destination since now.
type State struct {
	State        string `json:"state"` // failed, recovered
	PolicyID     int64  `json:"policy_id"`
	PolicyName   string `json:"policy_name"`
	RegistryID   int64  `json:"registry_id"`
	RegistryName string `json:"registry_name"`
	Reason       string `json:"reason,omitempty"`
	Since        string `json:"since"`
	Before       string `json:"before,omitempty"` // since when it was as it was before
}
