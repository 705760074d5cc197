package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/layout"
)

// tree is the storage, seen as repositories with revisions and tags. Reads go to
// the files themselves: a manifest that the library cannot read must still be
// seen and deleted.
type tree struct {
	driver    driver.StorageDriver
	namespace distribution.Namespace
}

// rooted is a path of the layout, of a file or of a folder, as storage drivers want it.
func rooted(path string) string { return "/" + strings.TrimSuffix(path, "/") }

func revisionLink(repository string, d digest.Digest) string {
	return digestLink(layout.RevisionLink, repository, d)
}

func layerLink(repository string, d digest.Digest) string {
	return digestLink(layout.LayerLink, repository, d)
}

func digestLink(kind layout.Kind, repository string, d digest.Digest) string {
	return rooted(layout.File{Kind: kind, Repository: repository, Algorithm: d.Algorithm().String(), Hex: d.Encoded()}.Path())
}

func tagLink(repository, tag string) string {
	return rooted(layout.File{Kind: layout.TagLink, Repository: repository, Tag: tag}.Path())
}

func blobData(d digest.Digest) string {
	return rooted(layout.BlobPath(d.Algorithm().String(), d.Encoded()))
}

func isPathNotFound(err error) bool {
	_, ok := errors.AsType[driver.PathNotFoundError](err)
	return ok
}

// readLink returns the digest in a link file, "" when there is no such file or it
// holds no digest (an unfinished write of a registry that is older than ours).
func (t *tree) readLink(ctx context.Context, file string) (digest.Digest, error) {
	text, err := t.driver.GetContent(ctx, file)
	if isPathNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read link %s: %w", file, err)
	}
	d, err := digest.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return "", nil
	}
	return d, nil
}

// ResolveTag implements home.Storage.
func (t *tree) ResolveTag(ctx context.Context, repository, tag string) (digest.Digest, error) {
	return t.readLink(ctx, tagLink(repository, tag))
}

// HasManifest implements home.Storage.
func (t *tree) HasManifest(ctx context.Context, repository string, d digest.Digest) (bool, error) {
	target, err := t.readLink(ctx, revisionLink(repository, d))
	if err != nil || target == "" {
		return false, err
	}
	_, err = t.driver.Stat(ctx, blobData(target))
	if isPathNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for manifest %s@%s: %w", repository, d, err)
	}
	return true, nil
}

// manifest returns the content of a manifest; nil when it is not there.
func (t *tree) manifest(ctx context.Context, repository string, d digest.Digest) ([]byte, error) {
	target, err := t.readLink(ctx, revisionLink(repository, d))
	if err != nil || target == "" {
		return nil, err
	}
	return t.readBlob(ctx, target, maxManifestSize)
}

// blob returns the content of a blob of at most limit bytes; nil when it is not
// there or longer.
func (t *tree) blob(ctx context.Context, repository string, d digest.Digest, limit int64) ([]byte, error) {
	target, err := t.readLink(ctx, layerLink(repository, d))
	if err != nil || target == "" {
		return nil, err
	}
	return t.readBlob(ctx, target, limit)
}

func (t *tree) readBlob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	reader, err := t.driver.Reader(ctx, blobData(d), 0)
	if isPathNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	defer func() { _ = reader.Close() }()
	content, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	if int64(len(content)) > limit {
		return nil, nil
	}
	if content == nil {
		content = []byte{}
	}
	return content, nil
}

// linkBlob makes a blob of another repository known in this one, under the digest
// that is asked for and under the one that it is stored under.
func (t *tree) linkBlob(ctx context.Context, repository string, d digest.Digest, from string) error {
	target, err := t.readLink(ctx, layerLink(from, d))
	if err != nil {
		return err
	}
	links := []digest.Digest{target}
	if d != target {
		links = append(links, d)
	}
	for _, link := range links {
		if err := t.driver.PutContent(ctx, layerLink(repository, link), []byte(target)); err != nil {
			return fmt.Errorf("mount blob %s from %s: %w", d, from, err)
		}
	}
	return nil
}

// repositories calls f for each repository that has manifests.
func (t *tree) repositories(ctx context.Context, f func(name string) error) error {
	enumerator, ok := t.namespace.(distribution.RepositoryEnumerator)
	if !ok {
		return errors.New("the storage cannot list its repositories")
	}
	err := enumerator.Enumerate(ctx, f)
	if isPathNotFound(err) { // nothing was ever pushed
		return nil
	}
	return err
}

