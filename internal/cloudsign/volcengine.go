package cloudsign

import (
	"encoding/hex"
	"time"
)

// Volcengine returns the headers that authorize a request to a service of Volcengine,
// such as "cr" in "cn-beijing" (its documentation of API signatures). Amazon's scheme
// with other names and an untouched secret as the first key.
func Volcengine(r Request, k Key, region, service string, now time.Time) map[string]string {
	now = now.UTC()
	add := map[string]string{"x-date": now.Format(compactTime), "x-content-sha256": hash(r.Body)}
	if k.Session != "" {
		add["x-security-token"] = k.Session
	}
	day := now.Format("20060102")
	scope := day + "/" + region + "/" + service + "/request"
	text, signed := r.canonical(r.headers(add), add["x-content-sha256"])
	key := authenticate([]byte(k.Secret), day, region, service, "request")
	signature := authenticate(key, "HMAC-SHA256\n"+add["x-date"]+"\n"+scope+"\n"+hash([]byte(text)))
	add["authorization"] = "HMAC-SHA256 Credential=" + k.ID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(signature)
	return add
}
