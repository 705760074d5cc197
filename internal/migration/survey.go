package migration

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// Survey finds out how much there is to be copied, for a progress that tells the time
// left. It may run beside Copy, and the figures appear in p when it has ended. It
// looks at sizes only, and of links it takes for granted that they are there. When
// only some repositories are copied it tells nothing: which blobs are theirs is known
// at the end.
func Survey(ctx context.Context, src tree.Tree, j *Journal, o CopyOptions) error {
	if o.Repositories != nil || o.Progress == nil {
		return nil
	}
	parts, err := o.Shard.parts(ctx, src, tree.ListOptions{Implied: true, Present: true})
	if err != nil {
		return err
	}
	if o.Shard.all() {
		parts = append(parts, tree.ListOptions{Prefix: layout.Repositories, Implied: true})
	}
	shard := o.Shard
	counts := make([]struct{ objects, bytes int64 }, len(parts))
	g, ctx := errgroup.WithContext(ctx)
	for i, part := range parts {
		g.Go(func() error {
			for o, err := range src.List(ctx, part) {
				if err != nil {
					return err
				}
				if f := layout.Parse(o.Name); f.Kind == layout.Foreign || f.Kind == layout.Upload || !shard.has(f) || j.has(o.Name) {
					continue
				}
				counts[i].objects++
				counts[i].bytes += max(0, o.Size)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var objects, bytes int64
	for _, c := range counts {
		objects += c.objects
		bytes += c.bytes
	}
	o.Progress.expectedBytes.Store(bytes)
	o.Progress.expected.Store(objects)
	return nil
}