// revisions returns the digests of all manifests of a repository.
func (t *tree) revisions(ctx context.Context, repository string) ([]digest.Digest, error) {
	algorithms, err := t.list(ctx, rooted(layout.RevisionsFolder(repository)))
	if err != nil {
		return nil, err
	}
	var digests []digest.Digest
	for _, algorithm := range algorithms {
		encoded, err := t.list(ctx, rooted(layout.RevisionsFolder(repository)+algorithm))
		if err != nil {
			return nil, err
		}
		for _, hex := range encoded {
			d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
			if d.Validate() == nil {
				digests = append(digests, d)
			}
		}
	}
	return digests, nil
}

// tags returns the names of all tags of a repository, some of which may point
// nowhere.
func (t *tree) tags(ctx context.Context, repository string) ([]string, error) {
	names, err := t.list(ctx, rooted(layout.TagsFolder(repository)))
	return slices.DeleteFunc(names, func(name string) bool { return !validTag(name) }), err
}

// list returns the names in a folder, sorted; none when there is no such folder.
func (t *tree) list(ctx context.Context, folder string) ([]string, error) {
	entries, err := t.driver.List(ctx, folder)
	if isPathNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	for i, entry := range entries {
		entries[i] = path.Base(entry)
	}
	slices.Sort(entries)
	return entries, nil
}

// written returns when a file was written, the zero time when it is not there.
func (t *tree) written(ctx context.Context, file string) (time.Time, error) {
	info, err := t.driver.Stat(ctx, file)
	if isPathNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// putTag makes a tag point at a manifest.
func (t *tree) putTag(ctx context.Context, repository, tag string, d digest.Digest) error {
	tags, err := t.tagService(ctx, repository)
	if err != nil {
		return err
	}
	if err := tags.Tag(ctx, tag, ocispec.Descriptor{Digest: d}); err != nil {
		return fmt.Errorf("write tag %s:%s: %w", repository, tag, err)
	}
	return nil
}

// removeTag removes a tag; it is no error when there is none.
func (t *tree) removeTag(ctx context.Context, repository, tag string) error {
	tags, err := t.tagService(ctx, repository)
	if err != nil {
		return err
	}
	if err := tags.Untag(ctx, tag); err != nil && !isPathNotFound(err) {
		return fmt.Errorf("remove tag %s:%s: %w", repository, tag, err)
	}
	return nil
}

func (t *tree) tagService(ctx context.Context, repository string) (distribution.TagService, error) {
	name, err := reference.WithName(repository)
	if err != nil {
		return nil, err
	}
	repo, err := t.namespace.Repository(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", repository, err)
	}
	return repo.Tags(ctx), nil
}

// putManifest stores a manifest. Content is kept under its SHA-256 digest; a
// repository may know it by another one, and the library follows such links.
func (t *tree) putManifest(ctx context.Context, repository string, d digest.Digest, content []byte) error {
	canonical := digest.SHA256.FromBytes(content)
	// Not from a cache: another process may have collected the blob as garbage.
	info, err := t.driver.Stat(ctx, blobData(canonical))
	if err != nil && !isPathNotFound(err) {
		return fmt.Errorf("look for manifest %s@%s: %w", repository, d, err)
	}
	if err != nil || info.Size() != int64(len(content)) {
		if err := t.driver.PutContent(ctx, blobData(canonical), content); err != nil {
			return fmt.Errorf("write manifest %s@%s: %w", repository, d, err)
		}
	}
	if err := t.driver.PutContent(ctx, revisionLink(repository, d), []byte(canonical)); err != nil {
		return fmt.Errorf("link manifest %s@%s: %w", repository, d, err)
	}
	return nil
}

// hasBlob reports whether a repository has a blob.
func (t *tree) hasBlob(ctx context.Context, repository string, d digest.Digest) (bool, error) {
	target, err := t.readLink(ctx, layerLink(repository, d))
	if err != nil || target == "" {
		return false, err
	}
	_, err = t.driver.Stat(ctx, blobData(target))
	if isPathNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for blob %s@%s: %w", repository, d, err)
	}
	return true, nil
}

// removeManifest removes a manifest from a repository; it is no error when there
// is none. The blob stays.
func (t *tree) removeManifest(ctx context.Context, repository string, d digest.Digest) error {
	if err := t.driver.Delete(ctx, revisionLink(repository, d)); err != nil && !isPathNotFound(err) {
		return fmt.Errorf("remove manifest %s@%s: %w", repository, d, err)
	}
	return nil
}

// removeRepository removes what belongs to a repository, and not the repositories
// whose names begin with its name.
func (t *tree) removeRepository(ctx context.Context, repository string) error {
	if err := storage.NewVacuum(ctx, t.driver).RemoveRepository(repository); err != nil {
		return fmt.Errorf("remove repository %s: %w", repository, err)
	}
	return nil
}
