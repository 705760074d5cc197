package cutover

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// preflight tries out the destination, and refuses one that belongs to somebody else.
func (m *Machine) preflight(ctx context.Context) error {
	t, err := m.site.OpenUntried(ctx, m.s.Destination)
	if err != nil {
		return err
	}
	report, err := migration.Preflight(ctx, t, migration.PreflightOptions{HandsOn: true})
	if closed := t.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if report.Verdict == migration.RowFail {
		return refused(report)
	}
	j, err := m.travel(ctx)
	if err != nil {
		return err
	}
	if err := notOthers(ctx, j); err != nil {
		return err
	}
	m.enter(Copy)
	return nil
}

// refused says why a destination is no good.
func refused(r migration.PreflightReport) error {
	f := &failure{code: "preflight"}
	var texts, advice []string
	for _, row := range r.Rows {
		if row.State == migration.RowFail {
			texts = append(texts, row.Name+": "+row.Found)
			advice = append(advice, row.Advice)
		}
	}
	f.err = fmt.Errorf("%s cannot hold a registry: %s", r.Place, strings.Join(texts, "; "))
	f.advice = strings.Join(advice, " ")
	return f
}

// notOthers refuses a destination that holds a registry which was not copied from here: the
// two would become one.
func notOthers(ctx context.Context, j *journey) error {
	if !j.journal.Empty() {
		return nil
	}
	for name, err := range j.to.Folders(ctx, layout.Repositories) {
		if err != nil {
			return err
		}
		return &failure{
			"preflight", fmt.Errorf("%s holds another registry, with repositories such as %s", j.to, name),
			"Cancel, and name a prefix in which there is nothing.",
		}
	}
	return nil
}

// Attempts of a copy at objects that a store has failed to take.
const (
	copyAttempts = 5
	copyPause    = 2 * time.Second
)

// bring copies once, and again what has failed.
func (m *Machine) bring(ctx context.Context, live, final bool) (migration.CopyReport, error) {
	j, err := m.travel(ctx)
	if err != nil {
		return migration.CopyReport{}, err
	}
	for attempt := 1; ; attempt++ {
		o := m.copyOptions(j, live)
		o.Final = final
		var last error
		o.OnFailure = func(name string, err error) { last = fmt.Errorf("%s: %w", name, err) }
		stop := m.follow(ctx, o, m.s.Phase == Copy)
		r, err := migration.Copy(ctx, j.from, j.to, j.journal, o)
		stop()
		switch {
		case err != nil:
			return r, err
		case r.Failed == 0 && (r.Postponed == 0 || !final):
			return r, nil
		case attempt == copyAttempts:
			if last == nil {
				last = fmt.Errorf("%d objects are still being changed", r.Postponed)
			}
			return r, &failure{"copy", fmt.Errorf("%d objects could not be copied, %w", max(r.Failed, r.Postponed), last),
				"Look whether the store works and has room, and resume; what is copied stays."}
		}
		select {
		case <-ctx.Done():
			return r, context.Cause(ctx)
		case <-time.After(time.Duration(attempt) * copyPause):
		}
	}
}

// follow keeps the progress of a copy until stop is called.
func (m *Machine) follow(all context.Context, o migration.CopyOptions, survey bool) (stop func()) {
	ctx, cancel := context.WithCancel(all)
	j, done := m.journey, make(chan struct{})
	if survey {
		go func() { _ = migration.Survey(ctx, j.from, j.journal, o) }() // without it the time left is not told
	}
	before := m.s.Total
	show := func(began time.Time) {
		c := o.Progress.Counts()
		m.s.Total = before.with(c, o.Progress.Proofs())
		p := Progress{Counts: c, SecondsLeft: -1}
		if t := time.Since(began).Seconds(); t > 0.1 {
			p.Rate = float64(c.Bytes) / t
			if c.Expected > 0 && c.Copied > 0 {
				p.SecondsLeft = t * math.Max(float64(c.Expected-c.Copied)/float64(c.Copied), float64(c.ExpectedBytes-c.Bytes)/float64(max(c.Bytes, 1)))
				p.SecondsLeft = max(0, p.SecondsLeft)
			}
		}
		m.s.Progress = p
	}
	began := time.Now()
	go func() {
		defer close(done)
		ticker := time.NewTicker(savePause)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			m.mu.Lock()
			show(began)
			err := m.save(ctx)
			m.mu.Unlock()
			if err != nil && ctx.Err() == nil {
				m.log.Warn("keep the progress of the storage migration", "error", err)
			}
		}
	}()
	return func() {
		cancel()
		<-done
		show(began)
		if all.Err() == nil {
			return
		}
		last, end := context.WithTimeout(context.WithoutCancel(all), savePause)
		defer end()
		if err := m.save(last); err != nil { // the last second is not counted, and that is all
			m.log.Debug("keep the progress of the storage migration", "error", err)
		}
	}
}

