package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// proofKey makes the keys under which proven passwords are remembered. It is
// random for every process: what memory holds is useless elsewhere.
type proofKey [32]byte

func newProofKey() proofKey { return proofKey(randomBytes(32)) }

func (k proofKey) of(name, password string) [32]byte {
	mac := hmac.New(sha256.New, k[:])
	var length [8]byte // keeps "a"+"bc" and "ab"+"c" apart
	binary.BigEndian.PutUint64(length[:], uint64(len(name)))
	mac.Write(length[:])
	mac.Write([]byte(name))
	mac.Write([]byte(password))
	return [32]byte(mac.Sum(nil))
}

// Authenticate returns the user or robot that has this name and password. A wrong
// one is a problem.Unauthorized, takes as long as a right one, whether the account
// exists or not, and slows down further attempts (see throttle); attempts far
// beyond that are a problem.TooManyRequest. WithRemote in ctx says who asks.
//
// A password that was proven in the last minutes is not hashed again, unless it
// has been changed since: registry clients send it with every request.
func (s *Service) Authenticate(ctx context.Context, username, password string) (Principal, error) {
	row, err := s.account(ctx, username)
	if err != nil {
		return Principal{}, err
	}
	proof := s.proofs.of(username, password)
	if v, found := s.visitors.get(proof); found {
		return v.principal(), nil
	}
	if row == nil || !s.proven(proof, row) {
		if row, err = s.prove(ctx, proof, username, password); err != nil {
			return Principal{}, err
		}
	}
	if err := row.usable(s.now()); err != nil {
		return Principal{}, err
	}
	return row.principal, nil
}

func (s *Service) proven(proof [32]byte, row *accountRow) bool {
	generation, found := s.verified.get(proof)
	return found && generation == row.principal.Generation
}

// prove checks a password that is not known to be right. Requests that bring the
// same one at the same time share one check, so that a client that starts with
// many requests is not taken for one that guesses.
func (s *Service) prove(ctx context.Context, proof [32]byte, username, password string) (*accountRow, error) {
	flight := s.flights.DoChan(string(proof[:]), func() (any, error) {
		// The others must not fail because the first of them went away.
		return s.check(context.WithoutCancel(ctx), proof, username, password)
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*accountRow), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *Service) check(ctx context.Context, proof [32]byte, username, password string) (*accountRow, error) {
	attempt, err := s.throttle.reserve(s.now(), username, remoteGroup(RemoteOf(ctx)))
	if err != nil {
		return nil, err
	}
	if err := s.pause(ctx, attempt.wait); err != nil {
		return nil, err
	}
	// Read after the pause: the account may have changed.
	row, err := s.account(ctx, username)
	if err != nil {
		return nil, err
	}
	var stored string
	if row != nil {
		stored = row.hash
	}
	right, err := s.hasher.matches(ctx, stored, password)
	if err != nil {
		return nil, err
	}
	if !right {
		v, found, err := s.visit(ctx, proof, username, password)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, problem.New(problem.Unauthorized, "unauthorized")
		}
		s.throttle.succeeded(s.now(), attempt)
		return &accountRow{principal: v.principal()}, nil
	}
	s.throttle.succeeded(s.now(), attempt)
	s.verified.put(proof, row.principal.Generation)
	s.refreshHash(ctx, row, password)
	return row, nil
}

// refreshHash brings a hash that was made with other costs up to today's. The
// login has succeeded whether this does or not; the next one tries again.
func (s *Service) refreshHash(ctx context.Context, row *accountRow, password string) {
	salt, outdated := s.hasher.outdated(row.hash)
	if !outdated {
		return
	}
	if err := s.replaceHash(ctx, row, password, salt); err != nil {
		s.log.WarnContext(ctx, "password hash is still of an old cost", "account", row.principal.Name, "error", err)
	}
}

func (s *Service) replaceHash(ctx context.Context, row *accountRow, password string, salt []byte) error {
	hash, err := s.hasher.hashWithSalt(ctx, password, salt)
	if err != nil {
		return err
	}
	update := `UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3`
	if row.principal.Kind == KindRobot {
		update = `UPDATE robots SET secret_hash = $1 WHERE id = $2 AND secret_hash = $3`
	}
	return s.change(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, update, hash, row.principal.ID, row.hash)
		return err
	})
}

// Renew returns the present state of a principal that was kept since it was
// authenticated, and problem.Unauthorized when its account is gone, disabled or
// expired, or has another password now.
func (s *Service) Renew(ctx context.Context, p Principal) (Principal, error) {
	if p.Kind == KindAnonymous || p.Kind == KindSystem {
		return p, nil
	}
	if p.visits() {
		return s.renewVisitor(p)
	}
	row, err := s.account(ctx, p.Name)
	if err != nil {
		return Principal{}, err
	}
	if row == nil || row.principal.Kind != p.Kind || row.principal.ID != p.ID || row.principal.Generation != p.Generation {
		return Principal{}, problem.New(problem.Unauthorized, "unauthorized")
	}
	if err := row.usable(s.now()); err != nil {
		return Principal{}, err
	}
	return row.principal, nil
}

// SetPassword gives a user a new password, which must keep Harbor's rule. Users
// may change their own, if they know the old one; who may update users may change
// everybody's, but only administrators an administrator's.
func (s *Service) SetPassword(ctx context.Context, p Principal, userID int64, old, password string) error {
	if err := s.requireModifiable(p, userID); err != nil {
		return err
	}
	user, err := s.readUser(ctx, userID)
	if err != nil {
		return err
	}
	if user.SysAdmin && !p.SysAdmin {
		return problem.New(problem.Forbidden, "User with ID %d can't be updated", userID)
	}
	if isUser(p, userID) {
		if _, err := s.Authenticate(ctx, user.Username, old); problem.Is(err, problem.Unauthorized) {
			return problem.New(problem.Forbidden, "Current password is incorrect")
		} else if err != nil {
			return err
		}
	}
	if err := checkPassword(password); err != nil {
		return err
	}
	same, err := s.hasPassword(ctx, user.Username, password)
	if err != nil {
		return err
	}
	if same {
		return problem.New(problem.BadRequest, "New password is identical to old password")
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.changeUser(ctx, userID, "set the password", `UPDATE users SET password_hash = $1, update_time = $2 WHERE id = $3`,
		hash, store.Millis(s.now()), userID)
}

func (s *Service) hasPassword(ctx context.Context, username, password string) (bool, error) {
	row, err := s.account(ctx, username)
	if err != nil || row == nil {
		return false, err
	}
	same, err := s.hasher.matches(ctx, row.hash, password)
	if err != nil {
		return false, fmt.Errorf("compare passwords of %s: %w", username, err)
	}
	return same, nil
}
