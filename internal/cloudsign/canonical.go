package cloudsign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// canonical writes a request the one way that both sides write it, and names the headers
// that are in it.
func (r Request) canonical(headers map[string]string, bodyHash string) (text, signed string) {
	names := slices.Sorted(maps.Keys(headers))
	var lines strings.Builder
	for _, name := range names {
		lines.WriteString(name + ":" + strings.Join(strings.Fields(headers[name]), " ") + "\n")
	}
	signed = strings.Join(names, ";")
	path := r.Path
	if path == "" {
		path = "/"
	}
	return strings.Join([]string{r.Method, path, query(r.Query), lines.String(), signed, bodyHash}, "\n"), signed
}

// query is the query in order, with everything escaped but RFC 3986's unreserved
// characters. url.Values writes a blank as a plus.
func query(q url.Values) string { return strings.ReplaceAll(q.Encode(), "+", "%20") }

// Query is the query as it must be sent to be the one that was signed.
func Query(q url.Values) string { return query(q) }

// headers returns those of r and more.
func (r Request) headers(more map[string]string) map[string]string {
	all := maps.Clone(r.Header)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, more)
	all["host"] = r.Host
	return all
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// authenticate is the chain of HMACs over texts that begins with key.
func authenticate(key []byte, texts ...string) []byte {
	for _, t := range texts {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(t))
		key = m.Sum(nil)
	}
	return key
}
