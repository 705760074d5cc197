package volume

import (
	"fmt"
	"math"
)

// Profile says what a volume is like.
type Profile struct {
	Name         string
	Repositories int
	Images       int   // of each repository; each has a tag, and all have had the tag latest
	Own          Range // layers of an image that no other image has
	Layer        Range // bytes of them; small ones are as frequent as large ones
	Bases        int   // sets of layers that images share, one set for each repository
	BaseLayers   int   // layers of each set
	BaseLayer    Range // bytes of them
}

// Range has both its ends in it.
type Range struct{ From, To int64 }

// Profiles are the known ones, by name.
func Profiles() map[string]Profile {
	const kib, mib = 1 << 10, 1 << 20
	all := map[string]Profile{}
	for _, p := range []Profile{
		{"tiny", 4, 5, Range{1, 3}, Range{100, 300 * kib}, 2, 2, Range{kib, 2 * mib}},
		{"small", 40, 49, Range{3, 6}, Range{4 * kib, 900 * kib}, 5, 8, Range{512 * kib, 4 * mib}},
		{"many", 200, 99, Range{3, 4}, Range{200, 8 * kib}, 5, 8, Range{2 * kib, 16 * kib}},
		{"large", 20, 5, Range{2, 2}, Range{50e6, 200e6}, 0, 0, Range{}},
	} {
		all[p.Name] = p
	}
	return all
}

// Scaled is a profile with that many times the images: fewer repositories, or where
// that does not do, fewer images in one.
func (p Profile) Scaled(scale float64) Profile {
	images := math.Round(float64(p.Repositories*p.Images) * scale)
	p.Repositories = max(1, int(math.Round(float64(p.Repositories)*scale)))
	p.Images = max(2, int(math.Round(images/float64(p.Repositories)))) // what latest moves on from, and to
	p.Bases = min(p.Bases, p.Repositories)
	return p
}

// Tags is the number of tags of a volume.
func (p Profile) Tags() int { return p.Repositories * (p.Images + 1) }

// Files is about how many files a volume has.
func (p Profile) Files() int64 {
	own := float64(p.Own.From+p.Own.To) / 2
	image := 2*(own+1) + 1 + 4 // blobs and links of layers and config, the manifest, and links to it
	return int64(float64(p.Repositories*p.Images)*image) + int64(p.Repositories*(p.BaseLayers+1)+p.Bases*p.BaseLayers)
}

// Bytes is about how many bytes the blobs of a volume have.
func (p Profile) Bytes() int64 {
	own := float64(p.Own.From+p.Own.To) / 2 * p.Layer.mean()
	const rest = 3 << 10 // a manifest and a config
	return int64(float64(p.Repositories*p.Images)*(own+rest) + float64(p.Bases*p.BaseLayers)*p.BaseLayer.mean())
}

// Room is about how many bytes a volume takes where each file takes whole pages of
// memory and an entry for itself and for its folder.
func (p Profile) Room() int64 { return p.Bytes() + p.Files()*(4<<10+2<<10) }

func (p Profile) String() string {
	return fmt.Sprintf("%s: %d tags in %d repositories, about %d files with %.2f GB of blobs", p.Name, p.Tags(), p.Repositories, p.Files(), float64(p.Bytes())/1e9)
}

// mean is that of a range in which the logarithms are equally frequent.
func (r Range) mean() float64 {
	if r.From >= r.To {
		return float64(r.From)
	}
	return float64(r.To-r.From) / math.Log(float64(r.To)/float64(r.From))
}
