package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// rawHeads asks both registries about every tag with nothing but HEAD requests, as
// many at a time as we send: what finding out that nothing is to be done costs at
// least, when neither side tells digests in its lists.
func rawHeads(ctx context.Context, source, destination *server, tags map[string]string) (time.Duration, error) {
	const atOnce = 128
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce}}
	defer client.CloseIdleConnections()
	start := time.Now()
	var group errgroup.Group
	group.SetLimit(2 * atOnce)
	for name := range tags {
		repository, tag, _ := strings.Cut(name, ":")
		for _, s := range []*server{source, destination} {
			group.Go(func() error {
				r, err := http.NewRequestWithContext(ctx, http.MethodHead, fmt.Sprintf("http://%s/v2/%s/manifests/%s", s.host, repository, tag), nil)
				if err != nil {
					return err
				}
				r.Header.Set("Accept", ociManifest)
				response, err := client.Do(r)
				if err != nil {
					return err
				}
				_ = response.Body.Close() // a HEAD has none
				if response.StatusCode != http.StatusOK {
					return fmt.Errorf("HEAD %s: %s", name, response.Status)
				}
				return nil
			})
		}
	}
	err := group.Wait()
	return time.Since(start), err
}
