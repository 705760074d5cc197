package migration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// Wanted is an artifact that is looked for.
type Wanted struct {
	Repository string
	Digest     digest.Digest
}

// String is REPOSITORY@DIGEST.
func (w Wanted) String() string { return w.Repository + "@" + w.Digest.String() }

// ParseWanted reads REPOSITORY@DIGEST.
func ParseWanted(text string) (Wanted, error) {
	repository, name, found := strings.Cut(text, "@")
	algorithm, hex, _ := strings.Cut(name, ":")
	if !found || !layout.ValidRepository(repository) || !layout.ValidDigest(algorithm, hex) {
		return Wanted{}, problem.New(problem.BadRequest, "%.200q is no artifact: want REPOSITORY@DIGEST", text)
	}
	return Wanted{repository, digest.Digest(name)}, nil
}

// longestWanted bounds a line: a repository's name has at most 255 bytes.
const longestWanted = 1024

// ReadWanted yields the artifacts of a list, one a line; empty lines are passed over. A
// line that is none ends it with an error that has its number.
func ReadWanted(from io.Reader) iter.Seq2[Wanted, error] {
	return func(yield func(Wanted, error) bool) {
		lines := bufio.NewScanner(from)
		lines.Buffer(make([]byte, 4<<10), longestWanted)
		n := 0
		for lines.Scan() {
			n++
			line := strings.TrimSpace(lines.Text())
			if line == "" {
				continue
			}
			w, err := ParseWanted(line)
			if err != nil {
				err = problem.Wrap(problem.BadRequest, err, "line %d", n)
			}
			if !yield(w, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Wanted{}, problem.Wrap(problem.BadRequest, err, "line %d", n+1))
		}
	}
}

// FindOptions tune a search.
type FindOptions struct {
	// Beside is a tree in which an artifact that is missing is looked for too: one that is
	// broken there as well was so before. nil: none.
	Beside tree.Tree
	// Deep reads every blob and hashes it.
	Deep        bool
	Concurrency int // artifacts at a time; 0: DefaultConcurrency
	// Looked counts the artifacts that were looked at; nil: nobody does.
	Looked *atomic.Int64
	// OnMissing is told of each artifact that is not whole, one at a time.
	OnMissing func(NotWhole)
}

// NotWhole is an artifact that is not whole in a tree.
type NotWhole struct {
	Artifact string `json:"name"`
	Path     string `json:"path,omitempty"` // what is missing or wrong
	Reason   string `json:"reason"`
	Before   bool   `json:"before,omitempty"` // it is not whole in the other tree either
}

// String is a line for people.
func (m NotWhole) String() string {
	sign := "+"
	if m.Before {
		sign = "!"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", sign, m.Artifact, m.Reason, m.Path))
}

// FindReport is what a search found.
type FindReport struct {
	Tree        string  `json:"tree"`
	Artifacts   int64   `json:"artifacts"`
	Whole       int64   `json:"whole"`
	Missing     int64   `json:"missing"` // not whole
	Before      int64   `json:"before"`  // not whole, and neither in the other tree
	Blobs       int64   `json:"blobs"`   // that were looked at
	HashedBytes int64   `json:"hashed_bytes"`
	Seconds     float64 `json:"seconds"`
}

// Find looks whether artifacts are whole in a tree: whether a registry that has it can
// serve each of them with all that belongs to it. Each blob is looked at once, and costs
// some hundred bytes of memory, as does each that a repository has.
func Find(ctx context.Context, t tree.Tree, wanted iter.Seq2[Wanted, error], o FindOptions) (FindReport, error) {
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Looked == nil {
		o.Looked = &atomic.Int64{}
	}
	began := time.Now()
	main := &finder{t: t, deep: o.Deep}
	var beside *finder
	if o.Beside != nil {
		beside = &finder{t: o.Beside, deep: o.Deep}
	}
	report := FindReport{Tree: t.String()}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(o.Concurrency)
	var bad error
	for w, err := range wanted {
		if err != nil {
			bad = err
			break
		}
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			missing, err := main.look(gctx, w)
			if err == nil && missing != nil && beside != nil {
				missing.Before, err = beside.lacks(gctx, w)
			}
			if err != nil {
				return fmt.Errorf("look for %s in %s: %w", w, t, err)
			}
			mu.Lock()
			defer mu.Unlock()
			report.count(missing)
			o.Looked.Add(1)
			if missing != nil && o.OnMissing != nil {
				o.OnMissing(*missing)
			}
			return nil
		})
	}
	err := errors.Join(bad, g.Wait(), context.Cause(ctx))
	report.Blobs, report.HashedBytes = main.blobs.Load(), main.hashed.Load()
	report.Seconds = time.Since(began).Seconds()
	return report, err
}

func (r *FindReport) count(missing *NotWhole) {
	r.Artifacts++
	switch {
	case missing == nil:
		r.Whole++
	case missing.Before:
		r.Before++
	default:
		r.Missing++
	}
}

// finder looks into one tree, and remembers what it saw.
type finder struct {
	t             tree.Tree
	deep          bool
	seen          sync.Map // of *sighting, by what was looked at
	blobs, hashed atomic.Int64
}

// sighting is what came out of one look: "" is well.
type sighting struct {
	once         sync.Once
	path, reason string
	target       digest.Digest // of a link
	err          error
}

// maxDepth of indexes in indexes; more is no image but an attack.
const maxDepth = 8

