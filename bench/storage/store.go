package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/lighterage/lighterage/bench/harness"
	"github.com/lighterage/lighterage/internal/testprogram"
)

const (
	accessKey = "benchaccess"
	secretKey = "benchsecret"
	region    = "us-east-1"
	bucket    = "harbor"
)

// server starts S3 servers of one kind.
type server struct {
	name  string
	start func(root string) (*testprogram.Process, error)
}

// prepareServer builds the server.
func prepareServer(name string) (server, error) {
	access := []string{"-access", accessKey, "-secret", secretKey, "-region", region}
	if name == "versitygw" {
		program, err := testprogram.Build("versitygw", harness.Log)
		if err != nil {
			return server{}, err
		}
		return server{name, func(root string) (*testprogram.Process, error) {
			sidecar := root + ".sidecar" // used where the root takes no extended attributes
			if err := os.MkdirAll(sidecar, 0o755); err != nil {
				return nil, err
			}
			return testprogram.Start(program, append(access, "-root", root, "-sidecar", sidecar)...)
		}}, nil
	}
	minio, err := testprogram.BuildOther("minio", "github.com/minio/minio", harness.Log)
	if err != nil {
		return server{}, fmt.Errorf("%w; -store versitygw needs less", err)
	}
	program, err := testprogram.Build("minio", harness.Log)
	if err != nil {
		return server{}, err
	}
	// Its look after its own health is no part of what is measured.
	if err := os.Setenv("MINIO_SCANNER_SPEED", "slowest"); err != nil {
		return server{}, err
	}
	return server{name, func(root string) (*testprogram.Process, error) {
		return testprogram.Start(program, append(access, "-program", minio, "-root", root)...)
	}}, nil
}

// store is a running server with an empty bucket, behind a front.
type store struct {
	root    string
	address string // what tools are told: the front
	direct  string // the server itself, for checking
	counter *counter

	front   *harness.Front
	process *testprogram.Process
	client  *minio.Client
}

func (s server) open(ctx context.Context, dir string, rtt time.Duration) (*store, error) {
	o := &store{root: filepath.Join(dir, "store"), counter: &counter{}}
	if err := os.Mkdir(o.root, 0o755); err != nil {
		return nil, err
	}
	var err error
	if o.process, err = s.start(o.root); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, errors.Join(err, o.close()))
	}
	o.direct = o.process.Address
	if o.front, err = harness.NewFront(o.direct, rtt, o.counter.watch); err != nil {
		return nil, errors.Join(err, o.close())
	}
	o.address = o.front.Address
	if o.client, err = newClient(o.direct); err == nil {
		err = o.client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: region})
	}
	if err != nil {
		return nil, fmt.Errorf("make a bucket in %s: %w", s.name, errors.Join(err, o.close()))
	}
	return o, nil
}

func newClient(address string) (*minio.Client, error) {
	return minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: region, BucketLookup: minio.BucketLookupPath,
	})
}

// location names the bucket as Lighterage's users do.
func (o *store) location() string {
	return "s3://" + bucket + "?" + url.Values{"endpoint": {"http://" + o.address}, "region": {region}}.Encode()
}

// close ends the server and removes what it kept.
func (o *store) close() error {
	if o.front != nil {
		o.front.Close()
	}
	if o.process != nil {
		o.process.Stop()
	}
	var err error
	for _, folder := range []string{o.root, o.root + ".sidecar"} {
		err = errors.Join(err, removeAll(folder))
	}
	return err
}

// removeAll removes a folder in which a killed process may be writing still.
func removeAll(folder string) (err error) {
	for range 50 {
		if err = os.RemoveAll(folder); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}
