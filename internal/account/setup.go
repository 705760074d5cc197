package account

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// untoldSetting is there while nobody has been told the password that was made up
// for the administrator. It names the start that made it up.
const untoldSetting = "admin_password_untold"

// EnsureAdmin makes what a new server starts with: the user admin (id 1), an
// administrator, with the given password, and the public project library (id 1).
// If password is "" it makes one up and returns it, to be shown after
// TellAdminPassword. Where there is an admin it changes nothing, whatever the
// password, unless a start before ended without having told the one that it had
// made up: nobody knows that one, so it is replaced.
func (s *Service) EnsureAdmin(ctx context.Context, password string) (generated string, err error) {
	_, err = s.readUser(ctx, adminID)
	if err == nil {
		var untold bool
		if _, untold, err = s.db.Setting(ctx, untoldSetting); !untold {
			return "", err
		}
	} else if !problem.Is(err, problem.NotFound) {
		return "", err
	}
	if password == "" {
		password = randomPassword(20)
		generated = password
	} else if err := checkPassword(password); err != nil {
		return "", fmt.Errorf("create user admin: %w", err)
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return "", err
	}
	start := randomText(16)
	done := false
	err = s.change(ctx, func(tx *store.Tx) (err error) {
		if done, err = s.setUpAdmin(ctx, tx, hash); err != nil || !done || generated == "" {
			return err
		}
		return store.SetSetting(ctx, tx, untoldSetting, start)
	})
	if err != nil {
		return "", fmt.Errorf("create user admin: %w", err)
	}
	if !done { // by another server that starts at the same time
		return "", nil
	}
	s.untold = start
	return generated, nil
}

// setUpAdmin makes admin and library, or gives an admin whose password nobody
// knows another one. It returns false where neither is to be done.
func (s *Service) setUpAdmin(ctx context.Context, tx *store.Tx, hash string) (done bool, err error) {
	made, err := s.insertAdmin(ctx, tx, hash)
	if err != nil {
		return false, err
	}
	if made {
		return true, s.insertLibrary(ctx, tx)
	}
	untold, err := execOne(ctx, tx, `DELETE FROM settings WHERE name = $1`, untoldSetting)
	if err != nil || !untold {
		return false, err
	}
	return execOne(ctx, tx, `UPDATE users SET password_hash = $1, update_time = $2 WHERE id = $3`, hash, store.Millis(s.now()), adminID)
}

// TellAdminPassword reports whether the password that EnsureAdmin made up is still
// the one that counts, and to be shown: no later start makes up another one.
func (s *Service) TellAdminPassword(ctx context.Context) (tell bool, err error) {
	err = s.db.InTx(ctx, func(tx *store.Tx) (err error) {
		tell, err = execOne(ctx, tx, `DELETE FROM settings WHERE name = $1 AND value = $2`, untoldSetting, s.untold)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remember that the administrator's password is told: %w", err)
	}
	return tell, nil
}

func (s *Service) insertAdmin(ctx context.Context, tx *store.Tx, hash string) (made bool, err error) {
	made, err = execOne(ctx, tx,
		`INSERT INTO users (id, username, realname, comment, password_hash, sysadmin, creation_time, update_time)
		 VALUES ($1, 'admin', 'system admin', 'admin user', $2, TRUE, $3, $3) ON CONFLICT DO NOTHING`,
		adminID, hash, store.Millis(s.now()))
	if err != nil || !made {
		return made, err
	}
	return true, nextIDs(ctx, tx, "users")
}

// insertLibrary gives library the id 1 too, unless there are projects already.
func (s *Service) insertLibrary(ctx context.Context, tx *store.Tx) error {
	var id int64
	err := tx.QueryRowContext(ctx,
		`INSERT INTO projects (id, name, owner_id, public, creation_time, update_time)
		 SELECT COALESCE(MAX(id), 0) + 1, 'library', $1, TRUE, $2, $2 FROM projects WHERE TRUE
		 ON CONFLICT (name) DO UPDATE SET public = TRUE RETURNING id`, adminID, store.Millis(s.now())).Scan(&id)
	if err != nil {
		return fmt.Errorf("create project library: %w", err)
	}
	if err := nextIDs(ctx, tx, "projects"); err != nil {
		return err
	}
	return s.makeOwnerMember(ctx, tx, id)
}

// nextIDs makes the database go on with ids after those that were given by hand.
// SQLite does so by itself.
func nextIDs(ctx context.Context, tx *store.Tx, table string) error {
	if tx.Dialect() != store.PostgreSQL {
		return nil
	}
	var next int64
	err := tx.QueryRowContext(ctx, `SELECT setval(pg_get_serial_sequence('`+table+`', 'id'), (SELECT MAX(id) FROM `+table+`))`).Scan(&next)
	if err != nil {
		return fmt.Errorf("set the next id of %s: %w", table, err)
	}
	return nil
}
