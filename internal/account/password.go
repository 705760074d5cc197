package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"github.com/lighterage/lighterage/internal/problem"
)

// Cost is what it costs to check one password, and to guess one.
type Cost struct {
	MemoryKiB uint32 // memory, in KiB
	Passes    uint32 // passes over it
}

// DefaultCost is the OWASP recommendation for argon2id (19 MiB, 2 passes, 1
// thread): about 30 ms of one core. With hashingAtOnce computations at a time,
// logins take at most 38 MiB.
func DefaultCost() Cost { return Cost{MemoryKiB: 19 << 10, Passes: 2} }

func (c Cost) validate() error {
	if c.MemoryKiB < 8 || c.MemoryKiB > 1<<20 || c.Passes < 1 || c.Passes > 64 {
		return fmt.Errorf("password cost of %d KiB and %d passes is not within 8 KiB to 1 GiB and 1 to 64 passes", c.MemoryKiB, c.Passes)
	}
	return nil
}

const (
	hashingAtOnce  = 2   // computations; the others wait
	hashingWaiting = 256 // callers that may wait: about 4 s of work
	saltLength     = 16  // bytes
	hashLength     = 32  // bytes
)

// hasher computes password hashes, few at a time.
type hasher struct {
	cost    Cost
	slots   chan struct{}
	waiting atomic.Int64
	derive  func(password string, salt []byte, c Cost, length uint32) []byte
	decoy   passwordHash // what passwords of unknown accounts are compared with
}

func newHasher(c Cost) *hasher {
	h := &hasher{cost: c, slots: make(chan struct{}, hashingAtOnce), derive: argon2id}
	h.decoy = passwordHash{cost: c, salt: randomBytes(saltLength), hash: randomBytes(hashLength)}
	return h
}

func argon2id(password string, salt []byte, c Cost, length uint32) []byte {
	return argon2.IDKey([]byte(password), salt, c.Passes, c.MemoryKiB, 1, length)
}

// hash returns the stored form of a new password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	return h.hashWithSalt(ctx, password, randomBytes(saltLength))
}

func (h *hasher) hashWithSalt(ctx context.Context, password string, salt []byte) (string, error) {
	release, err := h.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	p := passwordHash{cost: h.cost, salt: salt, hash: h.derive(password, salt, h.cost, hashLength)}
	return p.String(), nil
}

// matches reports whether password is the one that stored was made of. For the
// empty stored (no such account) it does the same work and says no.
func (h *hasher) matches(ctx context.Context, stored, password string) (bool, error) {
	p := h.decoy
	if stored != "" {
		var err error
		if p, err = parsePasswordHash(stored); err != nil {
			return false, err
		}
	}
	release, err := h.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	computed := h.derive(password, p.salt, p.cost, uint32(len(p.hash)))
	return subtle.ConstantTimeCompare(computed, p.hash) == 1 && stored != "", nil
}

// outdated returns the salt of a stored hash that was not made with today's cost.
func (h *hasher) outdated(stored string) (salt []byte, outdated bool) {
	p, err := parsePasswordHash(stored)
	return p.salt, err == nil && p.cost != h.cost
}

// acquire takes a slot. Who finds one free is never counted as waiting, so that
// the line always holds exactly hashingWaiting callers.
func (h *hasher) acquire(ctx context.Context) (release func(), err error) {
	release = func() { <-h.slots }
	select {
	case h.slots <- struct{}{}:
		return release, nil
	default:
	}
	if h.waiting.Add(1) > hashingWaiting {
		h.waiting.Add(-1)
		return nil, problem.New(problem.TooManyRequest, "too many logins at the same time, try again in a few seconds")
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// passwordHash is an argon2id hash. Its text is the usual one:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
type passwordHash struct {
	cost       Cost
	salt, hash []byte
}

func (p passwordHash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, p.cost.MemoryKiB, p.cost.Passes,
		base64.RawStdEncoding.EncodeToString(p.salt), base64.RawStdEncoding.EncodeToString(p.hash))
}

func parsePasswordHash(text string) (passwordHash, error) {
	// The stored text itself is never part of an error: errors are logged.
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return passwordHash{}, errors.New("stored password hash: not an argon2id hash of version 19")
	}
	var p passwordHash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &p.cost.MemoryKiB, &p.cost.Passes); err != nil {
		return passwordHash{}, errors.New("stored password hash: bad parameters")
	}
	if err := p.cost.validate(); err != nil {
		return passwordHash{}, fmt.Errorf("stored password hash: %w", err)
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(p.salt) < 8 {
		return passwordHash{}, errors.New("stored password hash: bad salt")
	}
	if p.hash, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(p.hash) < 16 {
		return passwordHash{}, errors.New("stored password hash: bad hash")
	}
	if p.String() != text {
		return passwordHash{}, errors.New("stored password hash: not in its usual form")
	}
	return p, nil
}

// validPassword is Harbor's rule for passwords (server/v2.0/handler/user.go).
func validPassword(password string) bool {
	var lower, upper, digit bool
	for _, c := range []byte(password) {
		lower = lower || 'a' <= c && c <= 'z'
		upper = upper || 'A' <= c && c <= 'Z'
		digit = digit || '0' <= c && c <= '9'
	}
	return len(password) >= 8 && len(password) <= 128 && lower && upper && digit
}

const passwordRule = "must be 8-128, inclusively, characters long with at least 1 uppercase letter, 1 lowercase letter and 1 number"

func checkPassword(password string) error {
	if !validPassword(password) {
		return problem.New(problem.BadRequest, "the password or secret %s", passwordRule)
	}
	return nil
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// randomPassword returns random letters and digits that keep Harbor's rule.
func randomPassword(length int) string {
	for {
		if password := randomText(length); validPassword(password) {
			return password
		}
	}
}

func randomText(length int) string {
	text := make([]byte, 0, length)
	for len(text) < length {
		// 62 of 64 values are used, so that every letter is equally likely.
		for _, b := range randomBytes(length) {
			if b &= 63; int(b) < len(letters) && len(text) < length {
				text = append(text, letters[b])
			}
		}
	}
	return string(text)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	return b
}
