package replication

import (
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
)

// HomeID is the id that stands for the home registry wherever a registry is named.
const HomeID = 0

// The health of an endpoint, in Harbor's words.
const (
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
)

// Endpoint is a remote registry as the user described it, and how it is.
type Endpoint struct {
	ID            int64
	Name          string
	Description   string
	Type          string // provider: docker-registry, harbor
	URL           string
	Credential    registry.Credential // the secret in clear text: a face masks it
	Insecure      bool                // the certificate is not verified
	CACertificate string              // PEM
	Speed         int32               // kilobits per second, as of a rule, of all that rules read from it and write to it; 0: no limit
	Status        string              // Healthy, Unhealthy
	StatusReason  string              // why it is unhealthy, and what to do
	CheckedTime   time.Time           // when the status was found; zero: never
	CreationTime  time.Time
	UpdateTime    time.Time

	sealed string // the stored form of the secret
	locked error  // why it cannot be opened; Credential has no secret then
}

// BytesPerSecond is Speed in bytes per second, 0 for no limit.
func (e Endpoint) BytesPerSecond() int64 { return rule.Rule{Speed: e.Speed}.BytesPerSecond() }

// EndpointUpdate changes the fields of an endpoint that are not nil.
type EndpointUpdate struct {
	Name, Description, URL, CredentialType, AccessKey, AccessSecret *string
	Insecure                                                        *bool
	CACertificate                                                   *string
	Speed                                                           *int32
}

// EndpointPing says what to test: a stored endpoint (ID), fields of one that is
// not stored yet, or a stored one with some fields changed.
type EndpointPing struct {
	ID                                                 *int64
	Type, URL, CredentialType, AccessKey, AccessSecret *string
	Insecure                                           *bool
	CACertificate                                      *string
}
