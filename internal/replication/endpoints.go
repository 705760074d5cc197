package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/store"
)

// MaskedSecret stands for a secret wherever one is shown. Sent back, it means
// "as it was": clients return what they read.
const MaskedSecret = "*****"

var endpointColumns = store.Columns{
	"id":            {SQL: "id", Kind: store.Integer},
	"name":          {SQL: "name", Kind: store.Text},
	"description":   {SQL: "description", Kind: store.Text},
	"type":          {SQL: "type", Kind: store.Text},
	"url":           {SQL: "url", Kind: store.Text},
	"insecure":      {SQL: "insecure", Kind: store.Boolean},
	"status":        {SQL: "status", Kind: store.Text},
	"creation_time": {SQL: "creation_time", Kind: store.Instant},
	"update_time":   {SQL: "update_time", Kind: store.Instant},
}

const selectEndpoint = `SELECT id, name, description, type, url, credential_type, access_key, access_secret,
	insecure, ca_certificate, speed, status, status_reason, checked_time, creation_time, update_time FROM registries`

// ListEndpoints returns the remote registries and how many there are in all.
func (s *Service) ListEndpoints(ctx context.Context, q store.ListQuery) ([]Endpoint, int64, error) {
	where, args := q.Where(endpointColumns, "", nil)
	var total int64
	if err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM registries`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count registries: %w", err)
	}
	rows, err := s.o.DB.QueryContext(ctx, selectEndpoint+where+q.OrderLimit(endpointColumns, "id"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list registries: %w", err)
	}
	list, err := collect(rows, s.scanEndpoint)
	return list, total, err
}

// GetEndpoint returns a registry; id 0 is home.
func (s *Service) GetEndpoint(ctx context.Context, id int64) (Endpoint, error) {
	if id == HomeID {
		return s.o.HomeEndpoint(), nil
	}
	e, err := s.scanEndpoint(s.o.DB.QueryRowContext(ctx, selectEndpoint+` WHERE id = $1`, id))
	if store.IsNotFound(err) {
		return Endpoint{}, endpointNotFound(id)
	}
	return e, err
}

func (s *Service) scanEndpoint(row scanner) (Endpoint, error) {
	var e Endpoint
	var checked, created, updated int64
	err := row.Scan(&e.ID, &e.Name, &e.Description, &e.Type, &e.URL, &e.Credential.Type, &e.Credential.AccessKey, &e.sealed,
		&e.Insecure, &e.CACertificate, &e.Speed, &e.Status, &e.StatusReason, &checked, &created, &updated)
	if err != nil {
		return Endpoint{}, err
	}
	e.CheckedTime, e.CreationTime, e.UpdateTime = store.Time(checked), store.Time(created), store.Time(updated)
	// A secret that cannot be opened (the key file is another one) must not hide the
	// other registries, nor this one: it can be deleted, or given a new secret.
	if e.Credential.AccessSecret, err = s.o.Box.Open(e.sealed, secretContext(e.ID)); err != nil {
		e.locked = fmt.Errorf("the stored secret of registry %s cannot be read; set it again: %w", e.Name, err)
	}
	return e, nil
}

// adapter makes an adapter for one use; its client must be closed.
func (s *Service) adapter(e Endpoint) (registry.Adapter, error) {
	if e.locked != nil {
		return nil, problem.Wrap(problem.Precondition, e.locked, "registry %s", e.Name)
	}
	return registry.NewAdapter(e.remote(), s.o.Remote)
}

// secretContext binds a sealed secret to its row, so that it is worthless in another.
func secretContext(id int64) string { return fmt.Sprintf("registries/%d/access_secret", id) }

// CreateEndpoint stores a registry. One that does not answer is stored too: its
// status says why. The error is of kind BadRequest or Conflict for bad input.
func (s *Service) CreateEndpoint(ctx context.Context, e Endpoint) (int64, error) {
	if err := normalizeEndpoint(&e); err != nil {
		return 0, err
	}
	if err := s.checkEndpointName(ctx, e.Name, 0); err != nil {
		return 0, err
	}
	e.Status, e.StatusReason = s.probe(ctx, e)
	now := store.Millis(s.now())
	var id int64
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO registries (name, description, type, url, credential_type, access_key, insecure,
			ca_certificate, speed, status, status_reason, checked_time, creation_time, update_time)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $12) RETURNING id`,
			e.Name, e.Description, e.Type, e.URL, e.Credential.Type, e.Credential.AccessKey, e.Insecure,
			e.CACertificate, int64(e.Speed), e.Status, e.StatusReason, now).Scan(&id)
		if err != nil {
			return err
		}
		sealed, err := s.o.Box.Seal(e.Credential.AccessSecret, secretContext(id))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE registries SET access_secret = $2 WHERE id = $1`, id, sealed)
		return err
	})
	if store.IsConflict(err) {
		return 0, problem.New(problem.Conflict, "registry %s already exists", e.Name)
	}
	if err != nil {
		return 0, fmt.Errorf("create registry %s: %w", e.Name, err)
	}
	return id, nil
}

// UpdateEndpoint changes a registry. A new URL without a new secret drops the
// stored one, so that it is never sent to an address it was not given for.
func (s *Service) UpdateEndpoint(ctx context.Context, id int64, u EndpointUpdate) error {
	if id == HomeID {
		return endpointNotFound(id)
	}
	old, err := s.GetEndpoint(ctx, id)
	if err != nil {
		return err
	}
	e := applyUpdate(old, u)
	if err := normalizeEndpoint(&e); err != nil {
		return err
	}
	if e.URL != old.URL && keepsSecret(u.AccessSecret) {
		e.Credential.AccessSecret, e.locked = "", nil
	}
	if err := s.checkEndpointName(ctx, e.Name, id); err != nil {
		return err
	}
	e.Status, e.StatusReason = s.probe(ctx, e)
	sealed := old.sealed
	if e.locked == nil {
		if sealed, err = s.o.Box.Seal(e.Credential.AccessSecret, secretContext(id)); err != nil {
			return err
		}
	}
	now := store.Millis(s.now())
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE registries SET name = $2, description = $3, url = $4, credential_type = $5, access_key = $6,
			access_secret = $7, insecure = $8, ca_certificate = $9, status = $10, status_reason = $11, checked_time = $12, update_time = $12,
			speed = $13
			WHERE id = $1`, id, e.Name, e.Description, e.URL, e.Credential.Type, e.Credential.AccessKey,
			sealed, e.Insecure, e.CACertificate, e.Status, e.StatusReason, now, int64(e.Speed))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, endpointNotFound(id))
		}
		if e.URL != old.URL {
			// What is known is of another registry.
			_, err := tx.ExecContext(ctx, `UPDATE drift SET state = 'not_verified', is_drift = TRUE, reason = $2, seen_time = $3
				WHERE registry_id = $1 OR policy_id IN (SELECT id FROM replication_policies WHERE src_registry_id = $1)`,
				id, "the URL of registry "+e.Name+" was changed since", now)
			if err != nil {
				return err
			}
		}
		if e.Status == Healthy {
			return s.hasten(ctx, tx, id)
		}
		return nil
	})
	if store.IsConflict(err) {
		return problem.New(problem.Conflict, "registry %s already exists", e.Name)
	}
	if err != nil {
		return fmt.Errorf("update registry %s: %w", old.Name, err)
	}
	s.bandwidths.set(limitOf{registry: true, id: id}, e.BytesPerSecond())
	return nil
}

