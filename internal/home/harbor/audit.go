package harbor

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

const (
	// overlap is how much of the log is read again each time: Harbor writes an entry
	// some time after what it is about, and entries overtake each other.
	overlap = 2 * time.Minute
	// A stretch of the log is read and recorded at a time.
	auditPage     = 100 // entries, the most that Harbor gives
	pagesAtOnce   = 50
	changesAtOnce = 500
)

// auditLogs are where the log is: since Harbor 2.13, and before.
var auditLogs = []string{"auditlog-exts", "audit-logs"}

// auditState is what one process remembers of its readings.
type auditState struct {
	mu     sync.Mutex
	path   string        // the one of auditLogs that is there; "" when not known
	counts map[key]int64 // of the last reading: what has not changed is not recorded again
	said   string        // trouble that has been told
}

// entry is one entry of the log.
type entry struct {
	Resource     string    `json:"resource"`
	ResourceType string    `json:"resource_type"`
	Operation    string    `json:"operation"`
	Username     string    `json:"username"`
	OpTime       time.Time `json:"op_time"`
	Result       *bool     `json:"operation_result"` // newer logs have failed operations too
}

// cursor is how far the log has been read.
type cursor struct {
	URL  string `json:"url"`
	Time int64  `json:"time"` // of the last entry that was seen; Unix milliseconds by Harbor's clock
}

const cursorSetting = "harbor.audit_cursor"

// followAudit reads what has been added to the audit log. Trouble is told once.
func (h *Home) followAudit(ctx context.Context) {
	err := h.ReadAudit(ctx)
	if ctx.Err() != nil {
		return
	}
	said := ""
	if err != nil {
		said = err.Error()
	}
	h.audit.mu.Lock()
	before := h.audit.said
	h.audit.said = said
	h.audit.mu.Unlock()
	if said != "" && said != before {
		h.log.Warn("the audit log of the Harbor cannot be read: webhooks that are lost are not noticed", "error", err)
	}
	if err == nil || registry.IsTemporary(err) {
		h.noteHealth(ctx, err)
	}
}

// ReadAudit records what the audit log has that was not recorded yet. The first
// reading only finds out where the log ends.
func (h *Home) ReadAudit(ctx context.Context) error {
	from, known, err := h.readCursor(ctx)
	if err != nil {
		return err
	}
	if !known {
		return h.startAudit(ctx)
	}
	for {
		entries, complete, err := h.readLog(ctx, from)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return nil
		}
		last := entries[len(entries)-1].OpTime
		if !complete { // of its last second more may follow
			last = last.Truncate(time.Second)
			entries = before(entries, last)
		}
		if from, err = h.recordEntries(ctx, entries, from, last); err != nil || complete {
			return err
		}
	}
}

func (h *Home) readCursor(ctx context.Context) (time.Time, bool, error) {
	text, found, err := h.db.Setting(ctx, cursorSetting)
	if err != nil || !found {
		return time.Time{}, false, err
	}
	var c cursor
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return time.Time{}, false, fmt.Errorf("read setting %s: %w", cursorSetting, err)
	}
	return time.UnixMilli(c.Time).UTC(), c.URL == h.URL(), nil
}

func (h *Home) writeCursor(ctx context.Context, tx *store.Tx, to time.Time) error {
	return store.SetSetting(ctx, tx, cursorSetting, store.JSON(cursor{URL: h.URL(), Time: to.UnixMilli()}))
}

// startAudit begins at the end of the log. What happened before only a comparison of
// everything finds.
func (h *Home) startAudit(ctx context.Context) error {
	entries, err := h.readPage(ctx, url.Values{"sort": {"-op_time"}, "page": {"1"}, "page_size": {"1"}})
	if err != nil {
		return err
	}
	end := time.UnixMilli(0)
	if len(entries) > 0 {
		end = entries[0].OpTime
	}
	return h.db.InTx(ctx, func(tx *store.Tx) error { return h.writeCursor(ctx, tx, end) })
}

