package server_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// chaosTime is for how long TestChaos changes things; unset is a few seconds, without
// outages of destinations.
const chaosTime = "LIGHTERAGE_CHAOS"

// TestChaos pushes, tags and deletes at random while servers and destinations are
// killed and come back. In the end everything that a client was told is so, and each
// destination holds what the rules say of what is at home, and nothing else. What the
// rules say is worked out here once more, from what home answers to anybody.
func TestChaos(t *testing.T) {
	long := 4 * time.Second
	outages := false
	if text := os.Getenv(chaosTime); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("%s=%q: %v", chaosTime, text, err)
		}
		long, outages = d, true
	} else if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	t.Run("one server on SQLite", func(t *testing.T) {
		t.Parallel()
		newChaos(t, 1, "").run(long, outages)
	})
	t.Run("three servers on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		newChaos(t, 3, storetest.PostgreSQLURL(t)).run(long, outages)
	})
}

// chaos is a harbor of one or more servers, and clusters that it replicates to.
type chaos struct {
	t        *testing.T
	dir      string
	database string
	urls     []string // of the servers, which keep them when they come back
	clusters []*ts.Registry

	mu      sync.Mutex
	servers []*process
	known   *acknowledged
	images  map[string]*ts.Artifact // by digest
	label   int64                   // that promotes
}

// The repository in which all clients work.
const chaosRepository = "library/chaos"

func newChaos(t *testing.T, servers int, database string) *chaos {
	c := &chaos{
		t: t, dir: t.TempDir(), database: database, known: &acknowledged{tags: map[string]possible{}}, images: map[string]*ts.Artifact{},
		clusters: []*ts.Registry{ts.Distribution(t), ts.Distribution(t)},
	}
	for range servers {
		listen := ts.Address(t)
		c.servers = append(c.servers, startProcess(t, c.dir, listen, database))
		c.urls = append(c.urls, "http://"+listen)
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			s.kill()
		}
	})
	home := c.servers[0]
	first, second := home.endpoint("first", c.clusters[0]), home.endpoint("second", c.clusters[1])
	home.eventRule("all", first, nil)
	home.eventRule("releases", first, object{
		"more_dest_registries": []object{{"id": second}}, "dest_namespace": "mirror",
		"filters": []object{{"type": "tag", "value": "v*", "decoration": "matches"}},
	})
	c.label = home.create("/labels", object{"name": "promote", "scope": "g"})
	home.eventRule("promoted", second, object{
		"dest_namespace": "promoted", "deletion": false, "filters": []object{{"type": "label", "value": []string{"promote"}}},
	})
	return c
}

// expected is what each cluster should hold, given what is at home.
func (c *chaos) expected(home map[string]string) []map[string]map[string]string {
	releases := maps.Clone(home)
	maps.DeleteFunc(releases, func(tag, _ string) bool { return !strings.HasPrefix(tag, "v") })
	return []map[string]map[string]string{
		{chaosRepository: home, "mirror/chaos": releases},
		{"mirror/chaos": releases},
	}
}

func (c *chaos) run(long time.Duration, outages bool) {
	ctx, stop := context.WithTimeout(c.t.Context(), long)
	defer stop()
	var clients, trouble sync.WaitGroup
	for client := range 4 {
		clients.Go(func() { c.change(ctx, client) })
	}
	trouble.Go(func() { c.killServers(ctx) })
	if outages {
		for _, cluster := range c.clusters {
			trouble.Go(func() { interrupt(ctx, cluster) })
		}
	}
	clients.Wait()
	trouble.Wait()

	home := c.atHome()
	for tag, p := range c.known.tags {
		if allowed := append([]string{p.now}, p.unsure...); !slices.Contains(allowed, home[tag]) {
			c.t.Errorf("%s is %q at home, but a client was told one of %q", tag, home[tag], allowed)
		}
	}
	for i := range c.clusters {
		c.holds(i)
	}
	c.promoted()
	c.settled()
	for policy := range int64(3) {
		c.inSync(policy + 1)
	}
	c.t.Logf("%d changes, %d tags in the end", len(c.images), len(home))
}

// inSync has a rule verified. Tags are in sync by now. An image that had lost its tag
// before it was copied is told of by no event, and is there after a repair.
func (c *chaos) inSync(policy int64) {
	home := c.servers[0]
	if home.verified(policy).InSync {
		return
	}
	path := fmt.Sprintf("/replication/policies/%d/drift", policy)
	var d drift
	home.do(http.MethodGet, path+"?drift_only=true&page_size=100", nil, &d)
	for _, item := range d.Items {
		if !strings.HasPrefix(item.Reference, "sha256:") {
			c.t.Errorf("rule %d drifts: %+v", policy, item)
		}
	}
	home.do(http.MethodPost, path+"/repair", nil, nil)
	c.settled()
	if d := home.verified(policy); !d.InSync || d.Drift != 0 {
		c.t.Errorf("rule %d drifts after its repair: %+v", policy, d)
	}
}

