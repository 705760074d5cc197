package audit_test

import (
	"fmt"
	"testing"

	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

// millionEntries is a log as a busy server has it: mostly pulls, a few failures, of a hundred
// projects and fifty users.
func millionEntries(b *testing.B, db *store.DB) {
	b.Helper()
	err := db.InTx(b.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(b.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
			INSERT INTO audit_logs (project_id, username, resource, resource_type, operation, operation_description, operation_result, op_time)
			SELECT i % 100, 'user' || (i * 7 % 50), 'project' || (i % 100) || '/app' || (i % 1000) || ':v' || i,
				CASE WHEN i % 1000 = 0 THEN 'user' ELSE 'artifact' END, CASE WHEN i % 1000 = 0 THEN 'login' WHEN i % 20 = 0 THEN 'create' ELSE 'pull' END,
				'pull artifact: project' || (i % 100) || '/app' || (i % 1000) || ':v' || i, i % 1000 <> 0, 1700000000000 + CAST(i AS BIGINT) * 7776 FROM n`)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPagesOfAMillionEntries(b *testing.B) {
	for name, open := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgreSQLURL} {
		b.Run(name, func(b *testing.B) {
			db := storetest.OpenURL(b, open(b))
			millionEntries(b, db)
			if name == "postgres" {
				_ = db.InTx(b.Context(), func(tx *store.Tx) error { _, err := tx.ExecContext(b.Context(), "ANALYZE audit_logs"); return err })
			}
			one := audit.Selection{Projects: []int64{7}}
			ten := audit.Selection{Projects: []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}
			for _, page := range []struct {
				name   string
				s      audit.Selection
				q      string
				number int64
			}{
				{"all", audit.Selection{}, "", 1}, {"last", audit.Selection{}, "", 50_000}, {"user", audit.Selection{}, "username=user7", 1},
				{"failed", audit.Selection{}, "operation_result=false", 1}, {"resource", audit.Selection{}, "resource=~app77", 1},
				{"none", audit.Selection{}, "resource=~nothing", 1}, {"day", audit.Selection{}, "op_time=[2023-12-01 00:00:00~2023-12-02 00:00:00]", 1},
				{"project", one, "", 1}, {"projects", ten, "", 1}, {"older", audit.Selection{Types: []string{"artifact", "tag"}}, "", 1},
			} {
				query, err := store.ParseListQuery(page.q, "-op_time", page.number, 20)
				if err != nil {
					b.Fatal(err)
				}
				b.Run(page.name, func(b *testing.B) {
					l := audit.New(db, nil)
					for b.Loop() {
						if _, _, err := l.List(b.Context(), page.s, query); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkAnEntryBesideAChange is what an entry adds to a transaction that changes something.
func BenchmarkAnEntryBesideAChange(b *testing.B) {
	for name, open := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgreSQLURL} {
		db := storetest.OpenURL(b, open(b))
		l := audit.New(db, nil)
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/entry=%v", name, with), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					err := db.InTx(b.Context(), func(tx *store.Tx) error {
						if err := store.SetSetting(b.Context(), tx, "changed", fmt.Sprint(i)); err != nil || !with {
							return err
						}
						return l.Add(b.Context(), tx, audit.Entry{Project: "library", Username: "ann", Kind: audit.CreateArtifact, Resource: "library/app:v1", Description: "push artifact: library/app:v1"})
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
