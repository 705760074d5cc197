package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	root   = "../.."
	folder = root + "/deploy/chart/lighterage"
)

// shared are settings with which several servers can be there.
var shared = []string{"replicas=3", "database.existingSecret=db", "key.existingSecret=key", "storage.s3.bucket=images", "storage.s3.existingSecret=s3"}

// everything turns on what can be turned on.
var everything = append(slices.Clone(shared),
	"storage.s3.endpoint=http://minio:9000", "storage.s3.prefix=/harbor/", "storage.s3.options.path_style=true", "externalURL=https://registry.example.com",
	"trustedProxies={10.0.0.0/8,fd00::/8}", "admin.existingSecret=admin", "tls.existingSecret=tls", "autoCreateProjects=true", "extraArgs={--verify-interval=12h}",
	"caCertificates=-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n", "ingress.enabled=true", "ingress.host=registry.example.com", "ingress.tlsSecret=web",
	"ingress.className=nginx", "metrics.enabled=true", "metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true",
	"networkPolicy.enabled=true", "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring", "networkPolicy.egress[0].ports[0].port=443",
	"image.pullSecrets[0].name=login", "podLabels.team=a", "podAnnotations.note=b", "nodeSelector.disk=ssd", "priorityClassName=high", "service.nodePort=30500", "service.type=NodePort",
	"serviceAccount.annotations.role=r", "extraEnv[0].name=A", "extraEnv[0].value=b", "tolerations[0].operator=Exists")

func documents(t *testing.T, settings ...string) map[string]map[string]any {
	t.Helper()
	text, err := render(folder, "registry", settings...)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]any{}
	for document := range strings.SplitSeq(text, "\n---\n") {
		of := map[string]any{}
		if err := yaml.UnmarshalStrict([]byte(strings.TrimPrefix(document, "---\n")+"\n"), &of); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if len(of) == 0 {
			continue
		}
		name := of["kind"].(string) + "/" + of["metadata"].(map[string]any)["name"].(string)
		if found[name] != nil {
			t.Errorf("%s is there twice", name)
		}
		found[name] = of
	}
	return found
}

// at follows a path of names and indexes.
func at(t *testing.T, of any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := of.(map[string]any)
			of = m[step]
		case int:
			l, _ := of.([]any)
			if step >= len(l) {
				t.Fatalf("%v has no %d", path, step)
			}
			of = l[step]
		}
	}
	return of
}

