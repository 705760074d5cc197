package tree

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/semaphore"
)

// s3Trial is one run of trials.
type s3Trial struct {
	s        *S3
	v        *S3 // the store as it was found to want to be used: its region, without headers that it refuses
	creds    *credentials.Credentials
	endpoint *url.URL
	o        TrialOptions
	folder   string // the name of the trials' own folder, with a slash at the end
	block    []byte // what content is made of

	ctx     context.Context
	results map[TrialKind]TrialResult
	causes  map[TrialKind]TrialKind // what kept a trial from being made
	skew    time.Duration           // of this machine's clock against the store's
	mu      sync.Mutex
	made    []string // names of objects that may be there, the first being the last to go
	uploads []*s3TrialUpload
	rates   Rates
	denied  bool // the first listing was not permitted
}

// s3Step tries out a few things that belong together.
type s3Step struct {
	kinds []TrialKind
	needs []TrialKind
	try   func(t *s3Trial, ctx context.Context)
}

// s3Steps are in their order. What a step does not tell of was prevented by
// the first thing in it that failed.
var s3Steps = []s3Step{
	{[]TrialKind{TrialReach, TrialCertificate, TrialClock, TrialCredentials, TrialRegion, TrialBucket, TrialList}, nil, (*s3Trial).connect},
	{[]TrialKind{TrialAddressing}, []TrialKind{TrialBucket}, (*s3Trial).addressing},
	{[]TrialKind{TrialVersioning}, []TrialKind{TrialBucket}, (*s3Trial).versioning},
	{[]TrialKind{TrialLock}, []TrialKind{TrialBucket}, (*s3Trial).lock},
	{[]TrialKind{TrialLifecycle}, []TrialKind{TrialBucket}, (*s3Trial).lifecycle},
	{[]TrialKind{TrialContent, TrialMarkers, TrialStrangers}, []TrialKind{TrialBucket, TrialList}, (*s3Trial).content},
	{[]TrialKind{TrialPut, TrialACL, TrialClass, TrialEncryption}, []TrialKind{TrialBucket, TrialLock}, (*s3Trial).put},
	{[]TrialKind{TrialGet, TrialRange}, []TrialKind{TrialPut}, (*s3Trial).get},
	{[]TrialKind{TrialHead}, []TrialKind{TrialBucket}, (*s3Trial).look},
	{[]TrialKind{TrialOverwrite}, []TrialKind{TrialPut, TrialGet}, (*s3Trial).overwrite},
	{[]TrialKind{TrialPayload}, []TrialKind{TrialPut}, (*s3Trial).payload},
	{[]TrialKind{TrialChecksums}, []TrialKind{TrialPut}, (*s3Trial).checksums},
	{[]TrialKind{TrialCreateOnly}, []TrialKind{TrialPut}, (*s3Trial).createOnly},
	{[]TrialKind{TrialMultipart, TrialListParts, TrialListUploads}, []TrialKind{TrialBucket, TrialLock}, (*s3Trial).multipart},
	{[]TrialKind{TrialUneven}, []TrialKind{TrialMultipart}, (*s3Trial).uneven},
	{[]TrialKind{TrialCopyParts}, []TrialKind{TrialMultipart}, (*s3Trial).copyParts},
	{[]TrialKind{TrialCopy}, []TrialKind{TrialPut}, (*s3Trial).copy},
	{[]TrialKind{TrialAbort}, []TrialKind{TrialBucket, TrialLock}, (*s3Trial).abort},
	{[]TrialKind{TrialSize}, []TrialKind{TrialPut}, (*s3Trial).requestSize},
	{[]TrialKind{TrialRedirect}, []TrialKind{TrialPut}, (*s3Trial).redirect},
	{[]TrialKind{TrialDeleteMany}, []TrialKind{TrialPut, TrialList}, (*s3Trial).deleteMany},
	{[]TrialKind{TrialDeleteOne}, []TrialKind{TrialPut}, (*s3Trial).deleteOne},
	{[]TrialKind{TrialRates}, []TrialKind{TrialPut}, (*s3Trial).measure},
}

