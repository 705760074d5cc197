package migration

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// RepairOptions say what Repair does.
type RepairOptions struct {
	// DryRun finds out what would be repaired, and changes nothing.
	DryRun bool
	// Concurrency is the most links that are read at a time; 0 is DefaultConcurrency.
	Concurrency int
	// OnRepair is told of each link that was, or in a dry run would be, written anew,
	// with what it leads to now. OnDamage is told of everything else that is wrong with
	// links and cannot be repaired. Both come from one goroutine at a time.
	OnRepair func(d Damage, target digest.Digest)
	OnDamage func(Damage)
	Progress *FsckProgress // may be nil
}

// RepairReport says what was repaired.
type RepairReport struct {
	Tree       string  `json:"tree"`
	DryRun     bool    `json:"dry_run,omitempty"`
	Links      int64   `json:"links"`      // that were looked at
	Repaired   int64   `json:"repaired"`   // or would be
	Remaining  int64   `json:"remaining"`  // damage that Repair cannot mend; fsck tells of more than links
	Incomplete bool    `json:"incomplete"` // something could not be read
	Seconds    float64 `json:"seconds"`
}

// Repair writes anew the links whose content is wrong and follows from their paths,
// and those of tags that follow from the tag's history: when exactly one of the
// manifests that the tag has ever stood for is still in the repository. It changes no
// other file, makes none that is missing, and never touches a blob. The error is for
// what ends it; what was repaired before stays so.
func Repair(ctx context.Context, t tree.Tree, o RepairOptions) (RepairReport, error) {
	s := newScan(t, FsckOptions{Concurrency: o.Concurrency, OnDamage: o.OnDamage, Progress: o.Progress})
	s.linksOnly = true
	r := RepairReport{Tree: t.String(), DryRun: o.DryRun}
	s.repair = func(ctx context.Context, d Damage) error {
		target, err := s.mend(ctx, d, o.DryRun)
		if err != nil || target == "" {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		r.Repaired++
		if o.OnRepair != nil {
			o.OnRepair(d, target)
		}
		return nil
	}
	began := time.Now()
	err := requireRegistry(ctx, t)
	if err == nil {
		err = s.repositories(ctx)
	}
	found := s.result()
	r.Links, r.Remaining, r.Incomplete = found.Links, found.Broken+found.Damaged, found.Incomplete || err != nil
	r.Seconds = time.Since(began).Seconds()
	if err != nil {
		return r, fmt.Errorf("repair the links of %s: %w", t, err)
	}
	return r, nil
}

// mend writes the link of d anew and returns where it leads now, "" if it turned out
// that there is nothing to repair.
func (s *scan) mend(ctx context.Context, d Damage, dryRun bool) (digest.Digest, error) {
	f := layout.Parse(d.Path)
	target := f.Digest()
	var history []tree.Object
	if f.Kind == layout.TagLink {
		var err error
		if target, history, err = s.tagFromHistory(ctx, f); err != nil || target == "" {
			return "", err
		}
	}
	if dryRun {
		return target, nil
	}
	// A registry that goes on working may have mended it by a push.
	content, err := tree.ReadAll(ctx, s.t, d.Path, maxLink)
	if tree.IsNotExist(err) {
		return "", nil
	}
	if err == nil {
		if _, wrong := f.Target(content); wrong == nil {
			return "", nil
		}
	}
	if _, err := s.t.Put(ctx, d.Path, tree.BytesContent([]byte(target))); err != nil {
		return "", fmt.Errorf("write %s anew: %w", d.Path, err)
	}
	if f.Kind != layout.TagLink {
		return target, nil
	}
	return s.keepPush(ctx, f, target, history)
}

// keepPush makes sure that the repair of a tag has not undone a push of the same
// moment. A registry writes a tag's history before its current link, so a push that
// the repair could have overwritten shows as a change of the history.
func (s *scan) keepPush(ctx context.Context, f layout.File, target digest.Digest, before []tree.Object) (digest.Digest, error) {
	after, err := s.tagHistory(ctx, f)
	if err != nil {
		return "", err
	}
	var pushed tree.Object
	for _, o := range after {
		same := slices.ContainsFunc(before, func(b tree.Object) bool { return b.Name == o.Name && b.Modified.Equal(o.Modified) })
		if !same && (pushed.Name == "" || o.Modified.After(pushed.Modified)) {
			pushed = o
		}
	}
	d := layout.Parse(pushed.Name).Digest()
	if d == "" || d == target {
		return target, nil
	}
	if _, err := s.t.Put(ctx, f.Path(), tree.BytesContent([]byte(d))); err != nil {
		return "", fmt.Errorf("write %s anew: %w", f.Path(), err)
	}
	return d, nil
}

// tagHistory lists the links of what a tag has stood for.
func (s *scan) tagHistory(ctx context.Context, f layout.File) ([]tree.Object, error) {
	var history []tree.Object
	for o, err := range s.t.List(ctx, tree.ListOptions{Prefix: layout.TagsFolder(f.Repository) + f.Tag + "/index/"}) {
		if err != nil {
			return nil, err
		}
		if layout.Parse(o.Name).Kind == layout.TagHistory {
			history = append(history, o)
		}
	}
	return history, nil
}

// tagFromHistory finds what a tag must stand for: the only one of the manifests in its
// history that is still in the repository, "" if there is none or several. Deleting
// a manifest takes the tags away that stand for it, so the tag stands for no other.
func (s *scan) tagFromHistory(ctx context.Context, f layout.File) (target digest.Digest, history []tree.Object, err error) {
	if history, err = s.tagHistory(ctx, f); err != nil {
		return "", nil, err
	}
	for _, o := range history {
		d := layout.Parse(o.Name).Digest()
		there, err := s.exists(ctx, linkPath(layout.RevisionLink, f.Repository, d))
		if err != nil {
			return "", nil, err
		}
		if there && target != "" {
			return "", history, nil
		}
		if there {
			target = d
		}
	}
	return target, history, nil
}
