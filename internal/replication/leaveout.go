package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/transfer"
)

// Some wishes of a rule cannot be told of what a listing says: whether an artifact is
// signed, and for which platforms it is. The source is asked about them when an artifact is
// about to be compared with the destination.

// Why an artifact is left out.
const (
	unsigned        = "it has no signature, and the rule wants only what is signed"
	unsignedSubject = "what it belongs to has no signature, and the rule wants only what is signed"
	otherPlatform   = "it belongs to something that is for other platforms than the rule wants"
	otherIndex      = "it belongs to an index that is another one at the destination, without the platforms that are left out"
)

// platforms are those that the rule wants, none for all.
func (r Route) platforms() (oci.Platforms, error) { return oci.ParsePlatforms(r.Rule.Platforms) }

// narrows reports whether only some platforms of an item are copied. Accessories are
// copied as they are.
func (r Route) narrows(item *Item) bool {
	return len(r.Rule.Platforms) > 0 && item.about() == ""
}

// about is the digest that an accessory belongs to, "" for what stands for itself.
func (i *Item) about() digest.Digest {
	if i.Subject != "" {
		return digest.Digest(i.Subject)
	}
	return oci.CosignSubject([]string{i.Reference})
}

// wholeOf is what has to be at the destination of an index that is sparse there, nil for all.
func (i *Item) wholeOf() []digest.Digest {
	if !i.partial {
		return nil
	}
	return i.within
}

