package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnlyTrustedProxiesTellWhoTheClientIs(t *testing.T) {
	t.Parallel()
	trusted, err := parseProxies([]string{"10.0.0.0/8", "192.0.2.1", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, from string
		forwarded  []string
		want       string
	}{
		{"a client itself", "203.0.113.9:4000", []string{"198.51.100.7"}, "203.0.113.9:4000"},
		{"through one proxy", "10.1.2.3:4000", []string{"198.51.100.7"}, "198.51.100.7"},
		{"through two proxies", "192.0.2.1:4000", []string{"198.51.100.7, 10.9.9.9"}, "198.51.100.7"},
		{"what the client claims", "10.1.2.3:4000", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		{"in a header of its own", "10.1.2.3:4000", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		{"with a port", "10.1.2.3:4000", []string{"198.51.100.7:5000"}, "198.51.100.7"},
		{"IPv6", "[fd00::1]:4000", []string{"2001:db8::7"}, "2001:db8::7"},
		{"mapped IPv4", "[::ffff:10.1.2.3]:4000", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"the proxy itself", "10.1.2.3:4000", nil, "10.1.2.3:4000"},
		{"inside of the proxies' network", "10.1.2.3:4000", []string{"10.4.4.4"}, "10.4.4.4"},
		{"nonsense", "10.1.2.3:4000", []string{"198.51.100.7, unknown"}, "10.1.2.3:4000"},
		{"nonsense before a proxy", "10.1.2.3:4000", []string{"unknown, 10.9.9.9"}, "10.9.9.9"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.RemoteAddr = test.from
		for _, value := range test.forwarded {
			r.Header.Add("X-Forwarded-For", value)
		}
		var got string
		remember := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })
		clientAddress(remember, trusted).ServeHTTP(httptest.NewRecorder(), r)
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		clientAddress(remember, nil).ServeHTTP(httptest.NewRecorder(), r)
		if got != test.from {
			t.Errorf("%s, with no trusted proxy: %s", test.name, got)
		}
	}
}
