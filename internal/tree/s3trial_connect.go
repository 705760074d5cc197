package tree

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	certificateSoon = 14 * 24 * time.Hour
	clockTolerance  = time.Minute // S3 takes up to 15
)

// trialNote is what the transport saw of the last answer.
type trialNote struct {
	status int
	header http.Header
	tls    *tls.ConnectionState
}

// noting notes answers that minio-go does not show.
type noting struct {
	base http.RoundTripper
	note *trialNote
}

func (n noting) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := n.base.RoundTrip(r)
	if err == nil {
		*n.note = trialNote{answer.StatusCode, answer.Header, answer.TLS}
	}
	return answer, err
}

// connect finds out whether the store answers, whom it answers, and in which region
// the bucket is.
func (t *s3Trial) connect(ctx context.Context) {
	note := &trialNote{}
	found, err := t.askRegion(ctx, note)
	if !t.reached(err, note) || !t.accepted(err) {
		return
	}
	if code := S3Code(err); code == "NoSuchBucket" || code == "InvalidBucketName" || code == "PermanentRedirect" || code == "TemporaryRedirect" {
		t.works(TrialRegion, "not asked for")
		t.noBucket(err)
		return
	}
	// Whether the region can be asked for decides nothing: a wrong one shows below.
	known := err == nil && note.status == http.StatusOK
	t.inRegion(ctx, found, known)
}

// askRegion asks for the bucket's region, which a store answers whatever region the
// question is signed for.
func (t *s3Trial) askRegion(ctx context.Context, note *trialNote) (region string, err error) {
	client, err := minio.New(t.endpoint.Host, &minio.Options{
		Creds: t.creds, Secure: t.endpoint.Scheme == "https", Transport: noting{t.s.transport, note}, MaxRetries: 1,
		BucketLookup: map[PathStyle]minio.BucketLookupType{PathStyleOn: minio.BucketLookupPath, PathStyleOff: minio.BucketLookupDNS}[t.s.config.PathStyle],
	})
	if err != nil {
		return "", err
	}
	err = t.do(ctx, "s3:GetBucketLocation", func(ctx context.Context, call *s3Call) error {
		start := time.Now()
		var err error
		region, err = client.GetBucketLocation(ctx, t.s.config.Bucket)
		t.rates.Latency = time.Since(start)
		t.skew = call.skew()
		return err
	})
	return region, err
}

// reached tells how the connection went, and whether the clocks agree.
func (t *s3Trial) reached(err error, note *trialNote) bool {
	if t.ctx.Err() != nil {
		return false
	}
	if err != nil && S3Code(err) == "" {
		if t.certificateRefused(err) {
			return false
		}
		t.failsFor(TrialReach, unreachableReason(err), err)
		return false
	}
	e, _ := errors.AsType[*s3Error](err)
	switch {
	case e != nil && strings.Contains(e.message, "HTTP request to an HTTPS server"):
		t.failsFor(TrialReach, ReasonTLS, err)
		return false
	case e != nil && e.code == note.statusText():
		// An S3 store explains itself in XML.
		if !notKnown(err) && e.status < 500 {
			t.failsFor(TrialReach, ReasonForeign, err)
			return false
		}
		if e.status >= 500 && e.status != http.StatusNotImplemented {
			t.fails(TrialReach, err)
			return false
		}
	}
	if server := note.header.Get("Server"); server != "" {
		t.works(TrialReach, "answers; it calls itself %s", server)
	} else {
		t.works(TrialReach, "answers; it does not say what it is")
	}
	t.certificate(note.tls)
	return t.clock(err)
}

func (n *trialNote) statusText() string {
	return fmt.Sprintf("%d %s", n.status, http.StatusText(n.status))
}

func unreachableReason(err error) TrialReason {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return ReasonName
	case isErr[tls.RecordHeaderError](err), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return ReasonPlain
	case strings.Contains(err.Error(), "the answer makes no sense"), strings.Contains(err.Error(), "malformed HTTP"):
		return ReasonForeign
	default:
		return ""
	}
}

