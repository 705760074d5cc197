package server_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
)

func TestGuessingThroughAProxyHarmsNobodyElseBehindIt(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir(), TrustedProxies: []string{"127.0.0.1"}})
	logIn := func(ctx context.Context, client string) (status int) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, home.url+"/v2/", nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		r.SetBasicAuth("someone", rand.Text()) // the same one at the same time is one login
		r.Header.Set("X-Forwarded-For", client)
		answer, err := http.DefaultClient.Do(r)
		if err != nil { // ended with ctx
			return 0
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	guessing, stop := context.WithCancel(t.Context())
	defer stop()
	refused := make(chan struct{})
	refuse := sync.OnceFunc(func() { close(refused) })
	var guesses sync.WaitGroup
	for range 20 {
		guesses.Go(func() {
			for guessing.Err() == nil {
				if logIn(guessing, "203.0.113.9") == http.StatusTooManyRequests {
					refuse()
				}
			}
		})
	}
	<-refused
	if status := logIn(t.Context(), "198.51.100.7"); status != http.StatusUnauthorized {
		t.Errorf("another client is answered %d", status)
	}
	stop()
	guesses.Wait()
}
