package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Token is the answer of /service/token.
type Token struct {
	Token     string
	ExpiresIn int // seconds
	IssuedAt  time.Time
}

// TokenService is the service that tokens are for, as challenges and token
// requests name it.
const TokenService = "harbor-registry"

const (
	tokenKeyLength  = 32               // bytes
	tokenKeySetting = "token_key"      // name of the setting, and what its seal is bound to
	tokenLeeway     = 30 * time.Second // clocks of servers that share a database may differ
	maxTokenLength  = 32 << 10         // bytes
)

// claims are Harbor's, and what ties a token to the password it was got with.
type claims struct {
	jwt.RegisteredClaims
	Access     []Scope `json:"access"`
	Generation string  `json:"gen,omitempty"`
}

// IssueToken makes a token for the registry with those of the asked for actions
// that p may do. Actions in projects that are not there, or on things other than
// repositories and the catalog, are left out silently, as in Harbor; a malformed
// scope and an unknown service are a problem.BadRequest. Without a scope the token
// only proves who p is, and anonymous callers are refused.
func (s *Service) IssueToken(ctx context.Context, p Principal, service string, scopes []string) (Token, error) {
	if service != TokenService {
		return Token{}, problem.New(problem.BadRequest, "Unable to handle service: %s", clip(service))
	}
	asked, err := parseScopes(scopes)
	if err != nil {
		return Token{}, err
	}
	if !p.Authenticated() && len(asked) == 0 {
		return Token{}, refusal(p)
	}
	granted := make([]Scope, 0, len(asked))
	for _, scope := range asked {
		actions, err := s.grantable(ctx, p, scope)
		if err != nil {
			return Token{}, fmt.Errorf("make a token for %s: %w", p.Operator(), err)
		}
		granted = append(granted, Scope{scope.Type, scope.Name, actions})
	}
	lifetime, err := s.tokenLifetime(ctx)
	if err != nil {
		return Token{}, err
	}
	return s.tokens.sign(p, granted, lifetime)
}

// grantable returns the actions of a scope that p may do now.
func (s *Service) grantable(ctx context.Context, p Principal, scope Scope) ([]string, error) {
	var possible []string
	switch {
	case scope.Type == "repository":
		possible = repositoryActions()
	case scope.Type == "registry" && scope.Name == "catalog":
		possible = []string{"*"}
	}
	granted := []string{}
	for _, action := range possible {
		if !scope.allows(action) {
			continue
		}
		allowed, err := s.mayAccess(ctx, p, scope, action)
		if err != nil {
			return nil, err
		}
		if allowed {
			granted = append(granted, action)
		}
	}
	if slices.Contains(scope.Actions, "*") && len(granted) == len(repositoryActions()) {
		granted = append(granted, "*")
	}
	return granted, nil
}

func (s *Service) mayAccess(ctx context.Context, p Principal, scope Scope, action string) (bool, error) {
	if scope.Type == "registry" {
		return s.allowed(ctx, p, projectKey{}, "catalog", "read")
	}
	err := s.checkRepository(ctx, p, scope.Name, action)
	if errors.Is(err, errNotAllowed) || problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *Service) tokenLifetime(ctx context.Context) (time.Duration, error) {
	text, err := s.setting(ctx, "token_expiration", "30")
	if err != nil {
		return 0, err
	}
	minutes, err := strconv.ParseInt(text, 10, 32)
	if err != nil || minutes < 1 {
		return 0, fmt.Errorf("setting token_expiration is %q, want minutes", text)
	}
	return time.Duration(minutes) * time.Minute, nil
}

// tokenSigner signs and verifies tokens. Only Lighterage reads them, so one secret
// key (HS256) does.
type tokenSigner struct {
	key    []byte
	issuer string
	now    func() time.Time
	parser *jwt.Parser
}

func newTokenSigner(key []byte, issuer string, now func() time.Time) tokenSigner {
	return tokenSigner{key: key, issuer: issuer, now: now, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(TokenService),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(tokenLeeway),
		jwt.WithTimeFunc(now),
	)}
}