// copy brings everything for the first time.
func (m *Machine) copy(ctx context.Context) error {
	if _, err := m.bring(ctx, true, false); err != nil {
		return err
	}
	m.enter(Delta)
	return nil
}

// mostDeltas is how many looks are made for what is new to become little.
const mostDeltas = 10

// delta brings what is new, until that takes little time, and checks everything.
func (m *Machine) delta(ctx context.Context) error {
	for look := 1; ; look++ {
		began := time.Now()
		r, err := m.bring(ctx, true, false)
		if err != nil {
			return err
		}
		took := time.Since(began).Seconds()
		m.s.Deltas = append(m.s.Deltas, DeltaTimes{Time: began.UTC(), Seconds: took, Objects: r.Copied, Bytes: r.Bytes})
		if n := len(m.s.Deltas); n > mostFindings {
			m.s.Deltas = m.s.Deltas[n-mostFindings:]
		}
		if err := m.save(ctx); err != nil {
			return err
		}
		small := took < float64(m.s.Options.Target)
		if !small && look < mostDeltas {
			continue
		}
		if err := m.rehearse(ctx); err != nil {
			return err
		}
		_, asked, err := m.keeper.Wishes(ctx)
		if err != nil {
			return keepError{err}
		}
		if asked || m.s.Direction == Back || small && m.s.Options.Automatic {
			m.enter(Freeze)
			return nil
		}
		m.enter(Ready)
		m.s.Status = Waiting
		return m.save(ctx)
	}
}

// rehearse checks everything while the registry is in use: what is not right yet is sent
// again, and what is right need not be read in the window. That the two differ in what
// has just been changed means nothing.
func (m *Machine) rehearse(ctx context.Context) error {
	j, err := m.travel(ctx)
	if err != nil {
		return err
	}
	o := migration.CheckOptions{Concurrency: m.s.Options.Concurrency, Correct: true, Deep: m.s.Options.Deep}
	began := time.Now()
	r, err := migration.Check(ctx, j.from, j.to, j.journal, o)
	if err != nil {
		return err
	}
	m.s.Rehearsed = Rehearsal{CheckReport: r, Time: began.UTC()}
	// What a check takes in the window does not read what is proven by now.
	began = time.Now()
	o.Deep = false
	again, err := m.compare(ctx, j, o)
	if err != nil {
		return err
	}
	if again.CheckedBefore.IsZero() { // the first found differences, and this was a full one too
		m.s.Rehearsed = Rehearsal{CheckReport: again, Time: began.UTC()}
	}
	m.s.FullCheck = time.Since(began).Seconds()
	return nil
}

// compare is a check of what changed since a full one, or a full one where there was none.
func (m *Machine) compare(ctx context.Context, j *journey, o migration.CheckOptions) (migration.CheckReport, error) {
	r, err := migration.CheckRecent(ctx, j.from, j.to, j.journal, o)
	if problem.Is(err, problem.Precondition) {
		return migration.Check(ctx, j.from, j.to, j.journal, o)
	}
	return r, err
}

func (m *Machine) freeze(ctx context.Context) error {
	if !m.s.Window.Open {
		m.s.Window = Window{Open: true, Began: time.Now().UTC()}
		if err := m.save(ctx); err != nil { // before it is so: nobody else would lift it
			m.s.Window = Window{}
			return err
		}
	}
	if err := m.site.Freeze(ctx); err != nil {
		return &failure{"servers", err, "Look at the servers' logs, and resume."}
	}
	m.enter(Drain)
	return nil
}

