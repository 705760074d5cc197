package tree_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// soon is longer than a store on this machine takes to refuse something.
const soon = 300 * time.Millisecond

// tried are the trials of a store by their kinds.
type tried map[tree.TrialKind]tree.Trial

// tryOut runs trials, and checks that each kind is told of once, that they leave
// nothing behind unless they say so, and that they touch nothing else.
func tryOut(t *testing.T, store *ts.Store, c tree.S3Config, o tree.TrialOptions) tried {
	t.Helper()
	others := map[string]string{
		c.RootDirectory + "/docker/registry/v2/repositories/a/_manifests/tags/1/current/link": "sha256:" + strings.Repeat("a", 64),
		"elsewhere/x": "not ours",
		c.RootDirectory + "/.lighterage/tree.json": "{}",
		c.RootDirectory + "-b/y":                   "not ours either",
	}
	there := store.Keys("") // there before
	for key, content := range others {
		store.Put(key, []byte(content))
	}
	s := openUntried(t, c)
	got := run(t, t.Context(), s, o)
	for key, content := range others {
		if is, _ := store.Get(key); string(is) != content {
			t.Errorf("%s is %q now", key, is)
		}
		store.Remove(key)
	}
	left := store.Keys("")
	if slices.Equal(left, there) != (got[tree.TrialClean].Result != tree.TrialFails) {
		t.Errorf("%+v, and there are %q, before %q", got[tree.TrialClean], left, there)
	}
	if uploads := store.Uploads(); len(uploads) > 0 && got[tree.TrialClean].Result != tree.TrialFails {
		t.Errorf("uploads are left: %q", uploads)
	}
	return got
}

// openUntried opens a store as the command does, without asking it for anything.
func openUntried(t *testing.T, c tree.S3Config) tree.Trier {
	t.Helper()
	s, err := tree.OpenForTrials(t.Context(), tree.Location{S3: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.(tree.Trier)
}

func run(t *testing.T, ctx context.Context, s tree.Trier, o tree.TrialOptions) tried {
	t.Helper()
	got := tried{}
	o.OnTrial = func(trial tree.Trial) {
		if before, twice := got[trial.Kind]; twice && trial.Kind != tree.TrialLock && trial.Kind != tree.TrialCredentials {
			t.Errorf("%s is told twice: %+v, %+v", trial.Kind, before, trial)
		}
		if strings.Contains(trial.Found, "store-secret") {
			t.Errorf("a secret in %q", trial.Found)
		}
		got[trial.Kind] = trial
	}
	if _, err := s.Trials(ctx, o); err != nil {
		t.Fatal(err)
	}
	return got
}

// storeKinds are all that are told of a store.
var storeKinds = []tree.TrialKind{
	tree.TrialReach, tree.TrialCertificate, tree.TrialClock, tree.TrialCredentials, tree.TrialRegion, tree.TrialBucket, tree.TrialList,
	tree.TrialAddressing, tree.TrialVersioning, tree.TrialLock, tree.TrialLifecycle, tree.TrialContent, tree.TrialMarkers, tree.TrialStrangers,
	tree.TrialPut, tree.TrialACL, tree.TrialClass, tree.TrialEncryption, tree.TrialGet, tree.TrialRange, tree.TrialHead, tree.TrialOverwrite,
	tree.TrialPayload, tree.TrialChecksums, tree.TrialCreateOnly, tree.TrialMultipart, tree.TrialListParts, tree.TrialListUploads,
	tree.TrialUneven, tree.TrialCopyParts, tree.TrialCopy, tree.TrialAbort, tree.TrialSize, tree.TrialRedirect, tree.TrialDeleteMany,
	tree.TrialDeleteOne, tree.TrialRates, tree.TrialClean,
}

// unusual is what went not well, in short: "-" and the kind for what was skipped.
func (got tried) unusual() []string {
	var list []string
	for kind, trial := range got {
		switch trial.Result {
		case tree.TrialFails:
			list = append(list, join(string(kind), trial))
		case tree.TrialDiffers:
			list = append(list, "~"+join(string(kind), trial))
		case tree.TrialUnknown:
			list = append(list, "?"+join(string(kind), trial))
		case tree.TrialSkipped:
			if kind != tree.TrialRates || trial.Needs != "" {
				list = append(list, "-"+string(kind))
			}
		}
	}
	slices.Sort(list)
	return list
}

func join(kind string, trial tree.Trial) string {
	if trial.Reason != "" {
		kind += " (" + string(trial.Reason) + ")"
	}
	if trial.Permission != "" {
		kind += " " + trial.Permission
	}
	return kind
}

func (got tried) want(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, got.unusual()); diff != "" {
		t.Errorf("(-want +got)\n%s%s", diff, got)
	}
}

func (got tried) String() string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(got)) {
		if trial := got[kind]; trial.Result != tree.TrialWorks || trial.Reason != "" || kind == tree.TrialChecksums || kind == tree.TrialRegion || kind == tree.TrialAddressing {
			fmt.Fprintf(&b, "%s: %d %s: %s\n", kind, trial.Result, trial.Reason, trial.Found)
		}
	}
	return b.String()
}

func TestStoresDoWhatARegistryNeeds(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			got := tryOut(t, store, config(store, "root"), tree.TrialOptions{Rates: true, Patience: soon})
			got.want(t)
			for _, kind := range storeKinds {
				if _, told := got[kind]; !told {
					t.Errorf("nothing is said of %s", kind)
				}
			}
			if len(got) != len(storeKinds) {
				t.Errorf("%d kinds, want %d", len(got), len(storeKinds))
			}
			for kind, value := range map[tree.TrialKind]string{
				tree.TrialRegion: "us-east-1", tree.TrialAddressing: "path", tree.TrialContent: "copy", tree.TrialRedirect: store.Host,
			} {
				if got[kind].Value != value {
					t.Errorf("%s: %q, want %q", kind, got[kind].Value, value)
				}
			}
			// A push of 33 MiB, as the registry does it.
			r := store.Requests()
			if r.Count("POST upload") != 4 || r.Count("PUT copy") != 3 || r.Count("POST complete") != 3 {
				t.Errorf("requests:\n%s", r)
			}
			for _, request := range r {
				if encoding := request.Header.Get("Content-Encoding"); encoding != "" {
					t.Errorf("%s is sent as %s", request.Path, encoding)
				}
			}
		})
	}
}
