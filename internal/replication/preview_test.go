package replication_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// preview is a whole plan: its lines without the summary, the summary, and why it ended early.
type preview struct {
	lines   []replication.PlanLine
	summary *replication.PlanSummary
	fatal   error
}

func read(t *testing.T, lines func(func(replication.PlanLine, error) bool)) (p preview) {
	t.Helper()
	for line, err := range lines {
		if p.summary != nil {
			t.Errorf("a line after the summary: %+v", line)
		}
		if err != nil {
			p.fatal = err
		}
		if line.Type == replication.LineSummary {
			p.summary = line.Summary
			continue
		}
		p.lines = append(p.lines, line)
	}
	if p.summary == nil {
		t.Fatal("the plan has no summary")
	}
	slices.SortFunc(p.lines, func(a, b replication.PlanLine) int {
		return strings.Compare(a.SourceRepository+" "+a.Destination+" "+a.Reference()+" "+a.Error, b.SourceRepository+" "+b.Destination+" "+b.Reference()+" "+b.Error)
	})
	return p
}

func (w *world) preview(policy int64, bytes bool) preview {
	w.t.Helper()
	p, err := w.GetPolicy(w.t.Context(), policy)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, err := w.Plan(w.t.Context(), p, bytes)
	if err != nil {
		w.t.Fatal(err)
	}
	return read(w.t, lines)
}

func (p preview) warning(code replication.WarningCode) string {
	for _, w := range p.summary.Warnings {
		if w.Code == code {
			return w.Message
		}
	}
	return ""
}

// short is a line in a form that is easily compared.
func short(l replication.PlanLine) string {
	text := fmt.Sprintf("%s %s:%s", l.Action, l.DestinationRepository, l.Tag)
	if l.Reason != "" {
		text += " (" + l.Reason + ")"
	}
	return text
}

func (p preview) short() (all []string) {
	for _, l := range p.lines {
		all = append(all, short(l))
	}
	return all
}

// writes are the requests that change something at a registry.
func writes(r *ts.Registry) (all []string) {
	for _, q := range r.Requests() {
		if q.Method != http.MethodGet && q.Method != http.MethodHead {
			all = append(all, q.Method+" "+q.Path)
		}
	}
	return all
}

func TestAPlanTellsEachReferenceWithItsReason(t *testing.T) {
	t.Parallel()
	for _, override := range []bool{true, false} {
		source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
		one, two := ts.Image(t, 1, 1, 100), ts.Image(t, 2, 1, 200)
		ts.Push(t, source, "library/app", "missing", ts.Image(t, 3, 1, 300))
		ts.Push(t, source, "library/app", "same", one)
		ts.Push(t, source, "library/app", "other", one)
		ts.Push(t, target, "mirror/app", "same", one)
		ts.Push(t, target, "mirror/app", "other", two)
		target.ResetRequests()
		source.ResetRequests()
		route := replication.Route{Source: side(t, source), Destination: side(t, target), Rule: rule.Rule{
			DestNamespace: "mirror", ReplaceCount: rule.FlattenAll, Override: override,
		}}
		for _, bytes := range []bool{false, true} {
			p := read(t, route.Preview(t.Context(), replication.PlanOptions{Bytes: bytes}))
			want := []string{"copy mirror/app:missing", "overwrite mirror/app:other", "skip mirror/app:same"}
			if !override {
				want[1] = "conflict mirror/app:other (the destination has something else under this tag and the rule does not override)"
			}
			if got := p.short(); !slices.Equal(got, want) {
				t.Errorf("override %t: %q, want %q", override, got, want)
			}
			other := p.lines[1]
			if other.Digest != one.Digest.String() || other.Replaces != two.Digest.String() || other.SourceRepository != "library/app" || other.Kind != "image" || other.Destination != "remote" {
				t.Errorf("%+v", other)
			}
			s := p.summary
			if !s.Complete || s.Repositories != 1 || s.Tags != 3 || s.Failed != 0 || s.Actions[replication.ActionCopy] != 1 || s.Actions[replication.ActionSkip] != 1 {
				t.Errorf("%+v", s)
			}
			if len(s.Destinations) != 1 || s.Destinations[0].Destination != "remote" || s.Destinations[0].Tags != 3 {
				t.Errorf("%+v", s.Destinations)
			}
			if p.warning(replication.WarnEverything) == "" {
				t.Error("it is not said that everything was selected")
			}
			switch {
			case bytes != (s.Bytes != nil) || bytes != (p.lines[0].Bytes != nil):
				t.Errorf("bytes %t: %+v", bytes, s.Bytes)
			case bytes && (s.Bytes.Send == 0 || *p.lines[0].Bytes != s.Bytes.Send || *p.lines[1].Bytes != 0): // the blobs of other are there
				t.Errorf("%+v, of which %d of the one and %d of the other", s.Bytes, *p.lines[0].Bytes, *p.lines[1].Bytes)
			}
		}
		for _, r := range []*ts.Registry{source, target} {
			if w := writes(r); w != nil {
				t.Errorf("planning wrote: %q", w)
			}
		}
	}
}

