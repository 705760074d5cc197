package storetest_test

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

const childVariable = "LIGHTERAGE_STORETEST_CHILD"

// More databases than are ever in use at a time, so that some are used again.
func TestEveryDatabaseHasTheSchemaAndNothingInIt(t *testing.T) {
	t.Parallel()
	for range 6 {
		storetest.Each(t, func(t *testing.T, db *store.DB) {
			err := db.InTx(t.Context(), func(tx *store.Tx) error {
				var id int64
				err := tx.QueryRowContext(t.Context(), `INSERT INTO labels (name, scope, creation_time, update_time) VALUES ('only here', 'g', 0, 0) RETURNING id`).Scan(&id)
				if err == nil && id != 1 {
					t.Errorf("the first row has id %d", id)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheServerOfAKilledTestBinaryStopsAndLeavesNothing(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		fmt.Printf("url %s\n", storetest.PostgreSQLURL(t))
		select {} // until it is killed
	}
	t.Parallel()
	storetest.PostgreSQLURL(t) // skips where there is no PostgreSQL
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), childVariable+"=1")
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Wait() }) // it was killed
	var folder string
	for lines := bufio.NewScanner(output); folder == "" && lines.Scan(); {
		if rawURL, found := strings.CutPrefix(lines.Text(), "url "); found {
			u, err := url.Parse(rawURL)
			if err != nil {
				t.Error(err)
				break
			}
			folder = u.Query().Get("host")
		}
	}
	if _, err := os.Stat(folder); folder == "" || err != nil {
		t.Errorf("the child's folder is %q: %v", folder, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		if _, err := os.Stat(folder); os.IsNotExist(err) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is still there", folder)
		}
	}
}
