package home_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/store"
)

// many is how many artifacts and repositories there are in the tests of large lists.
const many = 10_000

// fill makes many artifacts, with a tag each, in library/large, and many repositories beside it.
func (f *fixture) fill() {
	f.t.Helper()
	numbers := fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, many)
	f.exec(`INSERT INTO repositories (project_id, name, creation_time, update_time) VALUES (1, 'library/large', 0, 0)`)
	f.exec(`INSERT INTO artifacts (project_id, repository_id, digest, type, media_type, manifest_media_type, size, manifest_size, extra_attrs, push_time) ` + numbers + `
		SELECT 1, r.id, 'sha256:' || i, 'IMAGE', 'c', 'm', i, 1, '{"architecture":"amd64"}', i FROM n JOIN repositories r ON r.name = 'library/large'`)
	f.exec(`INSERT INTO tags (repository_id, artifact_id, name, push_time) SELECT repository_id, id, 'v' || push_time, push_time FROM artifacts`)
	f.exec(`INSERT INTO repositories (project_id, name, creation_time, update_time) ` + numbers + `SELECT 2, 'team-a/r' || i, i, i FROM n`)
}

func (f *fixture) timed(what string, do func()) {
	f.t.Helper()
	begin := time.Now()
	do()
	f.t.Logf("%s: %s", what, time.Since(begin))
}

func TestLargeRepositoriesAreListedPageByPage(t *testing.T) {
	each(t, func(f *fixture) {
		f.fill()
		for _, test := range []struct {
			page        int64
			sort        string
			first, last string
		}{
			{1, "", "v10000", "v9986"},
			{667, "", "v10", "v1"},
			{2, "size", "v16", "v30"},
		} {
			f.timed(fmt.Sprintf("artifacts, page %d by %q", test.page, test.sort), func() {
				q, err := store.ParseListQuery("", test.sort, test.page, 15)
				f.must(err)
				list, total, err := f.ListArtifacts(f.t.Context(), "library/large", home.ArtifactQuery{ListQuery: q, WithLabels: true, WithAccessories: true})
				f.must(err)
				if total != many || list[0].Tags[0].Name != test.first || list[len(list)-1].Tags[0].Name != test.last {
					f.t.Errorf("page %d by %q: %s to %s of %d", test.page, test.sort, list[0].Tags[0].Name, list[len(list)-1].Tags[0].Name, total)
				}
			})
		}
		f.timed("artifacts by a part of a tag", func() {
			q, err := store.ParseListQuery("tags=~v999", "", 1, 15)
			f.must(err)
			if list, total, err := f.ListArtifacts(f.t.Context(), "library/large", home.ArtifactQuery{ListQuery: q}); err != nil || total != 11 || list[0].Tags[0].Name != "v9999" {
				f.t.Errorf("%d artifacts, %v", total, err)
			}
		})
		for _, test := range []struct {
			project           int64
			sort, first, last string
		}{
			{2, "", "team-a/r10000", "team-a/r9986"},
			{2, "name", "team-a/r1", "team-a/r101"},
			{1, "", "library/large", "library/large"},
		} {
			f.timed(fmt.Sprintf("repositories of project %d by %q", test.project, test.sort), func() {
				q, err := store.ParseListQuery("", test.sort, 1, 15)
				f.must(err)
				list, _, err := f.ListRepositories(f.t.Context(), test.project, nil, q)
				f.must(err)
				if list[0].Name != test.first || list[len(list)-1].Name != test.last {
					f.t.Errorf("by %q: %s to %s", test.sort, list[0].Name, list[len(list)-1].Name)
				}
				if test.project == 1 && list[0].ArtifactCount != many {
					f.t.Errorf("%d artifacts are counted", list[0].ArtifactCount)
				}
			})
		}
	})
}
