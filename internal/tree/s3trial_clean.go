package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// measure tells how fast the store is.
func (t *s3Trial) measure(ctx context.Context) {
	if !t.o.Rates {
		t.tell(Trial{Kind: TrialRates, Result: TrialSkipped}.saying("not asked for"))
		return
	}
	sums := map[int]string{}
	for _, size := range []int{rateSmall, rateLarge} {
		sum := sha256.Sum256(t.bytes(0, size))
		sums[size] = hex.EncodeToString(sum[:])
	}
	rates, err := measure(ctx, func(ctx context.Context, base string, size int) error {
		name := t.name(base)
		content := t.bytes(0, size)
		return t.do(ctx, "s3:PutObject", func(ctx context.Context, call *s3Call) error {
			call.open = opens(content)
			_, err := t.v.send(ctx, name, int64(size), "", sums[size], "")
			return err
		})
	})
	if err != nil {
		t.unknown(TrialRates, err)
		return
	}
	t.rates = rates
	t.works(TrialRates, "%.0f small objects and %.1f MiB a second", rates.Requests, rates.Bandwidth/mebibyte)
}

// clean removes all that the trials have made, also after ctx has ended.
func (t *s3Trial) clean(ctx context.Context) {
	if len(t.made) == 0 && len(t.uploads) == 0 {
		return
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	left, err := t.endUploads(ctx)
	objects, failed := t.cleanFolder(ctx, t.folder, t.made)
	if left = append(left, objects...); failed != nil {
		err = failed
	}
	switch {
	case len(left) > 0:
		trial := Trial{Kind: TrialClean, Result: TrialFails, Reason: ReasonLeft, Err: err}
		trial = trial.saying("left behind: %s", t.v.key(left[0]))
		if len(left) > 1 {
			trial = trial.saying("left behind: %s and %d others below %s", t.v.key(left[0]), len(left)-1, t.v.key(t.folder))
		}
		if err != nil {
			trial.Found, trial.Form = trial.Found+": "+err.Error(), ""
		}
		if denied, ok := errors.AsType[*deniedError](err); ok {
			trial.Permission = denied.permission
		}
		t.tell(trial)
	case t.versioned():
		t.cleanVersions(ctx)
	default:
		t.works(TrialClean, "nothing is left behind")
	}
}

func (t *s3Trial) versioned() bool {
	result, told := t.results[TrialVersioning]
	return told && result != TrialWorks || t.results[TrialLock] == TrialDiffers
}

// endUploads gives up the uploads that go on. Whoever may not do that may still end one
// and delete the object that it makes.
func (t *s3Trial) endUploads(ctx context.Context) (left []string, err error) {
	for _, u := range slices.Clone(t.uploads) {
		failed := u.abort(ctx)
		if failed != nil && len(u.parts) > 0 && u.complete(ctx) == nil {
			failed = nil
		}
		if failed != nil {
			left, err = append(left, u.name), failed
		}
	}
	return left, err
}

// cleanFolder removes objects, the first one last: by it the folder is found again. It
// returns what is still there, as far as that can be seen.
func (t *s3Trial) cleanFolder(ctx context.Context, folder string, names []string) (left []string, err error) {
	for range 2 {
		if len(names) == 0 {
			return nil, nil
		}
		if err = t.remove(ctx, names[1:]); err == nil {
			err = t.remove(ctx, names[:1])
		}
		if ctx.Err() != nil {
			return names, err
		}
		there, listing := t.below(ctx, folder)
		switch {
		case listing != nil && err != nil:
			return names, err
		case listing != nil:
			return nil, nil
		}
		// A request that was given up may have made its object after all.
		names = there
		if err != nil {
			return names, err
		}
	}
	return names, err
}

// remove deletes objects together or, where that cannot be done, one by one.
func (t *s3Trial) remove(ctx context.Context, names []string) error {
	if len(names) == 0 || t.deleteTogether(ctx, names) == nil {
		return nil
	}
	for _, name := range names {
		if err := t.deleteAlone(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// cleanVersions removes old versions and the markers of deleted objects, where objects
// have versions.
func (t *s3Trial) cleanVersions(ctx context.Context) {
	removed := 0
	err := t.do(ctx, "s3:ListBucketVersions", func(ctx context.Context, _ *s3Call) error {
		for found := range t.v.core.ListObjectsIter(ctx, t.v.config.Bucket, minio.ListObjectsOptions{
			Prefix: t.v.key(t.folder), Recursive: true, WithVersions: true,
		}) {
			if found.Err != nil {
				return found.Err
			}
			if found.VersionID == "" {
				continue
			}
			err := t.do(ctx, "s3:DeleteObjectVersion", func(ctx context.Context, _ *s3Call) error {
				return t.v.core.RemoveObject(ctx, t.v.config.Bucket, found.Key, minio.RemoveObjectOptions{VersionID: found.VersionID})
			})
			if err != nil {
				return &finalError{err}
			}
			removed++
		}
		return ctx.Err()
	})
	switch {
	case err == nil || lacksSetting(err):
		t.works(TrialClean, "nothing is left behind, also no old versions")
	default:
		trial := Trial{Kind: TrialClean, Result: TrialDiffers, Reason: ReasonLeft, Err: err}.saying(
			"all objects are deleted, and old versions of them are left below %s: %v", t.v.key(t.folder), err)
		if denied, ok := errors.AsType[*deniedError](err); ok {
			trial.Permission = denied.permission
		}
		t.tell(trial)
	}
}

// removeLeftOvers removes what trials have left that were killed. It says nothing of
// what it may not see or remove: its own trials tell that.
func (t *s3Trial) removeLeftOvers(ctx context.Context) {
	type folder struct {
		names  []string
		newest time.Time
	}
	folders := map[string]*folder{}
	listed := t.list(ctx, minio.ListObjectsOptions{Prefix: t.v.key(trialFolder), Recursive: true}, func(found minio.ObjectInfo) bool {
		name := strings.TrimPrefix(found.Key, t.v.prefix)
		own, base, _ := strings.Cut(strings.TrimPrefix(name, ownFolder), "/")
		if base == "" {
			return true
		}
		own = ownFolder + own + "/"
		f := folders[own]
		if f == nil {
			f = &folder{}
			folders[own] = f
		}
		f.names = append(f.names, name)
		if found.LastModified.After(f.newest) {
			f.newest = found.LastModified
		}
		return true
	})
	if listed != nil {
		return
	}
	now := time.Now().Add(-t.skew)
	for own, f := range folders {
		if now.Sub(f.newest) < t.o.LeftOver {
			continue // somebody may be at it
		}
		for _, base := range trialUploads {
			ids, _ := t.findUploads(ctx, own+base)
			for _, id := range ids {
				_ = (&s3TrialUpload{t: t, name: own + base, id: id}).abort(ctx)
			}
		}
		_, _ = t.cleanFolder(ctx, own, f.names)
	}
}