// leaveOut finds out which of some items of a repository the rule does not want after
// all. It makes these skips with a reason, and returns the others.
func (r Route) leaveOut(ctx context.Context, repository string, items []*Item, questions chan struct{}) ([]*Item, error) {
	if !r.Rule.SignedOnly() && len(r.Rule.Platforms) == 0 {
		return items, nil
	}
	platforms, err := r.platforms()
	if err != nil {
		return nil, err
	}
	x := examination{
		Route: r, repository: repository, platforms: platforms, asOf: time.Now(),
		portions: map[string]*portionRead{}, fates: map[digest.Digest]string{},
	}
	// Accessories come after what they belong to, which says what becomes of them.
	for _, accessories := range []bool{false, true} {
		group, ctx := errgroup.WithContext(ctx)
		for _, item := range items {
			if (item.about() != "") != accessories {
				continue
			}
			select {
			case questions <- struct{}{}:
			case <-ctx.Done():
				if err := group.Wait(); err != nil {
					return nil, err
				}
				return nil, context.Cause(ctx)
			}
			group.Go(func() error {
				defer func() { <-questions }()
				return x.look(ctx, item)
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
	}
	left := func(item *Item) bool { return item.Action == ActionSkip && item.Reason != "" }
	return slices.DeleteFunc(slices.Clone(items), left), nil
}

// examination is one call of leaveOut.
type examination struct {
	Route
	repository string
	platforms  oci.Platforms
	asOf       time.Time

	mu       sync.Mutex
	portions map[string]*portionRead // by digest, or by tag where no digest is known
	// fates says of manifests why what refers to them is left out, "" if it is not.
	fates map[digest.Digest]string
}

// portionRead is what an artifact consists of, read once for all tags that it has.
type portionRead struct {
	once sync.Once
	transfer.Portion
	err error
}

func (x *examination) look(ctx context.Context, item *Item) error {
	item.Stands, item.Reason = "", ""
	if x.Rule.SignedOnly() {
		if err := x.lookForSignature(ctx, item); err != nil || item.Reason != "" {
			return err
		}
	}
	switch {
	case len(x.platforms) == 0:
		return nil
	case item.about() != "":
		return x.lookAtAccessory(ctx, item)
	default:
		return x.lookAtPlatforms(ctx, item)
	}
}

// LeftOut reports whether the rule does not want an item after all, for what the source
// was asked about it: the reason says why.
func (i *Item) LeftOut() bool {
	return i.Action == ActionSkip && i.Reason != "" && i.Reason != goneFromSource
}

// skip notes why an item is left out.
func (i *Item) skip(reason string) { i.Action, i.Reason = ActionSkip, reason }

func (x *examination) lookForSignature(ctx context.Context, item *Item) error {
	d, reason := item.about(), unsignedSubject
	if d == "" {
		reason = unsigned
		if item.Digest == "" {
			now, found, err := x.Source.current(ctx, x.repository, item.Reference)
			if err != nil {
				return fmt.Errorf("look at %s: %w", name(x.Source, x.repository, item.Reference), err)
			}
			if !found {
				item.skip(goneFromSource)
				return nil
			}
			item.Digest = now.Digest
		}
		d = digest.Digest(item.Digest)
	}
	signed, err := x.Destination.Engine.Signed(ctx, x.Source.Adapter.Client(), x.repository, d, x.asOf)
	if err != nil {
		return fmt.Errorf("look for signatures of %s: %w", name(x.Source, x.repository, string(d)), err)
	}
	if !signed {
		item.skip(reason)
	}
	return nil
}

// read finds out once what of an artifact is for the platforms.
func (x *examination) read(ctx context.Context, reference string) (transfer.Portion, error) {
	x.mu.Lock()
	r := x.portions[reference]
	if r == nil {
		r = &portionRead{}
		x.portions[reference] = r
	}
	x.mu.Unlock()
	r.once.Do(func() {
		r.Portion, r.err = transfer.ReadPortion(ctx, x.Source.Adapter.Client(), x.repository, reference, x.platforms, x.Rule.RewritesIndexes())
		if r.err == nil {
			x.noteFates(r.Portion)
		}
	})
	return r.Portion, r.err
}

func (x *examination) lookAtPlatforms(ctx context.Context, item *Item) error {
	reference := item.Digest
	if reference == "" {
		reference = item.Reference
	}
	p, err := x.read(ctx, reference)
	switch {
	case registry.IsNotFound(err) && item.Digest == "":
		item.skip(goneFromSource)
	case registry.IsNotFound(err), errors.Is(err, oci.ErrMalformed):
		// It has changed since it was listed, or is damaged: the copy will find that out, and
		// say so of this one alone.
	case err != nil:
		return err
	case p.Nothing != "":
		item.Digest = p.Source.String()
		item.skip(p.Nothing)
	default:
		item.Digest = p.Source.String()
		if p.Digest != p.Source {
			item.Stands = p.Digest.String()
		}
		item.partial, item.within = p.Partial, p.Wanted
	}
	return nil
}

// lookAtAccessory finds out what becomes of what an accessory refers to.
func (x *examination) lookAtAccessory(ctx context.Context, item *Item) error {
	if item.Subject != "" {
		p, err := x.read(ctx, item.Subject)
		switch {
		case registry.IsNotFound(err), errors.Is(err, oci.ErrMalformed):
			return nil
		case err != nil:
			return err
		case p.Nothing != "":
			item.skip(otherPlatform)
			return nil
		}
	}
	to, err := x.refersTo(ctx, item)
	for depth := 0; err == nil && to != "" && depth < 8; depth++ { // an accessory may have accessories
		if reason, known := x.fate(to); known {
			if reason != "" {
				item.skip(reason)
			}
			return nil
		}
		to, err = x.subject(ctx, to.String())
	}
	return err
}

// refersTo is the manifest that an accessory refers to itself.
func (x *examination) refersTo(ctx context.Context, item *Item) (digest.Digest, error) {
	if d := oci.CosignSubject([]string{item.Reference}); d != "" {
		return d, nil
	}
	reference := item.Digest
	if reference == "" {
		reference = item.Reference
	}
	return x.subject(ctx, reference)
}

// subject reads what a manifest refers to, "" if it refers to nothing or is not there.
func (x *examination) subject(ctx context.Context, reference string) (digest.Digest, error) {
	m, err := x.Source.Adapter.Client().Manifest(ctx, x.repository, reference)
	if registry.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", name(x.Source, x.repository, reference), err)
	}
	if parsed, err := oci.Parse(m.Content); err == nil && parsed.Subject != nil {
		return parsed.Subject.Digest, nil
	}
	return "", nil
}

// noteFates notes what becomes of what refers to the manifests of an artifact. What is wanted
// of one artifact is there, although another leaves it out.
func (x *examination) noteFates(p transfer.Portion) {
	x.mu.Lock()
	defer x.mu.Unlock()
	note := func(reason string, all ...digest.Digest) {
		for _, d := range all {
			if had, known := x.fates[d]; !known || had == otherPlatform || reason == "" {
				x.fates[d] = reason
			}
		}
	}
	if p.Nothing != "" {
		note(otherPlatform, p.Source)
	}
	note(otherPlatform, p.Left...)
	note(otherIndex, p.Rewritten...)
	note("", p.Wanted...)
}

// fate says why what refers to a manifest is left out, "" if it is not; known is false when
// nothing that was looked at has the manifest.
func (x *examination) fate(d digest.Digest) (reason string, known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	reason, known = x.fates[d]
	return reason, known
}

// doubt looks again at items that the destination has by name: of an index some of what
// it lists may be missing there. Those become copies.
func (r Route) doubt(ctx context.Context, repository string, items []*Item) error {
	platforms, err := r.platforms()
	if err != nil {
		return err
	}
	asked := map[bool][]*Item{} // by whether it is for some platforms only
	for _, item := range items {
		if item.Action == ActionSkip && item.Reason == "" && item.found.Digest() != "" && !item.Thorough {
			asked[item.partial] = append(asked[item.partial], item)
		}
	}
	for partial, some := range asked {
		digests := make([]digest.Digest, len(some))
		for i, item := range some {
			digests[i] = item.found.Digest()
		}
		of := platforms
		if !partial {
			of = nil
		}
		lacking, err := r.Destination.Engine.Lacking(ctx, repository, of, digests...)
		if err != nil {
			return err
		}
		for _, item := range some {
			lacks := lacking[item.found.Digest()]
			if len(item.within) > 1 && !r.Destination.books { // nobody knows what an earlier run has left out
				there, err := r.Destination.Engine.HasAll(ctx, repository, item.within)
				if err != nil {
					return err
				}
				lacks, item.Thorough = !there, !there && !partial
			}
			if lacks {
				item.Action = ActionCopy
			}
		}
	}
	return nil
}