func applyUpdate(e Endpoint, u EndpointUpdate) Endpoint {
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&e.Name, u.Name)
	set(&e.Description, u.Description)
	set(&e.URL, u.URL)
	set(&e.Credential.Type, u.CredentialType)
	set(&e.Credential.AccessKey, u.AccessKey)
	if !keepsSecret(u.AccessSecret) {
		e.Credential.AccessSecret, e.locked = *u.AccessSecret, nil
	}
	set(&e.CACertificate, u.CACertificate)
	if u.Insecure != nil {
		e.Insecure = *u.Insecure
	}
	if u.Speed != nil {
		e.Speed = *u.Speed
	}
	return e
}

// keepsSecret reports whether a request leaves the stored secret as it is.
func keepsSecret(secret *string) bool { return secret == nil || *secret == MaskedSecret }

// DeleteEndpoint removes a registry that no rule uses.
func (s *Service) DeleteEndpoint(ctx context.Context, id int64) error {
	if id == HomeID {
		return endpointNotFound(id)
	}
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		// It goes first, so that no rule can come that uses it: see keepEndpoints.
		result, err := tx.ExecContext(ctx, `DELETE FROM registries WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, endpointNotFound(id))
		}
		var rules int64
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM replication_policies WHERE src_registry_id = $1 OR dest_registry_id = $1
			OR id IN (SELECT policy_id FROM replication_policy_destinations WHERE registry_id = $1)`, id).Scan(&rules)
		if err != nil {
			return err
		}
		if rules > 0 {
			return problem.New(problem.Precondition, "the registry %d is referenced by replication policies, cannot delete it", id)
		}
		for _, books := range []string{"placements", "placement_intents"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+books+` WHERE registry_id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.dropSide(id)
	}
	return err
}

func endpointNotFound(id int64) error {
	return problem.New(problem.NotFound, "registry %d not found", id)
}

// keepEndpoints makes sure that registries are there until tx ends.
func keepEndpoints(ctx context.Context, tx *store.Tx, ids []int64) error {
	for _, id := range ids {
		result, err := tx.ExecContext(ctx, `UPDATE registries SET id = id WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("look for registry %d: %w", id, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, endpointNotFound(id))
		}
	}
	return nil
}

