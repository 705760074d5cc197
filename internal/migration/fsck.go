package migration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// FsckOptions say how thoroughly Fsck looks. The zero value reads every manifest and
// every link whose bytes are not known otherwise, and looks at the size of every blob.
type FsckOptions struct {
	// Deep reads every blob and every link and hashes them. Without it a blob that kept
	// its size but not its bytes is not found.
	Deep bool
	// Concurrency is the most objects that are read at a time; 0 is DefaultConcurrency.
	Concurrency int
	// OnDamage is told of everything that is found, from one goroutine at a time.
	OnDamage func(Damage)
	// Progress counts what has been looked at; it may be nil.
	Progress *FsckProgress
}

// FsckProgress counts what has been looked at so far. It may be read at any time.
type FsckProgress struct {
	Repositories, Tags, Revisions, Links atomic.Int64
	Blobs, Bytes                         atomic.Int64 // found, and their sizes
	HashedBytes                          atomic.Int64 // read and hashed
	Damage                               atomic.Int64 // of any severity but notes
	linkBytes                            atomic.Int64
}

// FsckReport says what is in a tree and whether all of it is whole.
type FsckReport struct {
	Tree         string `json:"tree"`
	Deep         bool   `json:"deep,omitempty"`
	Repositories int64  `json:"repositories"`
	Tags         int64  `json:"tags"`
	Revisions    int64  `json:"revisions"` // manifests of repositories; one in two repositories counts twice
	Manifests    int64  `json:"manifests"` // of them, different ones that could be read
	Links        int64  `json:"links"`     // files that hold a digest, those of tags included
	Blobs        int64  `json:"blobs"`     // manifests included
	Bytes        int64  `json:"bytes"`     // of all blobs
	HashedBytes  int64  `json:"hashed_bytes"`

	Unneeded      int64 `json:"unneeded"` // blobs that no manifest needs; 0 when not everything could be read
	UnneededBytes int64 `json:"unneeded_bytes"`
	Uploads       int64 `json:"uploads"` // that go on or were left
	UploadBytes   int64 `json:"upload_bytes"`
	Junk          int64 `json:"junk"`    // other files that are left over
	Foreign       int64 `json:"foreign"` // files that no registry writes

	Damage  map[DamageKind]int64 `json:"damage"` // how often each kind was found, notes included
	Broken  int64                `json:"broken"` // damage by severity
	Damaged int64                `json:"damaged"`
	Notes   int64                `json:"notes"`
	// BrokenRevisions is the number of manifests that cannot be pulled with all they need.
	BrokenRevisions int64 `json:"broken_revisions"`

	// Incomplete is that something could not be read, so that there may be more
	// damage than was found.
	Incomplete bool `json:"incomplete"`
	// Clean is that everything was seen, and nothing but notes was found.
	Clean   bool    `json:"clean"`
	Seconds float64 `json:"seconds"`
}

// Fsck looks at a whole tree and says whether every artifact in it can be pulled: each
// tag leads to a manifest of its repository, each manifest has its digest, and all it
// needs is there with the right size and may be served by that repository. It changes
// nothing. The registry may go on working meanwhile: what comes and goes is no damage.
//
// What cannot be read is damage and does not end it. The error is for what does: there
// is no registry in the tree, the store refuses everything.
func Fsck(ctx context.Context, t tree.Tree, o FsckOptions) (FsckReport, error) {
	s := newScan(t, o)
	err := s.fsck(ctx)
	r := s.result()
	if err != nil {
		r.Clean, r.Incomplete = false, true
		return r, fmt.Errorf("check the files of %s: %w", t, err)
	}
	return r, nil
}

// scan is one look at a whole tree.
type scan struct {
	t     tree.Tree
	o     FsckOptions
	p     *FsckProgress
	began time.Time
	slots chan struct{} // a place for each object that is being read
	blobs blobTable

	pauses atomic.Int64 // for tags that may be about to go

	linksOnly bool                                // blobs and manifests are not looked at
	repair    func(context.Context, Damage) error // is given what is repairable; nil: nobody
	account   func(*repository)                   // is shown each repository after the look at it, several at a time; nil: nobody

	big           int        // files of a repository, see bigRepository
	bigRepository sync.Mutex // held by the one repository that takes much memory
	bigManifest   sync.Mutex // held by the one manifest that takes much memory

	mu        sync.Mutex
	r         FsckReport
	lostTrack bool // a manifest could not be read: what it needs is not known
}

