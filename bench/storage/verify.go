package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/bench/volume"
	"github.com/lighterage/lighterage/internal/layout"
)

// ownObjects is where Lighterage keeps what it knows of a bucket.
const ownObjects = ".lighterage/"

// mostSampled are the bytes that are read back of one copy.
const mostSampled = 512 << 20

// verify compares the bucket with the files that should be in it: all names and
// sizes, and the content of those in always and of a sample. It goes past the front.
func (o *store) verify(ctx context.Context, root string, files []volume.File, always []string, seed uint64) error {
	want := make(map[string]int64, len(files))
	for _, f := range files {
		want[f.Path] = f.Size
	}
	found := 0
	for object := range o.client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return fmt.Errorf("list the bucket: %w", object.Err)
		}
		size, wanted := want[object.Key]
		switch {
		case !wanted && strings.HasPrefix(object.Key, ownObjects):
		case !wanted:
			return fmt.Errorf("%s is in the bucket, and not in the volume", object.Key)
		case size != object.Size:
			return fmt.Errorf("%s has %d bytes in the bucket, want %d", object.Key, object.Size, size)
		default:
			found++
		}
	}
	if found != len(want) {
		return fmt.Errorf("%d objects of %d are in the bucket", found, len(want))
	}
	for _, name := range append(excerptOf(files, seed), always...) {
		if err := o.compare(ctx, root, name); err != nil {
			return err
		}
	}
	return nil
}

// excerptOf chooses files in no order, up to 300 of them and about mostSampled bytes.
func excerptOf(files []volume.File, seed uint64) []string {
	var names []string
	var bytes int64
	for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(len(files)) {
		if len(names) == 300 || bytes > mostSampled {
			break
		}
		names = append(names, files[i].Path)
		bytes += files[i].Size
	}
	return names
}

// compare reads an object. Of a blob it must hash to the digest in the name,
// otherwise it must be what is in the volume.
func (o *store) compare(ctx context.Context, root, name string) error {
	object, err := o.client.GetObject(ctx, bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	got, err := digest.FromReader(object)
	if err != nil {
		return fmt.Errorf("read %s back: %w", name, err)
	}
	want := layout.Parse(name).Digest()
	if layout.Parse(name).Kind != layout.Blob {
		if want, err = digestOfFile(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	if got != want {
		return fmt.Errorf("%s hashes to %s, want %s", name, got, want)
	}
	return nil
}

func digestOfFile(path string) (d digest.Digest, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return digest.FromReader(io.Reader(file))
}