// PingEndpoint tests whether a registry can be reached and takes the
// credential. The error is a *registry.PingError that names the cause.
func (s *Service) PingEndpoint(ctx context.Context, p EndpointPing) error {
	var e Endpoint
	if p.ID != nil && *p.ID != HomeID {
		stored, err := s.GetEndpoint(ctx, *p.ID)
		if err != nil {
			return err
		}
		e = stored
	}
	before := e.URL
	if p.Type != nil && e.ID == HomeID {
		e.Type = *p.Type // that of a stored registry cannot be changed
	}
	e = applyUpdate(e, EndpointUpdate{
		URL: p.URL, CredentialType: p.CredentialType, AccessKey: p.AccessKey,
		AccessSecret: p.AccessSecret, Insecure: p.Insecure, CACertificate: p.CACertificate,
	})
	if e.Type == "" || e.URL == "" {
		return problem.New(problem.BadRequest, "type or url cannot be empty")
	}
	e.Name = "test" // not looked at, but must not be empty
	if err := normalizeEndpoint(&e); err != nil {
		return err
	}
	if before != "" && e.URL != before && keepsSecret(p.AccessSecret) {
		e.Credential.AccessSecret, e.locked = "", nil
	}
	return s.ping(ctx, e)
}

// ping asks a registry whether it can be used.
func (s *Service) ping(ctx context.Context, e Endpoint) error {
	adapter, err := s.adapter(e)
	if err != nil {
		return err
	}
	defer adapter.Client().Close()
	return adapter.Client().Ping(ctx)
}

// EndpointInfo tells what a rule that uses the registry can filter and trigger on.
func (s *Service) EndpointInfo(ctx context.Context, id int64) (registry.Info, error) {
	if id == HomeID {
		return registry.HomeInfo(), nil
	}
	e, err := s.GetEndpoint(ctx, id)
	if err != nil {
		return registry.Info{}, err
	}
	e.locked = nil // no request is made
	adapter, err := s.adapter(e)
	if err != nil {
		return registry.Info{}, err
	}
	return adapter.Info(), nil
}

// remote is the endpoint in the words of package registry.
func (e Endpoint) remote() registry.Endpoint {
	return registry.Endpoint{Provider: e.Type, URL: e.URL, Credential: e.Credential, Insecure: e.Insecure, CACertificate: e.CACertificate}
}

// probe finds out an endpoint's status.
func (s *Service) probe(ctx context.Context, e Endpoint) (status, reason string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.ping(ctx, e); err != nil {
		return Unhealthy, err.Error()
	}
	return Healthy, ""
}

func (s *Service) checkEndpointName(ctx context.Context, name string, id int64) error {
	var other int64
	err := s.o.DB.QueryRowContext(ctx, `SELECT id FROM registries WHERE name = $1`, name).Scan(&other)
	if store.IsNotFound(err) || err == nil && other == id {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for registry %s: %w", name, err)
	}
	return problem.New(problem.Conflict, "registry %s already exists", name)
}
