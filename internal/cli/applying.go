package cli

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/crypto/argon2"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/manifest"
)

// kindOrder is the order in which things are made; they are deleted in the reverse one.
var kindOrder = []string{"Project", "Registry", "Label", "Robot", "Policy", "Notification"}

// applying is one comparison of files with a server, and what follows from it.
type applying struct {
	app   *app
	api   *api
	set   string // of files
	kinds map[string]applyKind

	wanted     map[string][]thing // by kind, in the order of the files
	wants      map[string]bool    // kinds that there is something to do with
	references []mention
	projects   map[string]gen.Project
	ids        map[string]map[string]int64 // of what the server has, by kind and key
	have       map[string]map[string]thing

	remembered map[string]gen.AppliedResource // by kind and key
	forgetful  string                         // why the server remembers nothing, "" if it does

	current *change // that is being made
}

// mention is a name in a file that something must have.
type mention struct {
	doc               manifest.Document
	field, kind, name string
}

// action is what apply does about a thing.
type action string

const (
	actionCreate action = "created"
	actionChange action = "changed"
	actionDelete action = "deleted"
	actionNone   action = "unchanged"
)

// change is what apply does about one thing.
type change struct {
	kind       string
	action     action
	key        string
	have, want thing
	secret     bool // it gets another one
	diff       string
	notes      []string
	robot      string // secret that the server has made
	err        error
}

func (a *app) newApplying(c *api, set string) *applying {
	k := &applying{
		app: a, api: c, set: set, wanted: map[string][]thing{}, wants: map[string]bool{}, ids: map[string]map[string]int64{},
		have: map[string]map[string]thing{}, remembered: map[string]gen.AppliedResource{},
	}
	k.kinds = map[string]applyKind{
		"Project": applyProjects{k}, "Registry": applyRegistries{k}, "Label": applyLabels{k}, "Robot": applyRobots{k},
		"Policy": applyPolicies{k}, "Notification": applyNotifications{k},
	}
	return k
}

func (k *applying) refer(d manifest.Document, field, kind, name string) {
	k.references = append(k.references, mention{d, field, kind, name})
}

// say adds a line to the result of the change that is being made.
func (k *applying) say(_ thing, text string) { k.current.notes = append(k.current.notes, text) }

// reveal keeps a secret to be shown once.
func (k *applying) reveal(_ thing, name, secret string) {
	k.current.robot = secret
	k.current.notes = append(k.current.notes, "it logs in as "+name)
}

// read makes things of documents; it tells every mistake.
func (k *applying) read(docs []manifest.Document) error {
	var failures []error
	for _, d := range docs {
		kind, known := k.kinds[d.Kind]
		if !known {
			failures = append(failures, d.Errorf("", "there is no such kind: want one of %s", strings.Join(kindOrder, ", ")))
			continue
		}
		t, err := kind.read(d)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		k.wanted[d.Kind] = append(k.wanted[d.Kind], t)
		k.wants[d.Kind] = true
	}
	return errors.Join(failures...)
}

