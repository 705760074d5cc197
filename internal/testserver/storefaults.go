package testserver

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/signer"
)

// StoreClass sorts a request to an S3 store: "PUT object", "GET list" and so on;
// the nouns are
//
//	object    an object or, with GET, a part of it
//	copy      a copy of an object, or of a part of one
//	part      a part of a multipart upload; GET lists them
//	upload    POST begins a multipart upload, DELETE aborts it, GET lists those of a bucket
//	complete  POST ends a multipart upload
//	list      GET: the keys below a prefix
//	folders   GET: the same, with a delimiter
//	delete    POST: deletes many objects
//	location  GET: the region of a bucket
//	bucket    a bucket itself; buckets: all of them
//	other     anything else, such as the settings of a bucket
func StoreClass(r *http.Request) string {
	q := r.URL.Query()
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(path, "/")
	if host, _, err := net.SplitHostPort(r.Host); err == nil && strings.HasSuffix(host, "."+StoreDomain) {
		bucket, key = host, path
	}
	noun := "other"
	switch {
	case bucket == "":
		noun = "buckets"
	case q.Has("uploads"):
		noun = "upload"
	case q.Has("uploadId") && r.Method == http.MethodPost:
		noun = "complete"
	case q.Has("uploadId") && r.Method == http.MethodDelete:
		noun = "upload"
	case q.Has("partNumber") && r.Header.Get("X-Amz-Copy-Source") == "", q.Has("uploadId") && r.Method == http.MethodGet:
		noun = "part"
	case q.Has("location"):
		noun = "location"
	case q.Has("delete"):
		noun = "delete"
	case r.Header.Get("X-Amz-Copy-Source") != "":
		noun = "copy"
	case key != "" && !q.Has("acl") && !q.Has("tagging"):
		noun = "object"
	case key == "" && q.Get("delimiter") != "":
		noun = "folders"
	case key == "" && (q.Has("list-type") || q.Has("prefix")):
		noun = "list"
	case key == "" && len(q) == 0:
		noun = "bucket"
	}
	return r.Method + " " + noun
}

// StoreError answers with an error in S3's form.
func StoreError(status int, code, message string, headers ...string) Action {
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
	if err != nil {
		panic(err) // strings always have an XML form
	}
	return answer(status, append(headers, "Content-Type", "application/xml"), append([]byte(xml.Header), body...))
}

// SlowDown answers 503 as S3 does to a client that asks too much, and tells it when
// to come back; 0 seconds: it does not tell.
func SlowDown(seconds int) Action {
	if seconds == 0 {
		return StoreError(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	}
	return StoreError(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.", "Retry-After", strconv.Itoa(seconds))
}

// TruncateAnswer cuts the answer's body after n bytes and says that this is all of it.
func TruncateAnswer(n int) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			held := &heldAnswer{header: http.Header{}}
			next.ServeHTTP(held, r)
			if held.body.Len() > n {
				held.body.Truncate(n)
				held.header.Set("Content-Length", strconv.Itoa(n))
			}
			held.send(w)
		})
	}
}

// Rewrite changes requests on their way and signs them again, so that the store
// takes them for what the client has sent.
func (s *Store) Rewrite(change func(*http.Request)) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			changed := r.Clone(r.Context())
			change(changed)
			for _, name := range []string{"Authorization", "X-Amz-Date", "Connection"} {
				changed.Header.Del(name)
			}
			next.ServeHTTP(w, signer.SignV4(*changed, s.AccessKey, s.SecretKey, "", s.Region))
		})
	}
}

// IgnorePayload makes the store take any bytes, whatever the request was signed
// with, and whatever checksums came with it.
func (s *Store) IgnorePayload() Action {
	return s.Rewrite(func(r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Amz-Checksum-") || name == "Content-Md5" || name == "X-Amz-Sdk-Checksum-Algorithm" {
				r.Header.Del(name)
			}
		}
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	})
}

// Lose lets the store do what it was asked, and deletes the object before the
// client gets its answer. It is for requests that make an object.
func (s *Store) Lose() Action {
	return s.afterwards(func(key string) {
		_ = s.Direct().RemoveObject(context.Background(), s.Bucket, key, minio.RemoveObjectOptions{})
	})
}

// Spoil lets the store do what it was asked, and puts another object of the same
// size in its place before the client gets its answer.
func (s *Store) Spoil() Action {
	return s.afterwards(func(key string) {
		client := s.Direct()
		info, err := client.StatObject(context.Background(), s.Bucket, key, minio.StatObjectOptions{})
		if err != nil {
			return // the store has refused it
		}
		_, _ = client.PutObject(context.Background(), s.Bucket, key, bytes.NewReader(make([]byte, info.Size)), info.Size, minio.PutObjectOptions{})
	})
}

func (s *Store) afterwards(do func(key string)) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			held := &heldAnswer{header: http.Header{}}
			next.ServeHTTP(held, r)
			_, _ = io.Copy(io.Discard, r.Body)
			if key, ok := strings.CutPrefix(r.URL.Path, "/"+s.Bucket+"/"); ok && held.status/100 == 2 {
				do(key)
			}
			held.send(w)
		})
	}
}
