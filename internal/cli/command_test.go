package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
)

// output is what a command wrote and how it ended.
type output struct {
	code        int
	out, errors string
}

// run runs a command with an environment.
func run(t *testing.T, env map[string]string, args ...string) output {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(t.Context(), Options{
		Args: args, Program: "lighterage", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(name string) string { return env[name] },
	})
	return output{code, out.String(), errs.String()}
}

// Every command has a sentence on what it does, an example that is a command of
// this program, and flags with explanations.
func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	a := &app{Options: Options{Getenv: func(string) string { return "" }}}
	root := a.root()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no description or no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			at := strings.Index(line, "lighterage ")
			if at < 0 || strings.Contains(line[:at], "#") {
				continue
			}
			found, _, err := root.Find(strings.Fields(strings.ReplaceAll(line[at+len("lighterage "):], "'", "")))
			if err != nil || found == root {
				t.Errorf("%s: the example is no command: %s", cmd.CommandPath(), line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
}

func TestExitCodesFollowTheFailure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("x"), exitFailed},
		{usage("x"), exitUsage},
		{fmt.Errorf("a: %w", advise(usage("x"), "y")), exitUsage},
		{problem.New(problem.BadRequest, "x"), exitUsage},
		{problem.New(problem.Unauthorized, "x"), exitUnreachable},
		{problem.New(problem.NotFound, "x"), exitFailed},
		{context.Canceled, exitInterrupted},
		{fmt.Errorf("a: %w", errInterrupted), exitInterrupted},
		{&apiError{status: 400}, exitUsage},
		{&apiError{status: 401}, exitUnreachable},
		{advise(&apiError{status: 412}, "x"), exitFailed},
		{silent(exitNothing), exitNothing},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestReportCannotBeSteeredByTextFromElsewhere(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	report(&b, advise(errors.New("bad \x1b[2Jnews"), "do\nthis"))
	if want := "lighterage: bad ?[2Jnews\n  do\n  this\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// fakeServer answers as a server in trouble does; the real one is tested with
// the program.
func fakeServer(t *testing.T, answer http.HandlerFunc) map[string]string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return map[string]string{"LIGHTERAGE_SERVER": s.URL, "LIGHTERAGE_USERNAME": "anna", "LIGHTERAGE_PASSWORD": "x"}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		code   int
		want   []string
	}{
		{401, `{"errors":[{"code":"UNAUTHORIZED","message":"unauthorized"}]}`, 3, []string{"list registries: unauthorized", "Log in again"}},
		{403, `{"errors":[{"code":"FORBIDDEN","message":"anna"}]}`, 3, []string{"list registries: 403 Forbidden", "The account anna may not do this"}},
		{403, `{"errors":[{"code":"DENIED","message":"The system is in read only mode. Any modification is prohibited."}]}`, 1, []string{"is in read only mode", "has ended the read-only mode"}},
		{500, `{"errors":[{"code":"UNKNOWN","message":"internal server error"}]}`, 1, []string{"internal server error", "log of the server"}},
		{502, `<html>Bad Gateway</html>`, 1, []string{"502 Bad Gateway"}},
		{422, `{"errors":[{"code":"X","message":"one"},{"code":"Y","message":"two"}]}`, 2, []string{"one; two"}},
	} {
		env := fakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", map[bool]string{true: "application/json", false: "text/html"}[c.body[0] == '{'])
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		got := run(t, env, "registry", "list")
		if got.code != c.code {
			t.Errorf("%d: exit code %d, want %d", c.status, got.code, c.code)
		}
		for _, want := range c.want {
			if !strings.Contains(got.errors, want) {
				t.Errorf("%d: %q, want %q", c.status, got.errors, want)
			}
		}
	}
}

func TestHTTPToAServerThatSpeaksHTTPSIsExplained(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	address := "http://" + s.Listener.Addr().String()
	env := map[string]string{"LIGHTERAGE_PASSWORD": "x", "XDG_CONFIG_HOME": t.TempDir()}
	for _, args := range [][]string{{"registry", "list", "--server", address}, {"login", address, "-u", "anna"}} {
		got := run(t, env, args...)
		if got.code != exitUnreachable || !strings.Contains(got.errors, "it speaks https there") || !strings.Contains(got.errors, "Begin the URL with https://") {
			t.Errorf("%s: %d %q", args[0], got.code, got.errors)
		}
	}
}

func TestTheVersionIsToldByCommandAndByFlag(t *testing.T) {
	t.Parallel()
	command, flag := run(t, nil, "version"), run(t, nil, "--version")
	if command != flag || command.code != exitOK || !strings.HasPrefix(command.out, "lighterage ") {
		t.Errorf("version: %+v, --version: %+v", command, flag)
	}
}

func TestLoginWithAPathIsNoServer(t *testing.T) {
	t.Parallel()
	env := fakeServer(t, http.NotFound)
	got := run(t, env, "login", env["LIGHTERAGE_SERVER"]+"/harbor", "-u", "anna")
	if got.code != exitUnreachable || !strings.Contains(got.errors, "does not answer like a Lighterage or Harbor server") {
		t.Errorf("%d %q", got.code, got.errors)
	}
}