// readLog reads a stretch of the log, oldest entries first, from a little before a
// time on. It is complete when nothing follows; otherwise it goes beyond that time by
// more than a second, however crowded that is.
func (h *Home) readLog(ctx context.Context, from time.Time) (entries []entry, complete bool, err error) {
	q := "operation={create delete},resource_type={artifact tag}"
	if since := from.Add(-overlap); since.Unix() > 0 {
		q += ",op_time=[" + since.UTC().Format("2006-01-02T15:04:05") + "~]"
	}
	for page := 1; ; page++ {
		part, err := h.readPage(ctx, url.Values{
			"q": {q}, "sort": {"op_time"}, "page": {strconv.Itoa(page)}, "page_size": {strconv.Itoa(auditPage)},
		})
		if err != nil {
			return nil, false, err
		}
		entries = append(entries, part...)
		if len(part) < auditPage {
			return entries, true, nil
		}
		last := part[len(part)-1].OpTime.Truncate(time.Second)
		if page >= pagesAtOnce && last.After(from) && last.After(entries[0].OpTime) {
			return entries, false, nil
		}
	}
}

// readPage asks for a page of the log, wherever this version of Harbor has it.
func (h *Home) readPage(ctx context.Context, query url.Values) ([]entry, error) {
	h.audit.mu.Lock()
	paths := auditLogs
	if h.audit.path != "" {
		paths = []string{h.audit.path}
	}
	h.audit.mu.Unlock()
	var err error
	for _, path := range paths {
		var page []entry
		if err = h.api.Get(ctx, &page, query, path); registry.IsNotFound(err) {
			continue
		}
		if err != nil {
			break
		}
		h.audit.mu.Lock()
		h.audit.path = path
		h.audit.mu.Unlock()
		return page, nil
	}
	return nil, fmt.Errorf("read the audit log: %w", err)
}

func before(entries []entry, t time.Time) []entry {
	n := len(entries)
	for n > 0 && !entries[n-1].OpTime.Before(t) {
		n--
	}
	return entries[:n]
}

// recordEntries records what a stretch of the log tells and returns how far the log
// has been read then.
func (h *Home) recordEntries(ctx context.Context, entries []entry, from, last time.Time) (time.Time, error) {
	if last.Before(from) {
		last = from
	}
	counts, first := map[key]int64{}, map[key]change{}
	for _, e := range entries {
		c, ok := e.change()
		if !ok {
			continue
		}
		counts[c.key]++
		if _, there := first[c.key]; !there {
			first[c.key] = c
		}
	}
	h.audit.mu.Lock()
	known := h.audit.counts
	h.audit.mu.Unlock()
	var changes []change
	for k, c := range first {
		if counts[k] > known[k] {
			changes = append(changes, c)
		}
	}
	for {
		part := changes[:min(len(changes), changesAtOnce)]
		changes = changes[len(part):]
		var also func(*store.Tx) error
		if len(changes) == 0 {
			also = func(tx *store.Tx) error {
				if last.Equal(from) {
					return nil
				}
				return h.writeCursor(ctx, tx, last)
			}
		}
		if len(part) > 0 || !last.Equal(from) {
			if err := h.recordAudit(ctx, part, counts, also); err != nil {
				return from, err
			}
		}
		if len(changes) == 0 {
			break
		}
	}
	// Only what the next reading may read again has to be remembered.
	maps.DeleteFunc(counts, func(k key, _ int64) bool { return k.second < last.Add(-2*overlap).Unix() })
	h.audit.mu.Lock()
	h.audit.counts = counts
	h.audit.mu.Unlock()
	return last, nil
}

// change is what an entry tells; ok is false when it is nothing for replication, or
// names what no repository can be called.
func (e entry) change() (c change, ok bool) {
	if e.Result != nil && !*e.Result {
		return change{}, false
	}
	kind := map[string]string{
		"artifact create": home.PushArtifact, "artifact delete": home.DeleteArtifact,
		"tag create": home.CreateTag, "tag delete": home.DeleteTag,
	}[e.ResourceType+" "+e.Operation]
	repository, reference := splitResource(e.Resource)
	if kind == "" || checkRepository(repository) != nil {
		return change{}, false
	}
	c = change{
		key:      key{kind: kind, repository: repository, reference: reference, second: e.OpTime.Unix()},
		operator: plain(e.Username),
	}
	if isDigest(reference) {
		c.digest = reference
		return c, digest.Digest(reference).Validate() == nil
	}
	return c, rule.ValidateTag(reference) == nil
}

// splitResource reads "project/app:v1", "project/app@sha256:..." and, as older ones have
// it, "project/app:sha256:...".
func splitResource(resource string) (repository, reference string) {
	if repository, reference, ok := strings.Cut(resource, "@"); ok {
		return repository, reference
	}
	repository, reference, _ = strings.Cut(resource, ":")
	return repository, reference
}
