package migration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// What a copy of one object can come to besides success and failure.
var (
	errVanished  = errors.New("it has gone from the source meanwhile")
	errPostponed = errors.New("the source is writing it")
	errDamaged   = errors.New("it is damaged in the source")
)

// maxLink is more than any link has.
const maxLink = 1 << 10 // bytes

// A source may be seen in the middle of a write: distribution 2.8 writes manifests
// and links in place. What is wrong and this young is looked at again.
const (
	settleTime     = 10 * time.Second
	settleAttempts = 5
	settlePause    = 200 * time.Millisecond // doubled each time
)

// blob copies a blob. Its size is asked for unless it is known, that is not negative.
func (c *copier) blob(ctx context.Context, d digest.Digest, size int64) error {
	name := layout.BlobPath(d.Algorithm().String(), d.Encoded())
	for attempt := 1; ; attempt++ {
		o := tree.Object{Name: name, Size: size}
		if size < 0 || attempt > 1 {
			var err error
			if o, err = c.src.Stat(ctx, name); err != nil {
				return c.sourceError(ctx, name, layout.File{}, err)
			}
		}
		if c.o.DryRun {
			if c.pretended.add(c.j.of(name)) { // several links may need it
				c.p.copied.Add(1)
				c.p.bytes.Add(o.Size)
			}
			return nil
		}
		content, done := c.p.moves(c.limited(tree.ObjectContent(c.src, o, d)))
		receipt, err := c.dst.Put(ctx, name, content)
		done()
		switch {
		case err == nil:
			c.p.stored(o.Size, receipt)
			if err := c.j.stored(ctx, name, o.Size, receipt); err != nil {
				return errors.Join(errJournal, err)
			}
			return nil
		case errors.Is(err, tree.ErrDigest):
			if settled, err := c.settle(ctx, name, attempt); !settled || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			c.damaged(blobDamage(name, d, o.Size))
			return errDamaged
		case tree.IsNotExist(err):
			return errVanished
		default:
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
}

// blobDamage is what is wrong with a blob whose content is not that of its digest.
func blobDamage(name string, d digest.Digest, size int64) Damage {
	if size == 0 {
		return Damage{Kind: EmptyBlob, Path: name, Digest: d}
	}
	return Damage{Kind: DigestMismatch, Path: name, Digest: d}
}

// settle waits a moment for a file of the source that does not have its right content
// and was written lately. It reports whether waiting is of no use any more. A file
// from the future is one of a wrong clock, and is believed when it stays as it is.
func (c *copier) settle(ctx context.Context, name string, attempt int) (settled bool, err error) {
	o, err := c.src.Stat(ctx, name)
	if err != nil {
		return false, c.sourceError(ctx, name, layout.File{}, err)
	}
	if time.Since(o.Modified) > settleTime || c.wasTold(name) {
		return true, nil
	}
	if attempt >= settleAttempts {
		if time.Until(o.Modified) > settleTime {
			return true, nil
		}
		return false, errPostponed
	}
	select {
	case <-time.After(settlePause << (attempt - 1)):
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// sourceError sorts out why a file of the source could not be read.
func (c *copier) sourceError(ctx context.Context, name string, f layout.File, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case tree.IsNotExist(err):
		return errVanished
	case tree.IsFatal(err):
		return err
	}
	c.damaged(Damage{Kind: Unreadable, Path: name, Repository: f.Repository, Tag: f.Tag, Digest: f.Digest(), Detail: err.Error()})
	return errDamaged
}

// need makes sure that the destination has the blob that a link leads to. A source
// without it has a link to nothing, which is copied as it is: garbage collection
// leaves such links.
func (c *copier) need(ctx context.Context, d digest.Digest) error {
	name := layout.BlobPath(d.Algorithm().String(), d.Encoded())
	if c.j.has(name) {
		return nil
	}
	c.mu.Lock()
	f, under := c.flights[name]
	if !under {
		f = &flight{done: make(chan struct{})}
		c.flights[name] = f
	}
	c.mu.Unlock()
	if under {
		select {
		case <-f.done:
			return f.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if f.err = c.blob(ctx, d, -1); errors.Is(f.err, errVanished) {
		f.err = nil
	}
	c.mu.Lock()
	delete(c.flights, name)
	c.mu.Unlock()
	close(f.done)
	return f.err
}

// flight is a blob on its way that several links wait for.
type flight struct {
	done chan struct{}
	err  error
}

// link copies a link whose content follows from its path, after what it leads to.
func (c *copier) link(ctx context.Context, l foundLink) error {
	f, name := l.file, l.object.Name
	target, err := c.linkTarget(ctx, l)
	repair := false
	if errors.Is(err, errDamaged) {
		content, known := f.LinkContent()
		if !known {
			return err
		}
		target, repair = digest.Digest(content), true
	} else if err != nil {
		return err
	}
	if err := c.need(ctx, target); err != nil {
		return fmt.Errorf("copy what %s leads to: %w", name, err)
	}
	if err := c.putLink(ctx, name, target.String(), c.j.stored); err != nil {
		return err
	}
	if repair {
		c.p.repaired.Add(1)
	}
	return nil
}

// linkTarget finds out where a link of the source leads, by what a store says of it
// where it says enough.
func (c *copier) linkTarget(ctx context.Context, l foundLink) (digest.Digest, error) {
	if content, known := l.file.LinkContent(); known && !c.src.Local() && l.object.Size == int64(len(content)) {
		proof, err := c.src.Prove(ctx, l.object, digest.FromString(content), []byte(content))
		if err == nil && proof > tree.Sized {
			return digest.Digest(content), nil
		}
	}
	return c.readLink(ctx, l.file)
}

// readLink reads where a link of the source leads. One that is not as the registry
// writes it is told of as damage, unless it is being written.
func (c *copier) readLink(ctx context.Context, f layout.File) (digest.Digest, error) {
	name := f.Path()
	for attempt := 1; ; attempt++ {
		content, err := tree.ReadAll(ctx, c.src, name, maxLink)
		if err != nil {
			return "", c.sourceError(ctx, name, f, err)
		}
		target, err := f.Target(content)
		if err == nil {
			return target, nil
		}
		settled, waiting := c.settle(ctx, name, attempt)
		if waiting != nil {
			return "", waiting
		}
		if settled {
			c.damaged(LinkDamage(f, err))
			return "", errDamaged
		}
	}
}

// putLink stores a link, and has it recorded.
func (c *copier) putLink(ctx context.Context, name, content string, record func(ctx context.Context, name string, size int64, r tree.Receipt) error) error {
	if c.o.DryRun {
		c.p.copied.Add(1)
		c.p.bytes.Add(int64(len(content)))
		return nil
	}
	receipt, err := c.dst.Put(ctx, name, c.limited(tree.BytesContent([]byte(content))))
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	c.p.stored(int64(len(content)), receipt)
	if err := record(ctx, name, int64(len(content)), receipt); err != nil {
		return errors.Join(errJournal, err)
	}
	return nil
}

// limited is content that is read no faster than it may be.
func (c *copier) limited(content tree.Content) tree.Content {
	if c.o.Bandwidth == nil {
		return content
	}
	open := content.Open
	content.Open = func(ctx context.Context, offset, size int64) (io.ReadCloser, error) {
		body, err := open(ctx, offset, size)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{c.o.Bandwidth.Reader(ctx, body), body}, nil
	}
	return content
}

// wasTold reports whether a file's damage has been told of.
func (c *copier) wasTold(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told[name]
}

// damaged tells of damage in the source, once for each file.
func (c *copier) damaged(d Damage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told[d.Path] {
		return
	}
	if c.told == nil {
		c.told = map[string]bool{}
	}
	c.told[d.Path] = true
	c.damage[string(d.Kind)]++
	if c.o.OnDamage != nil {
		c.o.OnDamage(d)
	}
}
