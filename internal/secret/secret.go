// Package secret seals the passwords and keys that Lighterage has to hand on to
// other registries, so that whoever reads the database cannot read them.
//
// The key never comes near the database: it is in a file of its own (see
// OpenKeyFile), which must be backed up separately. A sealed text is bound to the
// place where it is stored, so it cannot be moved to another row and opened
// there. What only needs to be compared (the passwords of users, the secrets of
// robots) is hashed by its owner and does not come here.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// version stands in front of every sealed text: AES-256-GCM with a random nonce.
const version = "v1"

// Box seals and opens texts with one key. It is safe for concurrent use.
type Box struct {
	prefix string // version and key id, which is no secret
	aead   cipher.AEAD
}

// NewBox returns the box of a key.
func NewBox(key [32]byte) (*Box, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	id := sha256.Sum256(append([]byte("lighterage key id\x00"), key[:]...))
	return &Box{prefix: version + ":" + hex.EncodeToString(id[:4]) + ":", aead: aead}, nil
}

// Seal encrypts plain for the place that context names, for instance
// "registries/5/access_secret". Sealing a text twice gives two different results;
// the empty text is sealed to the empty text.
func (b *Box) Seal(plain, context string) (string, error) {
	if plain == "" {
		return "", nil
	}
	sealed := b.aead.Seal(nil, nil, []byte(plain), []byte(b.prefix+context))
	return b.prefix + base64.RawStdEncoding.EncodeToString(sealed), nil
}

// Open decrypts what Seal made with the same key and context. It fails when
// anything differs.
func (b *Box) Open(sealed, context string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	encoded, ok := strings.CutPrefix(sealed, b.prefix)
	if !ok {
		return "", fmt.Errorf("open the secret %s: %w", context, b.foreign(sealed))
	}
	content, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("open the secret %s: it is damaged: %w", context, err)
	}
	plain, err := b.aead.Open(nil, nil, content, []byte(b.prefix+context))
	if err != nil {
		return "", fmt.Errorf("open the secret %s: it is damaged or was stored for another place: %w", context, err)
	}
	return string(plain), nil
}

// foreign says why a text without the box's prefix cannot be opened.
func (b *Box) foreign(sealed string) error {
	parts := strings.Split(sealed, ":")
	if len(parts) != 3 || parts[0] != version {
		return errors.New("it is not a sealed secret")
	}
	own := strings.Split(b.prefix, ":")[1]
	return fmt.Errorf("it was sealed with the key %s, but the key file has the key %s; restore the key file that belongs to the database",
		parts[1], own)
}
