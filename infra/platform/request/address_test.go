package request

import "testing"

func TestTheClientIsTheLastHopThatIsNotOurs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ forwarded, proxies, want string }{
		"nothing":                  {"", "", ""},
		"one hop":                  {"192.0.2.1", "", "192.0.2.1"},
		"the client's own word":    {"10.0.0.1, 192.0.2.2", "", "192.0.2.2"},
		"behind our proxy":         {"198.51.100.7, 10.0.0.9", "10.0.0.0/8", "198.51.100.7"},
		"spoofed behind our proxy": {"1.1.1.1, 198.51.100.7, 10.0.0.9", "10.0.0.0/8", "198.51.100.7"},
		"two of our proxies":       {"198.51.100.7, 10.0.0.9,10.0.0.8", "10.0.0.0/8", "198.51.100.7"},
		"a proxy that is not ours": {"198.51.100.7, 10.0.0.9", "172.16.0.0/12", "10.0.0.9"},
		"only ours":                {"10.0.0.1", "10.0.0.0/8", "10.0.0.1"},
		"a single address":         {"198.51.100.7, 10.0.0.9", "10.0.0.9", "198.51.100.7"},
		"a mapped address":         {"198.51.100.7, ::ffff:10.0.0.9", "10.0.0.0/8", "198.51.100.7"},
		"junk before ours":         {"unknown, 10.0.0.9", "10.0.0.0/8", "unknown"},
	} {
		proxies, err := parseProxies(c.proxies)
		if err != nil {
			t.Fatal(err)
		}
		if got := clientIP(c.forwarded, proxies); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if _, err := parseProxies("10.0.0.0/8, everyone"); err == nil {
		t.Error("a proxy that is none passed")
	}
}