func newScan(t tree.Tree, o FsckOptions) *scan {
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Progress == nil {
		o.Progress = &FsckProgress{}
	}
	return &scan{
		t: t, o: o, p: o.Progress, began: time.Now(), slots: make(chan struct{}, o.Concurrency), big: bigRepository,
		r: FsckReport{Tree: t.String(), Deep: o.Deep, Damage: map[DamageKind]int64{}},
	}
}

func (s *scan) fsck(ctx context.Context) error {
	if err := requireRegistry(ctx, s.t); err != nil {
		return err
	}
	if err := s.findBlobs(ctx); err != nil {
		return err
	}
	if err := s.repositories(ctx); err != nil {
		return err
	}
	if err := s.unneeded(ctx); err != nil {
		return err
	}
	return s.strangersBeside(ctx)
}

// requireRegistry returns an error that says what is there instead, when there is no
// registry in a tree.
func requireRegistry(ctx context.Context, t tree.Tree) error {
	inside, odd, err := foldersIn(ctx, t, layout.Root)
	if err != nil {
		return err
	}
	root := strings.TrimSuffix(layout.Root, "/")
	switch {
	case slices.Contains(inside, "repositories"):
		return nil
	case slices.Contains(inside, "blobs"):
		// A registry makes a repository's folder before the first blob.
		return problem.New(problem.NotFound, "%s holds blobs and no repositories: there is no %s/repositories. A part of the registry is missing%s", t, root, odd)
	}
	beside, more, err := foldersIn(ctx, t, "")
	if err != nil {
		return err
	}
	what := "no folders at all. Is the volume mounted, or the prefix right?"
	switch {
	case len(inside) > 0:
		what = nameSome(inside) + " there"
	case len(beside) > 0:
		what = nameSome(beside)
	}
	return problem.New(problem.NotFound, "%s holds no registry: there is no %s with blobs and repositories in it. It has %s%s", t, root, what, cmp.Or(odd, more))
}

// foldersIn returns the names of the folders in a folder. odd says of what is neither
// a folder nor a file there, and may have been meant to be one; "": nothing.
func foldersIn(ctx context.Context, t tree.Tree, folder string) (names []string, odd string, err error) {
	for name, err := range t.Folders(ctx, folder) {
		if errors.Is(err, tree.ErrNotRegular) {
			return names, fmt.Sprintf(" (%v)", err), nil
		}
		if err != nil {
			return nil, "", err
		}
		names = append(names, name)
	}
	return names, "", nil
}

// damaged tells of something that was found.
func (s *scan) damaged(d Damage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r.Damage[d.Kind]++
	switch d.Severity() {
	case Broken:
		s.r.Broken++
	case Damaged:
		s.r.Damaged++
	default:
		s.r.Notes++
	}
	if d.Severity() > Note {
		s.p.Damage.Add(1)
	}
	if s.o.OnDamage != nil {
		s.o.OnDamage(d)
	}
}

// count changes figures of the report.
func (s *scan) count(change func(*FsckReport)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.r)
}

func (s *scan) incomplete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Incomplete
}

func (s *scan) result() FsckReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.r
	r.Repositories, r.Tags, r.Revisions, r.Links = s.p.Repositories.Load(), s.p.Tags.Load(), s.p.Revisions.Load(), s.p.Links.Load()
	r.Blobs, r.Bytes, r.HashedBytes = s.p.Blobs.Load(), s.p.Bytes.Load(), s.p.HashedBytes.Load()
	s.blobs.all(func(_, _ int, b blobState) {
		if b&blobManifest != 0 && b&blobHashed != 0 {
			r.Manifests++
		}
	})
	r.Clean = !r.Incomplete && r.Broken == 0 && r.Damaged == 0
	r.Seconds = time.Since(s.began).Seconds()
	return r
}