// killServers kills a server now and then, and starts it again.
func (c *chaos) killServers(ctx context.Context) {
	for {
		// The one place where time is the subject: the moment must be arbitrary.
		pause(ctx, time.Duration(200+rand.IntN(1500))*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		i := rand.IntN(len(c.servers))
		c.servers[i].kill()
		pause(ctx, time.Duration(rand.IntN(300))*time.Millisecond)
		c.servers[i] = startProcess(c.t, c.dir, strings.TrimPrefix(c.urls[i], "http://"), c.database)
	}
}

// interrupt stops a destination now and then. It runs when ctx has ended.
func interrupt(ctx context.Context, cluster *ts.Registry) {
	for {
		pause(ctx, time.Duration(1+rand.IntN(10))*time.Second)
		if ctx.Err() != nil {
			return
		}
		cluster.Stop()
		pause(ctx, time.Duration(rand.IntN(4000))*time.Millisecond)
		cluster.Restart()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// change pushes, tags and deletes what belongs to one client until ctx ends.
func (c *chaos) change(ctx context.Context, client int) {
	var mine []*ts.Artifact
	tag := func() string {
		return fmt.Sprintf("%s%d.%d", []string{"v", "dev"}[rand.IntN(2)], client, rand.IntN(4))
	}
	for i := 0; ctx.Err() == nil; i++ {
		url := c.urls[rand.IntN(len(c.urls))]
		switch what := rand.IntN(10); {
		case what < 2:
			name := tag()
			c.known.ask(name, "")
			if deleteTag(ctx, url, chaosRepository, name) == nil {
				c.known.answer(name, "")
			}
		case what == 2 && len(mine) > 0:
			c.deleteArtifact(ctx, url, client, mine[rand.IntN(len(mine))])
		case what == 3 && len(mine) > 0:
			c.setLabel(ctx, url, mine[rand.IntN(len(mine))], rand.IntN(3) > 0)
		case what < 6 && len(mine) > 0: // an image that may be there gets one more tag
			c.push(ctx, url, tag(), mine[rand.IntN(len(mine))])
		default:
			image := ts.Image(c.t, uint64(client*1_000_000+i), 1+rand.IntN(2), 200)
			if i%7 == 0 {
				image = ts.Index(c.t, uint64(client*1_000_000+i), "linux/amd64", "linux/arm64")
			}
			mine = append(mine, image)
			c.push(ctx, url, tag(), image)
		}
	}
}

func (c *chaos) push(ctx context.Context, url, tag string, image *ts.Artifact) {
	d := image.Digest.String()
	c.mu.Lock()
	c.images[d] = image
	c.mu.Unlock()
	c.known.ask(tag, d)
	if ts.TryPush(ctx, ts.Remote(url, "admin", adminPassword, ""), chaosRepository, tag, image) == nil {
		c.known.answer(tag, d)
	}
}

// deleteArtifact deletes an artifact with all its tags, which are the client's own.
func (c *chaos) deleteArtifact(ctx context.Context, url string, client int, image *ts.Artifact) {
	d := image.Digest.String()
	var tags []string
	c.known.mu.Lock()
	for tag, p := range c.known.tags {
		if strings.HasPrefix(strings.TrimLeft(tag, "dev"), fmt.Sprintf("%d.", client)) && (p.now == d || slices.Contains(p.unsure, d)) {
			tags = append(tags, tag)
		}
	}
	c.known.mu.Unlock()
	for _, tag := range tags {
		c.known.ask(tag, "")
	}
	_ = deleteTag(ctx, url, chaosRepository, d) // of a tag that had d for sure, "" is as good as d from now on
}

// setLabel adds the label to an artifact, which may be there, or takes it away.
func (c *chaos) setLabel(ctx context.Context, url string, image *ts.Artifact, on bool) {
	labels := fmt.Sprintf("%s/api/v2.0/projects/library/repositories/chaos/artifacts/%s/labels", url, image.Digest)
	method, body := http.MethodPost, fmt.Sprintf(`{"id":%d}`, c.label)
	if !on {
		method, labels, body = http.MethodDelete, fmt.Sprintf("%s/%d", labels, c.label), ""
	}
	r, err := http.NewRequestWithContext(ctx, method, labels, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return
	}
	r.SetBasicAuth("admin", adminPassword)
	r.Header.Set("Content-Type", "application/json")
	if answer, err := http.DefaultClient.Do(r); err == nil { // else it was killed meanwhile
		_ = answer.Body.Close()
	}
}

// promoted waits until the second cluster has the tags of all artifacts with the
// label. Others may be there: taking a label away deletes nothing.
func (c *chaos) promoted() {
	want := map[string]string{}
	for page := 1; ; page++ {
		var artifacts []struct {
			Digest string
			Labels []struct{ Name string }
			Tags   []struct{ Name string }
		}
		c.servers[0].do(http.MethodGet, fmt.Sprintf("/projects/library/repositories/chaos/artifacts?with_label=true&page_size=100&page=%d", page), nil, &artifacts)
		for _, a := range artifacts {
			for _, tag := range a.Tags {
				if len(a.Labels) > 0 {
					want[tag.Name] = a.Digest
				}
			}
		}
		if len(artifacts) < 100 {
			break
		}
	}
	c.eventually(func() string {
		got := c.tags(c.clusters[1], "promoted/chaos")
		maps.DeleteFunc(got, func(tag, _ string) bool { return want[tag] == "" })
		if !maps.Equal(got, want) {
			return "what has the label is not where it should be: " + difference(got, want)
		}
		return ""
	})
	c.t.Logf("%d tags have the label", len(want))
}

// atHome is what home answers now. A change whose client went away may still be under way.
func (c *chaos) atHome() map[string]string {
	return c.tags(ts.Remote(c.urls[0], "admin", adminPassword, ""), chaosRepository)
}

// holds waits until a cluster holds just the tags that it should, and pulls them.
func (c *chaos) holds(i int) {
	cluster, name := c.clusters[i], fmt.Sprintf("cluster %d", i+1)
	var got, want map[string]map[string]string
	c.eventually(func() string {
		want = c.expected(c.atHome())[i]
		got = map[string]map[string]string{}
		for repository := range want {
			got[repository] = c.tags(cluster, repository)
			if !maps.Equal(got[repository], want[repository]) {
				return fmt.Sprintf("%s holds other tags of %s than it should: %s", name, repository, difference(got[repository], want[repository]))
			}
		}
		return ""
	})
	for repository, tags := range got {
		for tag := range tags {
			if _, err := ts.TryPull(c.t.Context(), cluster, repository, tag); err != nil {
				c.t.Errorf("%s: %s:%s cannot be pulled: %v", name, repository, tag, err)
			}
		}
	}
	for _, repository := range ts.Repositories(c.t, cluster) {
		if _, known := want[repository]; !known && repository != "promoted/chaos" {
			c.t.Errorf("%s holds the repository %s, of which no rule tells", name, repository)
		}
	}
}

func difference(got, want map[string]string) string {
	var all []string
	for tag := range want {
		if got[tag] != want[tag] {
			all = append(all, fmt.Sprintf("%s is %q, not %q", tag, got[tag], want[tag]))
		}
	}
	for tag := range got {
		if want[tag] == "" {
			all = append(all, fmt.Sprintf("%s is %q, not gone", tag, got[tag]))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// tags are the tags of a repository and what they stand for.
func (c *chaos) tags(r *ts.Registry, repository string) map[string]string {
	all := map[string]string{}
	for _, tag := range ts.Tags(c.t, r, repository) {
		if d, there := ts.Digest(c.t, r, repository, tag); there {
			all[tag] = d.String()
		}
	}
	return all
}

// settled waits until no execution is under way and no task waits to be tried again,
// and checks that counts follow from tasks.
func (c *chaos) settled() {
	home := c.servers[0]
	var list []execution
	c.eventually(func() string {
		list = home.executionsOfAll()
		for _, e := range list {
			if e.Status == "InProgress" {
				return fmt.Sprintf("execution %d goes on: %+v", e.ID, e)
			}
			for _, task := range home.tasks(e.ID) {
				if task.NextAttempt != "" {
					return fmt.Sprintf("task %d of execution %d waits: %s", task.ID, e.ID, task.Reason)
				}
			}
		}
		return ""
	})
	for _, e := range list {
		if n := int64(len(home.tasks(e.ID))); e.Total != n || e.Total != e.Succeed+e.Failed+e.Stopped {
			c.t.Errorf("execution %s: %+v has %d tasks", path.Base(fmt.Sprint(e.ID)), e, n)
		}
	}
}

// eventually waits longer than a test usually does: a destination that was down is
// found to be up again by the health check, once a minute.
func (c *chaos) eventually(lacking func() string) {
	c.t.Helper()
	const patience = 4 * time.Minute
	deadline := time.Now().Add(patience)
	for {
		text := lacking()
		if text == "" {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("after %s: %s\n%s", patience, text, c.history(text))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// history is what the logs of all tasks say about the tags in a text.
func (c *chaos) history(text string) string {
	var lines []string
	for tag := range c.known.tags {
		if !strings.Contains(text, tag+" is") {
			continue
		}
		for _, e := range c.servers[0].executionsOfAll() {
			for _, task := range c.servers[0].tasks(e.ID) {
				log := c.servers[0].log(e.ID, task.ID)
				if strings.Contains(log, ":"+tag+" ") || strings.Contains(log, " "+tag+" ") {
					lines = append(lines, fmt.Sprintf("execution %d of rule %d, task %+v:\n%s", e.ID, e.PolicyID, task, log))
				}
			}
		}
		lines = append(lines, fmt.Sprintf("clients know of %s: %+v", tag, c.known.tags[tag]))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
