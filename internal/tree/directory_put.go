//go:build unix

package tree

import (
	"context"
	_ "crypto/sha256" // algorithms of digests
	_ "crypto/sha512"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
)

// Put implements Tree. The content goes to an unfinished file in the same folder,
// which takes the name when it is on disk; a process that is killed leaves no more
// than that file, and empty folders. The next Put into the folder removes the file.
func (d *Directory) Put(ctx context.Context, name string, c Content) (Receipt, error) {
	receipt, err := d.put(ctx, name, c)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // and not what the content makes of it
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("put %s: %w", name, err)
	}
	return receipt, nil
}

func (d *Directory) put(ctx context.Context, name string, c Content) (Receipt, error) {
	if err := d.checkUse(ctx, name); err != nil {
		return Receipt{}, err
	}
	if c.Size < 0 {
		return Receipt{}, fmt.Errorf("a size of %d bytes", c.Size)
	}
	if err := c.Digest.Validate(); err != nil {
		return Receipt{}, fmt.Errorf("digest %q: %w", c.Digest, err)
	}
	folder, base := splitName(name)
	t, err := d.newTemporary(folder)
	if err != nil {
		return Receipt{}, hopeless(err)
	}
	defer t.discard()
	if err := t.fill(ctx, c); err != nil {
		return Receipt{}, err
	}
	if ctx.Err() != nil {
		return Receipt{}, context.Cause(ctx)
	}
	stat, err := t.publish(base)
	if err != nil {
		return Receipt{}, hopeless(err)
	}
	return Receipt{Proof: Hashed, ETag: object(name, &stat).ETag}, nil
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// fill writes the content and hashes it, and returns an error if it is not what it
// should be.
func (t *temporary) fill(ctx context.Context, c Content) error {
	body, err := c.Open(ctx, 0, c.Size)
	if err != nil {
		return err
	}
	hasher := c.Digest.Algorithm().Hash()
	n, err := t.copy(ctx, hasher, io.LimitReader(body, c.Size+1)) // one more shows that there is more
	if closing := body.Close(); err == nil {
		err = closing
	}
	switch got := fmt.Sprintf("%x", hasher.Sum(nil)); {
	case err != nil:
		return err
	case n < c.Size:
		return fmt.Errorf("the content ended after %d of %d bytes: %w", n, c.Size, io.ErrUnexpectedEOF)
	case n > c.Size:
		return fmt.Errorf("the content has more than %d bytes", c.Size)
	case got != c.Digest.Encoded():
		return fmt.Errorf("%w: %s, not %s", ErrDigest, got, c.Digest)
	}
	return nil
}

func (t *temporary) copy(ctx context.Context, hasher hash.Hash, body io.Reader) (n int64, err error) {
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	for {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		part, end := body.Read(buffer[:])
		hasher.Write(buffer[:part])
		if _, err := t.file.Write(buffer[:part]); err != nil {
			return n, hopeless(err)
		}
		n += int64(part)
		if end == io.EOF {
			return n, nil
		}
		if end != nil {
			return n, end
		}
	}
}

// publish gives the file its owner, its mode and its name, and returns when all of it
// is on disk.
func (t *temporary) publish(base string) (unix.Stat_t, error) {
	var stat unix.Stat_t
	if err := t.d.own(t.file, t.d.options.FileMode); err != nil {
		return stat, err
	}
	if err := t.file.Sync(); err != nil {
		return stat, err
	}
	if err := unix.Fstat(int(t.file.Fd()), &stat); err != nil {
		return stat, &fs.PathError{Op: "stat", Path: t.file.Name(), Err: err}
	}
	folder := int(t.folder.Fd())
	if err := unix.Renameat(folder, t.name, folder, base); err != nil {
		return stat, &fs.PathError{Op: "rename to " + base, Path: t.file.Name(), Err: err}
	}
	t.published = true
	return stat, syncFolder(t.folder)
}
