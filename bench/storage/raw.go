package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/minio/minio-go/v7/pkg/signer"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/bench/volume"
	"github.com/lighterage/lighterage/internal/layout"
)

// rawCommand makes this program the least that any tool has to do, as a process of
// its own: it knows the names of all files beforehand and puts each with one request.
// It lists nothing, remembers nothing and does not look twice.
const rawCommand = "raw"

// inMemory is the most bytes of a file that is sent together with its head.
const inMemory = 64 << 10

type raw struct {
	root   string
	to     string // URL of where objects go
	signed bool
	client *http.Client
}

func runRaw(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(rawCommand, flag.ExitOnError)
	var r raw
	flags.StringVar(&r.root, "root", "", "folder of the volume")
	flags.StringVar(&r.to, "to", "", "URL of where objects go")
	flags.BoolVar(&r.signed, "signed", false, "sign with the digest of the content, which the path tells, so that the server verifies it")
	list := flags.String("list", "", "file with sizes and names")
	parallel := flags.Int("parallel", 32, "requests at a time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := readList(*list)
	if err != nil {
		return err
	}
	// Large ones first, or the last one would be waited for alone.
	slices.SortStableFunc(files, func(a, b volume.File) int { return cmp.Compare(b.Size, a.Size) })
	r.client = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: *parallel, MaxConnsPerHost: *parallel, DisableCompression: true, WriteBufferSize: inMemory + 4<<10,
	}}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range *parallel {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(files) {
					return nil
				}
				if err := r.put(ctx, files[i]); err != nil {
					return fmt.Errorf("put %s: %w", files[i].Path, err)
				}
			}
		})
	}
	return group.Wait()
}

func (r *raw) put(ctx context.Context, f volume.File) (err error) {
	file, err := os.Open(filepath.Join(r.root, filepath.FromSlash(f.Path)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var body io.Reader = file // which the kernel sends
	var hash = "UNSIGNED-PAYLOAD"
	if f.Size <= inMemory {
		content, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		body = bytes.NewReader(content)
		if r.signed && layout.Parse(f.Path).Kind != layout.Blob {
			sum := sha256.Sum256(content)
			hash = hex.EncodeToString(sum[:])
		}
	}
	if parsed := layout.Parse(f.Path); r.signed && parsed.Kind == layout.Blob {
		hash = parsed.Hex
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, r.to+"/"+f.Path, io.NopCloser(body))
	if err != nil {
		return err
	}
	request.ContentLength = f.Size
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("X-Amz-Content-Sha256", hash)
	response, err := r.client.Do(signer.SignV4(*request, accessKey, secretKey, "", region))
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}

func (o *store) rawURL(prefix string) string {
	return (&url.URL{Scheme: "http", Host: o.address, Path: "/" + bucket + prefix}).String()
}

// writeList is what readList reads.
func writeList(path string, files []volume.File) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriter(file)
	for _, f := range files {
		fmt.Fprintf(w, "%d %s\n", f.Size, f.Path)
	}
	return w.Flush()
}

func readList(path string) ([]volume.File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var files []volume.File
	for line := range strings.Lines(string(text)) {
		size, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		bytes, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		files = append(files, volume.File{Path: name, Size: bytes})
	}
	return files, nil
}
