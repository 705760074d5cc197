package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lighterage/lighterage/internal/cli"
	"github.com/lighterage/lighterage/internal/testserver"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lighterage": main})
}

// TestScripts runs the commands as users do: see testdata. The script commands
// beside testscript's own start real registries and look into them.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("ADMIN_PASSWORD", adminPassword)
			env.Values[worldKey{}] = &world{t: env.T().(testing.TB), registries: map[string]*testserver.Registry{}, stores: map[string]*testserver.Store{}}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"run":          inWorld((*world).runs),
			"registry":     inWorld((*world).registry),
			"push":         inWorld((*world).push),
			"pulls":        inWorld((*world).pulls),
			"break":        inWorld((*world).breakIt),
			"mend":         inWorld((*world).mend),
			"exitcode":     inWorld((*world).exitCode),
			"eventually":   inWorld((*world).eventually),
			"jsonenv":      inWorld((*world).jsonEnv),
			"dockerconfig": inWorld((*world).dockerConfig),
			"stop":         inWorld((*world).stop),
			"serve":        inWorld((*world).serve),
			"endserve":     inWorld((*world).endServe),
			"json":         inWorld((*world).json),
			"jsonlines":    inWorld((*world).jsonLines),
			"permission":   inWorld((*world).permission),
			"subst":        inWorld((*world).substitute),
			"jsonpath":     inWorld((*world).jsonPath),
			"store":        inWorld((*world).store),
			"keys":         inWorld((*world).keys),
			"deny":         inWorld((*world).deny),
		},
	})
}

const adminPassword = "Harbor12345"

// world is what a script has made.
type world struct {
	t          testing.TB
	registries map[string]*testserver.Registry
	stores     map[string]*testserver.Store
	server     *exec.Cmd
}

type worldKey struct{}

func inWorld(f func(w *world, ts *testscript.TestScript, neg bool, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		f(ts.Value(worldKey{}).(*world), ts, neg, args)
	}
}

// registry NAME [tls] [basic|token USER PASSWORD] starts a registry. $NAME
// becomes its host, and NAME.ca the file of its authority.
func (w *world) registry(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	var list []testserver.Option
	for i := 1; i < len(args); i++ {
		switch args[i] {
		case "tls":
			list = append(list, testserver.WithTLS())
		case "basic":
			list = append(list, testserver.WithBasicAuth(args[i+1], args[i+2]))
			i += 2
		case "token":
			list = append(list, testserver.WithTokenAuth(args[i+1], args[i+2], testserver.TokenOptions{}))
			i += 2
		default:
			ts.Fatalf("registry: what is %q?", args[i])
		}
	}
	r := testserver.Distribution(w.t, list...)
	w.registries[name] = r
	ts.Setenv(name, r.Host)
	if r.CA != "" {
		ts.Check(os.WriteFile(ts.MkAbs(name+".ca"), []byte(r.CA), 0o600))
	}
}

// target finds NAME among the registries; home is the server of serve.
func (w *world) target(ts *testscript.TestScript, name string) *testserver.Registry {
	if name == "home" {
		return testserver.Remote("http://"+ts.Getenv("SERVER"), "admin", adminPassword, "")
	}
	r, ok := w.registries[name]
	if !ok {
		ts.Fatalf("there is no registry %s", name)
	}
	return r
}

// image N is the same in every script.
func (w *world) image(ts *testscript.TestScript, seed string) *testserver.Artifact {
	n, err := strconv.ParseUint(seed, 10, 64)
	ts.Check(err)
	return testserver.Image(w.t, n, 2, 4096)
}

// push NAME REPOSITORY:TAG N puts image N into a registry.
func (w *world) push(ts *testscript.TestScript, _ bool, args []string) {
	repository, tag, _ := strings.Cut(args[1], ":")
	testserver.Push(w.t, w.target(ts, args[0]), repository, tag, w.image(ts, args[2]))
}