// What a plan says is what a run then does, to the byte.
func TestAPlansBytesAreWhatARunSends(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		base := ts.Image(w.t, 1, 3, 3000)
		for i := range uint64(4) {
			w.push(fmt.Sprintf("library/app%d", i), "v1", ts.ImageOn(w.t, base, 10+i, 1, 500))
		}
		w.push("library/multi", "v1", ts.Index(w.t, 50))
		ts.Push(w.t, w.cluster, "library/app0", "old", base)
		p := w.preview(policy, true)
		if w.number(`SELECT count(*) FROM plans`) != 0 {
			w.t.Error("a plan that nobody wants kept is kept")
		}
		w.run()
		e := w.start(policy)
		if e.BytesSent == 0 || p.summary.Bytes.Send != e.BytesSent {
			w.t.Errorf("the plan says %+v, the run has sent %d bytes", p.summary.Bytes, e.BytesSent)
		}
		if p.summary.Platforms["linux/amd64"] != 1 || p.summary.Platforms["linux/arm64"] != 1 {
			w.t.Errorf("platforms %v", p.summary.Platforms)
		}
		again := w.preview(policy, true)
		if s := again.summary; s.Bytes.Send != 0 || s.Actions[replication.ActionSkip] != s.Tags || s.Tags != 5 {
			w.t.Errorf("when it is done: %+v", s)
		}
	})
}

func TestAPlanWarnsOfWhatShouldBeSeen(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.push("library/one/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.push("library/two/app", "v1", ts.Image(w.t, 2, 1, 100))
		name := func(pattern string) rule.Filter { return rule.Filter{Type: rule.FilterName, Value: pattern} }
		for _, c := range []struct {
			rule func(*replication.Policy)
			want []replication.WarningCode
			says string
		}{
			{func(p *replication.Policy) { p.Filters = []rule.Filter{name("library/**")} }, nil, ""},
			{func(*replication.Policy) {}, []replication.WarningCode{replication.WarnEverything}, "no filter is set"},
			{func(p *replication.Policy) { p.Filters = []rule.Filter{name("nothing/**")} },
				[]replication.WarningCode{replication.WarnNothing}, "no repository at the source passes repositories nothing/**"},
			{func(p *replication.Policy) {
				p.Filters = []rule.Filter{name("library/**"), {Type: rule.FilterTag, Value: "x"}}
			},
				[]replication.WarningCode{replication.WarnNothing}, "2 by the tag filter (tags x)"},
			{func(p *replication.Policy) {
				p.Filters, p.DestNamespace = []rule.Filter{name("library/**")}, "mirror"
			}, []replication.WarningCode{replication.WarnCollisions}, "claimed by more than one repository"},
			{func(p *replication.Policy) {
				p.Filters, p.Trigger, p.Deletion = []rule.Filter{name("library/**")}, rule.EventBased, true
			}, []replication.WarningCode{replication.WarnDeletions}, "is deleted at cluster too"},
		} {
			p := replication.Policy{
				Rule:        rule.Rule{Name: "rule", Trigger: rule.Manual, ReplaceCount: rule.FlattenAll},
				Destination: replication.Endpoint{ID: w.endpoint},
			}
			c.rule(&p)
			lines, err := w.Plan(w.t.Context(), p, false)
			if err != nil {
				w.t.Fatal(err)
			}
			got := read(w.t, lines)
			var codes []replication.WarningCode
			for _, warning := range got.summary.Warnings {
				codes = append(codes, warning.Code)
				if !strings.Contains(warning.Message, c.says) {
					w.t.Errorf("%s: %q does not say %q", warning.Code, warning.Message, c.says)
				}
			}
			if !slices.Equal(codes, c.want) || !got.summary.Complete {
				w.t.Errorf("%v: warnings %v, want %v", p.Filters, codes, c.want)
			}
		}
	})
}

