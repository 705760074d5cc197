// Command versitygw is the S3 server of github.com/versity/versitygw on a folder,
// for the tests and benchmarks of Lighterage.
//
// It is a module of its own because it needs much that Lighterage does not.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

type options struct {
	address, root, sidecar, versions string
	access, secret, region, domain   string
	ready                            func(address string)
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "127.0.0.1:0", "`address` to listen on; the one in use is printed to the standard output")
	flag.StringVar(&o.root, "root", "", "`folder` to keep everything in; buckets are its folders")
	flag.StringVar(&o.sidecar, "sidecar", "", "`folder` for what is known about objects, used where the root has no extended attributes")
	flag.StringVar(&o.versions, "versions", "", "`folder` for old versions; without it buckets have none")
	flag.StringVar(&o.access, "access", "access", "access key")
	flag.StringVar(&o.secret, "secret", "secret", "secret key")
	flag.StringVar(&o.region, "region", "us-east-1", "region")
	flag.StringVar(&o.domain, "domain", "", "`domain` below which buckets are hosts too")
	flag.Parse()
	log.SetOutput(io.Discard)
	printed := os.Stdout
	os.Stdout = os.Stderr // the gateway greets
	o.ready = func(address string) { fmt.Fprintln(printed, address) }
	if err := serve(o); err != nil {
		fmt.Fprintln(os.Stderr, "versitygw:", err)
		os.Exit(1)
	}
}

// serve ends when a signal comes or its parent, which holds the other end of the
// standard input, is gone.
func serve(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	metadata, sidecar, err := metadataStore(o)
	if err != nil {
		return err
	}
	storage, err := posix.New(o.root, metadata, posix.PosixOpts{
		SideCarDir: sidecar, VersioningDir: o.versions, ValidateBucketNames: true, Concurrency: 1000,
		CopyObjectThreshold: 5 << 30, // as S3 has it; without one nothing can be copied
	})
	if err != nil {
		return err
	}
	for {
		err := listen(ctx, o, storage)
		if !errors.Is(err, syscall.EADDRINUSE) || !anyPort(o.address) {
			return err
		}
	}
}

// metadataStore prefers extended attributes, which end with their file.
func metadataStore(o options) (metadata meta.MetadataStorer, sidecar string, err error) {
	const attribute = "lighterage-test"
	attributes := meta.XattrMeta{}
	err = attributes.StoreAttribute(nil, o.root, "", attribute, []byte("works"))
	if err == nil {
		return attributes, "", attributes.DeleteAttribute(o.root, "", attribute)
	}
	if o.sidecar == "" {
		return nil, "", fmt.Errorf("%s takes no extended attributes, and no -sidecar is given: %w", o.root, err)
	}
	metadata, err = meta.NewSideCar(o.sidecar)
	return metadata, o.sidecar, err
}

func anyPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	return err == nil && number == 0
}

// listen serves at a port that is looked for here: the gateway does not say which
// one it has got.
func listen(ctx context.Context, o options, storage *posix.Posix) error {
	probe, err := net.Listen("tcp", o.address)
	if err != nil {
		return err
	}
	address := probe.Addr().String()
	if err := probe.Close(); err != nil {
		return err
	}
	return embedgw.RunVersityGW(ctx, storage, &embedgw.Config{
		RootUserAccess: o.access, RootUserSecret: o.secret, Region: cmp.Or(o.region, "us-east-1"),
		Ports: []string{address}, VirtualDomain: o.domain,
		MaxConnections: 10_000, MaxRequests: 5_000, MultipartMaxParts: 10_000,
		KeepAlive: true, Quiet: true,
		S3Options: []s3api.Option{s3api.WithOnListen(func() { o.ready(address) })},
	})
}
