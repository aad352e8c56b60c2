package ops

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAnUnsafeConfigurationNamesEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	safe := configuration{issuer: "https://id.example.com/realms/x", opsToken: strings.Repeat("x", leastToken)}
	if err := safe.faults(); err != nil {
		t.Errorf("a safe one: %v", err)
	}
	everything := configuration{
		redisEmbedded: true, issuer: "http://id.example.com", opsToken: "short", stripeKey: "sk",
		proxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
	}
	err := everything.faults()
	if err == nil {
		t.Fatal("it passed")
	}
	for _, name := range []string{"REDIS_URL", "OIDC_ISSUER_URL", "OPS_TOKEN", "STRIPE_WEBHOOK_SECRET", "TRUSTED_PROXIES"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Error("a secret is in the message")
	}
}
