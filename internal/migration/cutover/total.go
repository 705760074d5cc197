package cutover

import (
	"maps"

	"github.com/lighterage/lighterage/internal/migration"
)

// Total is what all copies of a migration in one direction have brought together. It is
// kept with the state, so that a copy that is killed has its share in it.
type Total struct {
	Objects int64            `json:"objects"`
	Bytes   int64            `json:"bytes"`
	Proofs  map[string]int64 `json:"proofs,omitempty"` // of the objects: how it is known that they are right
}

// with returns the total when a copy has come so far that began after t.
func (t Total) with(c migration.Counts, proofs map[string]int64) Total {
	sum := Total{Objects: t.Objects + c.Copied, Bytes: t.Bytes + c.Bytes, Proofs: map[string]int64{}}
	maps.Copy(sum.Proofs, t.Proofs)
	for proof, n := range proofs {
		sum.Proofs[proof] += n
	}
	return sum
}
