package tree

import (
	"context"
	"time"
)

// Trier is a tree that can be tried out before a registry is given to it.
type Trier interface {
	Tree

	// Trials does what a registry will do with the tree, and what a copy to it will, and
	// tells OnTrial how each went, as soon as it is known. All that it makes is in a folder
	// of its own, .lighterage/trial-<random>/, and is removed again, also when ctx ends;
	// what earlier trials that were killed have left there goes too. Nothing else is
	// changed. The error is that ctx has ended: nothing that fails in the tree is one.
	Trials(ctx context.Context, o TrialOptions) (Rates, error)
}

// TrialOptions say what is tried out.
type TrialOptions struct {
	OnTrial func(Trial) // called one at a time
	// Rates are measured too, which takes some seconds and up to 64 MiB.
	Rates bool
	// NeedBytes and NeedObjects are what is to be stored; 0 is not known.
	NeedBytes, NeedObjects int64
	// LeftOver is how long ago the last object of other trials was made that are taken for
	// killed; 0: 10 minutes.
	LeftOver time.Duration
	// Patience is how long it is waited for a refusal that comes before a large request has
	// been sent; 0: a second.
	Patience time.Duration
	// MostListed is how many objects that are there already are looked at; 0: 50,000.
	MostListed int
}

// Rates are how fast a tree was seen to be; 0 is not known.
type Rates struct {
	Latency   time.Duration // of storing one small object, with the usual number under way
	Requests  float64       // small objects that are stored a second
	Bandwidth float64       // bytes that are stored a second, all requests together
}

// TrialKind is what is tried out.
type TrialKind string

// What is tried out in a store.
const (
	TrialReach       TrialKind = "reachable"
	TrialCertificate TrialKind = "certificate"
	TrialClock       TrialKind = "clock"
	TrialCredentials TrialKind = "credentials"
	TrialRegion      TrialKind = "region" // Value: the region to use
	TrialBucket      TrialKind = "bucket"
	TrialList        TrialKind = "list"
	TrialAddressing  TrialKind = "addressing" // Value: path, host or both
	TrialVersioning  TrialKind = "versioning" // Value: Enabled, Suspended or ""
	TrialLock        TrialKind = "object lock"
	TrialLifecycle   TrialKind = "lifecycle"
	TrialContent     TrialKind = "content" // Value: empty, copy or registry
	TrialMarkers     TrialKind = "folder markers"
	TrialStrangers   TrialKind = "strangers"
	TrialPut         TrialKind = "put"
	TrialACL         TrialKind = "acl"
	TrialClass       TrialKind = "storage class"
	TrialEncryption  TrialKind = "encryption"
	TrialGet         TrialKind = "get"
	TrialRange       TrialKind = "range read"
	TrialHead        TrialKind = "head"
	TrialOverwrite   TrialKind = "overwrite"
	TrialPayload     TrialKind = "payload hash"
	TrialChecksums   TrialKind = "checksums"
	TrialCreateOnly  TrialKind = "create only"
	TrialMultipart   TrialKind = "multipart upload"
	TrialListParts   TrialKind = "list parts"
	TrialListUploads TrialKind = "list uploads"
	TrialUneven      TrialKind = "uneven parts"
	TrialCopyParts   TrialKind = "copy in parts"
	TrialCopy        TrialKind = "copy"
	TrialAbort       TrialKind = "abort upload"
	TrialSize        TrialKind = "request size"
	TrialRedirect    TrialKind = "redirect" // Value: the host that clients are sent to
	TrialDeleteMany  TrialKind = "delete many"
	TrialDeleteOne   TrialKind = "delete one"
)

// What is tried out in a directory, beside TrialContent, TrialStrangers and the two below.
const (
	TrialFolder TrialKind = "folder"
	TrialWrite  TrialKind = "write"
	TrialOwner  TrialKind = "owner"
	TrialSpace  TrialKind = "free space" // Value: bytes
	TrialNames  TrialKind = "upper and lower case"
	TrialMounts TrialKind = "file system"
)

// What is done in both.
const (
	TrialRates TrialKind = "rates"
	TrialClean TrialKind = "clean-up"
)

// TrialResult is how a trial went.
type TrialResult uint8

// The results of trials.
const (
	TrialWorks   TrialResult = iota
	TrialDiffers             // it works, and not as it should, or not for everybody
	TrialFails
	TrialUnknown // it cannot be seen with these credentials
	TrialSkipped // what it needs does not work
)

// TrialReason tells causes of one kind apart that want different remedies; "" is the
// usual one.
type TrialReason string

