package server_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// harborEndpoint is a registry of the type harbor.
func (a *api) harborEndpoint(name, url string) int64 {
	a.t.Helper()
	return a.create("/registries", object{
		"name": name, "type": "harbor", "url": url,
		"credential": object{"type": "basic", "access_key": "admin", "access_secret": adminPassword},
	})
}

// robot makes a system robot account with permissions of all projects.
func (a *api) robot(name string, access ...object) (account, secret string) {
	a.t.Helper()
	var made struct{ Name, Secret string }
	a.do(http.MethodPost, "/robots", object{
		"name": name, "level": "system", "duration": -1,
		"permissions": []object{{"kind": "project", "namespace": "*", "access": access}},
	}, &made)
	return made.Name, made.Secret
}

func may(resource, action string) object { return object{"resource": resource, "action": action} }

// A whole server plays the other Harbor: names with slashes, projects that are made,
// signatures, deletion of a tag by the API, and the way back by a pull rule with labels.
func TestHarborOnEitherSideOfARule(t *testing.T) {
	t.Parallel()
	home, peer := start(t, server.Config{DataDir: t.TempDir()}), start(t, server.Config{DataDir: t.TempDir()})
	endpoint := home.harborEndpoint("peer", peer.url)
	home.eventRule("out", endpoint, object{
		"dest_namespace": "mirror", "dest_namespace_replace_count": 1, "filters": []object{{"type": "name", "value": "library/**"}},
	})
	image := ts.Image(t, 1, 2, 1000)
	d := ts.Push(t, home.registry(), "library/team/deep/app", "v1", image)
	ts.Push(t, home.registry(), "library/team/deep/app", "v1.0", image)
	signature := ts.Push(t, home.registry(), "library/team/deep/app", ts.CosignTag(d), ts.CosignSignature(t, image))
	const there = "mirror/team/deep/app"
	arrives(t, peer.registry(), there, "v1", d)
	arrives(t, peer.registry(), there, "v1.0", d)
	arrives(t, peer.registry(), there, ts.CosignTag(d), signature)
	home.do(http.MethodDelete, "/projects/library/repositories/team%252Fdeep%252Fapp/artifacts/v1/tags/v1.0", nil, nil)
	vanishes(t, peer.registry(), there, "v1.0")
	ts.Pull(t, peer.registry(), there, "v1")

	// What everybody may pull here everybody may pull there.
	home.create("/projects", object{"project_name": "closed"})
	home.eventRule("private", endpoint, object{"filters": []object{{"type": "name", "value": "closed/**"}}, "dest_namespace_replace_count": 0})
	closed := ts.Push(t, home.registry(), "closed/app", "v1", ts.Image(t, 9, 1, 100))
	ts.Eventually(t, "the project is made", func() bool {
		status, _, _ := peer.call(http.MethodGet, "/projects/closed", nil)
		return status == http.StatusOK
	})
	arrives(t, peer.registry(), "closed/app", "v1", closed)
	for project, want := range map[string]string{"mirror": "true", "closed": "false"} {
		var found struct{ Metadata struct{ Public string } }
		peer.do(http.MethodGet, "/projects/"+project, nil, &found)
		if found.Metadata.Public != want {
			t.Errorf("the project %s is public: %q, want %s", project, found.Metadata.Public, want)
		}
	}

	label := peer.create("/labels", object{"name": "release", "scope": "g"})
	peer.do(http.MethodPost, "/projects/mirror/repositories/team%252Fdeep%252Fapp/artifacts/v1/labels", object{"id": label}, nil)
	other := ts.Push(t, peer.registry(), "library/other", "v1", ts.Image(t, 2, 1, 100))
	back := home.create("/replication/policies", object{
		"name": "back", "src_registry": object{"id": endpoint}, "enabled": true, "trigger": object{"type": "manual"},
		"dest_namespace": "back", "dest_namespace_replace_count": 1, "override": true,
		"filters": []object{{"type": "label", "value": []string{"release"}, "decoration": "matches"}},
	})
	if e := home.run(back); e.Status != "Succeed" || e.Total != 1 {
		t.Fatalf("%+v", e)
	}
	for reference, want := range map[string]string{"v1": d.String(), ts.CosignTag(d): signature.String()} {
		if got, _ := ts.Digest(t, home.registry(), "back/team/deep/app", reference); got.String() != want {
			t.Errorf("%s is %q, want %s", reference, got, want)
		}
	}
	if _, copied := ts.Digest(t, home.registry(), "back/other", "v1"); copied {
		t.Errorf("%s, which has no label, was copied", other)
	}
}

