package blobcache_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/lighterage/lighterage/internal/blobcache"
	"github.com/lighterage/lighterage/internal/problem"
)

func at(t *testing.T, text string) blobcache.Options {
	t.Helper()
	var o blobcache.Options
	if err := o.Parse(text); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWhatARegistryCachedIsDeletedAndNothingElse(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireAuth("a secret")
	registry, other := server.DB(2), server.DB(1)
	for i := range 2500 {
		registry.HSet(fmt.Sprintf("blobs::sha256:%064x", i), "size", "1")
	}
	for i := range 30 {
		_, _ = registry.SetAdd(fmt.Sprintf("repository::library/app%d::blobs", i), "sha256:a")
		registry.HSet(fmt.Sprintf("repository::library/app%d::blobs::sha256:a", i), "mediatype", "x")
	}
	_ = registry.Set("blobs", "not of a registry")
	_ = registry.Set("my::repository::x", "neither")
	_ = other.Set("blobs::sha256:a", "of another database")

	o := at(t, "redis://"+server.Addr()+"/2")
	o.Password = "a secret"
	o.DryRun = true
	want := blobcache.Report{Blobs: 2500, Repositories: 60, DryRun: true}
	got, err := blobcache.Flush(t.Context(), o)
	if got.Seconds = 0; err != nil || got != want {
		t.Errorf("dry run: %+v, %v", got, err)
	}
	if n := len(registry.Keys()); n != 2562 {
		t.Errorf("the dry run left %d keys", n)
	}
	o.DryRun, want.DryRun = false, false
	got, err = blobcache.Flush(t.Context(), o)
	if got.Seconds = 0; err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if keys := strings.Join(registry.Keys(), " "); keys != "blobs my::repository::x" {
		t.Errorf("left are %.300s", keys)
	}
	if !other.Exists("blobs::sha256:a") {
		t.Error("another database was touched")
	}
	if got, err = blobcache.Flush(t.Context(), o); err != nil || got.Blobs+got.Repositories != 0 {
		t.Errorf("once more: %+v, %v", got, err)
	}
}

func TestACacheThatIsNotReachedIsExplained(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireAuth("a secret")
	o := at(t, "redis://"+server.Addr())
	o.Password = "another secret"
	if _, err := blobcache.Flush(t.Context(), o); err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "another secret") {
		t.Errorf("a wrong password: %v", err)
	}
	address := server.Addr()
	server.Close()
	if _, err := blobcache.Flush(t.Context(), o); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestAddressesOfCaches(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"redis://cache":                   "[cache:6379] 0 false",
		"rediss://me@cache:1234/7":        "[cache:1234] 7 true",
		"redis://[::1]/2":                 "[[::1]:6379] 2 false",
		"cache:6379":                      "want redis://",
		"http://cache":                    "want redis://",
		"redis://me:secret@cache/2":       "a password does not belong there",
		"redis://one,two/2":               "name the master",
		"redis://cache/two":               "is no number",
		"redis://cache/-1":                "is no number",
		"redis:///2":                      "is no host",
		"redis://cache?password=secret/2": "is no host",
	} {
		var o blobcache.Options
		err := o.Parse(text)
		got := fmt.Sprint(o.Addresses, o.Database, o.TLS)
		if err != nil {
			if got = err.Error(); !problem.Is(err, problem.BadRequest) {
				t.Errorf("%s: %v", text, err)
			}
		}
		if !strings.Contains(got, want) || strings.Contains(got, ":secret") {
			t.Errorf("%s: %s", text, got)
		}
	}
	o := blobcache.Options{SentinelMaster: "mymaster"}
	if err := o.Parse("redis://one,two:1/2"); err != nil || fmt.Sprint(o.Addresses) != "[one:26379 two:1]" {
		t.Errorf("sentinels: %v, %v", o.Addresses, err)
	}
}
