//go:build unix

package tree

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lighterage/lighterage/internal/layout"
)

const (
	scarceBytes  = 1 << 30
	scarceInodes = 10_000
)

// directoryTrial is one run of trials.
type directoryTrial struct {
	d       *Directory
	missing string // the folder that is to be made, "" if d is it
	o       TrialOptions
	ctx     context.Context
	folder  string // the name of the trials' own folder, with a slash at the end
	broken  bool   // nothing can be written
}

// Trials implements Trier.
func (d *Directory) Trials(ctx context.Context, o TrialOptions) (Rates, error) {
	return d.trials(ctx, "", o)
}

func (d *Directory) trials(ctx context.Context, missing string, o TrialOptions) (Rates, error) {
	t := &directoryTrial{d: d, missing: missing, o: o.withDefaults(), ctx: ctx, folder: trialFolder + rand.Text() + "/"}
	_, err := os.Lstat(d.full(ownFolder))
	ours := errors.Is(err, fs.ErrNotExist)
	t.root()
	t.removeLeftOvers()
	t.write()
	t.owner()
	t.space()
	t.names()
	t.mounts()
	t.content()
	rates := t.rates()
	t.clean(ours)
	if ctx.Err() != nil {
		return Rates{}, context.Cause(ctx)
	}
	return rates, nil
}

// missingDirectory is one that is not there yet, tried out in the folder that it will
// be made in.
type missingDirectory struct {
	*Directory
	path string
}

func (m *missingDirectory) String() string { return m.path }

// Trials implements Trier.
func (m *missingDirectory) Trials(ctx context.Context, o TrialOptions) (Rates, error) {
	return m.trials(ctx, m.path, o)
}

