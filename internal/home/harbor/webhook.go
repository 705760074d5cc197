package harbor

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/rule"
)

// WebhookPath is where a server takes Harbor's webhooks.
const WebhookPath = "/webhook/harbor"

// What a webhook may bring. Harbor names one artifact in each.
const (
	maxWebhook   = 1 << 20 // bytes
	maxResources = 1000
	maxOperator  = 255
)

// payload is a webhook in either of Harbor's formats, Default or CloudEvents.
type payload struct {
	Type     string `json:"type"`
	Operator string `json:"operator"`

	OccurAt   int64      `json:"occur_at"`
	EventData *eventData `json:"event_data"`

	SpecVersion string     `json:"specversion"`
	Time        time.Time  `json:"time"`
	Data        *eventData `json:"data"`
}

type eventData struct {
	Resources []struct {
		Digest string `json:"digest"`
		Tag    string `json:"tag"` // the digest once more when there is no tag
	} `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

// kinds are the webhooks that tell of changes, by their names in both formats.
var kinds = map[string]string{
	"PUSH_ARTIFACT": home.PushArtifact, "harbor.artifact.pushed": home.PushArtifact,
	"DELETE_ARTIFACT": home.DeleteArtifact, "harbor.artifact.deleted": home.DeleteArtifact,
}

// ServeHTTP takes a webhook of Harbor's. It answers 200 when what happened is in the
// database; with any other answer Harbor tries again.
func (h *Home) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Harbor's webhooks are posted here", http.StatusMethodNotAllowed)
		return
	}
	if !h.secretIsRight(r.Header.Get("Authorization")) {
		http.Error(w, "the auth header of the webhook policy is not the secret of this server", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		http.Error(w, "no webhook of Harbor's is that large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	changes, err := readPayload(body)
	if err != nil {
		h.log.Warn("a webhook cannot be understood", "error", err)
		http.Error(w, "this is no webhook of Harbor's: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := h.recordWebhook(r.Context(), changes); err != nil {
		h.log.Error("a webhook could not be recorded, Harbor will send it again", "error", err)
		http.Error(w, "what happened could not be recorded, try again", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// secretIsRight takes the secret by itself, and as a bearer token. Comparing takes the
// same time whatever was sent.
func (h *Home) secretIsRight(header string) bool {
	if token, ok := strings.CutPrefix(header, "Bearer "); ok {
		header = token
	}
	sent, want := sha256.Sum256([]byte(strings.TrimSpace(header))), sha256.Sum256([]byte(h.secret))
	return h.secret != "" && subtle.ConstantTimeCompare(sent[:], want[:]) == 1
}

// readPayload returns what a webhook tells, nothing if it tells of something else.
func readPayload(body []byte) ([]change, error) {
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("the body is not JSON as Harbor sends it: %w", err)
	}
	if p.Type == "" {
		return nil, errors.New("it has no type")
	}
	kind, known := kinds[p.Type]
	if !known {
		return nil, nil
	}
	data, at := p.EventData, time.Unix(p.OccurAt, 0)
	if p.SpecVersion != "" {
		data, at = p.Data, p.Time
	}
	switch {
	case data == nil || len(data.Resources) == 0:
		return nil, errors.New("it names no artifact")
	case len(data.Resources) > maxResources:
		return nil, fmt.Errorf("it names %d artifacts", len(data.Resources))
	}
	repository := data.Repository.FullName
	if err := checkRepository(repository); err != nil {
		return nil, err
	}
	var changes []change
	for _, r := range data.Resources {
		if digest.Digest(r.Digest).Validate() != nil {
			return nil, fmt.Errorf("it names the digest %.100q", r.Digest)
		}
		c := change{
			key:    key{kind: kind, repository: repository, reference: r.Tag, second: at.Unix()},
			digest: r.Digest, operator: plain(p.Operator),
		}
		// The audit log names a deleted artifact by its digest alone.
		if kind == home.DeleteArtifact || r.Tag == "" || isDigest(r.Tag) {
			c.reference = r.Digest
		} else if err := rule.ValidateTag(r.Tag); err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func isDigest(reference string) bool { return strings.Contains(reference, ":") }

// plain makes a name of somebody fit to be stored and shown.
func plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	if len(name) > maxOperator {
		name = strings.ToValidUTF8(name[:maxOperator], "")
	}
	return name
}