// Trials implements Trier. The requests are those of the registry's S3 driver, of
// release 2.8 as Harbor has it and of release 3. Source: distribution,
// registry/storage/driver/s3-aws/s3.go.
func (s *S3) Trials(ctx context.Context, o TrialOptions) (Rates, error) {
	t, err := s.newTrial(o.withDefaults())
	if err != nil {
		return Rates{}, err
	}
	t.ctx = ctx
	for _, step := range s3Steps {
		if ctx.Err() != nil {
			break
		}
		t.step(ctx, step)
	}
	t.clean(ctx)
	if ctx.Err() != nil {
		return Rates{}, context.Cause(ctx)
	}
	return t.rates, nil
}

func (s *S3) newTrial(o TrialOptions) (*s3Trial, error) {
	value, err := s.core.GetCreds()
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", s, err)
	}
	t := &s3Trial{
		s: s, o: o, results: map[TrialKind]TrialResult{}, causes: map[TrialKind]TrialKind{}, endpoint: s.core.EndpointURL(),
		creds:  credentials.NewStaticV4(value.AccessKeyID, value.SecretAccessKey, value.SessionToken),
		folder: trialFolder + rand.Text() + "/",
		block:  make([]byte, mebibyte+13), // of no size that parts have
	}
	_, _ = rand.Read(t.block) // never fails
	t.v = t.view(s.config)
	t.v.core = s.core
	return t, nil
}

// view is the store used in another way. It has no client of its own yet.
func (t *s3Trial) view(c S3Config) *S3 {
	return &S3{config: c, prefix: t.s.prefix, transport: t.s.transport, memory: semaphore.NewWeighted(c.Memory)}
}

// client makes a client for a region, or one that finds it out if it is "".
func (t *s3Trial) client(region string, style PathStyle) (*minio.Core, error) {
	c := t.s.config
	c.PathStyle = style
	return t.view(c).client(t.endpoint, t.creds, region)
}

// step tries something out unless what it needs does not work.
func (t *s3Trial) step(ctx context.Context, step s3Step) {
	cause := TrialKind("")
	if at := slices.IndexFunc(step.needs, t.isBroken); at >= 0 {
		cause = cmp.Or(t.causes[step.needs[at]], step.needs[at])
	} else {
		step.try(t, ctx)
	}
	for _, kind := range step.kinds {
		if cause == "" && t.results[kind] == TrialFails {
			cause = kind
		}
	}
	for _, kind := range step.kinds {
		if _, told := t.results[kind]; !told && cause != "" {
			t.tell(Trial{Kind: kind, Result: TrialSkipped, Needs: cause}.saying("not tried"))
		}
	}
}

func (t *s3Trial) isBroken(kind TrialKind) bool {
	result, told := t.results[kind]
	return told && (result == TrialFails || result == TrialSkipped)
}

// tell reports a trial. What fails when the context ends says nothing of the store.
func (t *s3Trial) tell(trial Trial) {
	if t.ctx.Err() != nil && trial.Kind != TrialClean {
		return
	}
	t.results[trial.Kind] = trial.Result
	if trial.Needs != "" {
		t.causes[trial.Kind] = trial.Needs
	}
	trial.Found = oneLine(trial.Found)
	t.o.OnTrial(trial)
}

func (t *s3Trial) works(kind TrialKind, format string, args ...any) {
	t.tell(Trial{Kind: kind}.saying(format, args...))
}

// fails reports a failure in the store's words, and the permission that it is about.
func (t *s3Trial) fails(kind TrialKind, err error) { t.failsFor(kind, "", err) }

