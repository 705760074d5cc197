package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lighterage/lighterage/bench/harness"
	"github.com/lighterage/lighterage/bench/volume"
)

// What is put to find out how many requests at a time are best.
const (
	tuningFiles = 3000
	tuningBytes = 2 << 30
)

// tuning is what was found out before tools are measured.
type tuning struct {
	parallel int           // requests at a time with which raw is fastest
	through  float64       // requests a second through the front, without a round trip added
	past     float64       // the same past the front
	late     time.Duration // what a small request takes longer with the round trip
}

// tune finds out how many requests at a time suit the server best, and what the front
// does to them.
func tune(ctx context.Context, w *world, rtt time.Duration) (tuning, error) {
	files := excerpt(w.volume.Files)
	list := filepath.Join(w.dir, "tuning")
	if err := writeList(list, files); err != nil {
		return tuning{}, err
	}
	var best tuning
	var least time.Duration
	for _, parallel := range []int{4, 8, 16, 32, 64, 128} {
		took, err := w.tryRaw(ctx, list, parallel, rtt, false)
		if err != nil {
			return best, err
		}
		harness.Log("raw, %d requests at a time: %.0f a second", parallel, float64(len(files))/took.Seconds())
		if least == 0 || took < least {
			best.parallel, least = parallel, took
		}
	}
	for _, past := range []bool{false, true} {
		took, err := w.tryRaw(ctx, list, best.parallel, 0, past)
		if err != nil {
			return best, err
		}
		if rate := float64(len(files)) / took.Seconds(); past {
			best.past = rate
		} else {
			best.through = rate
		}
	}
	var err error
	best.late, err = w.lateness(ctx, rtt)
	return best, err
}

// lateness asks for the same thing through the front and past it.
func (w *world) lateness(ctx context.Context, rtt time.Duration) (late time.Duration, err error) {
	o, err := w.server.open(ctx, w.dir, rtt)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	through, err := usual(ctx, o.address)
	if err != nil {
		return 0, err
	}
	past, err := usual(ctx, o.direct)
	return through - past, err
}

// usual is how long the question takes whether the bucket exists, once there is a
// connection.
func usual(ctx context.Context, address string) (time.Duration, error) {
	client, err := newClient(address)
	if err != nil {
		return 0, err
	}
	var took []time.Duration
	for range 31 {
		began := time.Now()
		if _, err := client.BucketExists(ctx, bucket); err != nil {
			return 0, fmt.Errorf("ask the server at %s: %w", address, err)
		}
		took = append(took, time.Since(began))
	}
	return harness.Median(took, func(d time.Duration) time.Duration { return d }), nil
}

// tryRaw puts the files of a list into a server of its own.
func (w *world) tryRaw(ctx context.Context, list string, parallel int, rtt time.Duration, past bool) (took time.Duration, err error) {
	o, err := w.server.open(ctx, w.dir, rtt)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if past {
		o.address = o.direct
	}
	used, err := w.raw(ctx, o, list, parallel, false)
	if err != nil {
		return 0, fmt.Errorf("try %d requests at a time: %w", parallel, err)
	}
	return used.Wall, nil
}

func (w *world) raw(ctx context.Context, o *store, list string, parallel int, signed bool) (harness.Usage, error) {
	return harness.Run(ctx, nil, w.self, rawCommand, "-root", w.volume.Root, "-to", o.rawURL(""), "-list", list,
		"-parallel", strconv.Itoa(parallel), "-signed="+strconv.FormatBool(signed))
}

// excerpt chooses every n-th file so that not too much is put.
func excerpt(files []volume.File) []volume.File {
	var bytes int64
	for _, f := range files {
		bytes += f.Size
	}
	every := max(1, len(files)/tuningFiles, int(bytes/tuningBytes))
	var chosen []volume.File
	for i := 0; i < len(files); i += every {
		chosen = append(chosen, files[i])
	}
	return chosen
}