func (m *Machine) drain(ctx context.Context) error {
	if err := m.site.Drain(ctx); err != nil {
		return &failure{"drain", err, "Something was still being written. The registry is open again; resume when it is quieter, and look whether all servers answer."}
	}
	m.enter(Final)
	return nil
}

func (m *Machine) final(ctx context.Context) error {
	if _, err := m.bring(ctx, false, true); err != nil {
		return err
	}
	m.enter(Check)
	return nil
}

// check proves that the target holds what the origin holds, and what the index says.
func (m *Machine) check(ctx context.Context) error {
	j, err := m.travel(ctx)
	if err != nil {
		return err
	}
	extra, err := m.prove(ctx, j)
	if err != nil {
		return err
	}
	if m.s.Direction == Back && len(extra) > 0 {
		removed, err := m.sweep(ctx, j, extra)
		if err != nil {
			return err
		}
		if removed {
			if _, err := m.prove(ctx, j); err != nil {
				return err
			}
		}
	}
	if n := len(m.s.Findings); n > 0 {
		return &failure{"differences", fmt.Errorf("%s does not hold what %s holds: %s: %s, and %d other differences", j.to, j.from, m.s.Findings[0].Name, m.s.Findings[0].Reason, n-1),
			"The registry is open again and nothing has changed. Resume to copy and check once more; if the same differences are found, something else writes to one of the two."}
	}
	if err := m.artifacts(ctx, j); err != nil {
		return err
	}
	m.enter(Switch)
	return nil
}

// prove compares both ends, and notes what must not be. It returns what only the target has.
func (m *Machine) prove(ctx context.Context, j *journey) (extra []string, err error) {
	m.s.Findings = nil
	o := migration.CheckOptions{Concurrency: m.s.Options.Concurrency, Correct: true}
	o.OnDifference = func(d migration.Difference) {
		switch {
		case d.Sign == migration.NotReadable && j.damaged[d.Name]:
			return // it was so before, and is told of as damage
		case d.Sign == migration.Extra && m.s.Direction == Back:
			extra = append(extra, d.Name)
			if !resurrects(d.Name) {
				return // a blob that the bucket never knew of: nobody sees it
			}
		}
		if len(m.s.Findings) < mostFindings {
			m.s.Findings = append(m.s.Findings, Finding{Kind: string(d.Sign), Name: d.Name, Reason: d.Reason})
		}
	}
	m.s.Checked, err = m.compare(ctx, j, o)
	return extra, err
}

// resurrects reports whether a file that is left over makes something visible that was
// deleted.
func resurrects(name string) bool {
	switch layout.Parse(name).Kind {
	case layout.TagLink, layout.TagHistory, layout.RevisionLink:
		return true
	}
	return false
}

// sweep removes from the old storage what the registry has deleted since it left it. Two
// must say so: the storage that was served since, and the index.
func (m *Machine) sweep(ctx context.Context, j *journey, extra []string) (removed bool, err error) {
	var names []string
	for _, name := range extra {
		f := layout.Parse(name)
		if !resurrects(name) {
			continue
		}
		reference := f.Tag
		if f.Kind == layout.RevisionLink {
			reference = f.Digest().String()
		}
		known, err := m.site.Knows(ctx, f.Repository, reference)
		if err != nil {
			return false, err
		}
		if f.Kind != layout.TagHistory && known {
			continue // the index has it: then it is missing where it should be, and that is told
		}
		if _, err := j.from.Stat(ctx, name); !tree.IsNotExist(err) {
			if err != nil {
				return false, err
			}
			continue
		}
		names = append(names, name)
	}
	return len(names) > 0, j.to.Remove(ctx, names)
}

