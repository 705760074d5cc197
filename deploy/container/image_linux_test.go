// Package container_test builds the container image and uses what is in it.
package container_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

const (
	root = "../.."
	user = 10000
)

// TestTheImageIsTheProgramAndServes runs the program of the image with the image's files as
// all there is, as the user that the image names.
func TestTheImageIsTheProgramAndServes(t *testing.T) {
	layout := builtImage(t)
	var index ocispec.Index
	layout.read(t, "index.json", &index)
	var manifest ocispec.Manifest
	layout.read(t, layout.blob(index.Manifests[0]), &manifest)
	var image ocispec.Image
	layout.read(t, layout.blob(manifest.Config), &image)

	c := image.Config
	if c.User != "10000:10000" || !slices.Equal(c.Entrypoint, []string{"/lighterage"}) || !slices.Equal(c.Cmd, []string{"serve"}) {
		t.Errorf("the image runs %q %q as %q", c.Entrypoint, c.Cmd, c.User)
	}
	if image.OS != "linux" || image.Architecture != runtime.GOARCH {
		t.Errorf("the image is for %s/%s", image.OS, image.Architecture)
	}
	files := t.TempDir()
	var names []string
	for _, l := range manifest.Layers {
		names = append(names, layout.extract(t, layout.blob(l), files)...)
	}
	slices.Sort(names)
	if want := []string{"etc/ssl/certs/ca-certificates.crt", "lighterage"}; !slices.Equal(names, want) {
		t.Errorf("the image has the files %q, want %q", names, want)
	}

	if os.Geteuid() != 0 {
		t.Skip("only root may run a program with other files as all there is")
	}
	serves(t, files, c)
}

// archive is an image in the layout of OCI.
type archive string

// builtImage builds the image as people do.
func builtImage(t *testing.T) archive {
	t.Helper()
	tool := ""
	for _, name := range []string{"podman", "buildah"} { // the script takes buildah where there are both; they share their images
		if _, err := exec.LookPath(name); err == nil {
			tool = name
		}
	}
	if tool == "" {
		ts.Unavailable(t, "buildah or podman, which build the image")
	}
	tag := "localhost/lighterage-test:" + strings.ToLower(filepath.Base(filepath.Dir(t.TempDir())))
	run(t, filepath.Join(root, "scripts", "image.sh"), tag)
	t.Cleanup(func() { _ = exec.Command(tool, "rmi", tag).Run() })
	folder := filepath.Join(t.TempDir(), "image")
	run(t, tool, "push", "--quiet", tag, "oci:"+folder)
	return archive(folder)
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

func (a archive) blob(d ocispec.Descriptor) string {
	return filepath.Join("blobs", d.Digest.Algorithm().String(), d.Digest.Encoded())
}

func (a archive) read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(string(a), name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// extract writes a layer's files below folder and returns their names.
func (a archive) extract(t *testing.T, layer, folder string) (names []string) {
	t.Helper()
	file, err := os.Open(filepath.Join(string(a), layer))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, h.FileInfo().Mode().Perm()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, h.FileInfo().Mode().Perm()); err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(h.Name, "./"))
	}
}

// serves starts the image's program on a volume and asks whether it is ready.
func serves(t *testing.T, files string, c ocispec.ImageConfig) {
	t.Helper()
	if err := errors.Join(os.Mkdir(filepath.Join(files, "data"), 0o700), os.Chown(filepath.Join(files, "data"), user, user), allowed(files)); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	server := exec.CommandContext(ctx, c.Entrypoint[0], c.Cmd...)
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.Dir = "/"
	server.Env = append(slices.Clone(c.Env), "LIGHTERAGE_LISTEN=127.0.0.1:0")
	server.SysProcAttr = &syscall.SysProcAttr{Chroot: files, Credential: &syscall.Credential{Uid: user, Gid: user}}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	url := ""
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		if _, at, ok := strings.Cut(lines.Text(), "ready at "); ok {
			url = at
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if url == "" {
		_ = server.Wait()
		t.Fatalf("the server did not start:\n%s", log.String())
	}
	answer, err := http.Get(url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("/readyz answers %s", answer.Status)
	}
	end()
	if err := server.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the server ended with %v:\n%s", err, log.String())
	}
}

// allowed lets the image's user get to the files, which tests have below folders of their own.
func allowed(files string) error {
	for folder := files; folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		if err != nil {
			return err
		}
		if err := os.Chmod(folder, info.Mode().Perm()|0o011); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}
