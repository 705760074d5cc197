package cli

import "testing"

func TestASmallHeapHasRoomAndALargeOneGrowsLittle(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 2000, 1 << 20: 2000, 16 << 20: 300, 32 << 20: 100, 60 << 20: 30, 1 << 30: 30} {
		if got := growth(live); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d %%", live, got, want)
		}
	}
}
