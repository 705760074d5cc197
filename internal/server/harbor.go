package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api"
	"github.com/lighterage/lighterage/internal/home/harbor"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store"
)

// homeSetting says which Harbor the rules in a database are about; "": the embedded
// registry.
const homeSetting = "home.harbor"

// checkHome refuses another home than the rules in the database were made for: what
// the new one does not hold would be taken for deleted.
func (s *server) checkHome(ctx context.Context, c Config) error {
	before, known, err := s.db.Setting(ctx, homeSetting)
	if err != nil {
		return err
	}
	if !known { // before this was noted there was only one kind
		_, known, err = s.db.Setting(ctx, "home.storage")
		if err != nil {
			return err
		}
	}
	changed := known && before != c.Home.URL
	if changed && !c.Home.Change {
		return problem.New(problem.Precondition, "the rules in this database are about %s, and home is now %s: if that is meant, start once with --change-home",
			homeName(before), homeName(c.Home.URL))
	}
	if known && !changed {
		return nil
	}
	return s.db.InTx(ctx, func(tx *store.Tx) error {
		if changed { // what the old home told is nothing to the new one
			for _, table := range []string{"events", "harbor_changes"} {
				if _, err := tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
					return err
				}
			}
		}
		return store.SetSetting(ctx, tx, homeSetting, c.Home.URL)
	})
}

func homeName(url string) string {
	if url == "" {
		return "the embedded registry"
	}
	return url
}

// shownHome says where images are, without secrets.
func (s *server) shownHome(c Config) string {
	if c.Home.URL != "" {
		return c.Home.URL
	}
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	return s.files.place.String()
}

// openHarbor makes the Harbor home. One that cannot be reached now is waited for; one
// that refuses the credential is not.
func (s *server) openHarbor(ctx context.Context, c Config, box *secret.Box, o registry.Options) error {
	api, err := registry.NewHarbor(registry.Endpoint{
		URL: c.Home.URL, Credential: registry.Credential{AccessKey: c.Home.Username, AccessSecret: c.Home.Secret},
		Insecure: c.Home.Insecure, CACertificate: c.Home.CACertificate,
	}, o)
	if err != nil {
		return fmt.Errorf("home %s: %w", c.Home.URL, err)
	}
	word := c.Home.WebhookSecret
	if word == "" {
		if word, err = webhookSecret(ctx, s.db, box); err != nil {
			return err
		}
	}
	s.harbor = harbor.New(harbor.Options{API: api, DB: s.db, Secret: word, AuditInterval: c.Home.AuditInterval, Log: c.Log})
	if err := s.harbor.Check(ctx); registry.IsUnauthorized(err) {
		return problem.Wrap(problem.Unauthorized, err, "home")
	}
	return nil
}

// webhookSecret is what webhooks of the Harbor bring. All servers on one database and
// every restart share it.
func webhookSecret(ctx context.Context, db *store.DB, box *secret.Box) (string, error) {
	const name = "harbor.webhook_secret"
	sealed, err := box.Seal(rand.Text(), name)
	if err != nil {
		return "", err
	}
	err = db.InTx(ctx, func(tx *store.Tx) (err error) {
		sealed, err = store.InitSetting(ctx, tx, name, sealed)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("keep the secret of webhooks: %w", err)
	}
	return box.Open(sealed, name)
}

func (s *server) harborPart() homePart {
	return homePart{
		home:    s.harbor,
		onEvent: s.harbor.OnEvent,
		endpoint: func() replication.Endpoint {
			e := homeEndpoint(s.harbor.URL())
			if err := s.harbor.Trouble(); err != nil {
				e.Status, e.StatusReason = replication.Unhealthy, err.Error()
			}
			return e
		},
		api: api.Options{Harbor: s.harbor, Home: s.harbor.Client()},
	}
}

// tellLacks says in the log what the credential of home may not do.
func (s *server) tellLacks(log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		const pause = time.Minute
		for {
			lacks, err := s.harbor.Permissions(ctx)
			for _, l := range lacks {
				log.Warn("the credential of home lacks a permission", "permission", l.Permission, "reason", l.String())
			}
			if err == nil || ctx.Err() != nil || !registry.IsTemporary(err) {
				if err != nil && ctx.Err() == nil {
					log.Warn("the permissions of home's credential are not known", "error", err)
				}
				return nil
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// harborUsers lets the users of a Harbor log in here with their names and passwords.
type harborUsers struct{ harbor *harbor.Home }

// Login implements account.Elsewhere.
func (h harborUsers) Login(ctx context.Context, name, password string) (account.User, bool, error) {
	u, found, err := h.harbor.Login(ctx, name, password)
	return account.User{
		ID: u.ID, Username: u.Username, Email: u.Email, Realname: u.Realname, SysAdmin: u.SysAdmin || u.AdminByGroup,
	}, found, err
}

// noRegistry answers clients of the registry that is not here.
func noRegistry(home string) http.Handler {
	type failure struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]failure{"errors": {{
		"UNSUPPORTED", "this server has no registry of its own: push to and pull from " + home,
	}}})
	if err != nil {
		panic(fmt.Sprintf("server: an error as JSON: %v", err)) // texts always have a JSON form
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = w.Write(body) // a client that is gone reads nothing
	})
}
