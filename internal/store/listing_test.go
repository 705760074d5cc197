package store_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func TestParseListQueryReadsHarborsForms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		q    string
		want []store.Condition
	}{
		{"", nil},
		{"name=plain", []store.Condition{{Field: "name", Match: store.Exact, Values: []string{"plain"}}}},
		{"name=a=b", []store.Condition{{Field: "name", Match: store.Exact, Values: []string{"a=b"}}}},
		{`name=\~x`, []store.Condition{{Field: "name", Match: store.Exact, Values: []string{"~x"}}}},
		{`name="x"`, []store.Condition{{Field: "name", Match: store.Exact, Values: []string{`"x"`}}}},
		{"name=~pla", []store.Condition{{Field: "name", Match: store.Fuzzy, Values: []string{"pla"}}}},
		{"name%3D~pla%2Cid%3D1", []store.Condition{
			{Field: "name", Match: store.Fuzzy, Values: []string{"pla"}},
			{Field: "id", Match: store.Exact, Values: []string{"1"}},
		}},
		{"name=100%", []store.Condition{{Field: "name", Match: store.Exact, Values: []string{"100%"}}}},
		{"id=[1~5]", []store.Condition{{Field: "id", Match: store.Range, Min: "1", Max: "5"}}},
		{"id=[ ~ 5 ]", []store.Condition{{Field: "id", Match: store.Range, Max: "5"}}},
		{`id=["2"~]`, []store.Condition{{Field: "id", Match: store.Range, Min: "2"}}},
		{`id={1 "2"  '3'}`, []store.Condition{{Field: "id", Match: store.AnyOf, Values: []string{"1", "2", "3"}}}},
		{"id={}", []store.Condition{{Field: "id", Match: store.AnyOf}}},
		{"labels=(1 2)", []store.Condition{{Field: "labels", Match: store.AllOf, Values: []string{"1", "2"}}}},
		{"id=1,id=2", []store.Condition{{Field: "id", Match: store.Exact, Values: []string{"2"}}}},
	}
	for _, tt := range tests {
		got, err := store.ParseListQuery(tt.q, "", 1, 10)
		if err != nil {
			t.Errorf("%q: %v", tt.q, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got.Conditions); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.q, diff)
		}
	}
}

func TestParseListQueryRefusesMalformedQueriesInHarborsWords(t *testing.T) {
	t.Parallel()
	const noEqual = `the query string must contain "=" and the key/value cannot be empty`
	const badRange = `range must start with "[", end with "]" and contains only one "~"`
	tests := []struct{ q, want string }{
		{"nonsense", noEqual},
		{"=v", noEqual},
		{"k=", noEqual},
		{"k=v,", noEqual},
		{"k=~", `invalid query string value: ~: fuzzy match value must start with "~" and contain at least 1 other characters`},
		{"k=[1~2", `invalid query string value: [1~2: ` + badRange},
		{"k=[1]", `invalid query string value: [1]: ` + badRange},
		{"k=[1~2~3]", `invalid query string value: [1~2~3]: ` + badRange},
		{"k=[~]", `invalid query string value: [~]: min and max at least one should be set in range`},
		{"k={1", `invalid query string value: {1: or list must start with "{" and end with "}"`},
		{"k=(", `invalid query string value: (: and list must start with "(" and end with ")"`},
		{"k=%00", "the query string must be UTF-8 text"},
		{"k=%ff", "the query string must be UTF-8 text"},
		{"k=" + strings.Repeat("x", 20_000), "the query string is longer than 16384 bytes"},
	}
	for _, tt := range tests {
		_, err := store.ParseListQuery(tt.q, "", 1, 10)
		if !problem.Is(err, problem.BadRequest) || err.Error() != tt.want {
			t.Errorf("%.40q: got %v, want bad request %q", tt.q, err, tt.want)
		}
	}
}

var policyColumns = store.Columns{
	"id":            {SQL: "id", Kind: store.Integer},
	"name":          {SQL: "name", Kind: store.Text},
	"enabled":       {SQL: "enabled", Kind: store.Boolean},
	"creation_time": {SQL: "creation_time", Kind: store.Instant},
}