func TestHintsCanBePastedIntoAShell(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"all-to_cluster1.a": "all-to_cluster1.a", "two words": "'two words'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "": "''", "集群": "'集群'",
	} {
		if got := quoted(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestTasksAreNamedByWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("ab", 32)
	for _, c := range []struct {
		want       string
		references []string
	}{
		{"library/app [3 item(s) in total]", nil}, // a Harbor tells no more
		{"library/app:v1", []string{"v1"}},
		{"library/app@sha256:abababababab", []string{digest}},
		{"library/app (v1, sha256:abababababab)", []string{"v1", digest}},
		{"library/app (a, b, c, 2 more)", []string{"a", "b", "c", "d", "e"}},
	} {
		task := gen.ReplicationTask{SrcResource: "library/app [3 item(s) in total]"}
		for _, r := range c.references {
			task.Items = append(task.Items, gen.ReplicationItem{Reference: r})
		}
		if got := taskSource(task); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestAWebPageIsNoServer(t *testing.T) {
	t.Parallel()
	env := fakeServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>Welcome</html>") })
	for _, args := range [][]string{{"registry", "list"}, {"execution", "view", "1"}, {"policy", "plan", "x"}} {
		if got := run(t, env, args...); got.code != exitUnreachable || !strings.Contains(got.errors, "Check the URL") {
			t.Errorf("%v: %d %q", args, got.code, got.errors)
		}
	}
}

// registries answers as a server that has these.
func registries(list ...gen.Registry) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if id == "registries" {
			_ = json.NewEncoder(w).Encode(list)
			return
		}
		for _, one := range list {
			if fmt.Sprint(one.ID) == id {
				_ = json.NewEncoder(w).Encode(one)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errors":[{"code":"NOT_FOUND","message":"not found"}]}`)
	}
}

func TestThingsAreFoundByNameOrID(t *testing.T) {
	t.Parallel()
	env := fakeServer(t, registries(
		gen.Registry{ID: 1, Name: "cluster"}, gen.Registry{ID: 2, Name: "cluster-b"}, gen.Registry{ID: 3, Name: "2"}, gen.Registry{ID: 4, Name: "4"}))
	for arg, want := range map[string]string{
		"cluster": "id    1", "cluster-b": "id    2", "1": "id    1", "3": "id    3", "4": "id    4", "id:2": "id    2",
	} {
		got := run(t, env, "registry", "view", arg)
		if got.code != 0 || !strings.HasPrefix(got.out, want[:2]) || !strings.Contains(strings.Join(strings.Fields(got.out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%s: %d %q %q, want %q", arg, got.code, got.out, got.errors, want)
		}
	}
	if got := run(t, env, "registry", "view", "2"); got.code != exitUsage || !strings.Contains(got.errors, "say id:3 or id:2") {
		t.Errorf("an ambiguous number: %d %q", got.code, got.errors)
	}
	if got := run(t, env, "registry", "view", "clust"); got.code != exitFailed || !strings.Contains(got.errors, `there is no registry "clust"`) {
		t.Errorf("a part of a name: %d %q", got.code, got.errors)
	}
}

func TestLongListsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	env := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		first, list := 0, []gen.Registry{}
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &first)
		for id := (first-1)*100 + 1; id <= min(first*100, 250); id++ {
			list = append(list, gen.Registry{ID: int64(id), Name: fmt.Sprint("r", id)})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	})
	got := run(t, env, "registry", "list", "-o", "json")
	var list []gen.Registry
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list) != 250 || list[249].ID != 250 {
		t.Errorf("%d registries, %v, %s", len(list), err, got.errors)
	}
}

func TestReadBodyTakesWhatTheAPITakes(t *testing.T) {
	t.Parallel()
	a := &app{}
	for name, c := range map[string]struct{ text, want string }{
		"json":     {`{"name":"a","dest_registry":{"id":3},"filters":[{"type":"name","value":"x/**"}]}`, ""},
		"yaml":     {"name: a\ndest_registry: {id: 3}\nfilters:\n- {type: name, value: 'x/**'}\n", ""},
		"unknown":  {`{"name":"a","destination":1}`, `unknown field "destination"`},
		"type":     {`{"name":["a"]}`, "cannot unmarshal"},
		"list":     {`[{"name":"a"}]`, "want an object"},
		"two":      {"name: a\n---\nname: b\n", "more than one document"},
		"broken":   {`{"name":`, "neither JSON nor YAML"},
		"nothing":  {"", "neither JSON nor YAML"},
		"key type": {"1: a\n", "want an object"},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var p gen.ReplicationPolicy
		err := a.readBody(path, &p)
		if c.want == "" {
			if err != nil || p.Name != "a" || p.DestRegistry.ID != 3 || p.Filters[0].Value != "x/**" {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUsage {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestFlattening(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int8{"none": 0, "0": 0, "1": 1, "3": 3, "all": -1, "-1": -1} {
		var f flattening
		if err := f.Set(text); err != nil || f.count != want {
			t.Errorf("%s: %d, %v", text, f.count, err)
		}
	}
	for _, text := range []string{"", "some", "-2", "128", "1.5"} {
		if err := new(flattening).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	one := int8(1)
	if flattenText(nil) != "all levels" || flattenText(&one) != "1 level" {
		t.Errorf("%s, %s", flattenText(nil), flattenText(&one))
	}
}

func TestTheDataFolderIsTheUsersOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked, xdg, home, want string
	}{
		{"/x", "/xdg", "/home/a", "/x"},
		{"", "/xdg", "/home/a", "/xdg/lighterage"},
		{"", "", "/home/a", "/home/a/.local/share/lighterage"},
		{"", "relative", "/home/a", "/home/a/.local/share/lighterage"},
		{"", "", "", ""},
	} {
		env := map[string]string{"XDG_DATA_HOME": c.xdg, "HOME": c.home}
		a := &app{Options: Options{Getenv: func(name string) string { return env[name] }}}
		if got, err := a.dataDir(c.asked); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}

func TestServeTakesFlagsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"LIGHTERAGE_DATA": "/data", "LIGHTERAGE_LISTEN": ":1", "LIGHTERAGE_AUTO_CREATE_PROJECTS": "true",
		"LIGHTERAGE_ADMIN_PASSWORD": "secret", "LIGHTERAGE_LOG_FORMAT": "json", "LIGHTERAGE_HELP": "x",
	}
	var got ServeConfig
	var out bytes.Buffer
	code := Main(t.Context(), Options{
		Args: []string{"serve", "--listen", ":2"}, Stdout: &out, Stderr: io.Discard,
		Getenv: func(name string) string { return env[name] },
		Serve: func(_ context.Context, c ServeConfig) error {
			got = c
			c.Ready(ServeInfo{URL: "http://here", AdminUser: "admin", GeneratedPassword: "made-up", DataDir: c.DataDir})
			return nil
		},
	})
	if code != 0 || got.DataDir != "/data" || got.Listen != ":2" || !got.AutoCreateProjects || got.AdminPassword != "secret" {
		t.Errorf("%d %+v", code, got)
	}
	for _, want := range []string{"http://here", "made-up", "lighterage login http://here -u admin"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
}

func TestAStartThatFailsSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		storage, failure, want string
	}{
		{"", "listen: bind: address already in use", "choose another address with --listen"},
		{"s3://images", "s3aws: NoCredentialProviders: no valid providers in chain", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
		{"s3://images", "s3aws: NoSuchBucket: The specified bucket does not exist", "Check the bucket, endpoint, region and keys"},
	} {
		var errs bytes.Buffer
		code := Main(t.Context(), Options{
			Args: []string{"serve", "--data", t.TempDir(), "--storage", c.storage}, Stdout: io.Discard, Stderr: &errs,
			Getenv: func(string) string { return "" },
			Serve:  func(context.Context, ServeConfig) error { return errors.New(c.failure) },
		})
		if code != exitFailed || !strings.Contains(errs.String(), c.failure) || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%d %s", code, errs.String())
		}
	}
}

// A damaged login file is told, not overwritten.
func TestLogins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := &app{Options: Options{Getenv: func(name string) string { return map[string]string{"XDG_CONFIG_HOME": dir}[name] }}}
	for range 2 {
		if _, err := a.changeLogins(func(l *logins) { l.Servers["https://a"] = login{Username: "anna"}; l.Current = "https://a" }); err != nil {
			t.Fatal(err)
		}
	}
	all, err := a.readLogins()
	if err != nil || all.Current != "https://a" || all.Servers["https://a"].Username != "anna" {
		t.Errorf("%+v, %v", all, err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "lighterage"))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: something is left over", entries, err)
	}
	path := filepath.Join(dir, "lighterage", "config.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.changeLogins(func(*logins) {}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestBandwidthOfARuleIsGivenInBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int32{"0": 0, "128": 1, "1": 1, "1M": 8192, "1.5MiB/s": 12288, "fast": -1, "-1": -1, "": -1} {
		var s speed
		err := s.Set(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || s.kilobits != want) {
			t.Errorf("%q: %d kilobit a second, %v, want %d", text, s.kilobits, err, want)
		}
	}
	kilobits := int32(8192)
	if got := bandwidthText(&kilobits); got != "1.0 MiB a second" {
		t.Errorf("%q", got)
	}
	none := int32(-1)
	if bandwidthText(&none) != "" || bandwidthText(nil) != "" {
		t.Error("no limit is shown as one")
	}
}

func TestOneShotRuleHasTheLimitsOfItsFlags(t *testing.T) {
	t.Parallel()
	from, err := parseLocation("SRC", "h:5000/library/app")
	if err != nil {
		t.Fatal(err)
	}
	to, err := parseLocation("DST", "g:5000")
	if err != nil {
		t.Fatal(err)
	}
	f := replicateFlags{byChunk: true, bandwidth: speed{8192}, resource: ""}
	r, err := f.rule(from, to)
	if err != nil || r.BytesPerSecond() != 1<<20 || !r.CopyByChunk {
		t.Errorf("%+v, %v", r, err)
	}
}