func names(found map[string]map[string]any) string {
	var all []string
	for name := range found {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func environment(t *testing.T, found map[string]map[string]any) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, e := range at(t, found["Deployment/registry-lighterage"], "spec", "template", "spec", "containers", 0, "env").([]any) {
		name, value := at(t, e, "name").(string), at(t, e, "value")
		if _, twice := env[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		if value == nil {
			ref := at(t, e, "valueFrom", "secretKeyRef").(map[string]any)
			value = "secret " + ref["name"].(string) + "/" + ref["key"].(string)
		}
		env[name] = value.(string)
	}
	return env
}

func TestTheDefaultsAreOneServerWithAVolumeThatIsKept(t *testing.T) {
	found := documents(t)
	if got, want := names(found), "Deployment/registry-lighterage PersistentVolumeClaim/registry-lighterage Service/registry-lighterage ServiceAccount/registry-lighterage"; got != want {
		t.Errorf("rendered %s; want %s", got, want)
	}
	if kept := at(t, found["PersistentVolumeClaim/registry-lighterage"], "metadata", "annotations", "helm.sh/resource-policy"); kept != "keep" {
		t.Errorf("the volume's resource policy is %v", kept)
	}
	if kind := at(t, found["Deployment/registry-lighterage"], "spec", "strategy", "type"); kind != "Recreate" {
		t.Errorf("the strategy is %v: two servers would want one SQLite file", kind)
	}
}

func TestServersThatShareADatabaseReplaceEachOtherOneByOne(t *testing.T) {
	found := documents(t, shared...)
	if kind := at(t, found["Deployment/registry-lighterage"], "spec", "strategy", "type"); kind != "RollingUpdate" {
		t.Errorf("the strategy is %v", kind)
	}
	if found["PersistentVolumeClaim/registry-lighterage"] != nil {
		t.Error("there is a volume that nothing is on")
	}
	if found["PodDisruptionBudget/registry-lighterage"] == nil {
		t.Error("all servers may be evicted at once")
	}
	env := environment(t, found)
	for name, want := range map[string]string{
		"LIGHTERAGE_DATABASE": "secret db/url", "LIGHTERAGE_STORAGE": "s3://images", "AWS_ACCESS_KEY_ID": "secret s3/AWS_ACCESS_KEY_ID",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
}

func TestEverythingCanBeTurnedOn(t *testing.T) {
	found := documents(t, everything...)
	want := "ConfigMap/registry-lighterage-ca ConfigMap/registry-lighterage-dashboard Deployment/registry-lighterage Ingress/registry-lighterage NetworkPolicy/registry-lighterage " +
		"PodDisruptionBudget/registry-lighterage PrometheusRule/registry-lighterage Service/registry-lighterage Service/registry-lighterage-metrics ServiceAccount/registry-lighterage ServiceMonitor/registry-lighterage"
	if got := names(found); got != want {
		t.Errorf("rendered %s;\nwant %s", got, want)
	}
	env := environment(t, found)
	for name, want := range map[string]string{
		"LIGHTERAGE_STORAGE":         "s3://images/harbor?endpoint=http%3A%2F%2Fminio%3A9000&path_style=true",
		"LIGHTERAGE_EXTERNAL_URL":    "https://registry.example.com",
		"LIGHTERAGE_TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
		"LIGHTERAGE_TLS_CERTIFICATE": "/tls/tls.crt",
		"SSL_CERT_DIR":               "/ca:/etc/ssl/certs",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if scheme := at(t, found["Deployment/registry-lighterage"], "spec", "template", "spec", "containers", 0, "readinessProbe", "httpGet", "scheme"); scheme != "HTTPS" {
		t.Errorf("a server that speaks https is asked over %v", scheme)
	}
	if ca := at(t, found["ConfigMap/registry-lighterage-ca"], "data", "ca.crt"); ca != "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n" {
		t.Errorf("the authorities became %q", ca)
	}
	dashboard, err := os.ReadFile(folder + "/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := at(t, found["ConfigMap/registry-lighterage-dashboard"], "data", "lighterage.json"); got != string(dashboard) {
		t.Error("the dashboard is not the one of the file")
	}
}

func TestAHarborAsHomeNeedsNoVolumeForImages(t *testing.T) {
	env := environment(t, documents(t, "home.url=https://harbor.example.com", "home.username=robot$l", "home.existingSecret=harbor", "database.existingSecret=db", "key.existingSecret=key", "persistence.enabled=false"))
	for name, want := range map[string]string{
		"LIGHTERAGE_HOME": "https://harbor.example.com", "LIGHTERAGE_HOME_USERNAME": "robot$l", "LIGHTERAGE_HOME_SECRET": "secret harbor/secret", "LIGHTERAGE_WEBHOOK_SECRET": "secret harbor/webhook-secret",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		settings []string
		want     string
	}{
		"data that goes with the pod":    {[]string{"persistence.enabled=false"}, "persistence.enabled=false loses"},
		"replicas on SQLite":             {[]string{"replicas=2"}, "set database.existingSecret"},
		"replicas with a key each":       {[]string{"replicas=2", "database.existingSecret=db"}, "set key.existingSecret"},
		"replicas with images each":      {[]string{"replicas=2", "database.existingSecret=db", "key.existingSecret=k"}, "set storage.s3.bucket"},
		"a home without a login":         {[]string{"home.url=https://h"}, "home.username"},
		"a home and images":              {[]string{"home.url=https://h", "home.username=u", "home.existingSecret=s", "storage.s3.bucket=b"}, "exclude each other"},
		"an ingress for nothing":         {[]string{"ingress.enabled=true"}, "ingress.host"},
		"a monitor of nothing":           {[]string{"metrics.serviceMonitor.enabled=true"}, "metrics.enabled"},
		"a misspelt value":               {[]string{"replica=2"}, "replica"},
		"an address without a scheme":    {[]string{"externalURL=registry.example.com"}, "externalURL"},
		"a certificate that is none":     {[]string{"caCertificates=/etc/ca.crt"}, "caCertificates"},
		"an access mode that is for one": {[]string{"persistence.accessMode=ReadOnlyMany"}, "accessMode"},
	} {
		t.Run(name, func(t *testing.T) {
			if text, err := render(folder, "registry", c.settings...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q\n%s", err, c.want, text)
			}
		})
	}
}

// TestPodsAreRestricted looks for what Pod Security "restricted" asks for.
func TestPodsAreRestricted(t *testing.T) {
	pod := at(t, documents(t, everything...)["Deployment/registry-lighterage"], "spec", "template", "spec")
	for _, c := range []struct {
		path []any
		want any
	}{
		{[]any{"securityContext", "runAsNonRoot"}, true},
		{[]any{"securityContext", "seccompProfile", "type"}, "RuntimeDefault"},
		{[]any{"containers", 0, "securityContext", "allowPrivilegeEscalation"}, false},
		{[]any{"containers", 0, "securityContext", "readOnlyRootFilesystem"}, true},
		{[]any{"containers", 0, "securityContext", "capabilities", "drop", 0}, "ALL"},
		{[]any{"automountServiceAccountToken"}, false},
		{[]any{"enableServiceLinks"}, false}, // LIGHTERAGE_... of a Service would be taken for flags
	} {
		if got := at(t, pod, c.path...); got != c.want {
			t.Errorf("%v is %v, want %v", c.path, got, c.want)
		}
	}
}

func TestTheEnvironmentIsTheServersFlags(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "-C", root, "run", "./cmd/lighterage", "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	known := []string{"LIGHTERAGE_ADMIN_PASSWORD", "LIGHTERAGE_WEBHOOK_SECRET", "LIGHTERAGE_HOME_SECRET"}
	for _, m := range regexp.MustCompile(`--([a-z][a-z-]*)`).FindAllStringSubmatch(string(out), -1) {
		known = append(known, "LIGHTERAGE_"+strings.ToUpper(strings.ReplaceAll(m[1], "-", "_")))
	}
	home := []string{"home.url=https://h", "home.username=u", "home.existingSecret=s", "home.insecure=true"}
	for _, settings := range [][]string{everything, home} {
		for name := range environment(t, documents(t, settings...)) {
			if strings.HasPrefix(name, "LIGHTERAGE_") && !slices.Contains(known, name) {
				t.Errorf("the server knows no %s", name)
			}
		}
	}
}

func TestTheAlertsAreThoseOfTheDocs(t *testing.T) {
	alerts, err := os.ReadFile(folder + "/files/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(docs), "```yaml\n"+string(alerts)+"```") {
		t.Error("docs/operations.md has other alerts than files/alerts.yaml of the chart")
	}
}

func TestAPackageHasTheVersionOfTheProgram(t *testing.T) {
	into := t.TempDir()
	var out strings.Builder
	if err := pack(&out, folder, "v1.2.3", into); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(into, "lighterage-1.2.3.tgz")
	if strings.TrimSpace(out.String()) != file {
		t.Errorf("told %q, want %q", out.String(), file)
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := pack(io.Discard, folder, "v1.2.3", into); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(file); err != nil || !bytes.Equal(first, second) {
		t.Errorf("packed again it has other bytes (%v)", err)
	}
	text, err := render(file, "registry")
	if err != nil || !strings.Contains(text, `image: "lighterage:1.2.3"`) {
		t.Errorf("the package renders as %v\n%s", err, text)
	}
	if err := pack(&out, folder, "latest", into); err == nil {
		t.Error("a version that is none was taken")
	}
}
