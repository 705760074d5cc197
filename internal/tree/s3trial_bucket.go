package tree

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/lighterage/lighterage/internal/layout"
)

// versioning tells whether what is deleted or overwritten stays as an old version.
func (t *s3Trial) versioning(ctx context.Context) {
	var c minio.BucketVersioningConfiguration
	err := t.do(ctx, "s3:GetBucketVersioning", func(ctx context.Context, _ *s3Call) error {
		var err error
		c, err = t.v.core.GetBucketVersioning(ctx, t.v.config.Bucket)
		return err
	})
	switch {
	case lacksSetting(err), err == nil && c.Status == "":
		t.works(TrialVersioning, "off")
	case err != nil:
		t.unknown(TrialVersioning, err)
	case c.Status == minio.Enabled:
		t.tell(Trial{Kind: TrialVersioning, Result: TrialDiffers, Value: c.Status}.saying("on"))
	default:
		t.tell(Trial{Kind: TrialVersioning, Value: c.Status}.saying("%s", strings.ToLower(c.Status)))
	}
}

// lacksSetting reports whether a store does not know a setting, or has not got it.
func lacksSetting(err error) bool {
	e, ok := errors.AsType[*s3Error](err)
	return ok && !isDenied(err) && (notKnown(err) || e.status == http.StatusNotFound && e.code != "NoSuchBucket")
}

// lock tells whether objects are kept from being deleted for some time.
func (t *s3Trial) lock(ctx context.Context) {
	var (
		state    string
		mode     *minio.RetentionMode
		validity *uint
		unit     *minio.ValidityUnit
	)
	err := t.do(ctx, "s3:GetBucketObjectLockConfiguration", func(ctx context.Context, _ *s3Call) error {
		var err error
		state, mode, validity, unit, err = t.v.core.GetObjectLockConfig(ctx, t.v.config.Bucket)
		return err
	})
	switch {
	case lacksSetting(err), err == nil && state == "":
		t.works(TrialLock, "off")
	case err != nil:
		t.unknown(TrialLock, err)
	case mode != nil && validity != nil && unit != nil:
		t.failsFor(TrialLock, ReasonRetention, finding("what is stored cannot be deleted for %d %s (%s)", *validity, strings.ToLower(string(*unit)), *mode))
	default:
		t.differs(TrialLock, ReasonLocked, "on, without a retention for everything")
	}
}

// lifecycle tells of rules by which the store itself deletes or moves objects.
func (t *s3Trial) lifecycle(ctx context.Context) {
	var c *lifecycle.Configuration
	err := t.do(ctx, "s3:GetLifecycleConfiguration", func(ctx context.Context, _ *s3Call) error {
		var err error
		c, err = t.v.core.GetBucketLifecycle(ctx, t.v.config.Bucket)
		return err
	})
	if lacksSetting(err) || err == nil && c == nil {
		t.works(TrialLifecycle, "no rules")
		return
	}
	if err != nil {
		t.unknown(TrialLifecycle, err)
		return
	}
	var moved, class string
	for _, rule := range c.Rules {
		if rule.Status != "Enabled" || !t.concerns(rulePrefix(rule)) {
			continue
		}
		if rule.Expiration.Days > 0 || !rule.Expiration.Date.IsZero() {
			deletes := finding("rule %q deletes objects after %d days", rule.ID, rule.Expiration.Days)
			if rule.Expiration.Days == 0 {
				deletes = finding("rule %q deletes objects on %s", rule.ID, rule.Expiration.Date.Format("2006-01-02"))
			}
			t.failsFor(TrialLifecycle, ReasonExpiration, deletes)
			return
		}
		if rule.Transition.StorageClass != "" {
			moved, class = rule.ID, rule.Transition.StorageClass
		}
	}
	if class != "" {
		t.differs(TrialLifecycle, ReasonTransition, "rule %q moves objects to the class %s", moved, class)
		return
	}
	t.works(TrialLifecycle, "no rule deletes or moves what a registry keeps")
}

func rulePrefix(rule lifecycle.Rule) string {
	for _, prefix := range []string{rule.RuleFilter.Prefix, rule.RuleFilter.And.Prefix} {
		if prefix != "" {
			return prefix
		}
	}
	return rule.Prefix
}

// concerns reports whether a rule for keys with a prefix is about keys of the registry.
func (t *s3Trial) concerns(prefix string) bool {
	registry := t.v.key(layout.Root)
	return strings.HasPrefix(registry, prefix) || strings.HasPrefix(prefix, registry)
}

// content tells what is in the place already. It looks into the registry's folder and
// our own, and at the names beside them.
func (t *s3Trial) content(ctx context.Context) {
	var c contentSurvey
	err := t.survey(ctx, &c)
	if err == nil {
		err = t.beside(ctx, &c)
	}
	if err != nil {
		t.unknown(TrialContent, err)
		return
	}
	for _, trial := range c.trials() {
		t.tell(trial)
	}
}

func (t *s3Trial) survey(ctx context.Context, c *contentSurvey) error {
	for _, folder := range surveyFolders {
		n := 0
		err := t.list(ctx, minio.ListObjectsOptions{Prefix: t.v.key(folder), Recursive: true}, func(found minio.ObjectInfo) bool {
			if n++; n > t.o.MostListed {
				c.cut = true
				return false
			}
			c.see(strings.TrimPrefix(found.Key, t.v.prefix))
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// list calls each with what is listed, until it returns false. After a failure it
// begins again behind the last key.
func (t *s3Trial) list(ctx context.Context, o minio.ListObjectsOptions, each func(minio.ObjectInfo) bool) error {
	o.FetchOwner = new(bool)
	return t.do(ctx, "s3:ListBucket", func(ctx context.Context, _ *s3Call) error {
		for found := range t.v.core.ListObjectsIter(ctx, t.v.config.Bucket, o) {
			if found.Err != nil {
				return found.Err
			}
			if o.StartAfter = found.Key; !each(found) {
				return nil
			}
		}
		return ctx.Err()
	})
}

// beside looks at what is directly in the place, the marker of the place itself among
// it, which has no name that could be listed.
func (t *s3Trial) beside(ctx context.Context, c *contentSurvey) error {
	return t.list(ctx, minio.ListObjectsOptions{Prefix: t.v.prefix, MaxKeys: s3Batch}, func(found minio.ObjectInfo) bool {
		name := strings.TrimPrefix(found.Key, t.v.prefix)
		switch {
		case name == "":
			c.marker(found.Key)
		case name != ownFolder && name != "docker/":
			c.besides++
		}
		return c.besides < s3Batch
	})
}