// certificateRefused tells of a certificate that ends the attempt to connect.
func (t *s3Trial) certificateRefused(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		reason    TrialReason
	)
	switch {
	case errors.As(err, &authority):
		reason = ReasonAuthority
	case errors.As(err, &host):
		reason = ReasonHost
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		reason = ReasonExpired
	case errors.As(err, &invalid), errors.As(err, &verify):
	default:
		return false
	}
	t.works(TrialReach, "a connection can be made")
	t.failsFor(TrialCertificate, reason, err)
	return true
}

// certificate tells of one that is good for now, or was not to be looked at.
func (t *s3Trial) certificate(state *tls.ConnectionState) {
	if state == nil || len(state.PeerCertificates) == 0 {
		t.works(TrialCertificate, "none: plain HTTP")
		return
	}
	leaf := state.PeerCertificates[0]
	until := leaf.NotAfter.UTC().Format(time.DateOnly)
	others := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		others.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: state.ServerName, Intermediates: others})
	switch {
	case t.s.config.Insecure && err != nil:
		t.differs(TrialCertificate, ReasonUnverified, "not verified, as was asked: %v", err)
	case time.Until(leaf.NotAfter) < certificateSoon:
		t.differs(TrialCertificate, ReasonExpires, "valid until %s", until)
	case err != nil: // the authority is one of CAFile
		t.tell(Trial{Kind: TrialCertificate, Reason: ReasonOwn}.saying("valid until %s, signed by an authority that was given and that systems do not trust", until))
	default:
		t.works(TrialCertificate, "valid until %s", until)
	}
}

func (t *s3Trial) clock(err error) bool {
	switch skew := t.skew; {
	case S3Code(err) == "RequestTimeTooSkewed":
		t.fails(TrialClock, err)
		return false
	case skew > clockTolerance:
		t.differs(TrialClock, "", "this machine's clock is %s ahead of the store's", skew)
	case skew < -clockTolerance:
		t.differs(TrialClock, "", "this machine's clock is %s behind the store's", -skew)
	default:
		t.works(TrialClock, "differs by less than a minute")
	}
	return true
}

// credentialReasons are the codes that say that the credentials are wrong.
var credentialReasons = map[string]TrialReason{
	"InvalidAccessKeyId": ReasonKey, "XAdminUserNotFound": ReasonKey, "InvalidSecurity": ReasonKey, "NotSignedUp": ReasonKey, "AccountProblem": ReasonKey, "AllAccessDisabled": ReasonKey,
	"InvalidToken": ReasonToken, "InvalidClientTokenId": ReasonToken, "ExpiredToken": ReasonToken,
	"SignatureDoesNotMatch": ReasonSignature,
}

// RefusesCredentials reports whether a failure is that a store does not take the keys.
func RefusesCredentials(err error) bool { return credentialReasons[S3Code(err)] != "" }

// accepted tells whether the store takes the signature.
func (t *s3Trial) accepted(err error) bool {
	e, _ := errors.AsType[*s3Error](err)
	switch {
	case e == nil:
	case credentialReasons[e.code] != "":
		t.failsFor(TrialCredentials, credentialReasons[e.code], err)
		return false
	case strings.Contains(e.message, "AWS4-HMAC-SHA256"), strings.Contains(strings.ToLower(e.message), "authorization mechanism"),
		strings.Contains(strings.ToLower(e.message), "unsupported authorization"):
		t.failsFor(TrialCredentials, ReasonVersion, err)
		return false
	}
	t.works(TrialCredentials, "a signature of version 4 is accepted")
	return true
}

func (t *s3Trial) noBucket(err error) {
	reason := ReasonMissing
	if code := S3Code(err); code == "PermanentRedirect" || code == "TemporaryRedirect" {
		reason = ReasonElsewhere
	}
	t.failsFor(TrialBucket, reason, err)
}