// pulls NAME REPOSITORY:TAG [N] pulls image N from a registry; with ! nothing is
// there under this tag.
func (w *world) pulls(ts *testscript.TestScript, neg bool, args []string) {
	repository, tag, _ := strings.Cut(args[1], ":")
	r := w.target(ts, args[0])
	if neg {
		if _, there := testserver.Digest(w.t, r, repository, tag); there {
			ts.Fatalf("%s is in %s", args[1], args[0])
		}
		return
	}
	if pulled := testserver.Pull(w.t, r, repository, tag); pulled.Digest != w.image(ts, args[2]).Digest {
		ts.Fatalf("%s in %s is %s, not image %s", args[1], args[0], pulled.Digest, args[2])
	}
}

// break NAME CLASS STATUS has a registry answer requests of a class so.
func (w *world) breakIt(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[2])
	ts.Check(err)
	w.target(ts, args[0]).Faults.Add(testserver.Fault{Class: args[1], Do: testserver.Status(status)})
}

// mend NAME ends what break began.
func (w *world) mend(ts *testscript.TestScript, _ bool, args []string) {
	w.target(ts, args[0]).Faults.Clear()
}

// run ARGUMENTS [< FILE] runs the program in this process, which is a lot faster
// than "exec lighterage": paths have to be absolute.
func (w *world) runs(ts *testscript.TestScript, neg bool, args []string) {
	if code, _ := w.run(ts, args); (code != 0) != neg {
		ts.Fatalf("unexpected exit code %d", code)
	}
}

func (w *world) run(ts *testscript.TestScript, args []string) (code int, out string) {
	input := ""
	if n := len(args) - 2; n >= 0 && args[n] == "<" {
		args, input = args[:n], ts.ReadFile(args[n+1])
	}
	var stdout, stderr bytes.Buffer
	o := options()
	o.Args, o.Getenv = args, ts.Getenv
	o.Stdin, o.Stdout, o.Stderr = strings.NewReader(input), &stdout, &stderr
	code = cli.Main(w.t.Context(), o)
	_, _ = ts.Stdout().Write(stdout.Bytes()) // a buffer
	_, _ = ts.Stderr().Write(stderr.Bytes())
	return code, stdout.String()
}

// exitcode N ARGUMENTS [< FILE] is run with a certain exit code.
func (w *world) exitCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got, _ := w.run(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// eventually ARGUMENTS repeats run until it writes a result.
func (w *world) eventually(ts *testscript.TestScript, _ bool, args []string) {
	testserver.Eventually(w.t, strings.Join(args, " "), func() bool {
		code, out := w.run(ts, args)
		return code == 0 && out != ""
	})
}

// dockerconfig FILE HOST USER PASSWORD ... writes what docker login writes.
func (w *world) dockerConfig(ts *testscript.TestScript, _ bool, args []string) {
	type entry struct {
		Auth string `json:"auth"`
	}
	auths := map[string]entry{}
	for i := 1; i < len(args); i += 3 {
		auths[args[i]] = entry{base64.StdEncoding.EncodeToString([]byte(args[i+1] + ":" + args[i+2]))}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	ts.Check(err)
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	ts.Check(os.WriteFile(path, text, 0o600))
}

// jsonenv NAME FILE FIELD sets a variable to a field of a JSON document.
func (w *world) jsonEnv(ts *testscript.TestScript, _ bool, args []string) {
	var document map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &document))
	ts.Setenv(args[0], fmt.Sprint(document[args[2]]))
}

// stop NAME stops a registry.
func (w *world) stop(ts *testscript.TestScript, _ bool, args []string) { w.target(ts, args[0]).Stop() }

// serve [ARGUMENTS] starts a server; $SERVER becomes its host.
func (w *world) serve(ts *testscript.TestScript, _ bool, args []string) {
	program, err := exec.LookPath("lighterage")
	ts.Check(err)
	w.server = exec.Command(program, append([]string{"serve", "--data", ts.MkAbs("data"), "--listen", "127.0.0.1:0"}, args...)...)
	w.server.Env = []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "LIGHTERAGE_ADMIN_PASSWORD=" + adminPassword}
	w.server.Stderr = testLog{w.t}
	out, err := w.server.StdoutPipe()
	ts.Check(err)
	ts.Check(w.server.Start())
	started := w.server
	ts.Defer(func() {
		_ = started.Process.Kill() // it has usually ended by itself
		_ = started.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, found := strings.Cut(lines.Text(), "Lighterage is ready at http://"); found {
			ts.Setenv("SERVER", url)
		}
		if strings.Contains(lines.Text(), "lighterage login") {
			return
		}
	}
	ts.Fatalf("the server ended before it was ready")
}

