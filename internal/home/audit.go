package home

import (
	"context"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/store"
)

// recordChange writes an event into the audit log, in Harbor's words.
func (x *Index) recordChange(ctx context.Context, tx *store.Tx, e Event) error {
	entry, recorded := entryOf(e)
	if !recorded {
		return nil
	}
	return x.audit.Add(ctx, tx, entry)
}

func entryOf(e Event) (entry audit.Entry, recorded bool) {
	entry = audit.Entry{Username: e.Operator, Time: e.Time}
	if entry.Username == "" { // found in the storage after a crash
		entry.Username = "lighterage"
	}
	entry.Project, _, _ = strings.Cut(e.Repository, "/")
	whole := e.Repository + "@" + e.Digest
	tagged := whole
	if len(e.Tags) > 0 {
		tagged = e.Repository + ":" + strings.Join(e.Tags, ",")
	}
	switch e.Type {
	case PushArtifact:
		entry.Kind, entry.Resource, entry.Description = audit.CreateArtifact, tagged, "push artifact: "+tagged
	case DeleteArtifact:
		entry.Kind, entry.Resource, entry.Description = audit.DeleteArtifact, whole, "delete artifact: "+whole
	case CreateTag:
		entry.Kind, entry.Resource, entry.Description = audit.CreateTag, tagged, "create tag: "+tagged
	case DeleteTag:
		entry.Kind, entry.Resource, entry.Description = audit.DeleteTag, tagged, "delete tag: "+tagged
	default: // labels come and go through the API, which records them
		return entry, false
	}
	return entry, true
}

func (x *Index) recordPull(ctx context.Context, operator, repository, digest, tag string, now time.Time) {
	resource := repository + "@" + digest
	if tag != "" {
		resource = repository + ":" + tag
	}
	if operator == "" {
		operator = "anonymous"
	}
	project, _, _ := strings.Cut(repository, "/")
	x.audit.Note(ctx, audit.Entry{
		Project: project, Username: operator, Resource: resource, Kind: audit.PullArtifact, Description: "pull artifact: " + resource, Time: now,
	})
}