// look reads what the server has, of kinds that matter.
func (k *applying) look(ctx context.Context, all bool) error {
	var err error
	if k.projects, err = k.api.listProjects(ctx); err != nil && (k.wants["Project"] || !keptElsewhere(err)) {
		return err
	}
	needed := maps.Clone(k.wants)
	for _, r := range k.references {
		needed[r.kind] = true
	}
	for _, kind := range kindOrder {
		if all || needed[kind] || kind == "Policy" && needed["Notification"] {
			if err := k.relook(ctx, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// keptElsewhere reports whether a server has no such things because its home is a Harbor.
func keptElsewhere(err error) bool {
	e, refused := asAPIError(err)
	return refused && e.status == http.StatusNotImplemented
}

func (k *applying) relook(ctx context.Context, kind string) error {
	if kind == "Project" && k.have[kind] != nil { // not the first time
		projects, err := k.api.listProjects(ctx)
		if err != nil {
			return err
		}
		k.projects = projects
	}
	found, err := k.kinds[kind].list(ctx)
	if err != nil && (k.wants[kind] || !keptElsewhere(err)) {
		return err
	}
	k.have[kind], k.ids[kind] = found, map[string]int64{}
	for key, t := range found {
		k.ids[kind][key] = t.id
	}
	return nil
}

// remember reads what earlier applies have noted at the server.
func (k *applying) remember(ctx context.Context) error {
	r, err := k.api.ListAppliedResourcesWithResponse(ctx)
	if err != nil {
		return k.api.check(err, nil, nil, "read what was applied before")
	}
	switch err := k.api.check(nil, r.HTTPResponse, r.Body, "read what was applied before"); r.StatusCode() {
	case http.StatusNotFound:
		k.forgetful = "it does not know how"
	case http.StatusForbidden:
		k.forgetful = fmt.Sprintf("%s may not change its configuration", k.api.user)
	default:
		if err != nil {
			return err
		}
		for _, one := range *r.JSON200 {
			k.remembered[one.Kind+" "+one.Name] = one
		}
	}
	return nil
}

// check finds references to what is neither at the server nor in the files.
func (k *applying) check() error {
	var failures []error
	for _, r := range k.references {
		if _, there := k.ids[r.kind][r.name]; there {
			continue
		}
		if !slices.ContainsFunc(k.wanted[r.kind], func(t thing) bool { return t.key == r.name }) {
			failures = append(failures, r.doc.Errorf(r.field, "spec.%s: there is no %s %s, here or at the server", r.field, r.kind, r.name))
		}
	}
	return errors.Join(failures...)
}

// compare says what is to be done, in the order in which it can be.
func (k *applying) compare(prune bool) ([]*change, error) {
	var changes []*change
	for _, kind := range kindOrder {
		for _, want := range k.wanted[kind] {
			c := &change{kind: kind, key: want.key, want: want, action: actionCreate}
			if have, there := k.have[kind][want.key]; there {
				c.have = k.kinds[kind].fit(have, want)
				c.secret = want.secret != "" && !sameSecret(k.remembered[kind+" "+want.key].Secret, want.secret)
				c.action = actionChange
			}
			if err := c.compare(); err != nil {
				return nil, err
			}
			if r, ok := want.body.(*robot); ok && c.action == actionCreate && r.secretTo.File != "" {
				if _, err := os.Lstat(r.secretTo.File); err == nil {
					return nil, &failure{exitUsage, want.doc.Errorf("secretTo", "spec.secretTo: %s is there already, and its secret would be lost", r.secretTo.File), ""}
				}
			}
			changes = append(changes, c)
		}
	}
	if !prune {
		return changes, nil
	}
	for _, kind := range slices.Backward(kindOrder) {
		for _, key := range slices.Sorted(maps.Keys(k.have[kind])) {
			note, known := k.remembered[kind+" "+key]
			wanted := slices.ContainsFunc(k.wanted[kind], func(t thing) bool { return t.key == key })
			if !known || note.Set != k.set || !note.Made || wanted {
				continue
			}
			c := &change{kind: kind, key: key, have: k.have[kind][key], action: actionDelete}
			if err := c.compare(); err != nil {
				return nil, err
			}
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// compare writes the difference; there is none when nothing is to be done.
func (c *change) compare() error {
	before, after := "", ""
	var err error
	if c.have.canon != nil {
		if before, err = manifestText(c.kind, c.key, c.have.canon); err != nil {
			return err
		}
	}
	if c.want.canon != nil {
		canon := maps.Clone(c.want.canon)
		if c.secret {
			canon["secret"] = "(another one, which is not shown)"
		}
		if after, err = manifestText(c.kind, c.key, canon); err != nil {
			return err
		}
	}
	to := c.want.doc.File
	if c.action == actionDelete {
		to = "(in no file)"
	}
	c.diff = string(diff.Diff("server: "+c.kind+" "+c.key, []byte(before), to, []byte(after)))
	// The first line is a command that nobody has given.
	if _, rest, found := strings.Cut(c.diff, "\n"); found && strings.HasPrefix(c.diff, "diff ") {
		c.diff = rest
	}
	if c.diff == "" {
		c.action = actionNone
	}
	return nil
}

// do makes the changes. One that fails does not keep back those that do not need it.
func (k *applying) do(ctx context.Context, changes []*change, done func(*change)) {
	for i, c := range changes {
		if ctx.Err() != nil {
			c.err = context.Cause(ctx)
		} else {
			k.current = c
			c.err = k.one(ctx, c)
		}
		done(c)
		// What follows may refer to what was made, by its id.
		last := i+1 == len(changes) || changes[i+1].kind != c.kind
		if last && c.action != actionDelete && ctx.Err() == nil {
			if err := k.verify(ctx, c.kind, changes); err != nil && c.err == nil {
				c.err = err
			}
		}
	}
}

func (k *applying) one(ctx context.Context, c *change) error {
	kind := k.kinds[c.kind]
	var err error
	switch c.action {
	case actionCreate:
		if err = kind.create(ctx, c.want); isConflict(err) {
			return k.conflicted(ctx, c, err)
		}
	case actionChange:
		err = kind.update(ctx, c.have, c.want, c.secret)
	case actionDelete:
		if err = kind.remove(ctx, c.have); err == nil {
			err = k.forget(ctx, c.kind, c.key)
		}
		return err
	}
	if err != nil {
		return err
	}
	return k.note(ctx, c)
}

func isConflict(err error) bool {
	e, refused := asAPIError(err)
	return refused && e.status == http.StatusConflict
}

// conflicted is what becomes of a thing that somebody else has made since it was looked
// for, most likely another apply. If it is what the file says, that is as good.
func (k *applying) conflicted(ctx context.Context, c *change, conflict error) error {
	err := fmt.Errorf("somebody else has made it at the same time; apply again: %w", conflict)
	if k.relook(ctx, c.kind) != nil { // what refers to it needs its id
		return err
	}
	have, there := k.have[c.kind][c.key]
	if r, ok := c.want.body.(*robot); ok && r.secretTo.File != "" || c.want.secret != "" {
		return err // its secret cannot be seen
	}
	if !there {
		return conflict // something else has the name, in a place where it does not show
	}
	again := &change{kind: c.kind, key: c.key, want: c.want, have: k.kinds[c.kind].fit(have, c.want), action: actionChange}
	if again.compare() != nil || again.action != actionNone {
		return err
	}
	c.action = actionNone
	c.notes = append(c.notes, "somebody else has made it at the same time")
	return nil
}

// verify looks whether what was made is what was wanted: a server may keep something
// in other words, and then every apply would change it again.
func (k *applying) verify(ctx context.Context, kind string, changes []*change) error {
	made := slices.ContainsFunc(changes, func(c *change) bool { return c.kind == kind && c.action != actionNone && c.action != actionDelete })
	if !made {
		return nil
	}
	if err := k.relook(ctx, kind); err != nil {
		return err
	}
	for _, c := range changes {
		if c.kind != kind || c.err != nil || c.action != actionCreate && c.action != actionChange {
			continue
		}
		again := &change{kind: kind, key: c.key, want: c.want, action: actionChange}
		if have, there := k.have[kind][c.key]; there {
			again.have = k.kinds[kind].fit(have, c.want)
		}
		if err := again.compare(); err != nil {
			return err
		}
		if again.action != actionNone {
			fmt.Fprintf(k.app.Stderr, "%s: the server keeps %s %s in other words than the file, and the next apply will change it again:\n%s",
				c.want.doc.Where(), c.kind, c.key, again.diff)
		}
	}
	return nil
}

// note has the server remember a thing, if it does not yet.
func (k *applying) note(ctx context.Context, c *change) error {
	if k.forgetful != "" {
		return nil
	}
	before, known := k.remembered[c.kind+" "+c.key]
	now := gen.AppliedResource{Kind: c.kind, Name: c.key, Set: k.set, Made: c.action == actionCreate || known && before.Made, Secret: before.Secret}
	if known && before.Set != k.set {
		c.notes = append(c.notes, fmt.Sprintf("it was in the set %s until now", before.Set))
	}
	switch {
	case c.want.secret == "":
		now.Secret = ""
	case c.secret || c.action == actionCreate:
		now.Secret = hashSecret(c.want.secret)
	}
	if known && now.Set == before.Set && now.Made == before.Made && now.Secret == before.Secret {
		return nil
	}
	r, err := k.api.RememberAppliedResourceWithResponse(ctx, now)
	if err != nil {
		return k.api.check(err, nil, nil, "remember it")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "remember it")
}

func (k *applying) forget(ctx context.Context, kind, key string) error {
	r, err := k.api.ForgetAppliedResourceWithResponse(ctx, &gen.ForgetAppliedResourceParams{Kind: kind, Name: key})
	if err != nil {
		return k.api.check(err, nil, nil, "forget it")
	}
	return k.api.check(nil, r.HTTPResponse, r.Body, "forget it")
}

// forgetAbsent drops notes about what is neither in the files nor at the server any
// more, or was never made by apply.
func (k *applying) forgetAbsent(ctx context.Context) error {
	for _, note := range k.remembered {
		_, there := k.have[note.Kind][note.Name]
		wanted := slices.ContainsFunc(k.wanted[note.Kind], func(t thing) bool { return t.key == note.Name })
		if note.Set == k.set && !wanted && (!there || !note.Made) {
			if err := k.forget(ctx, note.Kind, note.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashSecret makes of a secret what tells later whether it is the same, and nothing
// else: slow to guess (argon2id with the parameters that OWASP advises).
func hashSecret(secret string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	return "argon2id$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(slowly(secret, salt))
}

func slowly(secret string, salt []byte) []byte {
	return argon2.IDKey([]byte(secret), salt, 2, 19<<10, 1, 32)
}

func sameSecret(hash, secret string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 3 || parts[0] != "argon2id" {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(base64.RawStdEncoding.EncodeToString(slowly(secret, salt))), []byte(parts[2])) == 1
}

func asAPIError(err error) (*apiError, bool) { return errors.AsType[*apiError](err) }
