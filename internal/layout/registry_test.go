package layout_test

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/testserver"
)

// registries are those whose volumes are moved: what they write is the layout.
var registries = []struct {
	name  string
	start func(testing.TB, ...testserver.Option) *testserver.Registry
}{
	{"distribution v3", testserver.Distribution},
	{"distribution v2.8", testserver.DistributionV2},
}

func TestEverythingARegistryWritesIsOfTheLayout(t *testing.T) {
	t.Parallel()
	for _, registry := range registries {
		t.Run(registry.name, func(t *testing.T) {
			t.Parallel()
			r := registry.start(t)
			image := testserver.Image(t, 1, 3, 2000)
			testserver.Push(t, r, "app", "v1", image)
			testserver.Push(t, r, "library/team-1/app__x", "V1.0_rc-1", image)
			testserver.Push(t, r, "library/app", "v1", testserver.Index(t, 2, "linux/amd64", "linux/arm64"))
			testserver.Push(t, r, "library/app", "v1", image) // the tag has a history now
			testserver.Push(t, r, "library/app", "", testserver.DockerImage(t, 3))
			testserver.Push(t, r, "library/app", "", testserver.Referrer(t, image, "application/vnd.example", 4))
			testserver.Delete(t, r, "app", image.Digest.String())
			for _, repository := range []string{"library/app", "Mirror.Example/library/app"} {
				upload(t, r, repository, []byte("a layer"), digest.SHA256)
				upload(t, r, repository, []byte("another layer"), digest.SHA512)
				if location := beginUpload(t, r, repository); location == "" {
					t.Fatal("no upload was begun")
				}
			}

			kinds := map[layout.Kind]int{}
			for path, content := range filesIn(t, r.Root) {
				f := layout.Parse(path)
				kinds[f.Kind]++
				if f.Kind == layout.Foreign || f.Path() != path {
					t.Errorf("%s is taken for %+v", path, f)
				}
				if f.Kind == layout.Blob && f.Digest() != digest.FromBytes(content) {
					t.Errorf("%s holds %s", path, digest.FromBytes(content))
				}
				if !f.IsLink() {
					continue
				}
				d, err := f.Target(content)
				if err != nil {
					t.Errorf("%s: %v", path, err)
				}
				if want, known := f.LinkContent(); known && string(content) != want {
					t.Errorf("%s holds %q, want %q", path, content, want)
				}
				if blob := layout.BlobPath(d.Algorithm().String(), d.Encoded()); !isFile(r.Root, blob) {
					t.Errorf("%s leads to %s, which is not there", path, blob)
				}
			}
			for kind := layout.Blob; kind <= layout.Upload; kind++ {
				if kinds[kind] == 0 {
					t.Errorf("the registry wrote no %s", kind)
				}
			}
		})
	}
}

func TestARegistryCannotStoreARepositoryWithAPort(t *testing.T) {
	t.Parallel()
	for _, registry := range registries {
		t.Run(registry.name, func(t *testing.T) {
			t.Parallel()
			r := registry.start(t)
			for _, name := range []string{"localhost:5000/app", "[::1]/app", "library/App", strings.Repeat("a", 256)} {
				if location := beginUpload(t, r, name); location != "" || layout.ValidRepository(name) {
					t.Errorf("%.80s: valid: %t, upload at %q", name, layout.ValidRepository(name), location)
				}
			}
			if all := filesIn(t, r.Root); len(all) > 0 {
				t.Errorf("the registry wrote %v", all)
			}
		})
	}
}

// beginUpload begins an upload and leaves it; "" if the registry refuses.
func beginUpload(t *testing.T, r *testserver.Registry, repository string) (location string) {
	t.Helper()
	answer, err := r.Client().Post(r.URL+"/v2/"+repository+"/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		return ""
	}
	return answer.Header.Get("Location")
}

// upload puts a blob under its digest by an algorithm, as image clients of these tests
// do not: they know no other than SHA-256, and no host in a repository's name.
func upload(t *testing.T, r *testserver.Registry, repository string, content []byte, algorithm digest.Algorithm) {
	t.Helper()
	location := beginUpload(t, r, repository)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, location+"&digest="+algorithm.FromBytes(content).String(), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := r.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("upload to %s: %s %s", repository, answer.Status, text)
	}
}

// filesIn returns all files below a folder by their paths.
func filesIn(t *testing.T, root string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[path], err = os.ReadFile(filepath.Join(root, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func isFile(root, path string) bool {
	info, err := os.Stat(filepath.Join(root, path))
	return err == nil && info.Mode().IsRegular()
}
