package sink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Guard says where deliveries may go. A sink's address comes from an outsider, and what this process
// can reach they must not (OWASP API7). The zero Guard is the strict one.
type Guard struct {
	// AllowPrivate lets development deliver to addresses of its own network, over plain HTTP too.
	AllowPrivate bool
	// Resolver looks names up; nil is the system's.
	Resolver interface {
		LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	}
}

const maxURL = 2000

// Reasons that an address is refused with. They are told to whoever configured it.
var (
	ErrURL     = errors.New("must be an https URL without user, password and fragment")
	ErrPort    = errors.New("must use port 443 or one from 1024 up")
	ErrAddress = errors.New("must not point into a private, local or reserved network")
)

// Check refuses what is wrong on its face. Where a name points is checked whenever it is dialled,
// because it may point elsewhere tomorrow.
func (g Guard) Check(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || u.Opaque != "" || u.User != nil || u.Fragment != "" || u.Hostname() == "" {
		return ErrURL
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !g.AllowPrivate) {
		return ErrURL
	}
	if err := g.port(u.Port()); err != nil {
		return err
	}
	if g.AllowPrivate {
		return nil
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.address(addr)
	}
	// No dot is a name of this network; a last label of digits is an address in disguise (0x7f.1, 2130706433).
	last := host[strings.LastIndexByte(host, '.')+1:]
	if !strings.Contains(host, ".") || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return ErrAddress
	}
	for _, local := range []string{".localhost", ".local", ".internal", ".lan", ".home.arpa"} {
		if strings.HasSuffix(host, local) {
			return ErrAddress
		}
	}
	return nil
}

func (g Guard) port(port string) error {
	if port == "" || g.AllowPrivate {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || (n != 443 && n < 1024) {
		return ErrPort
	}
	return nil
}

// reserved are the ranges of the IANA special-purpose registries that net/netip has no word for.
var reserved = func() (list []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}()

// allocated is all of IPv6 that is in use on the public internet (IANA, RFC 4291): what lies outside
// embeds an IPv4 address (::/96, ::ffff:0:0:0/96, NAT64's 64:ff9b::/96), is local or is nobody's.
var allocated = netip.MustParsePrefix("2000::/3")

// address refuses every address that is not an ordinary one of the public internet.
func (g Guard) address(addr netip.Addr) error {
	if g.AllowPrivate {
		return nil
	}
	addr = addr.WithZone("").Unmap() // ::ffff:127.0.0.1 is 127.0.0.1
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return ErrAddress
	}
	if addr.Is6() && !allocated.Contains(addr) {
		return ErrAddress
	}
	for _, p := range reserved {
		if p.Contains(addr) {
			return ErrAddress
		}
	}
	return nil
}

const dialWithin = 5 * time.Second

// dial resolves a name once, refuses it if any of its addresses is out of bounds, and connects to an
// address that it has seen: between check and use the name cannot change.
func (g Guard) dial(ctx context.Context, network, hostPort string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	if err := g.port(port); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	addrs, err := g.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if err := g.address(addr); err != nil {
			return nil, err
		}
	}
	var conn net.Conn
	for _, addr := range addrs {
		if conn, err = (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(addr.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (g Guard) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	lookup := g.Resolver
	if lookup == nil {
		lookup = net.DefaultResolver
	}
	addrs, err := lookup.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("sink: %s has no address", host)
	}
	return addrs, nil
}
