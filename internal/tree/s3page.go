package tree

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/signer"
)

// The requests of listings are made here and not by minio-go, which takes seven times
// the processor time for their answers, and all of a client's for a listing is that.

// emptyPayload is the SHA-256 of no bytes.
const emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// bucketAddress is where the bucket is, as minio-go addresses it.
func (s *S3) bucketAddress(ctx context.Context) (*url.URL, error) {
	u, err := s.core.Presign(ctx, http.MethodGet, s.config.Bucket, "", time.Minute, nil)
	if err != nil {
		return nil, err
	}
	u.RawQuery = ""
	return u, nil
}

// s3Query says which keys a page is to hold.
type s3Query struct {
	prefix    string
	after     string
	delimiter string
	token     string // from the page before; "" for the first
}

// page asks for a page of a listing, and tries again what fails for a moment.
func (s *S3) page(ctx context.Context, what, folder string, q s3Query) (s3Page, error) {
	var page s3Page
	err := s.try(ctx, what, folder, func(ctx context.Context, _ *s3Call) error {
		var err error
		page, err = s.askForPage(ctx, q)
		return err
	})
	return page, err
}

var s3PageBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (s *S3) askForPage(ctx context.Context, q s3Query) (s3Page, error) {
	credentials, err := s.core.GetCreds()
	if err != nil {
		return s3Page{}, fmt.Errorf("find credentials: %w", err)
	}
	values := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "prefix": {q.prefix}}
	for name, value := range map[string]string{"start-after": q.after, "delimiter": q.delimiter, "continuation-token": q.token} {
		if value != "" {
			values.Set(name, value)
		}
	}
	address := *s.bucket
	address.RawQuery = values.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return s3Page{}, err
	}
	r.Header.Set("X-Amz-Content-Sha256", emptyPayload)
	r = signer.SignV4(*r, credentials.AccessKeyID, credentials.SecretAccessKey, credentials.SessionToken, s.config.Region)
	answer, err := s.transport.RoundTrip(r)
	if err != nil {
		return s3Page{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	buffer := s3PageBuffers.Get().(*bytes.Buffer)
	defer s3PageBuffers.Put(buffer)
	buffer.Reset()
	if _, err := buffer.ReadFrom(io.LimitReader(answer.Body, 64*mebibyte)); err != nil {
		return s3Page{}, fmt.Errorf("it breaks off: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return s3Page{}, listError(answer, buffer.Bytes())
	}
	page, err := readPage(buffer.Bytes())
	if err == errNoPage { //nolint:errorlint // it is not wrapped
		return s3Page{}, listError(answer, buffer.Bytes())
	}
	return page, err
}

// listError makes of an answer what minio-go makes of answers.
func listError(answer *http.Response, body []byte) error {
	e := minio.ErrorResponse{}
	if xml.Unmarshal(body, &e) != nil || e.Code == "" {
		e = minio.ErrorResponse{Code: map[int]string{
			http.StatusNotFound:  minio.NoSuchBucket,
			http.StatusForbidden: minio.AccessDenied,
		}[answer.StatusCode]}
	}
	e.StatusCode = answer.StatusCode
	if e.Region == "" {
		e.Region = answer.Header.Get("X-Amz-Bucket-Region")
	}
	return e
}
