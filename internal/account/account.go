// Package account knows who may do what: users, projects and their members, robot
// accounts, registry tokens, with Harbor's names, rules and messages.
//
// Every method that acts for somebody takes a Principal and refuses what that
// Principal may not do; callers do not check first. Methods without one
// (GetProject, ProjectByName, EnsureProject, ...) are for callers that have
// decided already. The refusals carry a problem.Kind and Harbor's text.
//
// Authorize and Authenticate are made for clients that send their credentials
// with every request. They never write to the database (but for a password whose
// hash is out of date), read one or two rows by index at most, and remember those
// rows for a second: a change made by this process counts at once, one made by
// another process on the same database within that second.
//
// Passwords and secrets are only ever stored as argon2id hashes, users' and
// robots' alike: robots may choose their secrets too, one code path takes the same
// time for every name, and the cost is paid once per client because a proven
// password is remembered (see login.go).
package account

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/lighterage/lighterage/internal/store"
)

// Sealer encrypts the token key at rest; *secret.Box is one. Both methods bind
// the text to context, which Open must be given again.
type Sealer interface {
	Seal(plain, context string) (string, error)
	Open(sealed, context string) (string, error)
}

// Options are the choices of a Service. The zero value works.
type Options struct {
	// AutoCreateProjects lets a push to an unknown project create it (private,
	// owned by the pusher) when the pusher may create projects. Harbor refuses
	// such pushes, and so do we without this.
	AutoCreateProjects bool
	// Box seals the token key in the database. Without it the key is stored as it is.
	Box Sealer
	// TokenKey signs tokens instead of a key kept in the database. At least 32 bytes.
	TokenKey []byte
	// Issuer is the iss of tokens. Default "harbor-token-issuer", as Harbor's.
	Issuer string
	// Setting reads one of Harbor's configuration items by its name
	// (robot_name_prefix, token_expiration, project_creation_restriction). Default:
	// the setting of the same name in the database. Unset items have Harbor's defaults.
	Setting func(ctx context.Context, name string) (value string, found bool, err error)
	// PasswordCost is what hashing a password costs. Default DefaultCost.
	PasswordCost Cost
	// Elsewhere knows accounts that another system keeps. They are asked for when no
	// account here has the name and password. Default: none.
	Elsewhere Elsewhere
	// Clock tells the time. Default time.Now.
	Clock func() time.Time
	// Log takes what no caller is told. Default slog.Default.
	Log *slog.Logger
}

// How long and how much is remembered. The sizes bound memory whatever clients send.
const (
	rowsFor       = time.Second      // rows of the database
	rowsMost      = 4096             //
	verifiedFor   = 10 * time.Minute // passwords that were proven
	verifiedMost  = 8192             //
	strikesMost   = 16384            // addresses and names with failed logins
	maxTextLength = 1024             // descriptions and the like, in bytes
)

// Service is the accounts of one server. It is safe for concurrent use.
type Service struct {
	db      *store.DB
	options Options
	log     *slog.Logger
	now     func() time.Time
	pause   func(ctx context.Context, d time.Duration) error

	rights   rights
	hasher   *hasher
	throttle *throttle
	tokens   tokenSigner

	accounts *cache[string, *accountRow] // by full name
	projects *cache[projectKey, projectRow]
	settings *cache[string, settingRow]
	verified *cache[[32]byte, string]  // proven passwords, with the generation they were proven for
	visitors *cache[[32]byte, visitor] // of Elsewhere, by their proven passwords
	present  *cache[string, visitor]   // the same by their names
	ended    *cache[string, bool]      // sessions, and whether somebody logged out of them
	proofs   proofKey
	flights  singleflight.Group // one check of a password at a time

	untold string // this start in untoldSetting
}

// New returns the accounts stored in db. On the first start it makes the key that
// tokens are signed with; users and projects come with EnsureAdmin.
func New(ctx context.Context, db *store.DB, o Options) (*Service, error) {
	if o.Issuer == "" {
		o.Issuer = "harbor-token-issuer"
	}
	if o.Setting == nil {
		o.Setting = db.Setting
	}
	if o.PasswordCost == (Cost{}) {
		o.PasswordCost = DefaultCost()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := o.PasswordCost.validate(); err != nil {
		return nil, err
	}
	key := o.TokenKey
	if key == nil {
		var err error
		if key, err = loadTokenKey(ctx, db, o.Box); err != nil {
			return nil, err
		}
	}
	if len(key) < tokenKeyLength {
		return nil, errors.New("the token key is shorter than 32 bytes")
	}
	return &Service{
		db:       db,
		options:  o,
		log:      o.Log,
		now:      o.Clock,
		pause:    pause,
		rights:   newRights(),
		hasher:   newHasher(o.PasswordCost),
		throttle: newThrottle(strikesMost),
		tokens:   newTokenSigner(key, o.Issuer, o.Clock),
		accounts: newCache[string, *accountRow](rowsFor, rowsMost, o.Clock),
		projects: newCache[projectKey, projectRow](rowsFor, rowsMost, o.Clock),
		settings: newCache[string, settingRow](rowsFor, 64, o.Clock),
		verified: newCache[[32]byte, string](verifiedFor, verifiedMost, o.Clock),
		visitors: newCache[[32]byte, visitor](visitorFor, verifiedMost, o.Clock),
		present:  newCache[string, visitor](visitorFor, verifiedMost, o.Clock),
		ended:    newCache[string, bool](rowsFor, rowsMost, o.Clock),
		proofs:   newProofKey(),
	}, nil
}

// change runs f in a transaction and forgets what the caches say about accounts
// and projects, so that the change counts from the moment change returns.
func (s *Service) change(ctx context.Context, f func(tx *store.Tx) error) error {
	return s.db.InTx(ctx, func(tx *store.Tx) error {
		tx.OnCommit(s.forget)
		return f(tx)
	})
}

func (s *Service) forget() {
	s.accounts.clear()
	s.projects.clear()
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
