package tree

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
)

// s3Batch is how many objects one request can delete.
const s3Batch = 1000

// Remove implements Tree. It also takes names that end with a slash: the markers of
// folders that List shows.
func (s *S3) Remove(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := checkName(strings.TrimSuffix(name, "/")); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(names, s3Batch) {
		if ctx.Err() != nil {
			return s.failed("remove", batch[0], context.Cause(ctx))
		}
		left, err := s.removeMany(ctx, batch)
		if err != nil {
			return err
		}
		for _, name := range left {
			if err := s.removeOne(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeMany deletes objects with one request and returns those that the store has
// not confirmed.
func (s *S3) removeMany(ctx context.Context, names []string) (left []string, err error) {
	if len(names) == 1 || s.oneByOne.Load() {
		return names, nil
	}
	var removed map[string]bool
	err = s.try(ctx, "remove", fmt.Sprintf("%s and %d others", names[0], len(names)-1), func(ctx context.Context, _ *s3Call) error {
		removed = make(map[string]bool, len(names))
		results, err := s.core.RemoveObjectsWithIter(ctx, s.config.Bucket, func(yield func(minio.ObjectInfo) bool) {
			for _, name := range names {
				if !yield(minio.ObjectInfo{Key: s.key(name)}) {
					return
				}
			}
		}, minio.RemoveObjectsOptions{})
		if err != nil {
			return err
		}
		for result := range results {
			switch {
			case result.Err == nil:
				removed[result.ObjectName] = true
			case minio.ToErrorResponse(result.Err).StatusCode != 0, result.ObjectName == "", !isErr[minio.ErrorResponse](result.Err):
				return result.Err // of the request, and not of one object
			}
		}
		return nil
	})
	if notKnown(err) {
		s.oneByOne.Store(true)
		return names, nil
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return removed[s.key(name)] }), err
}

// notKnown reports whether err means that the store cannot delete many objects at
// once, or not in the way it was asked to.
func notKnown(err error) bool {
	e, ok := errors.AsType[*s3Error](err)
	return ok && (e.status == http.StatusNotImplemented || e.status == http.StatusMethodNotAllowed || e.status == http.StatusBadRequest)
}

func (s *S3) removeOne(ctx context.Context, name string) error {
	err := s.try(ctx, "remove", name, func(ctx context.Context, _ *s3Call) error {
		return s.core.RemoveObject(ctx, s.config.Bucket, s.key(name), minio.RemoveObjectOptions{})
	})
	if IsNotExist(err) {
		return nil
	}
	return err
}
