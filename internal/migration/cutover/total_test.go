package cutover

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/lighterage/lighterage/internal/migration"
)

func TestATotalGoesOnWhereTheCopyBeforeHasStopped(t *testing.T) {
	first := Total{}.with(migration.Counts{Copied: 40, Bytes: 4000}, map[string]int64{"accepted under its digest": 30, "ETag": 10})
	text, err := json.Marshal(State{Total: first}) // and the server is started again
	if err != nil {
		t.Fatal(err)
	}
	var kept State
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	second := kept.Total.with(migration.Counts{Copied: 2, Bytes: 20}, map[string]int64{"ETag": 1, "read back": 1})
	want := map[string]int64{"accepted under its digest": 30, "ETag": 11, "read back": 1}
	if second.Objects != 42 || second.Bytes != 4020 || !maps.Equal(second.Proofs, want) {
		t.Errorf("after two copies: %+v", second)
	}
	// A pass is told of many times, and counts once.
	if again := kept.Total.with(migration.Counts{Copied: 3, Bytes: 30}, nil); again.Objects != 43 || kept.Total.Proofs["ETag"] != 10 {
		t.Errorf("told again: %+v, and before it %+v", again, kept.Total)
	}
}
