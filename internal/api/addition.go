package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
)

// buildHistory is the only addition of an artifact that there is.
const buildHistory = "build_history"

// maxConfig is how large an image's config may be that is read for its history. Bytes.
const maxConfig = 8 << 20

// GetAddition answers with the commands that an image was built with.
func (a *api) GetAddition(ctx context.Context, r gen.GetAdditionRequestObject) (gen.GetAdditionResponseObject, error) {
	if _, _, err := a.requireProject(ctx, r.ProjectName, byName(), "artifact-addition", "read"); err != nil {
		return nil, err
	}
	artifact, err := a.o.Index.GetArtifact(ctx, fullName(r.ProjectName, r.RepositoryName), r.Reference)
	if err != nil {
		return nil, err
	}
	if r.Addition != buildHistory || !a.hasHistory(artifact) {
		return nil, problem.New(problem.BadRequest, "addition %s isn't supported for %s(manifest version 2)", r.Addition, artifact.Type)
	}
	steps, err := a.history(ctx, artifact)
	if err != nil {
		return nil, fmt.Errorf("read the history of %s@%s: %w", artifact.RepositoryName, artifact.Digest, err)
	}
	return gen.GetAddition200ApplicationJSONCharsetUTF8Response(steps), nil
}

func (a *api) hasHistory(artifact home.Artifact) bool {
	return a.o.Home != nil && artifact.Type == "IMAGE" && strings.Contains(artifact.MediaType, "image") && len(artifact.References) == 0 &&
		strings.HasSuffix(artifact.MediaType, "+json") && !strings.Contains(artifact.MediaType, "index") && !strings.Contains(artifact.MediaType, "list")
}

func (a *api) history(ctx context.Context, artifact home.Artifact) ([]gen.BuildStep, error) {
	m, err := a.o.Home.Manifest(ctx, artifact.RepositoryName, artifact.Digest)
	if err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(m.Content, &manifest); err != nil {
		return nil, err
	}
	if manifest.Config.Size > maxConfig {
		return nil, problem.New(problem.BadRequest, "the config of the image is larger than %d bytes", maxConfig)
	}
	blob, err := a.o.Home.Blob(ctx, artifact.RepositoryName, manifest.Config.Digest, 0, manifest.Config.Size)
	if err != nil {
		return nil, err
	}
	defer func() { _ = blob.Close() }()
	text, err := io.ReadAll(io.LimitReader(blob, maxConfig))
	if err != nil {
		return nil, err
	}
	var image ocispec.Image
	if err := json.Unmarshal(text, &image); err != nil {
		return nil, err
	}
	steps := make([]gen.BuildStep, 0, len(image.History))
	for _, h := range image.History {
		step := gen.BuildStep{Author: h.Author, CreatedBy: h.CreatedBy, Comment: h.Comment, EmptyLayer: h.EmptyLayer}
		if h.Created != nil && !h.Created.IsZero() {
			created := h.Created.Format(time.RFC3339Nano)
			step.Created = &created
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// additionLinks tells where the additions of an artifact are.
func (a *api) additionLinks(artifact home.Artifact) map[string]gen.AdditionLink {
	if !a.hasHistory(artifact) {
		return nil
	}
	project, repository, _ := strings.Cut(artifact.RepositoryName, "/")
	// The slashes of a repository are encoded twice, as Harbor does and clients expect.
	path := fmt.Sprintf("%s/projects/%s/repositories/%s/artifacts/%s/additions/%s",
		basePath, project, strings.ReplaceAll(repository, "/", "%252F"), artifact.Digest, buildHistory)
	return map[string]gen.AdditionLink{buildHistory: {Href: path}}
}
