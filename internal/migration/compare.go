package migration

import (
	"context"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// pair is a name that is in one of two trees or in both.
type pair struct {
	name     string
	src, dst *tree.Object // nil: not there
}

// compare calls each, from several goroutines at a time, with every name below
// layout.Root that is in src or in dst, uploads left out. Both are listed once, in
// parts at the same time; expected is about how many names there are, 0 if unknown.
// The error of each ends it.
func compare(ctx context.Context, src, dst tree.Tree, expected int, each func(p pair) error) error {
	parts, err := listingParts(ctx, src, expected)
	if err != nil {
		return err
	}
	return compareParts(ctx, src, dst, parts, each)
}

// compareParts is compare for what the parts list.
func compareParts(ctx context.Context, src, dst tree.Tree, parts []tree.ListOptions, each func(p pair) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listingsAtOnce)
	for _, part := range parts {
		g.Go(func() error {
			return merge(src.List(ctx, part), dst.List(ctx, part), each)
		})
	}
	return g.Wait()
}

// merge walks two listings in the order of their names and calls each with every name.
func merge(src, dst iter.Seq2[tree.Object, error], each func(p pair) error) error {
	nextSrc, stopSrc := iter.Pull2(src)
	defer stopSrc()
	nextDst, stopDst := iter.Pull2(dst)
	defer stopDst()
	s, errS, moreS := nextSrc()
	d, errD, moreD := nextDst()
	for moreS || moreD {
		// A listing that breaks off says nothing of what would have come.
		if errS != nil {
			return errS
		}
		if errD != nil {
			return errD
		}
		p := pair{}
		if moreS && (!moreD || s.Name <= d.Name) {
			one := s
			p.name, p.src = one.Name, &one
		}
		if moreD && (!moreS || d.Name <= s.Name) {
			one := d
			p.name, p.dst = one.Name, &one
		}
		if err := each(p); err != nil {
			return err
		}
		if p.src != nil {
			s, errS, moreS = nextSrc()
		}
		if p.dst != nil {
			d, errD, moreD = nextDst()
		}
	}
	return nil
}

// How a tree is divided: into parts of so many names, but not into more than so many,
// of which some go on at a time. A store that walks its disks for a listing has to find
// its place anew for each part, so there are parts only where a single listing would
// take many round trips.
const (
	listingsAtOnce = 16
	namesOfPart    = 50_000
	mostParts      = 64
)

// listingParts divides everything below layout.Root into listings that can go on at
// the same time, by what the repositories of t are. expected is about how many names
// there are, 0 if unknown.
func listingParts(ctx context.Context, t tree.Tree, expected int) ([]tree.ListOptions, error) {
	var bounds []string
	err := eachRepository(ctx, t, func(name string) error {
		bounds = append(bounds, layout.Repositories+name+"/")
		for _, digit := range []string{"2", "4", "6", "8", "a", "c", "e"} {
			bounds = append(bounds, layout.LayersFolder(name)+"sha256/"+digit)
		}
		bounds = append(bounds, layout.RevisionsFolder(name), layout.RevisionsFolder(name)+"sha256/8", layout.TagsFolder(name))
		for _, letter := range []string{"A", "a", "n", "v"} {
			bounds = append(bounds, layout.TagsFolder(name)+letter)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	most := mostParts
	if expected > 0 {
		most = min(mostParts, 1+expected/namesOfPart)
	}
	// A third of all files are blobs, and their names are spread evenly.
	var shards []string
	for _, digit := range "123456789abcdef" {
		shards = append(shards, layout.Blobs+"sha256/"+string(digit))
	}
	slices.Sort(bounds)
	shards, bounds = thin(shards, most/3), thin(bounds, most-most/3-1)
	return split(tree.ListOptions{Prefix: layout.Root}, append(shards, bounds...)), nil
}

// thin leaves so many of bounds, evenly spread.
func thin(bounds []string, most int) []string {
	n := len(bounds)
	if n <= most {
		return bounds
	}
	left := make([]string, 0, most)
	for i := range most {
		left = append(left, bounds[(2*i+1)*n/(2*most)])
	}
	return left
}
