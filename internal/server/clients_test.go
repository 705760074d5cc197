package server_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// client runs a program that must be installed.
type client struct {
	t    *testing.T
	path string
	env  []string
	args []string // before those of each call
}

func installed(t *testing.T, name string, args ...string) *client {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		ts.Unavailable(t, "%s is not installed", name)
	}
	return &client{t: t, path: path, args: args, env: append(os.Environ(), "REGISTRY_AUTH_FILE="+filepath.Join(t.TempDir(), "auth.json"))}
}

func (c *client) try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), c.path, append(append([]string{}, c.args...), args...)...)
	cmd.Env = c.env
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func (c *client) run(args ...string) string {
	c.t.Helper()
	output, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", filepath.Base(c.path), strings.Join(args, " "), err, output)
	}
	return output
}

// ociLayout writes an image as a folder that every client can push from.
func ociLayout(t *testing.T) string {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for range 3 {
		layer, err := random.Layer(2000, types.OCIUncompressedLayer)
		if err == nil {
			image, err = mutate.AppendLayers(image, layer)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Not t.TempDir, whose name has capitals, which podman takes for part of an image's name.
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	index, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = index.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func host(url string) string { return url[strings.Index(url, "://")+3:] }

func TestSkopeoPushesPullsInspectsAndDeletes(t *testing.T) {
	t.Parallel()
	skopeo := installed(t, "skopeo", "--insecure-policy")
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	home.eventRule("all", home.endpoint("cluster", cluster), nil)
	dir := ociLayout(t)
	image := "docker://" + host(home.url) + "/library/app:v1"

	if output, err := skopeo.try("login", "--tls-verify=false", "-u", "admin", "-p", "wrong", host(home.url)); err == nil {
		t.Errorf("a wrong password logs in: %s", output)
	}
	if output, err := skopeo.try("copy", "--dest-tls-verify=false", "oci:"+dir+":v1", image); err == nil || !strings.Contains(output, "nauthorized") {
		t.Errorf("an anonymous push ended with %v: %s", err, output)
	}
	skopeo.run("login", "--tls-verify=false", "-u", "admin", "-p", adminPassword, host(home.url))
	skopeo.run("copy", "--dest-tls-verify=false", "oci:"+dir+":v1", image)
	digest := strings.TrimSpace(skopeo.run("inspect", "--tls-verify=false", "--format", "{{.Digest}}", image))

	ts.Eventually(t, "the image is at the destination", func() bool {
		d, ok := ts.Digest(t, cluster, "library/app", "v1")
		return ok && d.String() == digest
	})
	skopeo.run("copy", "--src-tls-verify=false", "docker://"+cluster.Host+"/library/app@"+digest, "dir:"+t.TempDir())
	if got := skopeo.run("list-tags", "--tls-verify=false", "docker://"+host(home.url)+"/library/app"); !strings.Contains(got, `"v1"`) {
		t.Errorf("list-tags: %s", got)
	}
	skopeo.run("delete", "--tls-verify=false", image)
	vanishes(t, cluster, "library/app", "v1")
}

func TestPodmanPushesAndPulls(t *testing.T) {
	t.Parallel()
	storage := t.TempDir()
	podman := installed(t, "podman", "--root", filepath.Join(storage, "root"), "--runroot", filepath.Join(storage, "run"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	home.eventRule("all", home.endpoint("cluster", cluster), nil)
	dir := ociLayout(t)
	image := host(home.url) + "/library/pod:v1"

	podman.run("login", "--tls-verify=false", "-u", "admin", "-p", adminPassword, host(home.url))
	pulled := strings.Fields(podman.run("pull", "-q", "oci:"+dir+":v1"))
	podman.run("push", "--tls-verify=false", pulled[len(pulled)-1], image)
	ts.Eventually(t, "the image is at the destination", func() bool { _, ok := ts.Digest(t, cluster, "library/pod", "v1"); return ok })
	podman.run("rmi", "-a", "-f")
	podman.run("pull", "--tls-verify=false", cluster.Host+"/library/pod:v1")
	podman.run("logout", host(home.url))
	if output, err := podman.try("push", "--tls-verify=false", cluster.Host+"/library/pod:v1", image); err == nil {
		t.Errorf("pushes after logout: %s", output)
	}
}

func TestClientsTrustTheServersCertificate(t *testing.T) {
	t.Parallel()
	cert, key, authority := ts.CertificateFiles(t)
	home := start(t, server.Config{DataDir: t.TempDir(), TLSCertificate: cert, TLSKey: key})
	if !strings.HasPrefix(home.url, "https://") {
		t.Fatalf("the server is at %s", home.url)
	}
	pem, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	r := ts.Remote(home.url, "admin", adminPassword, string(pem))
	d := ts.Push(t, r, "library/app", "v1", ts.Image(t, 1, 1, 100))
	if p := ts.Pull(t, r, "library/app", "v1"); p.Digest != d {
		t.Errorf("pulled %s, want %s", p.Digest, d)
	}
}
