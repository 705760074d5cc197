package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
)

// Progress says how far Reindex has come.
type Progress struct {
	Repository   string // that it works on
	Repositories int    // done
	Artifacts    int    // done
	Skipped      int    // manifests that cannot be read
}

const (
	reindexBatch    = 100 // manifests in one transaction
	reindexParallel = 16  // reads at the same time
)

// Reindex makes the index agree with the storage. What is in both keeps its ids,
// labels and times. It records no events: what it finds was pushed once before.
// The registry can be used in the meantime; changes wait for a moment at a time.
//
// progress is called after each batch; it may be nil.
func (r *Registry) Reindex(ctx context.Context, progress func(Progress)) error {
	var names []string
	if err := r.tree().repositories(ctx, func(name string) error { names = append(names, name); return nil }); err != nil {
		return fmt.Errorf("rebuild index: list repositories: %w", err)
	}
	indexed, err := r.index.RepositoryNames(ctx, "", 1<<30)
	if err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	names = append(names, indexed...)
	slices.Sort(names)
	run := reindexing{Registry: r, report: progress}
	for _, name := range slices.Compact(names) {
		if !validName(name) {
			continue // a folder that no client can have made
		}
		run.progress.Repository = name
		if err := run.repository(ctx, name); err != nil {
			return fmt.Errorf("rebuild index of %s: %w", name, err)
		}
		run.progress.Repositories++
		run.tell()
	}
	if err := r.index.MarkComplete(ctx, true); err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	return nil
}

type reindexing struct {
	*Registry
	report   func(Progress)
	progress Progress
}

func (run *reindexing) tell() {
	if run.report != nil {
		run.report(run.progress)
	}
}

