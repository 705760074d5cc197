package migration

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/tree"
)

// AssessOptions say how thoroughly Assess looks, and for what it estimates.
type AssessOptions struct {
	// Deep, Concurrency, OnDamage and Progress are as for Fsck.
	Deep        bool
	Concurrency int
	OnDamage    func(Damage)
	Progress    *FsckProgress
	// Destination is what is known of where the registry is to be copied; nil: no
	// estimate is wanted.
	Destination *Destination
}

// AssessReport says what is in a tree, what a copy of it would move, and how its
// repositories share what they need.
type AssessReport struct {
	FsckReport
	// UnreadablePaths are folders and files that could not be read, not more than 100.
	UnreadablePaths []string `json:"unreadable_paths,omitempty"`
	// Objects and ObjectBytes are what a copy moves: blobs and links, no uploads, no
	// junk, nothing foreign.
	Objects     int64 `json:"objects"`
	ObjectBytes int64 `json:"object_bytes"`
	// SeparateBytes is what the needed blobs would take if every repository kept its
	// own copy; NeededBytes is what they take.
	SeparateBytes int64 `json:"separate_bytes"`
	NeededBytes   int64 `json:"needed_bytes"`
	// Biggest are the repositories that need most that no other one needs: what would
	// become free without them. BiggestSharing need most that others need too.
	Biggest        []RepositorySize `json:"biggest"`
	BiggestSharing []RepositorySize `json:"biggest_sharing"`
	Sizes          []SizeClass      `json:"sizes"` // of all blobs, the smallest first
	Estimate       *Estimate        `json:"estimate,omitempty"`
}

// RepositorySize is what the manifests of one repository and all that they need take.
type RepositorySize struct {
	Repository  string `json:"repository"`
	Tags        int64  `json:"tags"`
	Revisions   int64  `json:"revisions"`
	Bytes       int64  `json:"bytes"`
	OwnBytes    int64  `json:"own_bytes"`    // of blobs that no other repository needs
	SharedBytes int64  `json:"shared_bytes"` // of the others
}

// SizeClass counts the blobs of a size.
type SizeClass struct {
	UpTo  int64 `json:"up_to"` // the largest size in it, bytes; 0: no limit
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// sizeClasses are the limits between classes of sizes, in bytes.
var sizeClasses = []int64{1 << 10, 16 << 10, 256 << 10, 1 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30, 5 << 30, 0}

const (
	biggestRepositories = 20
	unreadablePaths     = 100
)

// Assess looks at a registry that is to be moved: all that Fsck says, what a copy of it
// would move, and how long that takes. It changes nothing.
func Assess(ctx context.Context, t tree.Tree, o AssessOptions) (AssessReport, error) {
	var r AssessReport
	s := newScan(t, FsckOptions{Deep: o.Deep, Concurrency: o.Concurrency, Progress: o.Progress, OnDamage: func(d Damage) {
		if d.Kind == Unreadable && len(r.UnreadablePaths) < unreadablePaths {
			r.UnreadablePaths = append(r.UnreadablePaths, d.Path)
		}
		if o.OnDamage != nil {
			o.OnDamage(d)
		}
	}})
	sharing := &sharing{blobs: &s.blobs}
	s.account = sharing.add
	err := s.fsck(ctx)
	r.FsckReport = s.result()
	if err != nil {
		r.Clean, r.Incomplete = false, true
		return r, fmt.Errorf("assess %s: %w", t, err)
	}
	r.Objects, r.ObjectBytes = r.Blobs+r.Links, r.Bytes+s.p.linkBytes.Load()
	sharing.report(&r)
	r.Sizes = classify(&s.blobs)
	if o.Destination != nil {
		e := o.Destination.estimate(r, &s.blobs)
		r.Estimate = &e
	}
	return r, nil
}

// classify counts blobs by their sizes. Classes above the largest blob are left out.
func classify(blobs *blobTable) []SizeClass {
	classes := make([]SizeClass, len(sizeClasses))
	last := 0
	blobs.all(func(_, _ int, b blobState) {
		at := 0
		for at < len(sizeClasses)-1 && b.size() > sizeClasses[at] {
			at++
		}
		classes[at].Blobs++
		classes[at].Bytes += b.size()
		last = max(last, at)
	})
	for at := range classes {
		classes[at].UpTo = sizeClasses[at]
	}
	return classes[:last+1]
}
