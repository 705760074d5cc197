package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Session is a login of a person in a browser. Nothing of it is stored: the browser
// keeps a signed text, which ends when the session has been idle for the setting
// session_timeout, when the account is gone or gets another password, and when the
// person logs out. Only that someone logged out is stored, until the text would have
// ended by itself.
type Session struct {
	Principal Principal

	claims sessionClaims
	due    bool
}

// Due reports whether the session should be prolonged: enough of its time is gone.
func (s Session) Due() bool { return s.due }

// sessionClaims are what the text of a session says.
type sessionClaims struct {
	jwt.RegisteredClaims
	Generation string          `json:"gen"`
	Visitor    *sessionVisitor `json:"visitor,omitempty"`
}

// sessionVisitor is an account that is kept elsewhere as it was when it logged in.
type sessionVisitor struct {
	ID       int64  `json:"id"`
	Email    string `json:"email,omitempty"`
	Realname string `json:"realname,omitempty"`
	SysAdmin bool   `json:"admin,omitempty"`
}

const (
	sessionAudience  = "lighterage-session"
	endedSession     = "ended_session/" // settings of sessions that were logged out of
	afterEnded       = "ended_session0" // the first name behind those
	maxSessionLength = 4 << 10          // bytes; browsers keep no longer cookie
)

// OpenSession returns the text of a new session. Only users have sessions: robots
// are for programs, which send their secret with each request.
func (s *Service) OpenSession(ctx context.Context, p Principal) (string, error) {
	if p.Kind != KindUser {
		return "", problem.New(problem.Unauthorized, "unauthorized")
	}
	c := sessionClaims{Generation: p.Generation}
	c.ID, c.Subject = randomText(16), p.Name
	if p.visits() {
		user, err := s.visitingUser(p)
		if err != nil {
			return "", err
		}
		c.Visitor = &sessionVisitor{ID: user.ID, Email: user.Email, Realname: user.Realname, SysAdmin: user.SysAdmin}
	}
	return s.signSession(ctx, c)
}

// ResumeSession returns the session of a text, and problem.Unauthorized when it has
// ended.
func (s *Service) ResumeSession(ctx context.Context, text string) (Session, error) {
	ended := problem.New(problem.Unauthorized, "unauthorized: the session has ended")
	c, err := s.readSession(text)
	if err != nil {
		return Session{}, ended
	}
	over, err := s.sessionEnded(ctx, c.ID)
	if err != nil {
		return Session{}, err
	}
	if over {
		return Session{}, ended
	}
	session := Session{claims: c}
	if c.Visitor != nil {
		session.Principal, err = s.resumeVisitor(c)
		return session, err
	}
	row, err := s.account(ctx, c.Subject)
	if err != nil {
		return Session{}, err
	}
	if row == nil || row.principal.Kind != KindUser || row.principal.Generation != c.Generation {
		return Session{}, ended
	}
	session.Principal = row.principal
	// A tenth, so that a click does not sign a text each time, and nobody who clicks is logged out.
	session.due = s.now().Sub(c.IssuedAt.Time) >= c.ExpiresAt.Sub(c.IssuedAt.Time)/10
	return session, nil
}

// resumeVisitor remembers an account of elsewhere again. Its rights are those it had at
// its login: its session is not prolonged, so that they do not outlive their loss for long.
func (s *Service) resumeVisitor(c sessionClaims) (Principal, error) {
	if s.options.Elsewhere == nil {
		return Principal{}, problem.New(problem.Unauthorized, "unauthorized: the session has ended")
	}
	v := visitor{User{ID: c.Visitor.ID, Username: c.Subject, Email: c.Visitor.Email, Realname: c.Visitor.Realname, SysAdmin: c.Visitor.SysAdmin}}
	s.present.put(c.Subject, v)
	return v.principal(), nil
}

// ProlongSession returns another text of the session, whose time begins anew.
func (s *Service) ProlongSession(ctx context.Context, session Session) (string, error) {
	return s.signSession(ctx, session.claims)
}

// EndSession makes all texts of a session worthless. One that means nothing has ended already.
func (s *Service) EndSession(ctx context.Context, text string) error {
	c, err := s.readSession(text)
	if err != nil {
		return nil
	}
	lifetime, err := s.sessionLifetime(ctx)
	if err != nil {
		return err
	}
	until := c.ExpiresAt.Time // or that of a text it was prolonged by meanwhile
	if latest := s.now().Add(lifetime); latest.After(until) {
		until = latest
	}
	err = s.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM settings WHERE name > $1 AND name < $2 AND value < $3`,
			endedSession, afterEnded, sortableTime(s.now()))
		if err != nil {
			return err
		}
		return store.SetSetting(ctx, tx, endedSession+c.ID, sortableTime(until))
	})
	if err != nil {
		return fmt.Errorf("end the session of %s: %w", c.Subject, err)
	}
	s.ended.put(c.ID, true)
	return nil
}

// sortableTime is a time whose texts are in the order of time.
func sortableTime(t time.Time) string { return fmt.Sprintf("%013d", t.Unix()) }

func (s *Service) sessionEnded(ctx context.Context, id string) (bool, error) {
	return s.ended.load(id, func() (ended, keep bool, err error) {
		_, ended, err = s.db.Setting(ctx, endedSession+id)
		return ended, true, err
	})
}

func (s *Service) sessionLifetime(ctx context.Context) (time.Duration, error) {
	text, err := s.setting(ctx, "session_timeout", "60")
	if err != nil {
		return 0, err
	}
	minutes, err := strconv.ParseInt(text, 10, 32)
	if err != nil || minutes < 1 {
		return 0, fmt.Errorf("setting session_timeout is %q, want minutes", text)
	}
	return time.Duration(minutes) * time.Minute, nil
}

func (s *Service) signSession(ctx context.Context, c sessionClaims) (string, error) {
	lifetime, err := s.sessionLifetime(ctx)
	if err != nil {
		return "", err
	}
	now := s.now().UTC()
	c.Issuer, c.Audience = s.options.Issuer, jwt.ClaimStrings{sessionAudience}
	c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(lifetime))
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(s.sessionKey())
	if err != nil {
		return "", fmt.Errorf("sign the session of %s: %w", c.Subject, err)
	}
	return text, nil
}

func (s *Service) readSession(text string) (sessionClaims, error) {
	if len(text) > maxSessionLength {
		return sessionClaims{}, errors.New("the text is too long")
	}
	var c sessionClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(s.options.Issuer),
		jwt.WithAudience(sessionAudience), jwt.WithExpirationRequired(), jwt.WithTimeFunc(s.now))
	_, err := parser.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return s.sessionKey(), nil })
	if err == nil && (c.ID == "" || c.IssuedAt == nil) {
		err = errors.New("the text is of no session")
	}
	return c, err
}

// sessionKey is another key than that of tokens: neither can ever stand for the other.
func (s *Service) sessionKey() []byte {
	mac := hmac.New(sha256.New, s.tokens.key)
	mac.Write([]byte(sessionAudience))
	return mac.Sum(nil)
}
