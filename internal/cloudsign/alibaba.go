package cloudsign

import (
	"encoding/hex"
	"time"
)

// Alibaba returns the headers that authorize an action of a version of an Alibaba Cloud
// API (signature version 3, ACS3-HMAC-SHA256). nonce must be another for each request.
func Alibaba(r Request, k Key, action, version, nonce string, now time.Time) map[string]string {
	add := map[string]string{
		"x-acs-action": action, "x-acs-version": version, "x-acs-signature-nonce": nonce,
		"x-acs-date": now.UTC().Format("2006-01-02T15:04:05Z"), "x-acs-content-sha256": hash(r.Body),
	}
	if k.Session != "" {
		add["x-acs-security-token"] = k.Session
	}
	text, signed := r.canonical(r.headers(add), add["x-acs-content-sha256"])
	signature := authenticate([]byte(k.Secret), "ACS3-HMAC-SHA256\n"+hash([]byte(text)))
	add["authorization"] = "ACS3-HMAC-SHA256 Credential=" + k.ID + ",SignedHeaders=" + signed + ",Signature=" + hex.EncodeToString(signature)
	return add
}
