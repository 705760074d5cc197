package transfer

import (
	"context"
	"encoding/json"

	"github.com/lighterage/lighterage/internal/registry"
)

// checkpoint is the place of one large upload in Options.Checkpoints. A nil
// checkpoint keeps nothing.
type checkpoint struct {
	store Checkpoints
	name  string
	b     blob
	kept  bool // the store has it
}

// record is a checkpoint's text.
type record struct {
	Location string `json:"location"` // of the upload session; it may carry a secret of the registry's
	Offset   int64  `json:"offset"`
	MinPart  int64  `json:"minPart,omitempty"`
}

func (e *Engine) checkpoint(b blob, size int64) *checkpoint {
	if e.o.Checkpoints == nil || size < e.o.CheckpointSize {
		return nil
	}
	return &checkpoint{store: e.o.Checkpoints, name: e.target.URL() + "/" + b.repository + "/" + string(b.desc.Digest), b: b}
}

// load returns the upload session that was begun for the blob, nil if there is
// none, and the least bytes of a part. Whether the session still exists, it has to be
// asked itself.
func (c *checkpoint) load(ctx context.Context, target *registry.Client) (session *registry.Upload, minPart int64) {
	if c == nil {
		return nil, 0
	}
	text, found, err := c.store.Load(ctx, c.name)
	c.lament("read", err)
	if err != nil || !found {
		return nil, 0
	}
	var r record
	if json.Unmarshal([]byte(text), &r) == nil {
		if session, err := target.ResumeUpload(c.b.repository, r.Location); err == nil {
			c.kept = true
			return session, r.MinPart
		}
	}
	c.drop(ctx) // not a text of ours, or not any more
	return nil, 0
}

// onRecord reports whether the upload can be found again after this process has ended.
func (c *checkpoint) onRecord() bool { return c != nil && c.kept }

func (c *checkpoint) save(ctx context.Context, session *registry.Upload, offset, minPart int64) {
	if c == nil {
		return
	}
	text, err := json.Marshal(record{Location: session.Location(), Offset: offset, MinPart: minPart})
	if err == nil {
		err = c.store.Save(ctx, c.name, string(text))
	}
	c.kept = c.kept || err == nil
	c.lament("save", err)
}

// drop is done even when the caller is giving up: what is left would be taken up
// again after it has become useless.
func (c *checkpoint) drop(ctx context.Context) {
	if c != nil {
		c.kept = false
		c.lament("delete", c.store.Delete(context.WithoutCancel(ctx), c.name))
	}
}

func (c *checkpoint) lament(what string, err error) {
	if err != nil {
		c.b.remark("%s %s: %s checkpoint: %v", c.b.role, short(c.b.desc.Digest), what, err)
	}
}