func (t *s3Trial) failsFor(kind TrialKind, reason TrialReason, err error) {
	trial := Trial{Kind: kind, Result: TrialFails, Reason: reason}.failing(err)
	if denied, ok := errors.AsType[*deniedError](err); ok {
		trial.Permission = denied.permission
	} else if reason == "" && isUnsupported(err) {
		trial.Reason = ReasonUnsupported
	}
	t.tell(trial)
}

func (t *s3Trial) differs(kind TrialKind, reason TrialReason, format string, args ...any) {
	t.tell(Trial{Kind: kind, Result: TrialDiffers, Reason: reason}.saying(format, args...))
}

// unknown reports what these credentials may not see, or what went wrong on the way.
func (t *s3Trial) unknown(kind TrialKind, err error) {
	trial := Trial{Kind: kind, Result: TrialUnknown}.failing(err)
	if denied, ok := errors.AsType[*deniedError](err); ok {
		trial.Permission = denied.permission
	}
	t.tell(trial)
}

// deniedError is that credentials lack a permission.
type deniedError struct {
	permission string
	err        error
}

func (e *deniedError) Error() string {
	return "the credentials lack " + e.permission + ": " + e.err.Error()
}
func (e *deniedError) Unwrap() error { return e.err }

// isUnsupported reports whether err means that a store does not know a request.
func isUnsupported(err error) bool {
	e, ok := errors.AsType[*s3Error](err)
	return ok && (e.status == http.StatusNotImplemented || e.status == http.StatusMethodNotAllowed)
}

func isDenied(err error) bool { return isErr[*deniedError](err) }

// refusesAll reports whether a 403 is not about one permission: the credentials are
// wrong, or nothing is permitted to anybody.
func refusesAll(e *s3Error) bool {
	_, final := s3Final[e.code]
	return final || e.code == "RequestTimeTooSkewed"
}

const (
	trialAttempts     = 4
	trialBusyAttempts = 8
	trialUnreachable  = 2 // attempts at a connection
	trialPatience     = time.Minute
)

// do makes a request that takes a permission. What may pass is tried a few times,
// less often than in real work: somebody waits for the answer.
func (t *s3Trial) do(ctx context.Context, permission string, request func(ctx context.Context, call *s3Call) error) error {
	for attempt := 1; ; attempt++ {
		call := &s3Call{}
		err := request(context.WithValue(ctx, s3CallKey{}, call), call)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		v := t.v.judge(call, err)
		if isDenied(v.err) {
			return v.err // of a request inside
		}
		if e, ok := errors.AsType[*s3Error](v.err); ok && (e.status == http.StatusForbidden || e.code == minio.AccessDenied) && !refusesAll(e) {
			plain := &s3Error{code: e.code, message: e.message, status: e.status}
			return &deniedError{permission, plain}
		}
		most := trialAttempts
		switch {
		case v.busy:
			most = trialBusyAttempts
		case isUnreachable(v.err):
			most = trialUnreachable
		}
		if !v.again || v.after > trialPatience || attempt >= most {
			return v.err
		}
		if err := t.v.wait(ctx, max(v.after, t.v.backoff(attempt))); err != nil {
			return err
		}
	}
}

// name is that of an object in the trials' folder, which is removed at the end.
func (t *s3Trial) name(base string) string {
	name := t.folder + base
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.made, name) {
		t.made = append(t.made, name)
	}
	return name
}

// bytes are part of the content of large objects.
func (t *s3Trial) bytes(offset, size int) []byte {
	b := make([]byte, size)
	for n := 0; n < size; {
		n += copy(b[n:], t.block[(offset+n)%len(t.block):])
	}
	return b
}

// Config tells how the store is used, without credentials. Region is "" if it was not
// given and not asked for.
func (s *S3) Config() S3Config {
	c := s.config
	c.AccessKey, c.SecretKey, c.SessionToken = "", "", ""
	c.RootDirectory = strings.TrimSuffix(s.prefix, "/")
	return c
}

var _ Trier = (*S3)(nil)
