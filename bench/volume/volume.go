package volume

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
)

// Volume is a registry's folder.
type Volume struct {
	Root    string
	Profile Profile
	Files   []File // all that are in it, in no order that matters
	Blobs   int    // of them
	Bytes   int64  // of all files

	seed    uint64
	digests [][]digest.Digest // of the image of each tag, by repository
}

// File is a file of a volume.
type File struct {
	Path string // relative to the root, with slashes
	Size int64  // bytes
}

// Generate makes a volume in a folder that does not exist yet. All its files are a
// day old, as those of a registry that is not being written to.
func Generate(ctx context.Context, root string, p Profile, seed uint64) (*Volume, error) {
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, err
	}
	v := &Volume{Root: root, Profile: p, seed: seed, digests: make([][]digest.Digest, p.Repositories)}
	written := time.Now().Add(-24 * time.Hour)
	bases := make([][]ocispec.Descriptor, p.Bases)
	writers := make([]*writer, p.Bases+p.Repositories)
	for i := range writers {
		writers[i] = &writer{root: root, written: written}
	}
	for b := range bases {
		var err error
		if bases[b], err = v.layers(ctx, writers[b], fmt.Sprintf("base %d", b), p.BaseLayers, p.BaseLayer); err != nil {
			return nil, fmt.Errorf("make base layers in %s: %w", root, err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for r := range p.Repositories {
		group.Go(func() error {
			var base []ocispec.Descriptor
			if len(bases) > 0 {
				base = bases[r%len(bases)]
			}
			return v.repository(ctx, writers[p.Bases+r], r, base)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("make repositories in %s: %w", root, err)
	}
	for _, w := range writers {
		v.add(w.files)
	}
	return v, nil
}

func (v *Volume) add(files []File) {
	v.Files = append(v.Files, files...)
	for _, f := range files {
		v.Bytes += f.Size
		if layout.Parse(f.Path).Kind == layout.Blob {
			v.Blobs++
		}
	}
}

func repositoryName(r int) string { return fmt.Sprintf("team-%02d/app-%03d", r/10, r) }

func tagName(i int) string { return fmt.Sprintf("v1.%d.0", i) }

// repository pushes all images of a repository; latest moves along.
func (v *Volume) repository(ctx context.Context, w *writer, r int, base []ocispec.Descriptor) error {
	name := repositoryName(r)
	for _, layer := range base {
		if err := w.link(layout.LayerLink, name, "", layer.Digest); err != nil {
			return err
		}
	}
	var last digest.Digest
	for i := range v.Profile.Images {
		d, err := v.image(ctx, w, name, fmt.Sprintf("image %d %d", r, i), base, v.Profile.Layer)
		if err != nil {
			return err
		}
		if err := w.tag(name, tagName(i), d); err != nil {
			return err
		}
		if err := w.link(layout.TagHistory, name, "latest", d); err != nil {
			return err
		}
		v.digests[r] = append(v.digests[r], d)
		last = d
	}
	return w.link(layout.TagLink, name, "latest", last)
}

// image pushes an image and returns its digest. What it has of its own follows from
// the name.
func (v *Volume) image(ctx context.Context, w *writer, repository, name string, base []ocispec.Descriptor, size Range) (digest.Digest, error) {
	count := int(v.Profile.Own.at(v.fraction(name + " count")))
	own, err := v.layers(ctx, w, name, count, size)
	if err != nil {
		return "", err
	}
	layers := slices.Concat(base, own)
	config, err := w.config(name, layers)
	if err != nil {
		return "", err
	}
	for _, d := range append(own, config) {
		if err := w.link(layout.LayerLink, repository, "", d.Digest); err != nil {
			return "", err
		}
	}
	return w.manifest(repository, config, layers)
}

func (v *Volume) layers(ctx context.Context, w *writer, name string, count int, size Range) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	for i := range count {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		layer := fmt.Sprintf("%s layer %d", name, i)
		d, err := w.noise(v.source(layer), size.logarithmic(v.fraction(layer+" size")))
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}
