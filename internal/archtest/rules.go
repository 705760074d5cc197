package archtest

// step is a set of packages that never import each other; they import packages of
// the steps before theirs. A floor of the architecture has one step or several.
type step struct {
	floor    string
	packages []string
}

var steps = []step{
	{"ground", []string{"internal/problem", "internal/api/gen", "internal/cli/term", "internal/cli/manifest"}},
	{"ground", []string{"internal/rule", "internal/layout", "internal/oci", "internal/secret", "internal/pace", "internal/trace", "internal/cloudsign", "internal/chart"}},
	{"abilities", []string{"internal/store"}},
	{"abilities", []string{"internal/audit"}},
	{"abilities", []string{"internal/queue", "internal/registry", "internal/account", "internal/home", "internal/tree", "internal/blobcache"}},
	{"abilities", []string{"internal/home/embedded", "internal/home/harbor", "internal/transfer"}},
	{"jobs", []string{"internal/replication", "internal/migration", "internal/kube", "internal/notification"}},
	{"jobs", []string{"internal/migration/cutover", "internal/migration/inspection"}},
	{"faces", []string{"internal/cli/demo"}},
	{"faces", []string{"internal/api", "internal/cli", "internal/console", "internal/metrics"}},
	{"faces", []string{"internal/server"}},
	{"programs", []string{"internal/testprogram"}},
	{"programs", []string{"bench/harness", "bench/volume", "bench/site"}},
	{"programs", []string{"cmd/...", "bench/..."}},
}

// helpers are packages of test code.
var helpers = []string{"internal/archtest", "internal/testserver", "internal/store/storetest", "internal/tree/treetest"}

// pure packages calculate. What they must not import, with everything below it:
var (
	pure     = []string{"internal/rule", "internal/layout", "internal/oci", "internal/cloudsign", "internal/chart"}
	impure   = []string{"context", "database/...", "log/...", "net/...", "os/...", "io/fs", "io/ioutil", "math/rand/...", "path/filepath", "syscall", "testing/..."}
	harmless = []string{"net/url", "net/netip"}
)

// owned modules are imported by one part of Lighterage only, so that they can be
// replaced there.
var owned = []struct {
	module string
	by     []string
}{
	{"github.com/distribution/distribution", []string{"internal/home/embedded", "internal/cli/demo", "bench/..."}},
	{"github.com/pressly/goose", []string{"internal/store"}},
	{"github.com/jackc/pgx", []string{"internal/store"}},
	{"modernc.org/sqlite", []string{"internal/store"}},
	{"github.com/spf13/cobra", []string{"internal/cli/..."}},
	{"github.com/minio/minio-go", []string{"internal/tree", "internal/registry", "bench/..."}},
	{"github.com/golang-jwt/jwt", []string{"internal/account"}},
	{"go.opentelemetry.io/otel", []string{"internal/trace"}},
	{"github.com/prometheus/client_golang", []string{"internal/metrics"}},
	{"k8s.io", []string{"internal/kube"}},

	// Only in tests, and in the benchmark beside which they stand.
	{"testing", nil},
	{"github.com/chromedp", nil},
	{"github.com/goharbor", nil},
	{"github.com/mittwald/goharbor-client", nil},
	{"github.com/olareg/olareg", nil},
	{"github.com/google/go-cmp", nil},
	{"github.com/google/go-containerregistry", []string{"bench/..."}},
	{"github.com/rogpeppe/go-internal", []string{"internal/cli"}},
	{"go.uber.org/goleak", nil},
	{"pgregory.net/rapid", nil},
}