// The first line is told while the source still lists.
func TestAPlanIsToldWhileItIsMade(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		for _, name := range []string{"library/a", "library/b"} {
			w.push(name, "v1", ts.Image(w.t, 1, 1, 100))
		}
		told := make(chan struct{})
		w.home.interfere(func(repository string) error {
			if repository == "library/b" {
				<-told
			}
			return nil
		})
		p, err := w.GetPolicy(w.t.Context(), policy)
		if err != nil {
			w.t.Fatal(err)
		}
		lines, err := w.Plan(w.t.Context(), p, true)
		if err != nil {
			w.t.Fatal(err)
		}
		n := 0
		for line := range lines {
			if n++; n == 1 {
				if line.SourceRepository != "library/a" {
					w.t.Errorf("%+v", line)
				}
				close(told) // only now is the last repository looked at
			}
		}
		if n != 3 {
			w.t.Errorf("%d lines", n)
		}
	})
}

func TestAPlanEndsWithWhoReadsIt(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		for i := range 40 {
			w.push(fmt.Sprintf("library/app%02d", i), "v1", ts.Image(w.t, 1, 1, 100))
		}
		p, err := w.GetPolicy(w.t.Context(), policy)
		if err != nil {
			w.t.Fatal(err)
		}
		hold := ts.NewHold()
		w.t.Cleanup(hold.Release)
		w.cluster.Faults.Add(ts.Fault{Path: "/library/app3", Do: hold.Before()})
		ctx, cancel := context.WithCancel(w.t.Context())
		defer cancel()
		lines, err := w.Plan(ctx, p, false)
		if err != nil {
			w.t.Fatal(err)
		}
		var last replication.PlanLine
		for line, err := range lines {
			if last = line; err == nil && line.Type == replication.LineItem {
				cancel() // what waits for the cluster must not keep it
			}
		}
		if last.Type != replication.LineSummary || last.Summary.Complete {
			w.t.Errorf("it ends with %+v", last)
		}
	})
}

func TestWhatCannotBeLookedAtMakesAPlanIncomplete(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		w.push("library/bad", "v1", ts.Image(w.t, 1, 1, 100))
		w.push("library/good", "v1", ts.Image(w.t, 2, 1, 100))
		w.home.interfere(func(repository string) error {
			if repository == "library/bad" {
				return errListing
			}
			return nil
		})
		p := w.preview(policy, false)
		if len(p.lines) != 2 || p.lines[0].Type != replication.LineError || !strings.Contains(p.lines[0].Error, errListing.Error()) || p.lines[1].Action != replication.ActionCopy {
			w.t.Errorf("%+v", p.lines)
		}
		if p.fatal != nil || p.summary.Complete || p.summary.Failed != 1 || p.warning(replication.WarnIncomplete) == "" {
			w.t.Errorf("%v %+v", p.fatal, p.summary)
		}

		w.home.interfere(func(repository string) error {
			if repository == "library/good" {
				return errListingEnds
			}
			return nil
		})
		p = w.preview(policy, false)
		if p.fatal == nil || p.summary.Complete || p.warning(replication.WarnIncomplete) == "" || p.warning(replication.WarnNothing) != "" {
			w.t.Errorf("%v %+v", p.fatal, p.summary)
		}
	})
}