func (f *finder) look(ctx context.Context, w Wanted) (*NotWhole, error) {
	s, err := f.manifest(ctx, w, 0)
	if err != nil || s.reason == "" {
		return nil, err
	}
	return &NotWhole{Artifact: w.String(), Path: s.path, Reason: s.reason}, nil
}

func (f *finder) lacks(ctx context.Context, w Wanted) (bool, error) {
	missing, err := f.look(ctx, w)
	return missing != nil, err
}

// once has one of all who look at the same thing do so.
func (f *finder) once(what string, look func(*sighting)) *sighting {
	one, _ := f.seen.LoadOrStore(what, &sighting{})
	s := one.(*sighting)
	s.once.Do(func() { look(s) })
	return s
}

// manifest looks at a manifest of a repository, and at all that it needs.
func (f *finder) manifest(ctx context.Context, w Wanted, depth int) (*sighting, error) {
	s := f.once("m"+w.String(), func(s *sighting) {
		link := f.link(ctx, layout.RevisionLink, w.Repository, w.Digest)
		if link.reason != "" || link.err != nil {
			s.path, s.reason, s.err = link.path, link.reason, link.err
			return
		}
		m, ok := f.read(ctx, link.target, w.Digest, s)
		if ok {
			f.needs(ctx, w.Repository, m, depth, s)
		}
	})
	return s, s.err
}

// read reads a manifest and hashes it.
func (f *finder) read(ctx context.Context, blob, named digest.Digest, s *sighting) (m oci.Manifest, ok bool) {
	s.path = blobPath(blob)
	content, err := tree.ReadAll(ctx, f.t, s.path, maxManifest)
	f.hashed.Add(int64(len(content)))
	switch {
	case tree.IsNotExist(err):
		s.reason = "its manifest is not there"
	case err != nil && len(content) > maxManifest:
		s.reason = "its manifest is too large to be one"
	case err != nil:
		s.err = err
	case blob.Algorithm().FromBytes(content) != blob || named.Algorithm().FromBytes(content) != named:
		s.reason = "its manifest has not the bytes that its digest says"
	default:
		if m, err = oci.Parse(content); err != nil {
			s.reason = err.Error()
			break
		}
		s.path = ""
		return m, true
	}
	return m, false
}

// needs looks at what a manifest refers to. A subject need not be there.
func (f *finder) needs(ctx context.Context, repository string, m oci.Manifest, depth int, s *sighting) {
	take := func(other *sighting, what string) bool {
		if other.err == nil && other.reason == "" {
			return true
		}
		s.path, s.err = other.path, other.err
		if other.reason != "" {
			s.reason = what + ": " + other.reason
		}
		return false
	}
	for _, b := range m.Blobs {
		if b.Foreign {
			continue
		}
		what := "its " + string(b.Role)
		link := f.link(ctx, layout.LayerLink, repository, b.Digest)
		if link.reason != "" && b.Role == oci.Entry {
			link = f.link(ctx, layout.RevisionLink, repository, b.Digest)
		}
		if !take(link, what) || !take(f.blob(ctx, link.target, b.Size), what) {
			return
		}
	}
	for _, child := range m.Children {
		if depth == maxDepth {
			s.reason = "it is an index in an index, too many times"
			return
		}
		one, _ := f.manifest(ctx, Wanted{repository, child.Digest}, depth+1)
		if !take(one, "its manifest "+child.Digest.String()) {
			return
		}
	}
}

// link reads a link of a repository, and says what it leads to.
func (f *finder) link(ctx context.Context, kind layout.Kind, repository string, d digest.Digest) *sighting {
	path := linkPath(kind, repository, d)
	return f.once(path, func(s *sighting) {
		content, err := tree.ReadAll(ctx, f.t, path, longestWanted)
		switch {
		case tree.IsNotExist(err):
			s.path, s.reason = path, "the repository does not have it"
		case err != nil:
			s.err = err
		default:
			if s.target, err = layout.Parse(path).Target(content); err != nil {
				s.path, s.reason = path, err.Error()
			}
		}
	})
}

// blob looks at a blob.
func (f *finder) blob(ctx context.Context, d digest.Digest, size int64) *sighting {
	path := blobPath(d)
	return f.once(fmt.Sprint(path, size), func(s *sighting) {
		f.blobs.Add(1)
		o, err := f.t.Stat(ctx, path)
		switch {
		case tree.IsNotExist(err):
			s.path, s.reason = path, "it is not there"
		case err != nil:
			s.err = err
		case size != oci.UnknownSize && o.Size != size:
			s.path, s.reason = path, fmt.Sprintf("it has %d bytes, and should have %d", o.Size, size)
		case f.deep:
			f.hash(ctx, path, d, s)
		}
	})
}

// hash reads a blob back.
func (f *finder) hash(ctx context.Context, path string, d digest.Digest, s *sighting) {
	body, err := f.t.Read(ctx, path, 0, -1)
	if err != nil {
		s.err = err
		return
	}
	buffer := hashBuffers.Get().(*[]byte)
	defer hashBuffers.Put(buffer)
	verifier := d.Verifier()
	n, err := io.CopyBuffer(onlyWriter{verifier}, body, *buffer)
	s.err = errors.Join(err, body.Close())
	f.hashed.Add(n)
	if s.err == nil && !verifier.Verified() {
		s.path, s.reason = path, "it has not the bytes that its digest says"
	}
}
