package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// proxies are the addresses of proxies whose word on clients counts.
type proxies []netip.Prefix

// parseProxies reads addresses and networks, such as 10.0.0.7 and 10.0.0.0/8.
func parseProxies(texts []string) (proxies, error) {
	var list proxies
	for _, text := range texts {
		text = strings.TrimSpace(text)
		network, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); single == nil {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, problem.New(problem.BadRequest, "trusted proxy %q: want an address or a network, such as 10.0.0.7 or 10.0.0.0/8", text)
		}
		list = append(list, network.Masked())
	}
	return list, nil
}

func (p proxies) contain(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(address) })
}

// clientAddress gives requests that come through trusted proxies the address of
// their client. Without it all clients behind a proxy were one, and one of them that
// guesses passwords would slow down the logins of all.
func clientAddress(next http.Handler, trusted proxies) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if address := trusted.client(r); address != "" {
			r = r.WithContext(r.Context())
			r.RemoteAddr = address
		}
		next.ServeHTTP(w, r)
	})
}

// client reads X-Forwarded-For from its end, where proxies add whom they were
// asked by: the last one that is no trusted proxy is the client. What stands before
// it anybody could have sent. "" means that the connection's own address counts.
func (p proxies) client(r *http.Request) (address string) {
	connected, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.contain(connected.Addr().Unmap()) {
		return ""
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		ip, err := netip.ParseAddr(hop)
		if with, withPort := netip.ParseAddrPort(hop); withPort == nil {
			ip, err = with.Addr(), nil
		}
		if err != nil {
			return address
		}
		address = ip.Unmap().String()
		if !p.contain(ip.Unmap()) {
			return address
		}
	}
	return address
}
