package registry_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// newest is a rule that has to know when tags were pushed.
func newest(t *testing.T, filters ...rule.Filter) *rule.Matcher {
	t.Helper()
	m, err := rule.Compile(rule.Rule{Filters: filters, Extras: rule.Extras{Select: rule.Selection{Newest: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestProvidersTellWhenTagsWerePushed(t *testing.T) {
	t.Parallel()
	old, recent := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, test := range map[string]struct {
		endpoint registry.Endpoint
		host     string // of the registry
		pattern  string // what tells the times
		answer   func(page int) (body any, header map[string]string)
	}{
		"docker-hub": {
			registry.Endpoint{Provider: "docker-hub", URL: "https://hub.docker.com"}, "registry-1.docker.io",
			"GET hub.docker.com/v2/namespaces/team/repositories/app/tags",
			func(page int) (any, map[string]string) {
				if page == 1 {
					return map[string]any{"next": "more", "results": []map[string]any{{"name": "v1", "tag_last_pushed": old}}}, nil
				}
				return map[string]any{"results": []map[string]any{{"name": "v2", "tag_last_pushed": recent}}}, nil
			},
		},
		"google-gcr": {
			registry.Endpoint{Provider: "google-gcr", URL: "https://gcr.io"}, "",
			"GET gcr.io/v2/team/app/tags/list",
			func(int) (any, map[string]string) {
				ms := func(at time.Time) string { return strconv.FormatInt(at.UnixMilli(), 10) }
				return map[string]any{"tags": []string{"v1", "v2"}, "manifest": map[string]any{
					"sha256:1": map[string]any{"tag": []string{"v1"}, "timeUploadedMs": ms(old)},
					"sha256:2": map[string]any{"tag": []string{"v2"}, "timeUploadedMs": ms(recent)},
				}}, nil
			},
		},
		"azure-acr": {
			registry.Endpoint{Provider: "azure-acr", URL: "https://ships.azurecr.io"}, "ships.azurecr.io",
			"GET ships.azurecr.io/acr/v1/team/app/_tags",
			func(page int) (any, map[string]string) {
				if page == 1 {
					return map[string]any{"tags": []map[string]any{{"name": "v1", "lastUpdateTime": old}}}, map[string]string{"Link": `</acr/v1/team/app/_tags?last=v1>; rel="next"`}
				}
				return map[string]any{"tags": []map[string]any{{"name": "v2", "lastUpdateTime": recent}}}, nil
			},
		},
		"quay": {
			registry.Endpoint{Provider: "quay", URL: "https://quay.io", Credential: registry.Credential{AccessKey: "json_file", AccessSecret: `{"oauth2_token": "t"}`}}, "quay.io",
			"GET quay.io/api/v1/repository/team/app/tag/",
			func(page int) (any, map[string]string) {
				if page == 1 {
					return map[string]any{"tags": []map[string]any{{"name": "v1", "start_ts": old.Unix()}}, "has_additional": true}, nil
				}
				return map[string]any{"tags": []map[string]any{{"name": "v2", "start_ts": recent.Unix()}}}, nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			if test.host != "" {
				r := ts.Distribution(t)
				c.serve(test.host, r)
				for i, tag := range []string{"v1", "v2"} {
					ts.Push(t, r, "team/app", tag, ts.Image(t, 950+uint64(i), 1, 10))
				}
			} else {
				c.handle("GET "+strings.TrimPrefix(test.endpoint.URL, "https://")+"/v2/{$}", func(http.ResponseWriter, *http.Request) {})
			}
			var page counter
			c.handle(test.pattern, func(w http.ResponseWriter, _ *http.Request) {
				body, header := test.answer(int(page.next()))
				for k, v := range header {
					w.Header().Set(k, v)
				}
				reply(w, body)
			})
			a := c.adapter(test.endpoint)
			all, failures := listed(t, a, newest(t, named("team/app")))
			if len(failures) > 0 || len(all["team/app"]) != 2 {
				t.Fatalf("%v, %v", all, failures)
			}
			for _, artifact := range all["team/app"] {
				want := map[string]time.Time{"v1": old, "v2": recent}[artifact.Tags[0]]
				if got := artifact.TagTimes[artifact.Tags[0]]; !got.Equal(want) || !artifact.PushTime.Equal(want) {
					t.Errorf("%s: %s, want %s", artifact.Tags[0], got, want)
				}
			}
			asked := page.Load()
			if _, failures := listed(t, a, matcher(t, named("team/app"))); len(failures) > 0 {
				t.Error(failures)
			}
			if name != "google-gcr" && page.Load() != asked { // Google tells them with the tags
				t.Error("times were asked for that nobody needs")
			}
		})
	}
}

func TestECRTellsWhenImagesWerePushed(t *testing.T) {
	t.Parallel()
	e := newECR(t)
	for i, tag := range []string{"v1", "v2"} {
		ts.Push(t, e.registry, "team/app", tag, ts.Image(t, 960+uint64(i), 1, 10))
	}
	all, failures := listed(t, e.adapter(e.endpoint()), newest(t, named("team/app")))
	if len(failures) > 0 || len(all["team/app"]) != 2 {
		t.Fatalf("%v, %v", all, failures)
	}
	for _, a := range all["team/app"] {
		if want := map[string]int64{"v1": 1_700_000_000_500, "v2": 1_700_000_100_000}[a.Tags[0]]; a.PushTime.UnixMilli() != want {
			t.Errorf("%s: %s", a.Tags[0], a.PushTime)
		}
	}
	e.denied = "DescribeImages"
	_, failures = listed(t, e.adapter(e.endpoint()), newest(t, named("team/app")))
	if err := failures["team/app"]; err == nil || !strings.Contains(err.Error(), "ecr:DescribeImages") {
		t.Errorf("%v", failures)
	}
}