// A manifest that the source has lost between its listing and a look at it is told of;
// the rest of the plan goes on.
func TestWhatIsGoneWhileItIsPlannedIsSaid(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	ts.Push(t, source, "library/app", "bad", ts.Image(t, 1, 1, 100))
	ts.Push(t, source, "library/app", "good", ts.Image(t, 2, 1, 100))
	source.Faults.Add(ts.Fault{Path: "/manifests/bad", Do: ts.Error(404, "MANIFEST_UNKNOWN", "unknown")})
	route := replication.Route{Source: side(t, source), Destination: side(t, target)}
	p := read(t, route.Preview(t.Context(), replication.PlanOptions{Bytes: true}))
	if p.fatal != nil || p.summary.Complete || p.summary.Failed != 1 || p.summary.Actions[replication.ActionCopy] != 2 {
		t.Errorf("with bytes: %v %+v", p.fatal, p.summary)
	}
	p = read(t, route.Preview(t.Context(), replication.PlanOptions{Pin: true}))
	if got, want := p.short(), []string{"skip library/app:bad (it is gone from the source)", "copy library/app:good"}; !p.summary.Complete || len(got) != 2 || !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
		t.Errorf("to be kept: %q, want %q", got, want)
	}
}

func TestARegistryThatIsDownEndsAPlanWithTheReason(t *testing.T) {
	t.Parallel()
	for _, down := range []string{"source", "destination"} {
		source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
		for i := range 50 {
			ts.Push(t, source, fmt.Sprintf("library/app%d", i), "v1", ts.Image(t, 1, 1, 100))
		}
		route := replication.Route{Source: side(t, source), Destination: side(t, target)}
		map[string]*ts.Registry{"source": source, "destination": target}[down].Stop()
		p := read(t, route.Preview(t.Context(), replication.PlanOptions{}))
		if p.fatal == nil || p.summary.Complete || len(p.lines) > 3 || p.warning(replication.WarnNothing) != "" {
			t.Errorf("the %s is down: %v, %d lines, %+v", down, p.fatal, len(p.lines), p.summary)
		}
	}
}

// With several destinations the ones that can be reached are planned.
func TestAPlanGoesOnForTheDestinationsThatAreUp(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		other, id := w.second(policy)
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		other.Stop()
		p := w.preview(policy, true)
		if p.fatal != nil || len(p.lines) != 2 || p.lines[0].Action != replication.ActionCopy || p.lines[0].Destination != "cluster" ||
			p.lines[1].Type != replication.LineError || p.lines[1].DestinationID != id {
			w.t.Errorf("%v %+v", p.fatal, p.lines)
		}
		for _, d := range p.summary.Destinations {
			if want := map[string]int{"cluster": 0, "other": 1}[d.Destination]; d.Failed != want {
				w.t.Errorf("%+v", d)
			}
		}
	})
}

// hub is a side of which the host is Docker Hub's, and the answers are a registry's here.
func hub(t *testing.T, r *ts.Registry) *replication.Side {
	t.Helper()
	at, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := replication.NewSide("hub", registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: "https://registry-1.docker.io"},
		registry.Options{Attempts: 2, Transport: redirected{r.Client().Transport, at}}, replication.Books{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Adapter.Client().Close)
	return s
}

type redirected struct {
	next http.RoundTripper
	to   *url.URL
}