func TestARobotOfAHarborThatMayNotPushIsToldWhatItLacks(t *testing.T) {
	t.Parallel()
	home, peer := start(t, server.Config{DataDir: t.TempDir()}), start(t, server.Config{DataDir: t.TempDir()})
	account, secret := peer.robot("reader", may("repository", "pull"), may("repository", "list"), may("artifact", "list"))
	endpoint := home.create("/registries", object{
		"name": "peer", "type": "harbor", "url": peer.url,
		"credential": object{"type": "basic", "access_key": account, "access_secret": secret},
	})
	ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 1, 300))
	rule := func(name string, more object) int64 {
		body := object{"name": name, "dest_registry": object{"id": endpoint}, "enabled": true, "trigger": object{"type": "manual"}}
		for k, v := range more {
			body[k] = v
		}
		return home.create("/replication/policies", body)
	}
	for name, test := range map[string]struct {
		rule object
		says string
	}{
		"pushes":   {nil, `"repository: push" of project library`},
		"projects": {object{"dest_namespace": "new", "dest_namespace_replace_count": 1}, `"project: create"`},
	} {
		e := home.run(rule(name, test.rule))
		if e.Status != "Failed" {
			t.Fatalf("%s: %+v", name, e)
		}
		if reason := home.tasks(e.ID)[0].Reason; !strings.Contains(reason, test.says) || !strings.Contains(reason, account) {
			t.Errorf("%s: %s does not name %s", name, reason, test.says)
		}
	}
}

// A layer that somebody else has pushed to the Harbor is not sent once more.
func TestABlobThatAHarborHasElsewhereIsMounted(t *testing.T) {
	t.Parallel()
	home, peer := start(t, server.Config{DataDir: t.TempDir()}), start(t, server.Config{DataDir: t.TempDir()})
	base := ts.Image(t, 1, 1, 3<<20)
	ts.Push(t, peer.registry(), "library/base", "v1", base)
	d := ts.Push(t, home.registry(), "library/app", "v1", ts.ImageOn(t, base, 2, 1, 1000))
	policy := home.create("/replication/policies", object{
		"name": "out", "dest_registry": object{"id": home.harborEndpoint("peer", peer.url)}, "enabled": true, "trigger": object{"type": "manual"},
		"dest_namespace": "mirror", "dest_namespace_replace_count": 1,
	})
	if e := home.run(policy); e.Status != "Succeed" {
		t.Fatalf("%+v", e)
	}
	ts.Pull(t, peer.registry(), "mirror/app", d.String())
	var e struct {
		Sent int64 `json:"bytes_sent"`
	}
	home.do(http.MethodGet, "/replication/executions/"+itoa(home.executions(policy)[0].ID), nil, &e)
	if e.Sent >= 1<<20 {
		t.Errorf("%d bytes were sent, among them what was there", e.Sent)
	}
}

func TestAHarborInReadOnlyModeIsSaidToBeThat(t *testing.T) {
	t.Parallel()
	home, peer := start(t, server.Config{DataDir: t.TempDir()}), start(t, server.Config{DataDir: t.TempDir()})
	home.eventRule("out", home.harborEndpoint("peer", peer.url), nil)
	peer.do(http.MethodPut, "/configurations", object{"read_only": true}, nil)
	d := ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 1, 300))
	var policy int64 = 1
	ts.Eventually(t, "the task says so", func() bool {
		for _, e := range home.executions(policy) {
			for _, task := range home.tasks(e.ID) {
				if task.Status == "Failed" && strings.Contains(task.Reason, "read only mode") {
					return true
				}
			}
		}
		return false
	})
	peer.do(http.MethodPut, "/configurations", object{"read_only": false}, nil)
	e := home.executions(policy)[0]
	home.do(http.MethodPost, "/replication/executions/"+itoa(e.ID)+"/retry", nil, nil)
	arrives(t, peer.registry(), "library/app", "v1", d)
}