// artifacts looks whether everything that the index has is whole in the target.
func (m *Machine) artifacts(ctx context.Context, j *journey) error {
	m.s.Artifacts = Artifacts{}
	var first string
	for c, err := range m.site.Contents(ctx) {
		if err != nil {
			return err
		}
		m.s.Artifacts.Manifests++
		m.s.Artifacts.Tags += int64(len(c.Tags))
		lacking := lacks(j, c)
		if lacking == "" {
			continue
		}
		_, err := j.from.Stat(ctx, lacking)
		switch {
		case tree.IsNotExist(err):
			m.s.Artifacts.BrokenBefore++
		case err != nil:
			return err
		default:
			m.s.Artifacts.Broken++
			if first == "" {
				first = fmt.Sprintf("%s@%s lacks %s", c.Repository, c.Digest, lacking)
			}
		}
	}
	if m.s.Artifacts.Broken > 0 {
		return &failure{"artifacts", fmt.Errorf("%d artifacts of the index are not whole in %s: %s", m.s.Artifacts.Broken, j.to, first),
			"The registry is open again and nothing has changed. Resume; if it is found again, look at the file that is named."}
	}
	return nil
}

// lacks names a file that an artifact needs and the target is not known to hold, "" if
// there is none. After a check that found no difference what is known is what is there.
func lacks(j *journey, c Content) string {
	link := func(kind layout.Kind, d string) string {
		algorithm, hex, _ := strings.Cut(d, ":")
		return layout.File{Kind: kind, Repository: c.Repository, Algorithm: algorithm, Hex: hex}.Path()
	}
	blob := func(d string) string {
		algorithm, hex, _ := strings.Cut(d, ":")
		return layout.BlobPath(algorithm, hex)
	}
	need := []string{link(layout.RevisionLink, c.Digest)}
	if strings.HasPrefix(c.Digest, "sha256:") { // of others the link leads to one of these
		need = append(need, blob(c.Digest))
	}
	for _, b := range c.Blobs {
		if b == c.Digest {
			continue
		}
		need = append(need, link(layout.LayerLink, b))
		if strings.HasPrefix(b, "sha256:") {
			need = append(need, blob(b))
		}
	}
	for _, name := range need {
		if !j.journal.Holds(name) {
			return name
		}
	}
	for _, tag := range c.Tags {
		name := layout.File{Kind: layout.TagLink, Repository: c.Repository, Tag: tag}.Path()
		if strings.HasPrefix(c.Digest, "sha256:") && !j.journal.HoldsTag(name, c.Digest) {
			return name
		}
	}
	return ""
}

// change has the registry serve the target.
func (m *Machine) change(ctx context.Context) error {
	m.s.Torn = true
	if err := m.save(ctx); err != nil {
		return err
	}
	if err := m.site.Serve(ctx, m.target()); err != nil {
		return &failure{"switch", fmt.Errorf("serve %s: %w", m.target(), err),
			"The registry serves what it served before, and is open again. Look whether every server reaches the destination, and resume."}
	}
	m.s.Served, m.s.Torn = m.s.Direction == Forward, false
	m.enter(Verify)
	return nil
}

// verify pulls and pushes through the registry.
func (m *Machine) verify(ctx context.Context) error {
	j, err := m.travel(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, verifyTime, problem.New(problem.Unknown, "%s did not answer for %s", m.target(), verifyTime))
	defer cancel()
	if m.s.Pulls, err = m.site.Try(ctx, j.from, j.to); err != nil {
		return &failure{"verify", err, "The registry serves what it served before, and is open again. Look what the message says of the store, and resume."}
	}
	for _, p := range m.s.Pulls {
		if p.Error != "" {
			return &failure{"verify", fmt.Errorf("%s@%s could not be pulled from %s: %s", p.Repository, p.Digest, m.target(), p.Error),
				"The registry serves what it served before, and is open again. Look what the message says of the store, and resume."}
		}
	}
	m.enter(Thaw)
	return nil
}

// thaw opens the registry on the target.
func (m *Machine) thaw(ctx context.Context) error {
	if err := m.site.Thaw(ctx); err != nil {
		return &failure{"servers", err, "The registry may still be read-only. Look whether the database answers, and resume."}
	}
	m.s.Window.Open, m.s.Window.Ended = false, time.Now().UTC()
	m.enter(Done)
	if m.s.Direction == Back {
		m.end(RolledBack)
	} else {
		m.leave()
		m.s.Status = Migrated
	}
	m.log.Info("the registry serves another storage", "id", m.s.ID, "storage", m.target().String(),
		"read_only", m.s.Window.Ended.Sub(m.s.Window.Began).Round(time.Millisecond))
	return m.save(ctx)
}
