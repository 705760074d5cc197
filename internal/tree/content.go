package tree

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// BytesContent is content that is in memory.
func BytesContent(text []byte) Content {
	return Content{
		Size:   int64(len(text)),
		Digest: digest.FromBytes(text),
		Open: func(_ context.Context, offset, size int64) (io.ReadCloser, error) {
			if offset < 0 || size < 0 || offset+size > int64(len(text)) {
				return nil, fmt.Errorf("bytes %d to %d of %d", offset, offset+size, len(text))
			}
			return io.NopCloser(bytes.NewReader(text[offset : offset+size])), nil
		},
	}
}

// ObjectContent is an object of a tree as content for another.
func ObjectContent(t Tree, o Object, d digest.Digest) Content {
	return Content{
		Size:   o.Size,
		Digest: d,
		Open: func(ctx context.Context, offset, size int64) (io.ReadCloser, error) {
			return t.Read(ctx, o.Name, offset, size)
		},
	}
}

// ReadAll returns the whole of an object of at most limit bytes; a longer one is an
// error.
func ReadAll(ctx context.Context, t Tree, name string, limit int64) ([]byte, error) {
	body, err := t.Read(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if closing := body.Close(); err == nil {
		err = closing
	}
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return text, err
}