// What Harbor's messages leave out is asked of it: the labels of a pushed artifact, what
// a signature belongs to, which index a child belongs to.
func TestEventsOfAHarborMeetTheFiltersOfARule(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: 50 * time.Millisecond}})
	cluster := ts.Distribution(t)
	endpoint := lighter.endpoint("cluster", cluster)
	releases := lighter.eventRule("releases", endpoint, object{"filters": []object{{"type": "tag", "value": "v*"}}})
	labelled := lighter.eventRule("labelled", endpoint, object{
		"dest_namespace": "labelled", "filters": []object{{"type": "label", "value": []string{"release"}, "decoration": "matches"}},
	})
	lighter.attach(object{})

	index := ts.Index(t, 1, "linux/amd64", "linux/arm64")
	for _, child := range index.Children {
		harbor.push("library/app", "", child, true)
	}
	pushed := harbor.push("library/app", "v1", index, true)
	arrives(t, cluster, "library/app", "v1", pushed)
	other := ts.Image(t, 2, 1, 100)
	harbor.push("library/app", "dev", other, true)

	ofChild := ts.Referrer(t, index.Children[0], "application/spdx+json", 12)
	unwanted := ts.Referrer(t, other, "application/spdx+json", 13)
	for _, a := range []*ts.Artifact{unwanted, ofChild} {
		harbor.push("library/app", "", a, true)
	}
	cosign := harbor.push("library/app", ts.CosignTag(index.Digest), ts.CosignSignature(t, index), true)
	arrives(t, cluster, "library/app", ofChild.Digest.String(), ofChild.Digest)
	arrives(t, cluster, "library/app", ts.CosignTag(index.Digest), cosign)

	label := harbor.create("/labels", object{"name": "release", "scope": "g"})
	harbor.do(http.MethodPost, "/projects/library/repositories/app/artifacts/dev/labels", object{"id": label}, nil)
	harbor.do(http.MethodPost, "/projects/library/repositories/app/artifacts/dev/tags", object{"name": "promoted"}, nil)
	harbor.logged(time.Now(), "create", "tag", "library/app:promoted")
	arrives(t, cluster, "labelled/app", "promoted", other.Digest)

	quiet(t, lighter)
	for _, reference := range []string{"dev", "promoted", unwanted.Digest.String()} {
		if _, there := ts.Digest(t, cluster, "library/app", reference); there {
			t.Errorf("%s was copied, which the rule does not want", reference)
		}
	}
	if _, there := ts.Digest(t, cluster, "labelled/app", "v1"); there {
		t.Error("v1, which has no label, was copied")
	}
	// One for the index, one for each of the two accessories.
	if n := len(lighter.executions(releases)); n != 3 {
		t.Errorf("%d executions of the rule for releases", n)
	}
	if n := len(lighter.executions(labelled)); n != 1 {
		t.Errorf("%d executions of the rule for labels", n)
	}
}

// Whoever stands in front of the Harbor and answers for it says nothing about what the
// Harbor holds.
func TestAHarborThatCannotBeAskedIsNotTakenForAnEmptyOne(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]int{"bad gateway": http.StatusBadGateway, "not found": http.StatusNotFound, "forbidden": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harbor := playHarbor(t)
			lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: 50 * time.Millisecond, WebhookSecret: "hush"}})
			cluster := ts.Distribution(t)
			policy := lighter.eventRule("all", lighter.endpoint("cluster", cluster), nil)
			lighter.attach(object{})
			d := harbor.push("library/app", "v1", ts.Image(t, 1, 1, 300), true)
			arrives(t, cluster, "library/app", "v1", d)
			ts.Eventually(t, "everything is settled", func() bool { return settledExecutions(lighter.api, policy) })

			harbor.fail(answer)
			// Told by somebody who knows the secret that it is gone.
			body := webhook(t, "Default", "delete", time.Now(), "library/app", "v1", d)
			if got := post(t, lighter.url+"/webhook/harbor", "hush", body); got != http.StatusOK {
				t.Fatalf("%d", got)
			}
			ts.Eventually(t, "a task has tried and failed", func() bool {
				for _, e := range lighter.executions(policy) {
					for _, task := range lighter.tasks(e.ID) {
						if task.Operation != "copy" && task.Status == "Failed" && task.Attempts > 0 {
							return true
						}
					}
				}
				return false
			})
			harbor.fail(0)
			for _, e := range lighter.executions(policy) {
				if e.Status == "Failed" {
					lighter.do(http.MethodPost, "/replication/executions/"+itoa(e.ID)+"/retry", nil, nil)
				}
			}
			ts.Eventually(t, "everything has succeeded", func() bool {
				return !slices.ContainsFunc(lighter.executions(policy), func(e execution) bool { return e.Status != "Succeed" })
			})
			if got, there := ts.Digest(t, cluster, "library/app", "v1"); !there || got != d {
				t.Errorf("v1 is %q (there: %v), want %s: it was never deleted", got, there, d)
			}
		})
	}
}

func TestAPullRuleBringsImagesToTheHarborThatIsHome(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: time.Hour}})
	upstream := ts.Distribution(t)
	d := ts.Push(t, upstream, "team/app", "v1", ts.Image(t, 1, 2, 500))
	policy := lighter.create("/replication/policies", object{
		"name": "in", "src_registry": object{"id": lighter.endpoint("upstream", upstream)}, "enabled": true, "override": true,
		"trigger": object{"type": "manual"}, "dest_namespace": "fresh/from", "dest_namespace_replace_count": 1,
	})
	if e := lighter.run(policy); e.Status != "Succeed" || e.Total != 1 {
		t.Fatalf("%+v", e)
	}
	if got := ts.Pull(t, harbor.registry(), "fresh/from/app", "v1"); got.Digest != d {
		t.Errorf("%s, want %s", got.Digest, d)
	}
}