func (run *reindexing) repository(ctx context.Context, name string) error {
	if _, err := home.Project(name); err != nil {
		run.log.Warn("repository outside of any project is not indexed", slog.String("repository", name))
		return nil
	}
	tags, err := run.findTags(ctx, name)
	if err != nil {
		return err
	}
	revisions, err := run.tree().revisions(ctx, name)
	if err != nil {
		return err
	}
	indexes := map[digest.Digest]home.Push{}
	for batch := range slices.Chunk(revisions, reindexBatch) {
		found, err := run.read(ctx, name, batch)
		if err != nil {
			return err
		}
		var images []home.Push
		for _, p := range found {
			p.Tags = tags[p.Digest]
			if len(p.Manifest.Children) > 0 { // its size needs theirs
				indexes[p.Digest] = p
			} else {
				images = append(images, p)
			}
		}
		if err := run.record(ctx, name, images); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(childrenFirst(indexes), reindexBatch) {
		if err := run.record(ctx, name, batch); err != nil {
			return err
		}
	}
	defer run.locks.repository(name)()
	return run.forgetMissing(ctx, name, true)
}

// findTags returns the tags of a repository by the digest they point at.
func (run *reindexing) findTags(ctx context.Context, repository string) (map[digest.Digest][]string, error) {
	names, err := run.tree().tags(ctx, repository)
	if err != nil {
		return nil, err
	}
	points := make([]digest.Digest, len(names))
	err = inParallel(ctx, len(names), func(ctx context.Context, i int) (err error) {
		points[i], err = run.tree().ResolveTag(ctx, repository, names[i])
		return err
	})
	tags := map[digest.Digest][]string{}
	for i, d := range points {
		if d != "" {
			tags[d] = append(tags[d], names[i])
		}
	}
	return tags, err
}

// read reads manifests; those that cannot be understood are left out, as no client
// could pull them either.
func (run *reindexing) read(ctx context.Context, repository string, digests []digest.Digest) ([]home.Push, error) {
	all, skipped := make([]*home.Push, len(digests)), make([]bool, len(digests))
	err := inParallel(ctx, len(digests), func(ctx context.Context, i int) (err error) {
		all[i], err = run.inspect(ctx, repository, digests[i])
		if problem.Is(err, problem.BadRequest) {
			run.log.Warn("manifest in the storage is not indexed",
				slog.String("repository", repository), slog.String("digest", digests[i].String()), slog.Any("error", err))
			skipped[i] = true
			return nil
		}
		if err != nil || all[i] == nil {
			return err
		}
		all[i].Time, err = run.tree().written(ctx, revisionLink(repository, digests[i]))
		return err
	})
	var found []home.Push
	for i, p := range all {
		if p != nil {
			found = append(found, *p)
		}
		if skipped[i] {
			run.progress.Skipped++
		}
	}
	return found, err
}

// inspect reads one manifest and its config; nil when it is not there. A manifest
// that cannot be served is a problem.BadRequest.
func (r *Registry) inspect(ctx context.Context, repository string, d digest.Digest) (*home.Push, error) {
	content, err := r.tree().manifest(ctx, repository, d)
	if err != nil || content == nil {
		return nil, err
	}
	m, err := home.ParseManifest("", content)
	if err != nil {
		return nil, err
	}
	attrs, err := r.extraAttrs(ctx, repository, &m)
	if err != nil {
		return nil, err
	}
	return &home.Push{Repository: repository, Digest: d, Manifest: m, ExtraAttrs: attrs}, nil
}

// record records a batch of found manifests with those tags that point at them
// still.
func (run *reindexing) record(ctx context.Context, repository string, found []home.Push) error {
	if len(found) == 0 {
		return nil
	}
	defer run.locks.repository(repository)()
	there := make([]bool, len(found))
	err := inParallel(ctx, len(found), func(ctx context.Context, i int) (err error) {
		p := &found[i]
		if there[i], err = run.tree().HasManifest(ctx, repository, p.Digest); err != nil || !there[i] {
			return err
		}
		var pointing []string
		p.TagTimes = map[string]time.Time{}
		for _, tag := range p.Tags {
			d, err := run.tree().ResolveTag(ctx, repository, tag)
			if err != nil {
				return err
			}
			if d != p.Digest {
				continue
			}
			pointing = append(pointing, tag)
			if p.TagTimes[tag], err = run.tree().written(ctx, tagLink(repository, tag)); err != nil {
				return err
			}
		}
		p.Tags = pointing
		return nil
	})
	if err != nil {
		return err
	}
	var still []home.Push
	for i, p := range found {
		if there[i] {
			still = append(still, p)
		}
	}
	if err := run.index.RecordFound(ctx, run.tree(), still); err != nil {
		return err
	}
	run.progress.Artifacts += len(still)
	run.tell()
	return nil
}

// forgetMissing removes from the index what is not in the storage. The caller has
// the lock of the repository.
func (r *Registry) forgetMissing(ctx context.Context, repository string, silent bool) error {
	var removals []home.Removal
	digests, err := r.index.Digests(ctx, repository)
	if err != nil {
		return err
	}
	there := make([]bool, len(digests))
	err = inParallel(ctx, len(digests), func(ctx context.Context, i int) (err error) {
		there[i], err = r.tree().HasManifest(ctx, repository, digest.Digest(digests[i]))
		return err
	})
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for i, d := range digests {
		if !there[i] {
			gone[d] = true
			removals = append(removals, home.Removal{Repository: repository, Digest: digest.Digest(d), Time: time.Now(), Silent: silent})
		}
	}
	tags, err := r.index.TagDigests(ctx, repository)
	if err != nil {
		return err
	}
	for tag, recorded := range tags {
		if gone[recorded] { // goes with its artifact
			continue
		}
		points, err := r.tree().ResolveTag(ctx, repository, tag)
		if err != nil {
			return err
		}
		if points == "" {
			removals = append(removals, home.Removal{
				Repository: repository, Digest: digest.Digest(recorded), Tag: tag, Time: time.Now(), Silent: silent,
			})
		}
	}
	if len(removals) == 0 {
		return nil
	}
	return r.index.RecordRemoval(ctx, home.Intent{}, r.tree(), removals...)
}

// childrenFirst orders indexes so that one that contains another comes after it.
func childrenFirst(indexes map[digest.Digest]home.Push) []home.Push {
	var ordered []home.Push
	seen := map[digest.Digest]bool{}
	var visit func(d digest.Digest)
	visit = func(d digest.Digest) {
		p, isIndex := indexes[d]
		if !isIndex || seen[d] {
			return
		}
		seen[d] = true
		for _, child := range p.Manifest.Children {
			visit(child.Digest)
		}
		ordered = append(ordered, p)
	}
	for d := range indexes {
		visit(d)
	}
	return ordered
}

// inParallel calls f for each of n numbers.
func inParallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(reindexParallel)
	for i := range n {
		group.Go(func() error { return f(ctx, i) })
	}
	return group.Wait()
}
