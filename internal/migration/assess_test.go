package migration

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestAssessTellsWhatRepositoriesShare(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	// The volume's images share the layer "base", and have the rest for themselves.
	own := func(repository, tag, seed string) int64 {
		manifest := v.read(blobName(v.image(repository, tag, seed)))
		return int64(len(manifest) + len("config of "+seed) + 100*len("layer of "+seed+"\n"))
	}
	const base = int64(len("base"))
	app := own("library/app", "v1", "one") + own("library/app", "v2", "two")
	tools := own("library/app/tools", "", "three")
	own("library/copied", "v1", "one") // as in library/app
	one := own("library/app", "v1", "one")
	// As layers, a manifest's links count once.
	image := v.image("library/app", "v1", "one")
	v.write(linkName(layout.LayerLink, "library/app", "", image), image.String())
	odd := fmt.Sprintf(`{"manifests":[{"mediaType":"application/vnd.example","digest":%q,"size":%d}]}`, image, len(v.read(blobName(image))))
	manifestIn(v, "library/app", "", odd)
	app += int64(len(odd))
	unneeded := v.blob("nobody needs this")
	v.write(layout.Repositories+"library/app/_uploads/1/data", "x")
	v.age()

	r, err := Assess(t.Context(), v.open(), AssessOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantBiggest := []RepositorySize{
		{Repository: "library/app", Tags: 2, Revisions: 3, Bytes: app + base, OwnBytes: app - one, SharedBytes: one + base},
		{Repository: "library/app/tools", Revisions: 1, Bytes: tools + base, OwnBytes: tools, SharedBytes: base},
	}
	wantSharing := []RepositorySize{
		wantBiggest[0],
		{Repository: "library/copied", Tags: 1, Revisions: 1, Bytes: one + base, SharedBytes: one + base},
		wantBiggest[1],
	}
	if wantBiggest[0].OwnBytes < wantBiggest[1].OwnBytes {
		wantBiggest[0], wantBiggest[1] = wantBiggest[1], wantBiggest[0]
	}
	if diff := cmp.Diff(wantBiggest, r.Biggest); diff != "" {
		t.Errorf("biggest (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantSharing, r.BiggestSharing); diff != "" {
		t.Errorf("most sharing (-want +got):\n%s", diff)
	}
	if want := app + tools + base; r.NeededBytes != want || r.SeparateBytes != app+tools+one+3*base || r.Bytes != want+r.UnneededBytes {
		t.Errorf("%d bytes needed of %d, %d if separate", r.NeededBytes, r.Bytes, r.SeparateBytes)
	}
	if r.Unneeded != 1 || r.UnneededBytes != int64(len(v.read(blobName(unneeded)))) || r.Uploads != 1 || !r.Clean {
		t.Errorf("%+v", r.FsckReport)
	}
	var objects, bytes int64
	for _, content := range v.files() {
		objects++
		bytes += int64(len(content))
	}
	if r.Objects != objects || r.ObjectBytes != bytes {
		t.Errorf("a copy would move %d objects of %d bytes, want %d of %d", r.Objects, r.ObjectBytes, objects, bytes)
	}
}

func TestAssessOfWhatRegistriesWrite(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		r, err := Assess(t.Context(), w.open(), AssessOptions{Destination: &Destination{SinglePut: 1 << 20, PartSize: 1 << 20, ListPage: 1000}})
		if err != nil {
			t.Fatal(err)
		}
		var blobs, bytes int64
		for i, class := range r.Sizes {
			blobs, bytes = blobs+class.Blobs, bytes+class.Bytes
			if class.UpTo != sizeClasses[i] || class.Bytes > class.Blobs*class.UpTo {
				t.Errorf("%+v", class)
			}
		}
		if blobs != r.Blobs || bytes != r.Bytes || r.NeededBytes+r.UnneededBytes != r.Bytes || r.SeparateBytes <= r.NeededBytes {
			t.Errorf("%+v", r)
		}
		if e := r.Estimate; e == nil || e.Puts != r.Objects || e.Requests != r.Objects || e.Bytes != r.ObjectBytes || e.Lists != 1 || e.Seconds != 0 {
			t.Errorf("%+v", e)
		}
		text, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(text), `"clean":true`) || !strings.Contains(string(text), `"biggest":[{"repository":`) {
			t.Errorf("%v: %s", err, text)
		}
	})
}

func TestAssessNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.fill()
	v.age()
	tr := &hooked{Tree: v.open(), list: layout.Repositories + "library/app-b/", failure: errors.New("permission denied")}
	var told int
	r, err := Assess(t.Context(), tr, AssessOptions{OnDamage: func(Damage) { told++ }})
	if err != nil || !r.Incomplete || r.Clean || told == 0 || len(r.UnreadablePaths) != 1 || r.UnreadablePaths[0] != tr.list {
		t.Errorf("%v, %+v", err, r)
	}
	empty := newVolume(t)
	if r, err := Assess(t.Context(), empty.open(), AssessOptions{}); !problem.Is(err, problem.NotFound) || r.Clean || !r.Incomplete {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	var blobs blobTable
	for i, size := range []int64{0, 100, 64 * mib, 64*mib + 1, 1000 * mib} {
		blobs.add(idOf(ts.Image(t, uint64(i), 0, 0).Digest), blobState(size))
	}
	blobs.seal()
	report := AssessReport{FsckReport: FsckReport{Links: 995, Blobs: 5}, Objects: 1000, ObjectBytes: 1000 * mib}
	d := Destination{SinglePut: 64 * mib, PartSize: 16 * mib, MaxParts: 10_000, ListPage: 300, Concurrency: 10}
	want := Estimate{Puts: 998, Multiparts: 2, Parts: 5 + 63, Lists: 4, Requests: 998 + 68 + 4, Bytes: 1000 * mib}
	cases := []struct {
		name   string
		change func(*Destination, *Estimate)
	}{
		{"nothing measured", func(*Destination, *Estimate) {}},
		{"few parts", func(d *Destination, e *Estimate) {
			d.MaxParts, e.Parts, e.Requests = 10, 5+10, 998+15+4
		}},
		{"no parts", func(d *Destination, e *Estimate) {
			d.PartSize, e.Parts, e.Multiparts, e.Puts, e.Requests = 0, 0, 0, 1000, 1000
		}},
		{"bandwidth", func(d *Destination, e *Estimate) {
			d.Bandwidth, d.RequestRate = 10*mib, 1000
			e.Seconds, e.Limit = 100, "bandwidth"
		}},
		{"requests", func(d *Destination, e *Estimate) {
			d.Bandwidth, d.RequestRate = 100*mib, 10
			e.Seconds, e.Limit = 107, "requests"
		}},
		{"latency", func(d *Destination, e *Estimate) {
			d.Bandwidth, d.RequestRate, d.Latency = 100*mib, 1000, time.Second
			e.Seconds, e.Limit = 107, "latency"
		}},
	}
	for _, c := range cases {
		d, want := d, want
		c.change(&d, &want)
		if diff := cmp.Diff(want, d.estimate(report, &blobs)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestTheBiggestRepositoriesComeFirst(t *testing.T) {
	t.Parallel()
	var all []RepositorySize
	for i := range 30 {
		all = append(all, RepositorySize{Repository: fmt.Sprintf("r%02d", i), OwnBytes: int64(i % 10)})
	}
	got := biggest(all, func(one RepositorySize) int64 { return one.OwnBytes })
	if len(got) != biggestRepositories || got[0].Repository != "r09" || got[1].Repository != "r19" || got[3].Repository != "r08" || got[19].OwnBytes != 3 {
		t.Errorf("%+v", got)
	}
}
