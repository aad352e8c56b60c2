package sink

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAddressesOfThisNetworkAreRefused(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]error{
		"https://hooks.example.com/a?b=c":             nil,
		"https://hooks.example.com:8443/":             nil,
		"https://93.184.215.14/":                      nil,
		"https://[2606:2800:21f:cb07:6820::1]/":       nil,
		"http://hooks.example.com/":                   ErrURL,
		"ftp://hooks.example.com/":                    ErrURL,
		"https://u:p@hooks.example.com/":              ErrURL,
		"https://hooks.example.com/#f":                ErrURL,
		"https:///x":                                  ErrURL,
		"hooks.example.com":                           ErrURL,
		"https://" + strings.Repeat("a", 2000) + ".x": ErrURL,
		"https://hooks.example.com:22/":               ErrPort,
		"https://hooks.example.com:80/":               ErrPort,
		"https://localhost/":                          ErrAddress,
		"https://api.localhost./":                     ErrAddress,
		"https://db.internal/":                        ErrAddress,
		"https://postgres/":                           ErrAddress,
		"https://127.0.0.1/":                          ErrAddress,
		"https://127.1/":                              ErrAddress,
		"https://2130706433/":                         ErrAddress,
		"https://0x7f000001/":                         ErrAddress,
		"https://0177.0.0.1/":                         ErrAddress,
		"https://0.0.0.0/":                            ErrAddress,
		"https://10.1.2.3/":                           ErrAddress,
		"https://172.16.0.1/":                         ErrAddress,
		"https://192.168.1.1/":                        ErrAddress,
		"https://169.254.169.254/latest/meta-data/":   ErrAddress,
		"https://100.64.0.1/":                         ErrAddress,
		"https://198.18.0.1/":                         ErrAddress,
		"https://224.0.0.1/":                          ErrAddress,
		"https://255.255.255.255/":                    ErrAddress,
		"https://[::1]/":                              ErrAddress,
		"https://[::]/":                               ErrAddress,
		"https://[fe80::1]/":                          ErrAddress,
		"https://[fd00:ec2::254]/":                    ErrAddress,
		"https://[::ffff:127.0.0.1]/":                 ErrAddress,
		"https://[::ffff:a9fe:a9fe]/":                 ErrAddress,
		"https://[64:ff9b::7f00:1]/":                  ErrAddress,
		"https://[64:ff9b:1::7f00:1]/":                ErrAddress,
		"https://[2002:7f00:1::]/":                    ErrAddress,
		"https://[::127.0.0.1]/":                      ErrAddress,
		"https://[::ffff:0:127.0.0.1]/":               ErrAddress,
		"https://[2001:0:7f00:1::]/":                  ErrAddress,
		"https://[5f00::1]/":                          ErrAddress,
		"https://[fec0::1]/":                          ErrAddress,
		"https://[4000::1]/":                          ErrAddress,
		"https://192.88.99.1/":                        ErrAddress,
		"https://192.0.0.170/":                        ErrAddress,
		"https://\uff11\uff12\uff17.0.0.1/":           ErrAddress,
		"https://user@127.0.0.1/":                     ErrURL,
	} {
		if err := (Guard{}).Check(raw); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", raw, err, want)
		}
	}
}

// answers is a resolver that gives each look-up the next of its addresses.
type answers struct {
	addrs [][]netip.Addr
	calls atomic.Int32
}

func (a *answers) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return a.addrs[min(int(a.calls.Add(1))-1, len(a.addrs)-1)], nil
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, s := range texts {
		list = append(list, netip.MustParseAddr(s))
	}
	return list
}

func TestANameThatPointsIntoThisNetworkIsRefusedAtTheDial(t *testing.T) {
	t.Parallel()
	for _, seen := range [][]netip.Addr{addrs("127.0.0.1"), addrs("93.184.215.14", "10.0.0.1"), addrs("::ffff:169.254.169.254"), addrs("fd00::1")} {
		_, err := Guard{Resolver: &answers{addrs: [][]netip.Addr{seen}}}.dial(t.Context(), "tcp", "hooks.example.com:443")
		if !errors.Is(err, ErrAddress) {
			t.Errorf("%v: got %v", seen, err)
		}
	}
	if _, err := (Guard{}).dial(t.Context(), "tcp", "hooks.example.com:22"); !errors.Is(err, ErrPort) {
		t.Errorf("port 22: %v", err)
	}
}

// A name that points elsewhere the second time it is asked is asked once.
func TestTheAddressThatWasCheckedIsTheOneThatIsDialled(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	resolver := &answers{addrs: [][]netip.Addr{addrs("127.0.0.1"), addrs("127.0.0.9")}}
	conn, err := Guard{AllowPrivate: true, Resolver: resolver}.dial(t.Context(), "tcp", net.JoinHostPort("rebound.example", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n := resolver.calls.Load(); n != 1 || !strings.HasPrefix(conn.RemoteAddr().String(), "127.0.0.1:") {
		t.Errorf("%d look-ups, dialled %s", n, conn.RemoteAddr())
	}
}

func TestARedirectIsAFailureAndIsNotFollowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer target.Close()
	receiver := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusFound))
	defer receiver.Close()
	p := NewPoster(Guard{AllowPrivate: true})
	defer p.Close()
	if r := p.Post(t.Context(), receiver.URL, "id", []byte("{}"), []byte("k")); r.Err == nil || r.Status != http.StatusFound || reached.Load() {
		t.Errorf("%+v, the target was reached: %v", r, reached.Load())
	}
}

func TestFailuresNameNoAddressOfOurs(t *testing.T) {
	t.Parallel()
	p := NewPoster(Guard{AllowPrivate: true})
	defer p.Close()
	for name, to := range map[string]string{"nobody listens": "http://127.0.0.1:1/", "no such name": "http://no-such-host.invalid/"} {
		r := p.Post(t.Context(), to, "id", []byte("{}"), []byte("k"))
		if u, _ := url.Parse(to); r.Err == nil || strings.Contains(r.Err.Error(), u.Hostname()) {
			t.Errorf("%s: %v", name, r.Err)
		}
	}
	strict := NewPoster(Guard{})
	defer strict.Close()
	if r := strict.Post(t.Context(), "https://127.0.0.1:8443/", "id", nil, []byte("k")); !errors.Is(r.Err, ErrAddress) {
		t.Errorf("a private address: %v", r.Err)
	}
}