func TestWebhookPoliciesAreKeptAndRemoved(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: time.Hour}})
	for _, name := range []string{"team-a", "team-b", "ops"} {
		harbor.create("/projects", object{"project_name": name})
	}
	harbor.create("/projects/ops/webhook/policies", object{
		"name": "lighterage", "enabled": true, "event_types": []string{"PUSH_ARTIFACT"},
		"targets": []object{{"type": "http", "address": "http://other.example.com/webhook/harbor", "auth_header": "Bearer theirs"}},
	})
	const created, unchanged, updated = "created", "unchanged", "updated"
	same := func(what string, got, want map[string]string) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		for project, action := range want {
			if got[project] != action {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
	}
	same("some", lighter.attach(object{"projects": []string{"team-*"}}), map[string]string{"team-a": created, "team-b": created})
	same("all", lighter.attach(object{}), map[string]string{"library": created, "ops": created, "team-a": unchanged, "team-b": unchanged})
	if n := len(harbor.policies["ops"]); n != 2 {
		t.Errorf("%d policies in ops: that of another server is not ours to change", n)
	}
	harbor.mu.Lock()
	harbor.policies["team-a"][0].Enabled = false
	harbor.mu.Unlock()
	wish := object{"address": strings.Replace(lighter.url, "127.0.0.1", "localhost", 1) + "/webhook/harbor"}
	same("another address", lighter.attach(wish), map[string]string{"library": updated, "ops": updated, "team-a": updated, "team-b": updated})
	var shown struct {
		Healthy    bool
		Attachment struct{ Address string }
	}
	lighter.do(http.MethodGet, "/home/harbor", nil, &shown)
	if !shown.Healthy || shown.Attachment.Address != wish["address"] {
		t.Errorf("%+v", shown)
	}
	for name, bad := range map[string]object{
		"a pattern that is none": {"projects": []string{"["}}, "an address that is none": {"address": "ftp://x/webhook/harbor"},
		"another path": {"address": "http://127.0.0.1/"},
	} {
		if status, _, text := lighter.call(http.MethodPost, "/home/harbor/attach", bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	var done []struct{ Project, Action string }
	for _, want := range []string{"removed", "none"} {
		lighter.do(http.MethodPost, "/home/harbor/detach", object{}, &done)
		for _, d := range done {
			if d.Action != want {
				t.Errorf("detach: %+v, want %s", d, want)
			}
		}
	}
	if len(harbor.policies["ops"]) != 1 || len(harbor.policies["library"]) != 0 {
		t.Errorf("what is left: %+v", harbor.policies)
	}
}

func TestADatabaseIsNotTurnedToAnotherHomeByChance(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	dir := t.TempDir()
	start(t, server.Config{DataDir: dir}).Stop()
	with := func(c server.Config) error {
		c.DataDir, c.Listen, c.AdminPassword = dir, "127.0.0.1:0", adminPassword
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c.Ready = func(server.Info) { cancel() }
		return server.Run(ctx, c)
	}
	home := server.HomeConfig{URL: harbor.url, Username: "admin", Secret: adminPassword}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "--change-home") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("a Harbor after the embedded registry", with(server.Config{Home: home}))
	home.Change = true
	if err := with(server.Config{Home: home}); err != nil {
		t.Fatal(err)
	}
	home.Change = false
	if err := with(server.Config{Home: home}); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	refused("the embedded registry after a Harbor", with(server.Config{}))
	home.Secret = "wrong"
	if err := with(server.Config{Home: home}); err == nil || !strings.Contains(err.Error(), "refuses the credential") {
		t.Errorf("a wrong secret: %v", err)
	}
	for name, bad := range map[string]server.Config{
		"no account": {Home: server.HomeConfig{URL: harbor.url}}, "a storage beside it": {Home: home, Storage: dir},
	} {
		if err := with(bad); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestAServerStartsWhileTheHarborThatIsHomeIsDown(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	harbor.fail(http.StatusBadGateway)
	lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: 50 * time.Millisecond}})
	cluster := ts.Distribution(t)
	lighter.eventRule("all", lighter.endpoint("cluster", cluster), nil)
	answer, err := http.Get(lighter.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "502") {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
	harbor.fail(0)
	ts.Eventually(t, "the log is being read", func() bool {
		harbor.mu.Lock()
		defer harbor.mu.Unlock()
		return harbor.asked > 1
	})
	d := harbor.push("library/app", "v1", ts.Image(t, 1, 1, 300), false)
	arrives(t, cluster, "library/app", "v1", d)
}
