package registry

import (
	"fmt"
	"net/url"
)

// Location returns the session's URL, for ResumeUpload after a restart. It may carry a
// secret of the registry's: store it, but never show it.
func (u *Upload) Location() string { return u.location.String() }

// ResumeUpload takes up a session by its Location. It makes no request: Status tells
// whether the session still exists, and how far it is.
func (c *Client) ResumeUpload(repo, location string) (*Upload, error) {
	if err := checkRepository(repo); err != nil {
		return nil, err
	}
	to, err := url.Parse(location)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, fmt.Errorf("resume an upload to %s: the location is no URL", repo)
	}
	return &Upload{client: c, repo: repo, location: to}, nil
}

// ReferrersByTag reports whether the registry is known to lack the referrers API, so
// that the referrers of a subject are found only by its fallback tag (ReferrersTag).
// It is not known before the first Referrers.
func (c *Client) ReferrersByTag() bool { return c.referrersMode.Load() == referrersByTag }