// Reasons of trials that did not work as they should.
const (
	ReasonName        TrialReason = "name"        // reachable: the host's name is not known
	ReasonPlain       TrialReason = "plain"       // reachable: http is spoken where https was expected
	ReasonTLS         TrialReason = "tls"         // reachable: https is spoken where http was expected
	ReasonForeign     TrialReason = "no S3"       // reachable: what answers is no S3 store
	ReasonAuthority   TrialReason = "authority"   // certificate: of an authority that is not trusted
	ReasonHost        TrialReason = "host"        // certificate: for another name
	ReasonExpired     TrialReason = "expired"     // certificate: not valid any more, or not yet
	ReasonExpires     TrialReason = "expires"     // certificate: soon
	ReasonUnverified  TrialReason = "unverified"  // certificate: not looked at, as was asked
	ReasonOwn         TrialReason = "own"         // certificate: of an authority that is given and no system trusts
	ReasonKey         TrialReason = "key"         // credentials: the access key is not known
	ReasonToken       TrialReason = "token"       // credentials: the session token is wrong or has expired
	ReasonSignature   TrialReason = "signature"   // credentials: the secret key is wrong
	ReasonVersion     TrialReason = "version"     // credentials: signatures of version 4 are not known
	ReasonMissing     TrialReason = "missing"     // bucket, folder: not there
	ReasonElsewhere   TrialReason = "elsewhere"   // bucket: behind another endpoint
	ReasonRetention   TrialReason = "retention"   // object lock: objects cannot be deleted for some time
	ReasonLocked      TrialReason = "locked"      // object lock: on, without retention
	ReasonExpiration  TrialReason = "expiration"  // lifecycle: objects are deleted after some time
	ReasonTransition  TrialReason = "transition"  // lifecycle: objects go to another class
	ReasonForbidden   TrialReason = "forbidden"   // head: 403 for what is not there
	ReasonRefused     TrialReason = "refused"     // uneven parts, request size
	ReasonBytes       TrialReason = "bytes"       // what was read is not what was written
	ReasonStale       TrialReason = "stale"       // overwrite: the old content was read
	ReasonFull        TrialReason = "full"        // free space: not enough for what is to come
	ReasonScarce      TrialReason = "scarce"      // free space: little
	ReasonUnsupported TrialReason = "not known"   // the store does not know the request
	ReasonLeft        TrialReason = "left"        // clean-up: something is left
	ReasonKMS         TrialReason = "key service" // encryption: with a key
	ReasonIgnored     TrialReason = "ignored"     // create only: the store overwrites
	ReasonUnreachable TrialReason = "unreachable" // redirect: not from here
)

// Trial is one thing that was tried out.
type Trial struct {
	Kind   TrialKind
	Result TrialResult
	Reason TrialReason
	// Found is what was seen, in one line.
	Found string
	// Form is Found with {} in the place of each of Values, for who says it in another
	// language; "" where it is the text of an error.
	Form   string
	Values []string
	// Permission is what the credentials lack, as policies name it: "s3:PutObject".
	Permission string
	// Value is a fact for programs, see the kinds.
	Value string
	// Needs is what does not work and should, of a trial that was skipped.
	Needs TrialKind
	// Err is the failure, if one was met.
	Err error
}

// trialFolder is where trials make what they make.
const trialFolder = ownFolder + "trial-"

// ownFolder is where Lighterage keeps what is its own, beside the registry's folder.
const ownFolder = ".lighterage/"

func (o TrialOptions) withDefaults() TrialOptions {
	if o.OnTrial == nil {
		o.OnTrial = func(Trial) {}
	}
	if o.LeftOver == 0 {
		o.LeftOver = 10 * time.Minute
	}
	if o.Patience == 0 {
		o.Patience = time.Second
	}
	if o.MostListed == 0 {
		o.MostListed = 50_000
	}
	return o
}

// OpenForTrials opens the tree at a location to try it out, and for nothing else: it
// asks the store nothing, so that a store that does not answer, or has no such bucket,
// can be told of. A folder that is not there is not made.
func OpenForTrials(ctx context.Context, l Location) (Opened, error) {
	if !l.IsS3() {
		return openDirectoryForTrials(l.Path, l.Directory)
	}
	c := l.S3
	if c.Region == "" {
		c.Region = defaultRegion
	}
	s, err := OpenS3(ctx, c)
	if err != nil {
		return nil, err
	}
	s.config.Region = l.S3.Region // "": the trials find it out
	return s, nil
}
