package notification_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/notification"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// receiver is a target that notes what it is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	hits   int
	bodies []string // of those it took
	heads  []http.Header
}

func newReceiver(t *testing.T, start func(http.Handler) *httptest.Server) *receiver {
	r := &receiver{status: http.StatusOK}
	r.Server = start(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hits++
		if r.status == http.StatusOK {
			r.bodies, r.heads = append(r.bodies, string(body)), append(r.heads, q.Header.Clone())
		}
		if r.status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hits
}

// took returns the subjects of the events that were taken, in their order.
func (r *receiver) took() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var words []string
	for _, body := range r.bodies {
		var event struct{ Data struct{ Word string } }
		_ = json.Unmarshal([]byte(body), &event) // the zero value fails the comparison
		words = append(words, event.Data.Word)
	}
	return strings.Join(words, " ")
}

// world is a service that can be stopped and started again.
type world struct {
	*notification.Service
	t    *testing.T
	url  string
	db   *store.DB
	q    *queue.Queue
	stop func()

	mu   sync.Mutex
	skew time.Duration
}

func onBoth(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := &world{t: t, url: url}
		w.start()
		test(w)
	})
}

func (w *world) start() {
	var key [32]byte
	box, err := secret.NewBox(key)
	if err != nil {
		w.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(w.t.Output(), nil))
	w.db = storetest.OpenURL(w.t, w.url)
	w.q = queue.New(w.db, queue.Options{Lease: time.Second, Poll: 20 * time.Millisecond, Clock: w.now, Log: log})
	w.Service = notification.New(notification.Options{DB: w.db, Queue: w.q, Box: box, Log: log, Clock: w.now})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.q.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	w.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	w.t.Cleanup(w.stop)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.skew)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	w.skew += d
	w.mu.Unlock()
	w.q.Wake()
}

