package browser_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// many is how many artifacts and repositories there are in the tests of large lists.
const many = 10_000

// hold fills the database of a server with many artifacts in library/large, all of them
// replicated, and many repositories.
func hold(t *testing.T, dir string) {
	t.Helper()
	db := storetest.OpenURL(t, "sqlite:"+filepath.Join(dir, "lighterage.db"))
	numbers := fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, many)
	now := time.Now().UnixMilli()
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		for _, statement := range []string{
			numbers + `INSERT INTO repositories (project_id, name, creation_time, update_time) SELECT 1, printf('library/r%05d', i), i, i FROM n`,
			`INSERT INTO repositories (project_id, name, creation_time, update_time) VALUES (1, 'library/large', 1000000, 1000000)`,
			numbers + `INSERT INTO artifacts (project_id, repository_id, digest, type, media_type, manifest_media_type, size, manifest_size, extra_attrs, push_time)
				SELECT 1, r.id, printf('sha256:%064x', i), 'IMAGE', 'c', 'm', i * 1000, 1, '{"architecture":"amd64","os":"linux"}', ` + fmt.Sprint(now) + ` - 100000 + i
				FROM n JOIN repositories r ON r.name = 'library/large'`,
			`INSERT INTO tags (repository_id, artifact_id, name, push_time) SELECT a.repository_id, a.id, printf('v%05d', a.size / 1000), a.push_time
				FROM artifacts a JOIN repositories r ON r.id = a.repository_id WHERE r.name = 'library/large'`,
			`INSERT INTO drift (policy_id, registry_id, src_repository, reference, dest_repository, state, is_drift, src_digest, dest_digest, verified_time, seen_time)
				SELECT 1, 1, 'library/large', t.name, 'library/large', 'in_sync', FALSE, a.digest, a.digest, ` + fmt.Sprint(now) + `, 1
				FROM tags t JOIN artifacts a ON a.id = t.artifact_id JOIN repositories r ON r.id = a.repository_id WHERE r.name = 'library/large'`,
		} {
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rows waits for how many rows the table has, and that a text is in the first.
func (p *page) rows(n int, first string) {
	p.t.Helper()
	begin := time.Now()
	p.until(fmt.Sprintf("%d rows, %s first", n, first), `(() => {
		const rows = document.querySelectorAll(".ant-table-tbody tr.ant-table-row");
		return rows.length === `+fmt.Sprint(n)+` && rows[0].innerText.includes(`+quote(first)+`) && !document.querySelector(".ant-spin-spinning");
	})()`)
	p.t.Logf("%s after %s", first, time.Since(begin).Round(time.Millisecond))
}

func TestManyArtifactsAndRepositoriesArePagedFilteredAndOrdered(t *testing.T) {
	w := english()
	dir := t.TempDir()
	url, _ := startServerIn(t, builtConsole(t), dir, "127.0.0.1:0")
	cluster := ts.Distribution(t)
	call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": "cluster1", "type": "docker-registry", "url": cluster.URL})
	call(t, http.MethodPost, url+"/api/v2.0/replication/policies", map[string]any{"name": "all", "dest_registry": map[string]any{"id": 1}, "enabled": true, "trigger": map[string]any{"type": "manual"}})
	hold(t, dir)
	p := open(t, url, w.tag)
	p.login(w)

	p.goTo("/harbor/projects/1/repositories")
	p.rows(15, "library/large")
	p.shows("1 - 15 of 10,001 items")
	p.click(".ant-pagination-item a", "667")
	p.rows(11, "library/r00011")
	p.typeFilter("Filter Repositories", "r099")
	p.rows(15, "library/r09999")
	p.shows("1 - 15 of 100 items")
	p.link("library/r09999")
	p.shows("We couldn't find any artifacts!")

	p.goTo("/harbor/projects/1/repositories/large/artifacts-tab")
	p.rows(15, "v10000")
	p.shows("cluster1: in sync")
	p.shows("1 - 15 of 10,000 items")
	p.click("th.ant-table-column-has-sorters", "Size")
	p.rows(15, "v00001")
	p.click(".ant-pagination-item a", "667")
	p.rows(10, "v09991")
	p.until("the address says so", `location.search.includes("page=667") && location.search.includes("sort=size")`)
	p.goTo("/harbor/projects/1/repositories/large/artifacts-tab?page=100&page_size=100")
	p.rows(100, "v00100")
	p.typeFilter("Filter by tag", "v0999")
	p.rows(10, "v09999")
	p.accessible("many artifacts")
}