func (t tokenSigner) sign(p Principal, access []Scope, lifetime time.Duration) (Token, error) {
	now := t.now().UTC().Truncate(time.Second)
	subject := p.Name
	if !p.Authenticated() {
		subject = ""
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    t.issuer,
			Subject:   subject,
			Audience:  jwt.ClaimStrings{TokenService},
			ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
			NotBefore: jwt.NewNumericDate(now),
			IssuedAt:  jwt.NewNumericDate(now),
			ID:        randomText(16),
		},
		Access:     access,
		Generation: p.Generation,
	}).SignedString(t.key)
	if err != nil {
		return Token{}, fmt.Errorf("sign token: %w", err)
	}
	return Token{Token: text, ExpiresIn: int(lifetime / time.Second), IssuedAt: now}, nil
}

func (t tokenSigner) verify(text string) (claims, error) {
	if len(text) > maxTokenLength {
		return claims{}, errors.New("token is too long")
	}
	var c claims
	_, err := t.parser.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return t.key, nil })
	return c, err
}

// fingerprint is a short text that tells nothing about parts, the same on all
// servers that share the key.
func (t tokenSigner) fingerprint(parts ...string) string {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte("account generation\x00" + strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])
}

// loadTokenKey reads the key from the settings and makes it at the first start.
func loadTokenKey(ctx context.Context, db *store.DB, box Sealer) ([]byte, error) {
	stored, found, err := db.Setting(ctx, tokenKeySetting)
	if err != nil {
		return nil, fmt.Errorf("load token key: %w", err)
	}
	if !found {
		fresh, err := sealKey(randomBytes(tokenKeyLength), box)
		if err != nil {
			return nil, err
		}
		err = db.InTx(ctx, func(tx *store.Tx) error {
			stored, err = store.InitSetting(ctx, tx, tokenKeySetting, fresh)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("make token key: %w", err)
		}
	}
	key, sealed, err := openKey(stored, box)
	if err != nil {
		return nil, fmt.Errorf("load token key: %w (if the key file is lost for good, delete the setting token_key: "+
			"registry clients then fetch new tokens)", err)
	}
	if !sealed && box != nil {
		return key, resealKey(ctx, db, key, box)
	}
	return key, nil
}

// The stored key says whether it is sealed.
const (
	sealedKey = "sealed:"
	plainKey  = "plain:"
)

func sealKey(key []byte, box Sealer) (string, error) {
	text := base64.StdEncoding.EncodeToString(key)
	if box == nil {
		return plainKey + text, nil
	}
	sealed, err := box.Seal(text, tokenKeySetting)
	if err != nil {
		return "", fmt.Errorf("seal token key: %w", err)
	}
	return sealedKey + sealed, nil
}

func openKey(stored string, box Sealer) (key []byte, sealed bool, err error) {
	text, plain := strings.CutPrefix(stored, plainKey)
	if !plain {
		if text, sealed = strings.CutPrefix(stored, sealedKey); !sealed {
			return nil, false, errors.New("its setting has been damaged")
		}
		if box == nil {
			return nil, true, errors.New("it is sealed and there is no key file")
		}
		if text, err = box.Open(text, tokenKeySetting); err != nil {
			return nil, true, err
		}
	}
	if key, err = base64.StdEncoding.DecodeString(text); err != nil || len(key) < tokenKeyLength {
		return nil, sealed, errors.New("its setting has been damaged")
	}
	return key, sealed, nil
}

// resealKey stores a key that was made before there was a box as the box wants it.
func resealKey(ctx context.Context, db *store.DB, key []byte, box Sealer) error {
	sealed, err := sealKey(key, box)
	if err != nil {
		return err
	}
	return db.InTx(ctx, func(tx *store.Tx) error { return store.SetSetting(ctx, tx, tokenKeySetting, sealed) })
}