func (d redirected) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = d.to.Scheme, d.to.Host, d.to.Host
	return d.next.RoundTrip(r)
}

func TestAPlanTellsWhatItCostsWherePullsAreCounted(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	ts.Push(t, source, "library/app", "v1", ts.Image(t, 1, 1, 100))
	ts.Push(t, source, "library/multi", "v1", ts.Index(t, 2, "linux/amd64", "linux/arm64"))
	for _, name := range []string{"library/app", "library/multi"} {
		source.Faults.Add(ts.Fault{Path: name, Do: ts.SetHeader("RateLimit-Remaining", "3;w=21600")})
		source.Faults.Add(ts.Fault{Path: name, Do: ts.SetHeader("RateLimit-Limit", "100;w=21600")})
	}
	// Looking for accessories may take one more where the host has no API for them.
	route := replication.Route{Source: hub(t, source), Destination: side(t, target), Rule: rule.Rule{Extras: rule.Extras{Accessories: rule.AccessoriesNone}}}
	for _, c := range []struct {
		bytes   bool
		pulls   int64
		atLeast bool
		warned  bool
	}{{false, 2, true, false}, {true, 5, false, true}} { // of the index: itself, two images and an attestation
		source.ResetRequests()
		p := read(t, route.Preview(t.Context(), replication.PlanOptions{Bytes: c.bytes}))
		if len(p.summary.Requests) != 1 {
			t.Fatalf("%+v", p.summary)
		}
		got := p.summary.Requests[0]
		if got.Host != "registry-1.docker.io" || got.Pulls != c.pulls || got.AtLeast != c.atLeast || *got.Remaining != 3 || *got.Limit != 100 || got.WindowSeconds != 21600 {
			t.Errorf("bytes %t: %+v", c.bytes, got)
		}
		if n := int64(source.Requests().Count("GET manifest")); n != got.Planned {
			t.Errorf("bytes %t: the plan says that %d pulls were made for it; it was %d", c.bytes, got.Planned, n)
		}
		if warned := p.warning(replication.WarnRateLimit) != ""; warned != c.warned {
			t.Errorf("bytes %t: warned %t, want %t", c.bytes, warned, c.warned)
		}
	}
}

// Names that a source tells cannot make a plan say something else than it is.
func TestHostileNamesStayInTheirFields(t *testing.T) {
	t.Parallel()
	target := ts.Distribution(t, ts.WithMemory())
	evil := []string{"../../etc/passwd", "library/a\nb", `library/x"},{"type":"summary`, "library/\x1b[2Jx", strings.Repeat("a/", 300) + "b", "Library/UPPER"}
	source := http.NewServeMux()
	source.HandleFunc("GET /v2/{$}", func(http.ResponseWriter, *http.Request) {})
	source.HandleFunc("GET /v2/_catalog", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(jsonOf(map[string]any{"repositories": evil})))
	})
	source.HandleFunc("GET /v2/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(jsonOf(map[string]any{"name": "x", "tags": []string{"v1", "../v2", "a\nb", strings.Repeat("x", 500)}})))
	})
	route := replication.Route{Source: sideAt(t, source), Destination: side(t, target)}
	p := read(t, route.Preview(t.Context(), replication.PlanOptions{}))
	for _, line := range p.lines {
		text := jsonOf(line)
		if strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%q is not one line", text)
		}
		if line.Type == replication.LineItem && strings.ContainsAny(line.DestinationRepository+line.Tag, "\n\x1b\"") {
			t.Errorf("it would be put at the destination: %+v", line)
		}
	}
}

func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // a test's own value
	}
	return string(text)
}

// sideAt is a side whose registry is a handler: one that no real registry would be.
func sideAt(t *testing.T, h http.Handler) *replication.Side {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s, err := replication.NewSide("odd", registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: server.URL}, registry.Options{Attempts: 1}, replication.Books{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Adapter.Client().Close() })
	return s
}
