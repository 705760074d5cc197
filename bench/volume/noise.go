package volume

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
)

// source is the noise that follows from the volume's seed and a name.
func (v *Volume) source(name string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s", v.seed, name)))
}

// fraction is a number from 0 to 1 that follows from the volume's seed and a name.
func (v *Volume) fraction(name string) float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", v.seed, name))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// at is the number of the range at a fraction of it.
func (r Range) at(fraction float64) int64 {
	return min(r.To, r.From+int64(fraction*float64(r.To-r.From+1)))
}

// logarithmic is at on a logarithmic scale.
func (r Range) logarithmic(fraction float64) int64 {
	if r.From >= r.To {
		return r.From
	}
	return int64(float64(r.From) * math.Pow(float64(r.To)/float64(r.From), fraction))
}
