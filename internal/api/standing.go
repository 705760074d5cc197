package api

import (
	"context"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
)

// standings says how artifacts of a repository stand at the destinations of rules.
func (a *api) standings(ctx context.Context, repository string, artifacts []home.Artifact) (map[string][]replication.Standing, error) {
	var untagged []string
	for _, artifact := range artifacts {
		if len(artifact.Tags) == 0 {
			untagged = append(untagged, artifact.Digest)
		}
	}
	children, err := a.o.Index.Children(ctx, repository, untagged)
	if err != nil {
		return nil, err
	}
	of := make([]replication.StandingOf, len(artifacts))
	for i, artifact := range artifacts {
		of[i] = replication.StandingOf{Artifact: asListed(artifact), Follows: artifact.AccessoryOf != "" || children[artifact.Digest]}
	}
	return a.o.Replication.Standings(ctx, repository, of)
}

// asListed is an artifact as rules look at it.
func asListed(a home.Artifact) registry.Artifact {
	out := registry.Artifact{
		Digest: a.Digest, Type: a.Type, MediaType: a.ManifestMediaType, Types: []string{a.MediaType, a.ArtifactType},
		PushTime: a.PushTime, TagTimes: make(map[string]time.Time, len(a.Tags)),
	}
	for _, t := range a.Tags {
		out.Tags = append(out.Tags, t.Name)
		out.TagTimes[t.Name] = t.PushTime
	}
	for _, l := range a.Labels {
		out.Labels = append(out.Labels, l.Name)
	}
	return out
}

func wireStandings(standings []replication.Standing) *[]gen.ArtifactReplication {
	list := make([]gen.ArtifactReplication, 0, len(standings))
	for _, n := range standings {
		list = append(list, gen.ArtifactReplication{
			PolicyID: n.PolicyID, PolicyName: n.PolicyName, PolicyEnabled: n.PolicyEnabled,
			RegistryID: n.DestinationID, RegistryName: n.DestinationName, DstRepository: n.DestinationRepository,
			Reference: n.Reference, State: string(n.State), Drift: n.Drift, DstDigest: n.Digest, Reason: n.Reason,
			Since: gen.Time{Time: n.Since}, VerifiedTime: gen.Time{Time: n.VerifiedTime}, NextAttemptTime: gen.Time{Time: n.NextAttemptTime},
			ExecutionID: n.ExecutionID, TaskID: n.TaskID,
		})
	}
	return &list
}
