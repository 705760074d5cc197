//go:build linux

// Command minio runs the S3 server of github.com/minio/minio, an unchanged program
// of its own, on a folder, for the tests and benchmarks of Lighterage: it waits
// until the server answers, and ends it when whoever started this program is gone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

type options struct{ program, root, access, secret, region, domain string }

func main() {
	var o options
	flag.StringVar(&o.program, "program", "", "`path` of MinIO's own program")
	flag.StringVar(&o.root, "root", "", "`folder` to keep everything in")
	flag.StringVar(&o.access, "access", "access", "access key")
	flag.StringVar(&o.secret, "secret", "secretsecret", "secret key, of eight characters or more")
	flag.StringVar(&o.region, "region", "us-east-1", "region")
	flag.StringVar(&o.domain, "domain", "", "`domain` below which buckets are hosts too")
	flag.Parse()
	// The server is killed with the thread that started it.
	runtime.LockOSThread()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "minio:", err)
		os.Exit(1)
	}
}

// run ends when a signal comes or its parent, which holds the other end of the
// standard input, is gone.
func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	for {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		complaint, err := serve(ctx, o, address)
		if ctx.Err() != nil || !strings.Contains(complaint, "address already in use") {
			return errors.Join(err, errors.New(complaint))
		}
	}
}

// freeAddress looks for a port, since MinIO does not say which one it has got.
func freeAddress() (string, error) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return probe.Addr().String(), probe.Close()
}

func serve(ctx context.Context, o options, address string) (complaint string, err error) {
	var output strings.Builder
	cmd := exec.CommandContext(ctx, o.program, "server", "--anonymous", "--address", address, o.root)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+o.access, "MINIO_ROOT_PASSWORD="+o.secret, "MINIO_REGION="+o.region,
		"MINIO_DOMAIN="+o.domain, "MINIO_CI_CD=on", "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() {
		if answers(address, ended) {
			fmt.Println(address)
		}
	}()
	err = cmd.Wait()
	close(ended)
	return output.String(), err
}

// answers waits until the server is ready, and reports false when it has ended.
func answers(address string, ended <-chan struct{}) bool {
	for {
		response, err := http.Get("http://" + address + "/minio/health/ready")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}
