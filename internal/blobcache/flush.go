// Package blobcache empties the cache in which a registry keeps what it knows of blobs.
//
// A registry of the distribution project keeps the size of each blob, and which
// repositories have it, in Redis (distribution: registry/storage/cache/redis), and asks
// its storage only about what is not there. Whoever gives it another storage has to have
// it forget. The package deletes these keys and no others.
package blobcache

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lighterage/lighterage/internal/problem"
)

// Options say where the cache is.
type Options struct {
	Addresses      []string // HOST:PORT; several where sentinels are asked
	User, Password string
	Database       int
	SentinelMaster string // "": no sentinels are asked
	TLS            bool
	CA             []byte // PEM, beside the system's authorities
	Insecure       bool   // do not verify the certificate

	DryRun bool          // count, and delete nothing
	Found  *atomic.Int64 // counts the keys; nil: nobody does
}

// Parse reads redis://[USER@]HOST[:PORT][,HOST[:PORT]...][/DATABASE], or rediss:// for TLS.
func (o *Options) Parse(text string) error {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || scheme != "redis" && scheme != "rediss" {
		return problem.New(problem.BadRequest, "want redis://HOST[:PORT][/DATABASE] or rediss://...")
	}
	o.TLS = scheme == "rediss"
	hosts, database, _ := strings.Cut(rest, "/")
	if user, after, named := strings.Cut(hosts, "@"); named {
		if strings.Contains(user, ":") {
			return problem.New(problem.BadRequest, "a password does not belong there: give it in REGISTRY_REDIS_PASSWORD")
		}
		name, err := url.PathUnescape(user)
		if err != nil {
			return problem.New(problem.BadRequest, "the user's name is not written right")
		}
		o.User, hosts = name, after
	}
	port := "6379"
	if o.SentinelMaster != "" {
		port = "26379"
	}
	o.Addresses = nil
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" || strings.ContainsAny(host, "?# \t") {
			return problem.New(problem.BadRequest, "want redis://HOST[:PORT][/DATABASE], and %.100q is no host", host)
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		o.Addresses = append(o.Addresses, host)
	}
	if len(o.Addresses) > 1 && o.SentinelMaster == "" {
		return problem.New(problem.BadRequest, "several hosts are those of sentinels: name the master with --sentinel-master")
	}
	o.Database = 0
	if database != "" {
		n, err := strconv.Atoi(database)
		if err != nil || n < 0 {
			return problem.New(problem.BadRequest, "the database %.100q is no number", database)
		}
		o.Database = n
	}
	return nil
}

// Report is what was deleted, or would be.
type Report struct {
	Blobs        int64   `json:"blobs"`        // keys of blobs
	Repositories int64   `json:"repositories"` // keys of what repositories have
	DryRun       bool    `json:"dry_run,omitempty"`
	Seconds      float64 `json:"seconds"`
}

// batch is how many keys are asked for and deleted at a time.
const batch = 1000

// Flush deletes what the registry has cached. It may be repeated. A key that comes in the
// meantime may stay.
func Flush(ctx context.Context, o Options) (Report, error) {
	began := time.Now()
	report := Report{DryRun: o.DryRun}
	client, err := o.client()
	if err != nil {
		return report, err
	}
	defer func() { _ = client.Close() }()
	where := strings.Join(o.Addresses, ",")
	for _, part := range []struct {
		pattern string
		count   *int64
	}{{"blobs::*", &report.Blobs}, {"repository::*", &report.Repositories}} {
		if err := o.flush(ctx, client, part.pattern, part.count); err != nil {
			return report, fmt.Errorf("flush %s from Redis at %s: %w", part.pattern, where, err)
		}
	}
	report.Seconds = time.Since(began).Seconds()
	return report, nil
}

func (o *Options) client() (redis.UniversalClient, error) {
	options := &redis.UniversalOptions{
		Addrs: o.Addresses, DB: o.Database, Username: o.User, Password: o.Password, MasterName: o.SentinelMaster,
		DialTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, MaxRetries: 3,
	}
	if o.TLS {
		host, _, _ := net.SplitHostPort(o.Addresses[0])
		options.TLSConfig = &tls.Config{ServerName: host, InsecureSkipVerify: o.Insecure}
		if len(o.CA) > 0 {
			pool, err := x509.SystemCertPool()
			if err != nil {
				pool = x509.NewCertPool()
			}
			if !pool.AppendCertsFromPEM(o.CA) {
				return nil, problem.New(problem.BadRequest, "the file of --ca has no certificate in PEM")
			}
			options.TLSConfig.RootCAs = pool
		}
	}
	return redis.NewUniversalClient(options), nil
}

// passes bounds how often is looked for keys that came while others were deleted.
const passes = 100

// flush deletes the keys of a pattern, and looks again until there are none: not
// everything that speaks Redis' protocol shows all keys in one pass when some go.
func (o *Options) flush(ctx context.Context, client redis.UniversalClient, pattern string, count *int64) error {
	for range passes {
		before := *count
		if err := o.pass(ctx, client, pattern, count); err != nil {
			return err
		}
		if o.DryRun || *count == before {
			break
		}
	}
	return nil
}

func (o *Options) pass(ctx context.Context, client redis.UniversalClient, pattern string, count *int64) error {
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, pattern, batch).Result()
		if err != nil {
			return err
		}
		if o.Found != nil {
			o.Found.Add(int64(len(keys)))
		}
		deleted := int64(len(keys))
		if len(keys) > 0 && !o.DryRun {
			if deleted, err = remove(ctx, client, keys); err != nil {
				return err
			}
		}
		*count += deleted
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// remove deletes keys without holding up the server, where it is of 4.0 or later.
func remove(ctx context.Context, client redis.UniversalClient, keys []string) (int64, error) {
	n, err := client.Unlink(ctx, keys...).Result()
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown command") {
		return client.Del(ctx, keys...).Result()
	}
	return n, err
}