// inRegion lists with the region that is given, and with the one that was found if
// that is wrong.
func (t *s3Trial) inRegion(ctx context.Context, found string, known bool) {
	given := t.s.config.Region
	region := cmp.Or(given, found, defaultRegion)
	err := t.use(ctx, region)
	if wrong, ok := wrongRegion(err); ok && cmp.Or(wrong, found) != region {
		right := cmp.Or(wrong, found)
		trial := Trial{Kind: TrialRegion, Value: right}.saying("%s", right)
		if given != "" {
			trial.Result, trial.Err = TrialFails, err
			trial = trial.saying("the bucket's region is %s, and not %s", right, region)
		}
		t.tell(trial)
		err = t.use(ctx, right)
	} else {
		trial := Trial{Kind: TrialRegion, Value: region}
		switch {
		case given == "" && !known && found == defaultRegion: // what minio-go says when it is not told
			trial = trial.saying("%s, since the store does not tell", region)
		case given != "" && known && found != region:
			trial = trial.saying("%s is accepted; the store says %s", region, found)
		default:
			trial = trial.saying("%s", region)
		}
		t.tell(trial)
	}
	switch code := S3Code(err); {
	case credentialReasons[code] != "": // not everybody looks at them when asked for a region
		t.failsFor(TrialCredentials, credentialReasons[code], err)
	case err == nil:
		t.works(TrialBucket, "is there")
		t.works(TrialList, "works in both versions, a key at a time and folder by folder")
	case isDenied(err):
		t.denied = true
		if known {
			t.works(TrialBucket, "is there")
		} else {
			t.tell(Trial{Kind: TrialBucket, Result: TrialUnknown}.saying("neither its region nor what it holds may be seen"))
		}
		t.fails(TrialList, err)
	case code == "NoSuchBucket" || code == "InvalidBucketName" || code == "PermanentRedirect" || code == "TemporaryRedirect":
		t.noBucket(err)
	default:
		t.works(TrialBucket, "answers")
		t.fails(TrialList, err)
	}
}

// wrongRegion reports whether a failure is about the region, and the right one if the
// store says it.
func wrongRegion(err error) (right string, is bool) {
	e, ok := errors.AsType[*s3Error](err)
	if !ok || !strings.Contains(e.hint, "region") || e.code == "PermanentRedirect" || e.code == "TemporaryRedirect" {
		return "", false
	}
	_, _ = fmt.Sscanf(e.hint, "the bucket's region is %s", &right)
	return strings.TrimSuffix(right, ","), true
}

// use makes the store one of a region, and lists as the registry does: a page of one
// key with both versions, and a folder.
func (t *s3Trial) use(ctx context.Context, region string) error {
	c := t.v.config
	c.Region = region
	v := t.view(c)
	var err error
	if v.core, err = t.client(region, c.PathStyle); err != nil {
		return err
	}
	t.v = v
	for _, o := range []minio.ListObjectsOptions{
		{Recursive: true, MaxKeys: 1},
		{Recursive: true, MaxKeys: 1, UseV1: true},
		{UseV1: true},
		{},
	} {
		o.Prefix = v.prefix
		if err := t.firstPage(ctx, v.core, o); err != nil {
			return err
		}
	}
	return nil
}

// firstPage makes one listing request.
func (t *s3Trial) firstPage(ctx context.Context, core *minio.Core, o minio.ListObjectsOptions) error {
	return t.do(ctx, "s3:ListBucket", func(ctx context.Context, _ *s3Call) error {
		o.FetchOwner = new(bool)
		for found := range core.ListObjectsIter(ctx, t.s.config.Bucket, o) {
			return found.Err
		}
		return ctx.Err()
	})
}

// addressing tries both ways to write a bucket's name into an address.
func (t *s3Trial) addressing(ctx context.Context) {
	answers := map[PathStyle]error{}
	for _, style := range []PathStyle{PathStyleOn, PathStyleOff} {
		core, err := t.client(t.v.config.Region, style)
		if err == nil {
			short, cancel := context.WithTimeout(ctx, 10*time.Second)
			err = t.firstPage(short, core, minio.ListObjectsOptions{Prefix: t.v.prefix, Recursive: true, MaxKeys: 1})
			cancel()
		}
		if t.denied && isDenied(err) {
			err = nil // what it says otherwise, too
		}
		answers[style] = err
	}
	path, host := answers[PathStyleOn], answers[PathStyleOff]
	switch {
	case path == nil && host == nil:
		t.tell(Trial{Kind: TrialAddressing, Value: "both"}.saying("the bucket may be in the path or in the host"))
	case path == nil:
		t.tell(Trial{Kind: TrialAddressing, Value: "path"}.saying("path style only"))
	case host == nil:
		t.tell(Trial{Kind: TrialAddressing, Result: TrialDiffers, Value: "host", Err: path}.saying("host style only: %v", path))
	default:
		t.fails(TrialAddressing, path)
	}
}
