// Package issuertest runs tests against the development issuer and against a real Keycloak, so that
// neither is believed without the other.
package issuertest

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/infra/devstack"
	"encore.app/infra/devstack/issuer"
	"encore.app/infra/devstack/keycloak"
)

// keycloakWait is how long a Keycloak that starts beside the tests may take on a busy machine.
const keycloakWait = 5 * time.Minute

// Issuer serves the demo realm.
type Issuer struct {
	URL  string // of the realm
	Real bool   // Keycloak
	// Clock is what the issuer goes by. Only the development issuer's can be moved on.
	Clock *Clock
}

// Base is the issuer's URL without the realm.
func (i *Issuer) Base() string { return strings.TrimSuffix(i.URL, "/realms/tenantry") }

// Clock is real time, moved on.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// Each runs a test against both. Keycloak is the one at KEYCLOAK_URL: set, it has to answer; unset,
// its part is reported as not run.
func Each(t *testing.T, test func(t *testing.T, i *Issuer)) {
	t.Helper()
	t.Run("development issuer", func(t *testing.T) {
		t.Parallel()
		test(t, Development(t))
	})
	t.Run("keycloak", func(t *testing.T) {
		t.Parallel()
		at := os.Getenv("KEYCLOAK_URL")
		if at == "" {
			t.Skip("NOT RUN: there is no Keycloak here (KEYCLOAK_URL names one; devstack exec --real starts one)")
		}
		i := &Issuer{URL: strings.TrimSuffix(at, "/") + "/realms/tenantry", Real: true, Clock: &Clock{}}
		if err := serves(i.URL); err != nil {
			t.Fatalf("KEYCLOAK_URL is set, but Keycloak does not serve the realm: %v", err)
		}
		test(t, i)
	})
}

// Development serves the demo realm in this process until the test ends.
func Development(t *testing.T) *Issuer {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root, err := devstack.FindRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	server, clock := httptest.NewUnstartedServer(nil), &Clock{}
	i, err := issuer.New(issuer.Config{
		RealmFiles: []string{filepath.Join(root, "infra/keycloak/tenantry-realm.json"), filepath.Join(root, "infra/keycloak/demo.json")},
		// Nobody is told of sign-outs unless a test says so.
		Env:     func(string) string { return "" },
		BaseURL: "http://" + server.Listener.Addr().String(), AppEnv: "test", Clock: clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = i.Handler()
	server.Start()
	t.Cleanup(server.Close)
	return &Issuer{URL: i.URL(), Clock: clock}
}

var waited struct {
	sync.Once
	err error
}

// serves waits for Keycloak, once for all tests of a process.
func serves(issuer string) error {
	waited.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), keycloakWait)
		defer cancel()
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			if waited.err = keycloak.Check(ctx, issuer, issuer); waited.err == nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return waited.err
}
