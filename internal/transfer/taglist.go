package transfer

import (
	"context"
	"regexp"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
)

// A repository's tags are listed once for all copies of a run, because one listing
// costs less than looking for several tags beside every artifact.

// tagList is what a listing told about accessories.
type tagList struct {
	began      time.Time
	tags       map[string]bool // only those that can belong to an accessory
	unreadable bool            // the source does not let us list: ask for single tags
}

// tagLists keeps listings for a while.
type tagLists struct {
	mu   sync.Mutex
	kept map[listingKey]tagList
}

type listingKey struct {
	source     *registry.Client
	repository string
}

// listingsKept bounds the memory; a run works on far fewer repositories at a time.
const listingsKept = 256

var accessoryTag = regexp.MustCompile(`^sha(?:256|384|512)-[0-9a-f]{64}(?:\.|$)`)

// asOf is the moment from which on nothing at the source may be missed. It is never
// one to come, which no listing could satisfy.
func (c *copying) asOf() time.Time {
	if c.r.AsOf.IsZero() || c.r.AsOf.After(c.start) {
		return c.start
	}
	return c.r.AsOf
}

// accessoryTags lists the tags of a source repository that can belong to
// accessories. The listing began at asOf or later.
func (e *Engine) accessoryTags(ctx context.Context, source *registry.Client, repository string, asOf time.Time) (tagList, error) {
	key := listingKey{source, repository}
	for {
		if list, ok := e.tags.get(key); ok && !list.began.Before(asOf) {
			return list, nil
		}
		list, _, err := e.listings.do(ctx, key, func(ctx context.Context) (tagList, error) {
			return listAccessoryTags(ctx, source, repository)
		})
		if err != nil {
			return tagList{}, err
		}
		e.tags.put(key, list)
	}
}

func listAccessoryTags(ctx context.Context, source *registry.Client, repository string) (tagList, error) {
	list := tagList{began: time.Now(), tags: map[string]bool{}}
	all, err := source.Tags(ctx, repository)
	switch {
	case registry.IsNotFound(err): // a repository without tags
		return list, nil
	case err != nil && (ctx.Err() != nil || registry.IsTemporary(err)):
		return list, err
	case err != nil:
		list.unreadable = true
		return list, nil
	}
	for _, tag := range all {
		if accessoryTag.MatchString(tag) {
			list.tags[tag] = true
		}
	}
	return list, nil
}

func (l *tagLists) get(key listingKey) (tagList, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, ok := l.kept[key]
	return list, ok
}

func (l *tagLists) put(key listingKey, list tagList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil || len(l.kept) >= listingsKept {
		l.kept = map[listingKey]tagList{}
	}
	l.kept[key] = list
}
