package cli

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/api/gen"
)

func TestWhatWasDoneInEachProjectIsShown(t *testing.T) {
	t.Parallel()
	var wish gen.HarborAttachment
	done := []gen.HarborAttached{{Project: "library", Action: "created"}, {Project: "team", Action: "unchanged"}}
	env := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(done)
	})
	got := run(t, env, "harbor", "attach", "lib*", "team", "--address", "https://l/webhook/harbor", "--cloud-events")
	if got.code != exitOK || !strings.Contains(got.out, "library  created") || strings.Join(wish.Projects, " ") != "lib* team" ||
		wish.Address != "https://l/webhook/harbor" || !wish.CloudEvents || wish.SkipCertVerify {
		t.Errorf("%+v, asked for %+v", got, wish)
	}
	done[1] = gen.HarborAttached{Project: "team", Action: "failed", Reason: "no permission"}
	for _, command := range []string{"attach", "detach"} {
		if got := run(t, env, "harbor", command); got.code != exitFailed || !strings.Contains(got.out, "no permission") {
			t.Errorf("%s: %+v", command, got)
		}
	}
	var list []gen.HarborAttached
	if got := run(t, env, "harbor", "detach", "-o", "json"); json.Unmarshal([]byte(got.out), &list) != nil || len(list) != 2 || got.code != exitFailed {
		t.Errorf("%+v", got)
	}
	done = nil
	if got := run(t, env, "harbor", "attach", "none"); got.code != exitNothing || !strings.Contains(got.out, "No project matches") {
		t.Errorf("%+v", got)
	}
}

func TestTheHarborThatIsHomeIsShown(t *testing.T) {
	t.Parallel()
	home := gen.HarborHome{
		URL: "https://harbor.example.com", Healthy: true,
		Attachment: &gen.HarborAttachment{Address: "https://l/webhook/harbor"},
		Lacks:      []gen.HarborLack{{Permission: "repository: pull", Projects: []string{"a", "b"}, Need: "nothing can be copied from it"}},
	}
	env := fakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(home)
	})
	got := run(t, env, "harbor", "status")
	for _, want := range []string{"https://harbor.example.com", "healthy", "all projects, to https://l/webhook/harbor", `"repository: pull" of a, b: nothing can be copied`} {
		if got.code != exitOK || !strings.Contains(got.out, want) {
			t.Errorf("%+v lacks %q", got, want)
		}
	}
	home.Healthy, home.Reason, home.Attachment = false, "connection refused", nil
	if got := run(t, env, "harbor", "status"); got.code != exitFailed || !strings.Contains(got.out, "unhealthy: connection refused") || !strings.Contains(got.out, "harbor attach") {
		t.Errorf("%+v", got)
	}
}

func TestServeIsToldWhichHarborIsHome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := []string{"--home", "https://h", "--home-username", "robot$x"}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		want HomeConfig
		says string
	}{
		"none":             {nil, nil, HomeConfig{}, ""},
		"flags":            {append(with, "--home-secret", "s", "--home-insecure", "--change-home"), nil, HomeConfig{URL: "https://h", Username: "robot$x", Secret: "s", Insecure: true, Change: true}, ""},
		"a file":           {append(with, "--home-secret-file", file), nil, HomeConfig{URL: "https://h", Username: "robot$x", Secret: "from a file"}, ""},
		"the environment":  {nil, map[string]string{"LIGHTERAGE_HOME": "https://h", "LIGHTERAGE_HOME_USERNAME": "u", "LIGHTERAGE_HOME_SECRET": "s", "LIGHTERAGE_WEBHOOK_SECRET": "w"}, HomeConfig{URL: "https://h", Username: "u", Secret: "s", WebhookSecret: "w"}, ""},
		"two secrets":      {append(with, "--home-secret", "s", "--home-secret-file", file), nil, HomeConfig{}, "one of them is enough"},
		"no such file":     {append(with, "--home-secret-file", file+"x"), nil, HomeConfig{}, "no such file"},
		"a user of nobody": {[]string{"--home-username", "u"}, nil, HomeConfig{}, "--home URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got *HomeConfig
			var errs strings.Builder
			code := Main(t.Context(), Options{
				Args: append([]string{"serve", "--data", dir}, c.args...), Program: "lighterage",
				Stdin: strings.NewReader(""), Stdout: &strings.Builder{}, Stderr: &errs,
				Getenv: func(name string) string { return c.env[name] },
				Serve: func(_ context.Context, s ServeConfig) error {
					got = &s.Home
					return errors.New("enough")
				},
			})
			if c.says != "" {
				if code != exitUsage || got != nil || !strings.Contains(errs.String(), c.says) {
					t.Errorf("%d %s, want %q", code, errs.String(), c.says)
				}
				return
			}
			if got == nil || *got != c.want {
				t.Errorf("%+v, want %+v: %s", got, c.want, errs.String())
			}
		})
	}
}
