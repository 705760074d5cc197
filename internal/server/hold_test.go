package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/server"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// The index of home loses a tag, as one from a backup does.
func TestADeletionThatNobodyToldOfIsReleasedByTheAPI(t *testing.T) {
	t.Parallel()
	told := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.Header.Get("X-Lighterage-Event") + " " + string(body)
	}))
	t.Cleanup(hook.Close)
	c := server.Config{DataDir: t.TempDir(), Reconcile: time.Hour, Deletions: &server.DeletionCap{}, MetricsListen: "127.0.0.1:0"}
	home := start(t, c)
	home.create("/notifications", object{"name": "ops", "enabled": true, "url": hook.URL, "events": []string{"held"}})
	cluster := ts.Distribution(t)
	destination := home.endpoint("cluster", cluster)
	policy := home.eventRule("all", destination, nil)
	pushed := ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 2, 300))
	arrives(t, cluster, "library/app", "v1", pushed)
	ts.Eventually(t, "the server has noted that it arrived", func() bool { return home.executions(policy)[0].Status == "Succeed" })
	home.Stop()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(c.DataDir, "lighterage.db"))
	if err != nil {
		t.Fatal(err)
	}
	err = db.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `DELETE FROM tags`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	again := start(t, c)
	type execution struct {
		ID     int64  `json:"id"`
		Status string `json:"status"`
		Hold   string `json:"hold"`
	}
	var held execution
	ts.Eventually(t, "the deletion waits", func() bool {
		var all []execution
		again.do(http.MethodGet, fmt.Sprintf("/replication/executions?policy_id=%d", policy), nil, &all)
		for _, e := range all {
			if e.Hold != "" {
				held = e
			}
		}
		return held.ID != 0
	})
	if tasks := again.tasks(held.ID); len(tasks) != 1 || tasks[0].Operation != "tag deletion" || tasks[0].Status != "Pending" {
		t.Errorf("%+v", tasks)
	}
	if event := <-told; !strings.HasPrefix(event, "held ") || !strings.Contains(event, "waits to be released") {
		t.Errorf("told was %s", event)
	}
	ts.Eventually(t, "a metric tells of it", func() bool {
		_, text := scrape(t, again.info.MetricsURL, "")
		n, _ := number(text, `lighterage_replication_held{rule="all"}`)
		return n == 1
	})
	if _, there := ts.Digest(t, cluster, "library/app", "v1"); !there {
		t.Fatal("it is deleted already")
	}
	release := fmt.Sprintf("/replication/executions/%d/release", held.ID)
	again.do(http.MethodPost, release, nil, nil)
	vanishes(t, cluster, "library/app", "v1")
	ts.Eventually(t, "the execution has ended", func() bool { return again.execution(held.ID).Status == "Succeed" })
	if status, _, text := again.call(http.MethodPost, release, nil); status != http.StatusPreconditionFailed {
		t.Errorf("a second release: %d %s", status, text)
	}
	if status, _, text := again.call(http.MethodPost, "/replication/executions/4711/release", nil); status != http.StatusNotFound {
		t.Errorf("a release of nothing: %d %s", status, text)
	}
}