func (w *world) target(t notification.Target) int64 {
	w.t.Helper()
	if t.Name == "" {
		t.Name = "target"
	}
	if t.Events == nil {
		t.Events = []notification.Kind{notification.Finished}
	}
	t.Enabled = true
	id, err := w.Create(w.t.Context(), t)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) get(id int64) notification.Target {
	w.t.Helper()
	t, err := w.Get(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func (w *world) publish(word string, policy int64, kinds ...notification.Kind) {
	w.t.Helper()
	if len(kinds) == 0 {
		kinds = []notification.Kind{notification.Finished}
	}
	err := w.db.InTx(w.t.Context(), func(tx *store.Tx) error {
		return w.Publish(w.t.Context(), tx, notification.Event{
			Kinds: kinds, PolicyID: policy, Type: "test.type", Subject: "rule", Time: w.now(), Operator: "someone",
			Data: map[string]string{"word": word},
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deliveries(id int64) []notification.Delivery {
	w.t.Helper()
	list, _, err := w.Deliveries(w.t.Context(), id, store.ListQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

const cloud = notification.CloudEvents

func TestEventsReachATargetInTheirOrder(t *testing.T) {
	onBoth(t, func(w *world) {
		r := newReceiver(w.t, httptest.NewServer)
		id := w.target(notification.Target{URL: r.URL + "/hook", AuthHeader: "Bearer s3cret", Format: cloud})
		r.answer(http.StatusServiceUnavailable)
		w.publish("one", 1)
		ts.Eventually(w.t, "it is tried", func() bool { return r.tried() > 0 })
		w.publish("two", 1)
		w.publish("three", 1)
		ts.Eventually(w.t, "the target says so", func() bool {
			now := w.get(id)
			return now.Waiting == 3 && now.Last != nil && now.Last.Status == 503 && strings.Contains(now.Last.Error, "503")
		})
		if waiting, err := w.Waiting(w.t.Context()); err != nil || waiting["target"] != 3 {
			w.t.Errorf("%v, %v", waiting, err)
		}
		tried := r.tried()
		w.advance(time.Second) // less than the back-off: more events do not make it try more often
		w.publish("four", 1)
		w.stop() // and what waits survives a restart
		w.start()
		r.answer(http.StatusOK)
		if r.tried() > tried {
			w.t.Errorf("it was tried %d times before its time", r.tried()-tried)
		}
		w.advance(time.Minute)
		ts.Eventually(w.t, "all are told", func() bool { return r.took() == "one two three four" })
		ts.Eventually(w.t, "nothing waits", func() bool { return w.get(id).Waiting == 0 })
		if last := w.get(id).Last; last.Error != "" || last.Status != 200 {
			w.t.Errorf("the last attempt: %+v", last)
		}

		var e struct {
			SpecVersion, ID, Source, Type, Subject, DataContentType, Time, Operator string
		}
		if err := json.Unmarshal([]byte(r.bodies[0]), &e); err != nil {
			w.t.Fatal(err)
		}
		head := r.heads[0]
		if e.SpecVersion != "1.0" || e.ID == "" || e.Source != "/replication/policies/1" || e.Type != "test.type" || e.Subject != "rule" ||
			e.DataContentType != "application/json" || e.Time == "" || e.Operator != "someone" {
			w.t.Errorf("%s", r.bodies[0])
		}
		if head.Get("Authorization") != "Bearer s3cret" || head.Get("Content-Type") != "application/cloudevents+json" ||
			head.Get("X-Lighterage-Event-Id") != e.ID || head.Get("X-Lighterage-Attempt") == "1" {
			w.t.Errorf("%v", head)
		}
		if again := r.heads[1].Get("X-Lighterage-Event-Id"); again == e.ID {
			w.t.Error("two events have one id")
		}
		var stored string
		if err := w.db.QueryRowContext(w.t.Context(), `SELECT auth_header FROM notifications`).Scan(&stored); err != nil || strings.Contains(stored, "s3cret") {
			w.t.Errorf("the secret is stored as %q (%v)", stored, err)
		}
	})
}

func TestTargetsAreToldWhatTheyWant(t *testing.T) {
	onBoth(t, func(w *world) {
		all, failed, changed, one := newReceiver(w.t, httptest.NewServer), newReceiver(w.t, httptest.NewServer), newReceiver(w.t, httptest.NewServer), newReceiver(w.t, httptest.NewServer)
		w.target(notification.Target{Name: "all", URL: all.URL, Format: cloud, Events: []notification.Kind{notification.Finished, notification.Failed}})
		w.target(notification.Target{Name: "failed", URL: failed.URL, Format: cloud, Events: []notification.Kind{notification.Failed}})
		w.target(notification.Target{Name: "changed", URL: changed.URL, Format: cloud, Events: []notification.Kind{notification.Changed}})
		w.target(notification.Target{Name: "one", URL: one.URL, Format: cloud, PolicyIDs: []int64{2}})
		w.publish("a", 1)
		w.publish("b", 1, notification.Finished, notification.Failed)
		w.publish("c", 1, notification.Changed)
		w.publish("d", 2)
		for r, want := range map[*receiver]string{all: "a b d", failed: "b", changed: "c", one: "d"} {
			ts.Eventually(w.t, want, func() bool { return r.took() == want })
		}
	})
}

func TestWhatCannotBeDeliveredIsGivenUpInTheEnd(t *testing.T) {
	onBoth(t, func(w *world) {
		r := newReceiver(w.t, httptest.NewServer)
		id := w.target(notification.Target{URL: r.URL, Format: cloud})
		// A body that the target does not take keeps the others waiting for some attempts only.
		r.answer(http.StatusUnprocessableEntity)
		w.publish("bad", 1)
		for n := 1; n <= 5; n++ {
			ts.Eventually(w.t, "it is tried", func() bool { list := w.deliveries(id); return list[0].Attempts == int64(n) })
			w.advance(11 * time.Minute)
		}
		if d := w.deliveries(id)[0]; d.Status != "failed" || d.ResponseStatus != 422 || !strings.Contains(d.Error, "422") {
			w.t.Errorf("%+v", d)
		}
		// A target that is down is tried for three days.
		r.answer(http.StatusBadGateway)
		w.publish("late", 1)
		ts.Eventually(w.t, "it is tried", func() bool { return w.deliveries(id)[0].Attempts == 1 })
		w.advance(71 * time.Hour)
		ts.Eventually(w.t, "it is tried again", func() bool { return w.deliveries(id)[0].Attempts == 2 })
		if d := w.deliveries(id)[0]; d.Status != "waiting" {
			w.t.Errorf("after 71 hours: %+v", d)
		}
		w.advance(2 * time.Hour)
		ts.Eventually(w.t, "it is given up", func() bool { return w.deliveries(id)[0].Status == "failed" })
		r.answer(http.StatusOK)
		w.publish("good", 1)
		ts.Eventually(w.t, "what follows is told", func() bool { return r.took() == "good" })
	})
}

func TestASecretGoesOnlyWhereItWasGivenFor(t *testing.T) {
	onBoth(t, func(w *world) {
		first, second := newReceiver(w.t, httptest.NewServer), newReceiver(w.t, httptest.NewServer)
		id := w.target(notification.Target{URL: first.URL, AuthHeader: "Bearer s3cret", Format: cloud})
		now := w.get(id)
		if now.AuthHeader != "Bearer s3cret" || !now.HasSecret() {
			w.t.Fatalf("%+v", now)
		}
		now.URL = second.URL
		masked, none := notification.MaskedSecret, ""
		for _, header := range []*string{nil, &masked} {
			if err := w.Update(w.t.Context(), now, header); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "auth_header") {
				w.t.Errorf("%v", err)
			}
		}
		if err := w.Update(w.t.Context(), now, &none); err != nil {
			w.t.Fatal(err)
		}
		w.publish("told", 1)
		ts.Eventually(w.t, "it is told", func() bool { return second.took() == "told" })
		if h := second.heads[0].Get("Authorization"); h != "" {
			w.t.Errorf("the other host got %q", h)
		}
		// A redirect is an answer, and no way to another host.
		second.answer(http.StatusTemporaryRedirect)
		attempt, err := w.Test(w.t.Context(), id)
		if err != nil || attempt.Status != 307 || !strings.Contains(attempt.Error, "redirects are not followed") || second.tried() != 2 {
			w.t.Errorf("%+v, %v, %d requests", attempt, err, second.tried())
		}
	})
}

func TestATestSaysHowItWent(t *testing.T) {
	onBoth(t, func(w *world) {
		r := newReceiver(w.t, httptest.NewTLSServer)
		id := w.target(notification.Target{URL: r.URL})
		attempt, err := w.Test(w.t.Context(), id)
		if err != nil || attempt.Status != 0 || !strings.Contains(attempt.Error, "certificate") {
			w.t.Errorf("%+v, %v", attempt, err)
		}
		now := w.get(id)
		now.CACertificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}))
		if err := w.Update(w.t.Context(), now, nil); err != nil {
			w.t.Fatal(err)
		}
		if attempt, err = w.Test(w.t.Context(), id); err != nil || attempt.Status != 200 || attempt.Error != "" {
			w.t.Errorf("%+v, %v", attempt, err)
		}
		if list := w.deliveries(id); len(list) != 2 || list[0].Event != "test" || list[0].Status != "delivered" || list[1].Status != "failed" {
			w.t.Errorf("%+v", list)
		}
		if body := r.bodies[0]; !strings.Contains(body, `"type":"REPLICATION"`) || !strings.Contains(body, `"This is a test."`) {
			w.t.Errorf("%s", body)
		}
		if _, err := w.Test(w.t.Context(), id+1); !problem.Is(err, problem.NotFound) {
			w.t.Errorf("%v", err)
		}
	})
}

// Who may set a target must not reach what only the machine itself may see.
func TestAddressesThatNoTargetHasAreRefused(t *testing.T) {
	onBoth(t, func(w *world) {
		for _, address := range []string{
			"http://169.254.169.254/latest/meta-data/", "http://0.0.0.0:1/", "http://[fe80::1]:1/", "http://[::ffff:169.254.169.254]/",
			"http://[fd00:ec2::254]/", "http://224.0.0.1/", "http://[::]:1/",
		} {
			id := w.target(notification.Target{Name: address, URL: address})
			attempt, err := w.Test(w.t.Context(), id)
			if err != nil || !strings.Contains(attempt.Error, "refused") {
				w.t.Errorf("%s: %+v, %v", address, attempt, err)
			}
		}
	})
}

func TestBadTargetsAreRefused(t *testing.T) {
	t.Parallel()
	good := notification.Target{Name: "n", URL: "https://example.com/x", Events: []notification.Kind{notification.Failed}}
	w := &world{t: t, url: storetest.SQLiteURL(t)}
	w.start()
	if _, err := w.Create(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*notification.Target)
		want   string
		kind   problem.Kind
	}{
		"no name":           {func(t *notification.Target) { t.Name = " " }, "name:", problem.BadRequest},
		"a name twice":      {func(*notification.Target) {}, "already exists", problem.Conflict},
		"a long name":       {func(t *notification.Target) { t.Name = strings.Repeat("x", 200) }, "name:", problem.BadRequest},
		"no URL":            {func(t *notification.Target) { t.URL = "" }, "url:", problem.BadRequest},
		"another scheme":    {func(t *notification.Target) { t.URL = "file:///etc/passwd" }, "url:", problem.BadRequest},
		"a password in it":  {func(t *notification.Target) { t.URL = "https://a:b@example.com" }, "auth_header", problem.BadRequest},
		"a line break":      {func(t *notification.Target) { t.AuthHeader = "a\r\nX: y" }, "auth_header:", problem.BadRequest},
		"a masked secret":   {func(t *notification.Target) { t.AuthHeader = "*****" }, "auth_header:", problem.BadRequest},
		"no certificate":    {func(t *notification.Target) { t.CACertificate = "x" }, "ca_certificate:", problem.BadRequest},
		"an unknown format": {func(t *notification.Target) { t.Format = "Slack" }, "payload_format:", problem.BadRequest},
		"no events":         {func(t *notification.Target) { t.Events = nil }, "events:", problem.BadRequest},
		"unknown events":    {func(t *notification.Target) { t.Events = []notification.Kind{"pushed"} }, "events:", problem.BadRequest},
	} {
		bad := good
		tc.change(&bad)
		if _, err := w.Create(t.Context(), bad); !problem.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADisabledTargetIsToldNothingAndLosesNothingThatWaited(t *testing.T) {
	onBoth(t, func(w *world) {
		r := newReceiver(w.t, httptest.NewServer)
		id := w.target(notification.Target{URL: r.URL, Format: cloud})
		r.answer(http.StatusInternalServerError)
		w.publish("before", 1)
		ts.Eventually(w.t, "it is tried", func() bool { return r.tried() == 1 })
		now := w.get(id)
		now.Enabled = false
		if err := w.Update(w.t.Context(), now, nil); err != nil {
			w.t.Fatal(err)
		}
		w.publish("meanwhile", 1)
		r.answer(http.StatusOK)
		now.Enabled = true
		if err := w.Update(w.t.Context(), now, nil); err != nil {
			w.t.Fatal(err)
		}
		w.publish("after", 1)
		ts.Eventually(w.t, "what waited is told", func() bool { return r.took() == "before after" })
		if err := w.Delete(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		if err := w.Delete(w.t.Context(), id); !problem.Is(err, problem.NotFound) {
			w.t.Errorf("%v", err)
		}
	})
}