func TestListQueriesSelectTheSameRowsOnBothDatabases(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		// id: name, enabled, creation_time
		//  1: alpha, yes, 2026-01-01    2: Alpha-2, no, 2026-01-02    3: 50%_off\now, yes, 2026-01-03
		//  4: ärger, no, 2026-01-04     5: a/b, yes, 2026-01-05       6: a-b, no, 2026-01-06
		for i, name := range []string{"alpha", "Alpha-2", `50%_off\now`, "ärger", "a/b", "a-b"} {
			created := time.Date(2026, 1, i+1, 0, 0, 0, 0, time.UTC)
			err := db.InTx(t.Context(), func(tx *store.Tx) error {
				_, err := tx.ExecContext(t.Context(), `INSERT INTO replication_policies (name, enabled, creation_time, update_time) VALUES ($1, $2, $3, $3)`,
					name, i%2 == 0, store.Millis(created))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		tests := []struct {
			q, sort    string
			page, size int64
			want       []int64
		}{
			{want: []int64{6, 5, 4, 3, 2, 1}},
			{q: "name=alpha", want: []int64{1}},
			{q: "Name=alpha", want: []int64{1}},
			{q: "name=' OR 1=1 --", want: nil},
			{q: "name=~ALPHA", want: []int64{2, 1}},
			{q: "name=~%_O", want: []int64{3}},
			{q: `name=~f\n`, want: []int64{3}},
			{q: "name=~a_b", want: nil},
			{q: "name=~Ärger", want: nil},
			{q: "name=~ärGER", want: []int64{4}},
			{q: "id=2", want: []int64{2}},
			{q: "id=abc", want: nil},
			{q: "id=99999999999999999999", want: nil},
			{q: "id=~2", want: []int64{2}},
			{q: "id=[2~4]", want: []int64{4, 3, 2}},
			{q: "id=[5~]", want: []int64{6, 5}},
			{q: "id=[x~4]", want: nil},
			{q: "id={1 3 x}", want: []int64{3, 1}},
			{q: "id={x}", want: nil},
			{q: "id={}", want: nil},
			{q: "id=(2)", want: []int64{2}},
			{q: "id=(2 3)", want: nil},
			{q: "id=()", want: []int64{6, 5, 4, 3, 2, 1}},
			{q: "enabled=true", want: []int64{5, 3, 1}},
			{q: "enabled=0", want: []int64{6, 4, 2}},
			{q: "enabled=maybe", want: nil},
			{q: "creation_time=2026-01-03T00:00:00", want: []int64{3}},
			{q: "creation_time=~2026-01-03", want: []int64{3}},
			{q: "CreationTime=[2026-01-05~]", want: []int64{6, 5}},
			{q: "creation_time=[2026-01-02 00:00:00~2026-01-03T00:00:00Z]", want: []int64{3, 2}},
			{q: "creation_time=[yesterday~]", want: nil},
			{q: "secret=x,update_time=1,id=1", want: []int64{1}},
			{q: "name=~a,enabled=true,id=[2~]", want: []int64{5}},
			{sort: "name", want: []int64{3, 2, 6, 5, 1, 4}},
			{sort: "-name", want: []int64{4, 1, 5, 6, 2, 3}},
			{sort: "-enabled,id", want: []int64{1, 3, 5, 2, 4, 6}},
			{sort: "enabled", want: []int64{6, 4, 2, 5, 3, 1}},
			{sort: "nothing,;DROP TABLE jobs,,-", want: []int64{6, 5, 4, 3, 2, 1}},
			{page: 1, size: 2, want: []int64{6, 5}},
			{page: 2, size: 2, want: []int64{4, 3}},
			{page: 4, size: 2, want: nil},
			{page: 0, size: 2, want: []int64{6, 5}},
			{page: -1, size: 2, want: []int64{6, 5}},
			{page: 3, size: 0, want: []int64{6, 5, 4, 3, 2, 1}},
			{page: 3, size: -5, want: []int64{6, 5, 4, 3, 2, 1}},
			{page: math.MaxInt64, size: 100, want: nil},
		}
		for _, tt := range tests {
			query, err := store.ParseListQuery(tt.q, tt.sort, tt.page, tt.size)
			if err != nil {
				t.Errorf("%+v: %v", tt, err)
				continue
			}
			got, err := ids(t, db, query, "", nil)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%+v: got %v, %v", tt, got, err)
			}
		}

		query, err := store.ParseListQuery("name=~a", "", 1, 10)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ids(t, db, query, "id = $1 OR id = $2", []any{2, 3})
		if err != nil || !slices.Equal(got, []int64{2}) {
			t.Errorf("with a base condition: got %v, %v", got, err)
		}
	})
}

func ids(t *testing.T, db *store.DB, query store.ListQuery, base string, args []any) ([]int64, error) {
	t.Helper()
	where, args := query.Where(policyColumns, base, args)
	rows, err := db.QueryContext(t.Context(), `SELECT id FROM replication_policies`+where+query.OrderLimit(policyColumns, "id DESC"), args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		found = append(found, id)
	}
	return found, rows.Err()
}

func TestConditionFindsAFieldThatIsNoColumn(t *testing.T) {
	t.Parallel()
	query, err := store.ParseListQuery("labels=(1 2)", "", 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	if c, found := query.Condition("labels"); !found || c.Match != store.AllOf || len(c.Values) != 2 {
		t.Errorf("got %+v, %v", c, found)
	}
	if _, found := query.Condition("name"); found {
		t.Error("found a condition that nobody wrote")
	}
}

// Whatever a caller writes, the statement is one that the database accepts.
func FuzzParseListQuery(f *testing.F) {
	for _, q := range []string{"name=plain", "name=~p%", "id=[1~5]", "id={1 2}", "enabled=(true)", `name=\~"x"`, "%2", "creation_time=[~2026-01-01]"} {
		f.Add(q, "-name,id", int64(1), int64(10))
	}
	db := storetest.Open(f)
	f.Fuzz(func(t *testing.T, q, sort string, page, size int64) {
		query, err := store.ParseListQuery(q, sort, page, size)
		if err != nil {
			if !problem.Is(err, problem.BadRequest) {
				t.Fatalf("%q: %v is no bad request", q, err)
			}
			return
		}
		if _, err := ids(t, db, query, "", nil); err != nil {
			t.Fatalf("%q sort %q page %d size %d: %v", q, sort, page, size, err)
		}
	})
}