func openDirectoryForTrials(path string, o DirectoryOptions) (Opened, error) {
	o.Create = false
	d, err := OpenDirectory(path, o)
	if !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return nil, err
		}
		return d, nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	for above := filepath.Dir(absolute); ; above = filepath.Dir(above) {
		d, err := OpenDirectory(above, o)
		if err == nil {
			return &missingDirectory{d, absolute}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

func (t *directoryTrial) tell(trial Trial) {
	if t.ctx.Err() != nil && trial.Kind != TrialClean {
		return
	}
	trial.Found = oneLine(trial.Found)
	t.o.OnTrial(trial)
}

func (t *directoryTrial) works(kind TrialKind, format string, args ...any) {
	t.tell(Trial{Kind: kind}.saying(format, args...))
}

func (t *directoryTrial) differs(kind TrialKind, reason TrialReason, format string, args ...any) {
	t.tell(Trial{Kind: kind, Result: TrialDiffers, Reason: reason}.saying(format, args...))
}

func (t *directoryTrial) fails(kind TrialKind, reason TrialReason, err error) {
	t.tell(Trial{Kind: kind, Result: TrialFails, Reason: reason}.failing(err))
}

func (t *directoryTrial) root() {
	if t.missing != "" {
		t.differs(TrialFolder, ReasonMissing, "it is not there; a copy makes it in %s", t.d)
		return
	}
	t.works(TrialFolder, "is there")
}

// write stores a file as a copy does: written, on disk, and then given its name.
func (t *directoryTrial) write() {
	name := t.folder + "tag/current/link"
	for _, letter := range []string{"a", "b"} {
		text := "sha256:" + strings.Repeat(letter, 64)
		_, err := t.d.Put(t.ctx, name, BytesContent([]byte(text)))
		if err == nil {
			var got []byte
			if got, err = ReadAll(t.ctx, t.d, name, 1000); err == nil && string(got) != text {
				err = errors.New("other bytes are read than were written")
			}
		}
		if err != nil {
			t.broken = true
			t.fails(TrialWrite, "", err)
			return
		}
	}
	t.works(TrialWrite, "files are written, are on disk, and take the place of old ones")
}

// skips reports that a trial needs to write and cannot.
func (t *directoryTrial) skips(kind TrialKind) bool {
	if t.broken {
		t.tell(Trial{Kind: kind, Result: TrialSkipped, Needs: TrialWrite}.saying("not tried"))
	}
	return t.broken
}

// owner compares whom new files belong to with whom the folder does.
func (t *directoryTrial) owner() {
	if t.skips(TrialOwner) {
		return
	}
	folder, err := os.Stat(t.d.path)
	var file fs.FileInfo
	if err == nil {
		file, err = os.Stat(t.d.full(t.folder + "tag/current/link"))
	}
	if err != nil {
		t.fails(TrialOwner, "", err)
		return
	}
	of := func(info fs.FileInfo) string {
		stat := info.Sys().(*syscall.Stat_t)
		return fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
	}
	if of(folder) != of(file) {
		t.differs(TrialOwner, "", "the folder belongs to %s (%s), and new files to %s", of(folder), folder.Mode().Perm(), of(file))
		return
	}
	t.works(TrialOwner, "the folder (%s) and new files belong to %s", folder.Mode().Perm(), of(folder))
}

// space compares what is free with what is to come.
func (t *directoryTrial) space() {
	var stat unix.Statfs_t
	if err := unix.Statfs(t.d.path, &stat); err != nil {
		t.tell(Trial{Kind: TrialSpace, Result: TrialUnknown}.failing(err))
		return
	}
	bytes, files := int64(stat.Bavail)*int64(stat.Bsize), int64(stat.Ffree) //nolint:unconvert // systems differ
	text := fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	counted := stat.Files > 0 // some file systems have no limit
	if counted {
		text += fmt.Sprintf(", and room for %d files and folders", files)
	}
	// Each object is a file in a folder of its own, and takes a block at least.
	needBytes := t.o.NeedBytes + t.o.NeedObjects*int64(stat.Bsize) //nolint:unconvert // as above
	trial := Trial{Kind: TrialSpace, Found: text, Value: strconv.FormatInt(bytes, 10)}
	switch needFiles := 2 * t.o.NeedObjects; {
	case needBytes > bytes, counted && needFiles > files:
		trial.Result, trial.Reason = TrialFails, ReasonFull
		trial.Found = fmt.Sprintf("%s; needed are %.1f GiB and %d files and folders", text, float64(needBytes)/(1<<30), needFiles)
	case bytes < scarceBytes, counted && files < scarceInodes:
		trial.Result, trial.Reason = TrialDiffers, ReasonScarce
	}
	t.tell(trial)
}

// names looks whether two tags that differ in case can be beside each other.
func (t *directoryTrial) names() {
	if t.skips(TrialNames) {
		return
	}
	_, err := t.d.Put(t.ctx, t.folder+"case/v1-RC", BytesContent([]byte("x")))
	if err != nil {
		t.fails(TrialNames, "", err)
		return
	}
	switch _, err := t.d.Stat(t.ctx, t.folder+"case/v1-rc"); {
	case IsNotExist(err):
		t.works(TrialNames, "are told apart")
	case err != nil:
		t.tell(Trial{Kind: TrialNames, Result: TrialUnknown}.failing(err))
	default:
		t.fails(TrialNames, "", finding("are not told apart"))
	}
}

// mounts looks whether the registry's folders are all in one file system: it moves
// what was pushed from one to another.
func (t *directoryTrial) mounts() {
	root, err := os.Stat(t.d.path)
	if err != nil {
		t.fails(TrialMounts, "", err)
		return
	}
	device := root.Sys().(*syscall.Stat_t).Dev
	for _, folder := range []string{"docker", layout.Root, layout.Blobs, layout.Repositories} {
		info, err := os.Lstat(t.d.full(folder))
		switch {
		case t.missing != "" || errors.Is(err, fs.ErrNotExist):
		case err != nil:
			t.fails(TrialMounts, "", err)
			return
		case info.Mode()&fs.ModeSymlink != 0:
			t.fails(TrialMounts, "", finding("%s is a symbolic link", strings.TrimSuffix(folder, "/")))
			return
		case info.Sys().(*syscall.Stat_t).Dev != device:
			t.differs(TrialMounts, "", "%s is another file system than the folder it is in", strings.TrimSuffix(folder, "/"))
			return
		}
	}
	t.works(TrialMounts, "all folders are in one")
}

// content tells what is in the folder already.
func (t *directoryTrial) content() {
	var c contentSurvey
	if t.missing == "" {
		var err error
		if c, err = surveyContent(t.ctx, t.d, t.o.MostListed); err != nil {
			t.tell(Trial{Kind: TrialContent, Result: TrialUnknown}.failing(err))
			return
		}
	}
	for _, trial := range c.trials() {
		if trial.Kind != TrialMarkers { // there are none in a folder
			t.tell(trial)
		}
	}
}

func (t *directoryTrial) rates() Rates {
	if t.skips(TrialRates) {
		return Rates{}
	}
	if !t.o.Rates {
		t.tell(Trial{Kind: TrialRates, Result: TrialSkipped}.saying("not asked for"))
		return Rates{}
	}
	content := map[int]Content{}
	for _, size := range []int{rateSmall, rateLarge} {
		text := make([]byte, size)
		_, _ = rand.Read(text) // never fails
		content[size] = BytesContent(text)
	}
	rates, err := measure(t.ctx, func(ctx context.Context, base string, size int) error {
		_, err := t.d.Put(ctx, t.folder+base, content[size])
		return err
	})
	if err != nil {
		t.tell(Trial{Kind: TrialRates, Result: TrialUnknown}.failing(err))
		return Rates{}
	}
	t.works(TrialRates, "%.0f small objects and %.1f MiB a second", rates.Requests, rates.Bandwidth/mebibyte)
	return rates
}

// clean removes what the trials have made, and our folder if it was not there.
func (t *directoryTrial) clean(ours bool) {
	err := t.remove(t.folder)
	if ours {
		_ = os.Remove(t.d.full(ownFolder)) // somebody may have put something there meanwhile
	}
	if err != nil {
		t.fails(TrialClean, ReasonLeft, err)
		return
	}
	if !t.broken {
		t.works(TrialClean, "nothing is left behind")
	}
}

// remove removes a folder of trials and never what a symbolic link leads to.
func (t *directoryTrial) remove(folder string) error {
	root, err := os.OpenRoot(t.d.path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return root.RemoveAll(strings.TrimSuffix(folder, "/"))
}

// removeLeftOvers removes what trials have left that were killed.
func (t *directoryTrial) removeLeftOvers() {
	entries, err := os.ReadDir(t.d.full(ownFolder))
	if err != nil {
		return // there is none
	}
	for _, entry := range entries {
		name := ownFolder + entry.Name()
		info, err := entry.Info()
		if err == nil && entry.IsDir() && strings.HasPrefix(name, trialFolder) && time.Since(info.ModTime()) >= t.o.LeftOver {
			_ = t.remove(name)
		}
	}
}

var _ Trier = (*Directory)(nil)
