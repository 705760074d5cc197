package cloudsign

import (
	"encoding/hex"
	"time"
)

const compactTime = "20060102T150405Z"

// Amazon returns the headers that authorize a request to an AWS service, such as "ecr"
// in "eu-central-1" (Signature Version 4). A Path with escaped characters in it is not
// for it: services want them escaped twice.
func Amazon(r Request, k Key, region, service string, now time.Time) map[string]string {
	now = now.UTC()
	add := map[string]string{"x-amz-date": now.Format(compactTime)}
	if k.Session != "" {
		add["x-amz-security-token"] = k.Session
	}
	day := now.Format("20060102")
	scope := day + "/" + region + "/" + service + "/aws4_request"
	text, signed := r.canonical(r.headers(add), hash(r.Body))
	key := authenticate([]byte("AWS4"+k.Secret), day, region, service, "aws4_request")
	signature := authenticate(key, "AWS4-HMAC-SHA256\n"+add["x-amz-date"]+"\n"+scope+"\n"+hash([]byte(text)))
	add["authorization"] = "AWS4-HMAC-SHA256 Credential=" + k.ID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(signature)
	return add
}
