package cloudsign

import (
	"encoding/hex"
	"strconv"
	"time"
)

// Tencent returns the headers that authorize an action of a Tencent Cloud service, such
// as "tcr" (its API 3.0 with TC3-HMAC-SHA256). Only content-type and host are signed, as
// its documentation has it; the region is part of the call, not of the signature.
func Tencent(r Request, k Key, service string, now time.Time) map[string]string {
	add := map[string]string{"x-tc-timestamp": strconv.FormatInt(now.Unix(), 10)}
	if k.Session != "" {
		add["x-tc-token"] = k.Session
	}
	day := now.UTC().Format("2006-01-02")
	scope := day + "/" + service + "/tc3_request"
	text, signed := r.canonical(map[string]string{"content-type": r.Header["content-type"], "host": r.Host}, hash(r.Body))
	key := authenticate([]byte("TC3"+k.Secret), day, service, "tc3_request")
	signature := authenticate(key, "TC3-HMAC-SHA256\n"+add["x-tc-timestamp"]+"\n"+scope+"\n"+hash([]byte(text)))
	add["authorization"] = "TC3-HMAC-SHA256 Credential=" + k.ID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(signature)
	return add
}
