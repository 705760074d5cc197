package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// The guide for keeping a cluster's registry in step with Harbor, step by step with its
// values, and then what happens to the image afterwards.
func TestTheGuideForSyncingImagesToAClusterRegistry(t *testing.T) {
	t.Parallel()
	skopeo := installed(t, "skopeo", "--insecure-policy")
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t, ts.WithTLS(), ts.WithBasicAuth("pusher", "secret-of-pusher"))

	// Step 1: Administration > Registries > New Endpoint, Test Connection, OK.
	endpoint := func(password string, insecure bool) object {
		return object{
			"type": "docker-registry", "name": "cluster1-registry", "url": cluster.URL, "insecure": insecure,
			"credential": object{"type": "basic", "access_key": "pusher", "access_secret": password},
		}
	}
	ping := func(password string, insecure bool) (int, string) {
		e := endpoint(password, insecure)
		status, _, text := home.call(http.MethodPost, "/registries/ping", object{
			"type": e["type"], "url": e["url"], "insecure": insecure, "credential_type": "basic", "access_key": "pusher", "access_secret": password,
		})
		return status, string(text)
	}
	if status, text := ping("secret-of-pusher", false); status != http.StatusBadRequest || !strings.Contains(text, "certificate") {
		t.Errorf("a certificate that nobody trusts: %d %s", status, text)
	}
	if status, text := ping("wrong", true); status != http.StatusBadRequest || !strings.Contains(text, "the registry is unhealthy") {
		t.Errorf("a wrong password: %d %s", status, text)
	}
	if status, text := ping("secret-of-pusher", true); status != http.StatusOK {
		t.Errorf("test connection: %d %s", status, text)
	}
	registry := home.create("/registries", endpoint("secret-of-pusher", true))
	var stored struct {
		Status     string
		Credential struct {
			AccessSecret string `json:"access_secret"`
		}
	}
	home.do(http.MethodGet, fmt.Sprintf("/registries/%d", registry), nil, &stored)
	if stored.Status != "healthy" || stored.Credential.AccessSecret != "*****" {
		t.Errorf("the endpoint is shown as %+v", stored)
	}

	// Step 2: Administration > Replications > New Replication Rule.
	policy := home.create("/replication/policies", object{
		"name": "cluster1-registry-replication", "description": "", "src_registry": nil, "dest_registry": object{"id": registry},
		"dest_namespace": "", "dest_namespace_replace_count": 1,
		"filters": []object{
			{"type": "name", "value": "**"}, {"type": "tag", "value": "**", "decoration": "matches"}, {"type": "label", "value": []string{}, "decoration": "matches"},
		},
		"trigger": object{"type": "event_based", "trigger_settings": object{"cron": ""}}, "deletion": true, "speed": -1, "override": true, "enabled": true,
	})

	// Step 3: push an image, look at the record, pull it from the cluster's registry.
	dir := ociLayout(t)
	image := "docker://" + host(home.url) + "/library/alpine:latest"
	skopeo.run("login", "--tls-verify=false", "-u", "admin", "-p", adminPassword, host(home.url))
	skopeo.run("copy", "--dest-tls-verify=false", "oci:"+dir+":v1", image)
	pushed := strings.TrimSpace(skopeo.run("inspect", "--tls-verify=false", "--format", "{{.Digest}}", image))
	ts.Eventually(t, "the record says that it is replicated", func() bool {
		list := home.executions(policy)
		return len(list) == 1 && list[0].Status == "Succeed" && list[0].Trigger == "event_based" && list[0].Succeed == 1
	})
	tasks := home.tasks(home.executions(policy)[0].ID)
	if len(tasks) != 1 || tasks[0].Source != "library/alpine [1 item(s) in total]" || tasks[0].Destination != "library/alpine [1 item(s) in total]" {
		t.Errorf("the tasks: %+v", tasks)
	}
	skopeo.run("login", "--tls-verify=false", "-u", "pusher", "-p", "secret-of-pusher", cluster.Host)
	skopeo.run("copy", "--src-tls-verify=false", "docker://"+cluster.Host+"/library/alpine:latest", "dir:"+t.TempDir())
	if got, there := ts.Digest(t, cluster, "library/alpine", "latest"); !there || got.String() != pushed {
		t.Errorf("the cluster has %s, want %s", got, pushed)
	}

	// Afterwards: the same image under another name, another image under the same one, a
	// label, and a deletion while the cluster is away for a while.
	skopeo.run("copy", "--src-tls-verify=false", "--dest-tls-verify=false", image, strings.Replace(image, ":latest", ":3.20", 1))
	ts.Eventually(t, "the new tag is there", func() bool {
		got, there := ts.Digest(t, cluster, "library/alpine", "3.20")
		return there && got.String() == pushed
	})
	newer := ts.Push(t, home.registry(), "library/alpine", "latest", ts.Image(t, 1, 2, 1000))
	arrives(t, cluster, "library/alpine", "latest", newer)
	label := home.create("/labels", object{"name": "released", "scope": "g"})
	home.do(http.MethodPost, "/projects/library/repositories/alpine/artifacts/3.20/labels", object{"id": label}, nil)

	cluster.Stop()
	last := ts.Push(t, home.registry(), "library/alpine", "latest", ts.Image(t, 2, 2, 1000))
	home.do(http.MethodDelete, "/projects/library/repositories/alpine/artifacts/3.20/tags/3.20", nil, nil)
	ts.Eventually(t, "what waits is to be seen, with the reason", func() bool {
		return slices.ContainsFunc(home.executions(policy), func(e execution) bool {
			tasks := home.tasks(e.ID)
			return len(tasks) == 1 && tasks[0].Status == "Failed" && tasks[0].Reason != "" && tasks[0].NextAttempt != ""
		})
	})
	cluster.Restart()
	arrives(t, cluster, "library/alpine", "latest", last)
	vanishes(t, cluster, "library/alpine", "3.20")
	if tags := ts.Tags(t, cluster, "library/alpine"); !slices.Equal(tags, []string{"latest"}) {
		t.Errorf("the cluster has the tags %v", tags)
	}
}
