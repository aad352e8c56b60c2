package request

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

var secrets struct {
	// TRUSTED_PROXIES are the networks whose word on a client's address is taken, separated by commas.
	TRUSTED_PROXIES string //host:optional
}

// Proxies are the networks that TRUSTED_PROXIES names.
var Proxies = sync.OnceValues(func() ([]netip.Prefix, error) { return parseProxies(secrets.TRUSTED_PROXIES) })

func parseProxies(list string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(text)
		if addr, ip := netip.ParseAddr(text); err != nil && ip == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("request: TRUSTED_PROXIES: %q is neither an address nor a network (10.0.0.0/8)", text)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

// ClientIP is the client's address. Every hop adds its peer to X-Forwarded-For, the nearest listener
// last; everything before the last hop that is not one of our proxies is the client's own word.
func ClientIP(h http.Header) string {
	proxies, err := Proxies()
	if err != nil {
		proxies = nil // the start refuses it; until then nobody is trusted
	}
	return clientIP(strings.Join(h.Values("X-Forwarded-For"), ","), proxies)
}

func clientIP(forwarded string, proxies []netip.Prefix) string {
	hops := strings.Split(forwarded, ",")
	for i := len(hops) - 1; ; i-- {
		hop := strings.TrimSpace(hops[i])
		if i == 0 || !trusted(hop, proxies) {
			return hop
		}
	}
}

func trusted(hop string, proxies []netip.Prefix) bool {
	addr, err := netip.ParseAddr(hop)
	if err != nil {
		return false
	}
	for _, p := range proxies {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}
