package server

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/notification"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/store"
)

// announcer tells those who want to know how executions ended.
type announcer struct {
	notifications *notification.Service
	url           string // of the server
}

// The types of CloudEvents: Harbor's where there is one.
const (
	statusChanged = "harbor.replication.status.changed"
	ruleFailed    = "lighterage.replication.failed"
	ruleRecovered = "lighterage.replication.recovered"
	executionHeld = "lighterage.replication.held"
)

// Announce implements replication.Announcer.
func (a announcer) Announce(ctx context.Context, tx *store.Tx, e replication.Ended) error {
	kinds := []notification.Kind{notification.Finished}
	if e.Execution.Status == replication.Failed {
		kinds = append(kinds, notification.Failed)
	}
	err := a.notifications.Publish(ctx, tx, a.event(e, kinds, statusChanged, notification.ReplicationData{
		Replication: a.replication(e, e.Policy.Destination, false), Execution: execution(e),
	}))
	for _, change := range e.Changes {
		if err != nil {
			break
		}
		kind := ruleRecovered
		if change.Failing {
			kind = ruleFailed
		}
		err = a.notifications.Publish(ctx, tx, a.event(e, []notification.Kind{notification.Changed}, kind, notification.ReplicationData{
			Replication: a.replication(e, change.Destination, true), State: state(e.Policy, change),
		}))
	}
	return err
}

// AnnounceHold implements replication.Announcer.
func (a announcer) AnnounceHold(ctx context.Context, tx *store.Tx, e replication.Execution, p replication.Policy) error {
	held := replication.Ended{Execution: e, Policy: p}
	event := a.event(held, []notification.Kind{notification.Held}, executionHeld, notification.ReplicationData{
		Replication: a.replication(held, p.Destination, false), Execution: execution(held),
	})
	event.Time = e.StartTime
	return a.notifications.Publish(ctx, tx, event)
}

func (a announcer) event(e replication.Ended, kinds []notification.Kind, kind string, data notification.ReplicationData) notification.Event {
	at := e.Execution.EndTime
	if at.IsZero() {
		at = time.Now()
	}
	return notification.Event{
		Kinds: kinds, PolicyID: e.Policy.ID, Type: kind, Subject: e.Policy.Name, Operator: "lighterage", Time: at, Data: data,
	}
}

// replication says it in Harbor's words. only leaves out artifacts that went elsewhere.
func (a announcer) replication(e replication.Ended, to replication.Endpoint, only bool) notification.Replication {
	r := notification.Replication{
		HarborHostname: hostname(a.url), JobStatus: jobStatus(e.Execution.Status), Description: e.Policy.Description, ArtifactType: "artifact",
		OverrideMode: e.Policy.Override, TriggerType: triggerType(e.Execution.Trigger), ExecutionTimestamp: e.Execution.StartTime.Unix(),
		ExecutionID: e.Execution.ID, Source: resource(e.Policy.Source, ""), Destination: resource(to, e.Policy.DestNamespace),
	}
	for _, artifact := range e.Artifacts {
		if only && artifact.Destination != to.ID || artifact.Outcome == "" {
			continue
		}
		separator := ":"
		if strings.Contains(artifact.Reference, ":") {
			separator = "@"
		}
		told := notification.Artifact{
			Type: artifact.ResourceType, Status: "Success", NameAndTag: artifact.Repository + separator + artifact.Reference,
		}
		if artifact.Outcome == replication.Lost {
			told.Status, told.FailReason = "Error", artifact.Reason
			r.Failed = append(r.Failed, told)
		} else {
			r.Successful = append(r.Successful, told)
		}
	}
	return r
}

func hostname(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func jobStatus(s replication.Status) string {
	switch s {
	case replication.Succeed:
		return "Success"
	case replication.Failed:
		return "Error"
	default:
		return string(s)
	}
}

func triggerType(t replication.Trigger) string {
	switch t {
	case replication.EventBased:
		return "EVENT"
	case replication.Scheduled:
		return "SCHEDULE"
	default:
		return strings.ToUpper(string(t))
	}
}

func resource(e replication.Endpoint, namespace string) *notification.Resource {
	return &notification.Resource{RegistryName: e.Label(), RegistryType: e.Type, Endpoint: e.URL, Namespace: namespace}
}

func execution(e replication.Ended) *notification.Execution {
	x := e.Execution
	return &notification.Execution{
		ID: x.ID, PolicyID: x.PolicyID, PolicyName: e.Policy.Name, Trigger: string(x.Trigger), Status: string(x.Status), StatusText: x.StatusText,
		Total: x.Total, Succeed: x.Succeed, Failed: x.Failed, Stopped: x.Stopped, BytesTotal: x.BytesTotal, BytesSent: x.BytesSent,
		StartTime: moment(x.StartTime), EndTime: moment(x.EndTime),
	}
}

func state(p replication.Policy, c replication.StateChange) *notification.State {
	word := "recovered"
	if c.Failing {
		word = "failed"
	}
	return &notification.State{
		State: word, PolicyID: p.ID, PolicyName: p.Name, RegistryID: c.Destination.ID, RegistryName: c.Destination.Label(),
		Reason: c.Reason, Since: moment(c.Since), Before: moment(c.Before),
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
