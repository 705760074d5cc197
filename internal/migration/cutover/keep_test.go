package cutover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var bucket = cutover.Place{Bucket: "images", Endpoint: "http://minio:9000", AccessKey: "key"}

func fresh() cutover.State {
	return cutover.State{Status: cutover.Running, Phase: cutover.Preflight, Direction: cutover.Forward, Source: cutover.Place{Path: "/srv"}, Destination: bucket, Created: time.Now()}
}

func TestOneMigrationIsKeptAtATimeAndItsSecretsAreSealed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		book := cutover.NewBook(db, box(t, 1), "one")
		if _, err := book.Last(ctx); !problem.Is(err, problem.NotFound) {
			t.Errorf("the last of none: %v", err)
		}
		id, err := book.Begin(ctx, fresh(), cutover.Secrets{Destination: cutover.Secret{SecretKey: "hidden"}})
		must(t, err)
		if _, err := book.Begin(ctx, fresh(), cutover.Secrets{}); !problem.Is(err, problem.Conflict) {
			t.Errorf("a second migration: %v", err)
		}
		var document, sealed string
		must(t, db.QueryRowContext(ctx, `SELECT document, secret FROM storage_migrations WHERE id = $1`, id).Scan(&document, &sealed))
		if strings.Contains(document+sealed, "hidden") {
			t.Error("the database holds the secret key as it is")
		}
		s, err := book.Claim(ctx)
		must(t, err)
		if err := book.Ask(ctx, cutover.ActFinish, nil); !problem.Is(err, problem.Precondition) {
			t.Errorf("to finish what has just begun: %v", err)
		}
		must(t, book.Ask(ctx, cutover.ActCutOver, nil))
		must(t, book.Ask(ctx, cutover.ActPause, nil))
		keeper := book.Keeper(id)
		wish, asked, err := keeper.Wishes(ctx)
		must(t, err)
		if wish != cutover.WishPause || !asked {
			t.Errorf("wishes %q, %v", wish, asked)
		}
		s.Status = cutover.Paused
		must(t, keeper.Fulfilled(ctx, s, cutover.WishPause))
		must(t, book.Ask(ctx, cutover.ActResume, &cutover.Credential{AccessKey: "other", SecretKey: "newer"}))
		secrets, err := book.Secrets(ctx, id)
		must(t, err)
		if key, err := keeper.AccessKey(ctx); err != nil || key != "other" || secrets.Destination.SecretKey != "newer" {
			t.Errorf("new keys: %q, %q, %v", key, secrets.Destination.SecretKey, err)
		}
		s.Status = cutover.Canceled
		must(t, keeper.Save(ctx, s))
		if s, err := book.Claim(ctx); s != nil || err != nil {
			t.Errorf("what is over is worked on: %v, %v", s, err)
		}
		_, err = book.Begin(ctx, fresh(), cutover.Secrets{})
		must(t, err)
	})
}

func TestAnotherServerTakesAMigrationOnlyWhenItIsLeft(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if db.Dialect() != store.PostgreSQL {
			t.Skip("with SQLite there is one server")
		}
		ctx, sealing := t.Context(), box(t, 1)
		one, two := cutover.NewBook(db, sealing, "one"), cutover.NewBook(db, sealing, "two")
		id, err := one.Begin(ctx, fresh(), cutover.Secrets{})
		must(t, err)
		mine, err := one.Claim(ctx)
		must(t, err)
		if s, err := two.Claim(ctx); s != nil || err != nil {
			t.Errorf("a migration that another server works on was taken: %v, %v", s, err)
		}
		if err := two.Keeper(id).Save(ctx, mine); !cutover.IsLost(err) {
			t.Errorf("who does not work on it keeps its state: %v", err)
		}
		must(t, one.Release(ctx, id))
		if s, err := two.Claim(ctx); s == nil || err != nil {
			t.Errorf("a migration that was left was not taken: %v", err)
		}
		if err := one.Renew(ctx, id); !cutover.IsLost(err) {
			t.Errorf("who has left it says that it works on it: %v", err)
		}
	})
}

func TestWhereTheContentIs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		book := cutover.NewBook(db, box(t, 1), "one")
		before, err := book.Where(ctx)
		must(t, err)
		must(t, book.SetFrozen(ctx, true))
		must(t, book.SetFrozen(ctx, true)) // changes nothing, so nobody has to follow
		must(t, book.Move(ctx, &bucket, cutover.Secret{SecretKey: "hidden"}, "registry", bucket.String()))
		w, err := book.Where(ctx)
		must(t, err)
		if before.Place != nil || before.Frozen || !w.Frozen || w.Generation != before.Generation+2 || w.Place == nil || !w.Place.Same(bucket) || w.Secret.SecretKey != "hidden" || w.Replaced != "registry" {
			t.Errorf("before %+v, after %+v", before, w)
		}
		var sealed string
		must(t, db.QueryRowContext(ctx, `SELECT place || secret FROM storage_site`).Scan(&sealed))
		if strings.Contains(sealed, "hidden") {
			t.Error("the database holds the secret key as it is")
		}
		if _, err := cutover.NewBook(db, box(t, 2), "one").Where(ctx); err == nil {
			t.Error("another key opens the secret")
		}
		must(t, book.Move(ctx, nil, cutover.Secret{}, "", "registry"))
		if w, err = book.Where(ctx); err != nil || w.Place != nil {
			t.Errorf("after going back %+v, %v", w, err)
		}
	})
}

func box(t *testing.T, key byte) *secret.Box {
	t.Helper()
	b, err := secret.NewBox([32]byte{key})
	must(t, err)
	return b
}