// endserve ends the server as an init system does. It has to end in order.
func (w *world) endServe(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(w.server.Process.Signal(syscall.SIGTERM))
	if err := w.server.Wait(); err != nil {
		ts.Fatalf("the server did not end in order: %v", err)
	}
}

type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Logf("server: %s", line)
	return len(line), nil
}

// json FILE PATH VALUE looks up a.b.0.c in a JSON document. With ! it is not there.
func (w *world) json(ts *testscript.TestScript, neg bool, args []string) {
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &document))
	compare(ts, neg, document, args[1], strings.Join(args[2:], " "))
}

// jsonlines FILE EVENT PATH VALUE looks into the last event of a kind.
func (w *world) jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	var last any
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var event map[string]any
		ts.Check(json.Unmarshal([]byte(line), &event))
		if event["event"] == args[1] {
			last = event
		}
	}
	compare(ts, neg, last, args[2], strings.Join(args[3:], " "))
}

func compare(ts *testscript.TestScript, neg bool, document any, path, want string) {
	found := true
	for part := range strings.SplitSeq(path, ".") {
		switch value := document.(type) {
		case map[string]any:
			document, found = value[part]
		case []any:
			i, err := strconv.Atoi(part)
			if found = err == nil && i < len(value); found {
				document = value[i]
			}
		default:
			found = false
		}
		if !found {
			break
		}
	}
	if neg {
		if found {
			ts.Fatalf("%s is there: %v", path, document)
		}
		return
	}
	if got := fmt.Sprint(document); !found || got != want {
		ts.Fatalf("%s is %v, want %s", path, document, want)
	}
}

// store NAME [tls] starts an S3 store with a bucket. $NAME becomes its endpoint, and
// NAME.ca the file of its authority; its keys are in the environment.
func (w *world) store(ts *testscript.TestScript, _ bool, args []string) {
	var list []testserver.Option
	if len(args) > 1 && args[1] == "tls" {
		list = append(list, testserver.WithTLS())
	}
	s := testserver.S3(w.t, list...)
	w.stores[args[0]] = s
	ts.Setenv(args[0], s.Endpoint)
	ts.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	if s.CA != "" {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+".ca"), []byte(s.CA), 0o600))
	}
}

// keys NAME [KEY ...] checks which keys the bucket of a store holds.
func (w *world) keys(ts *testscript.TestScript, _ bool, args []string) {
	got := w.stores[args[0]].Keys("")
	if want := args[1:]; strings.Join(got, " ") != strings.Join(want, " ") {
		ts.Fatalf("%s holds %q, want %q", args[0], got, want)
	}
}

// deny NAME CLASS has a store permit no requests of a class.
func (w *world) deny(_ *testscript.TestScript, _ bool, args []string) {
	w.stores[args[0]].Faults.Add(testserver.Fault{Class: args[1], Do: testserver.StoreError(http.StatusForbidden, "AccessDenied", "Access Denied.")})
}

// permission FILE MODE checks who may read a file.
func (w *world) permission(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%#o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has the mode %s, want %s", args[0], got, args[1])
	}
}

// subst FILE WORD TEXT writes a text in the place of a word.
func (w *world) substitute(ts *testscript.TestScript, _ bool, args []string) {
	content := strings.ReplaceAll(ts.ReadFile(args[0]), args[1], args[2])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(content), 0o600))
}

// jsonpath NAME FILE PATH sets a variable to what a.b.0.c is in a JSON document.
func (w *world) jsonPath(ts *testscript.TestScript, _ bool, args []string) {
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &document))
	for part := range strings.SplitSeq(args[2], ".") {
		switch value := document.(type) {
		case map[string]any:
			document = value[part]
		case []any:
			i, err := strconv.Atoi(part)
			ts.Check(err)
			document = value[i]
		}
	}
	ts.Setenv(args[0], fmt.Sprint(document))
}
