package home

import (
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Repository is a repository of the home registry.
type Repository struct {
	ID            int64
	ProjectID     int64
	Name          string // with the project: library/alpine
	Description   string
	ArtifactCount int64 // as a list of artifacts counts them: without children and accessories
	PullCount     int64
	CreationTime  time.Time
	UpdateTime    time.Time
}

// Artifact is a manifest of the home registry with what Harbor says about it.
type Artifact struct {
	ID                int64
	ProjectID         int64
	RepositoryID      int64
	RepositoryName    string
	Digest            string
	Type              string // IMAGE, CHART, ...
	MediaType         string // of the config; of an index its own
	ManifestMediaType string
	ArtifactType      string // of the manifest or else of its config; "" for an index without one
	SubjectDigest     string // "" when it refers to nothing
	AccessoryOf       string // digest it is an accessory of, "" when it is none
	AccessoryType     string
	Size              int64 // bytes: manifest, config and layers; of an index with its children
	ManifestSize      int64 // bytes of the manifest alone
	Icon              string
	ExtraAttrs        map[string]any
	Annotations       map[string]string
	PushTime          time.Time
	PullTime          time.Time // zero: never

	References  []Reference
	Tags        []Tag
	Labels      []Label     // when asked for
	Accessories []Accessory // when asked for
}

// Reference is one child of an index.
type Reference struct {
	ParentID    int64
	ChildID     int64 // 0 when the child is not here (sparse index)
	ChildDigest string
	Platform    *ocispec.Platform
	Annotations map[string]string
	URLs        []string
}

// Tag is a name for an artifact.
type Tag struct {
	ID           int64
	RepositoryID int64
	ArtifactID   int64
	Name         string
	PushTime     time.Time
	PullTime     time.Time // zero: never
}

// Accessory is an artifact seen from the one it belongs to.
type Accessory struct {
	ID                    int64
	ArtifactID            int64
	SubjectArtifactID     int64
	SubjectArtifactRepo   string
	SubjectArtifactDigest string
	Type                  string
	Size                  int64
	Digest                string
	Icon                  string
	CreationTime          time.Time
}

// Scope says where a label can be used.
type Scope string

// The scopes of labels.
const (
	GlobalScope  Scope = "g"
	ProjectScope Scope = "p"
)

// Label is a mark that people put on artifacts.
type Label struct {
	ID           int64
	Name         string
	Description  string
	Color        string
	Scope        Scope
	ProjectID    int64 // 0 for a global label
	CreationTime time.Time
	UpdateTime   time.Time
}

// Listing is one artifact as replication sees it.
type Listing struct {
	Repository    string
	Digest        digest.Digest
	MediaType     string // of the manifest
	Type          string // IMAGE, CHART, ...
	ConfigType    string // media type of the config; of an index its own
	ArtifactType  string
	Size          int64 // bytes: manifest, config and layers; of an index with its children
	Tags          []string
	TagTimes      []time.Time   // when each of Tags was put there
	Labels        []string      // names
	SubjectDigest digest.Digest // what it refers to (OCI subject), ""
	AccessoryOf   digest.Digest // what Harbor counts it as an accessory of, ""
	Child         bool          // an index of the same repository contains it
	PushTime      time.Time
}
