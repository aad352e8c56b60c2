package conformance

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/infra/devstack/issuer"
	"encore.app/infra/devstack/keycloak"
)

// keycloakWait is how long a Keycloak that starts beside the tests may take on a busy machine.
const keycloakWait = 5 * time.Minute

var realmFiles = []string{"../tenantry-realm.json", "../demo.json"}

// traits are where the issuers differ on purpose. Everything that is not here is the same at both.
type traits struct {
	// grantTOTP: a right one-time code in the direct grant gives acr 2. Keycloak leaves levels to
	// its sign-in flow and ignores the field.
	grantTOTP bool
	// grantAMR is the amr of a direct grant. Keycloak's steps have reference values only in the
	// sign-in flow.
	grantAMR []string
	// identityFirst: the first page asks for the name alone, to find the organisation's own
	// identity provider. The development issuer has no such providers.
	identityFirst bool
	// introspectsOwn: a client may introspect a token that it holds itself. Keycloak tells only
	// those that the token is for.
	introspectsOwn bool
	// implicitError refuses response types other than code.
	implicitError string
	// unlock forgets wrong passwords: the development issuer's clock is moved on, Keycloak's
	// administrator lifts the lock.
	unlock func(t *testing.T, userID string)
}

// target is an issuer under test.
type target struct {
	base   string // without the realm
	issuer string
	now    func() time.Time
	traits
}

func (tg *target) endpoint(name string) string {
	return tg.issuer + "/protocol/openid-connect/" + name
}

// keycloakTurn: Keycloak refuses a user who signs in twice at the same time, as if the password were
// wrong (its brute force protection).
var keycloakTurn sync.Mutex

// eachIssuer runs a test against both. Keycloak's part says so where there is none.
func eachIssuer(t *testing.T, test func(t *testing.T, tg *target)) {
	t.Helper()
	t.Run("development issuer", func(t *testing.T) {
		t.Parallel()
		test(t, development(t))
	})
	t.Run("keycloak", func(t *testing.T) {
		t.Parallel()
		if os.Getenv("KEYCLOAK_URL") == "" {
			t.Skip("NOT RUN: there is no Keycloak here (KEYCLOAK_URL names one; devstack exec --real starts one)")
		}
		keycloakTurn.Lock()
		defer keycloakTurn.Unlock()
		test(t, realKeycloak(t))
	})
}

// clock is real time, moved on.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func development(t *testing.T) *target {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	time := &clock{}
	base := "http://" + server.Listener.Addr().String()
	i, err := issuer.New(issuer.Config{RealmFiles: realmFiles, BaseURL: base, AppEnv: "test", Clock: time.now})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = i.Handler()
	server.Start()
	t.Cleanup(server.Close)
	return &target{base: base, issuer: i.URL(), now: time.now, traits: traits{
		grantTOTP: true, introspectsOwn: true, grantAMR: []string{"pwd"}, implicitError: "unsupported_response_type",
		unlock: func(*testing.T, string) { time.advance(61 * 1e9) },
	}}
}

// started is the wait for Keycloak, shared by all tests.
var started = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), keycloakWait)
	defer cancel()
	at := os.Getenv("KEYCLOAK_URL") + "/realms/tenantry"
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		err := keycloak.Check(ctx, at, at)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
})

func realKeycloak(t *testing.T) *target {
	t.Helper()
	if err := started(); err != nil {
		t.Fatalf("KEYCLOAK_URL is set, but Keycloak does not serve the realm: %v", err)
	}
	base := strings.TrimSuffix(os.Getenv("KEYCLOAK_URL"), "/")
	tg := &target{base: base, issuer: base + "/realms/tenantry", now: time.Now, traits: traits{
		grantAMR: []string{}, identityFirst: true, implicitError: "unauthorized_client",
	}}
	tg.unlock = func(t *testing.T, userID string) {
		t.Helper()
		admin := tg.token(t, "grant_type", "client_credentials", "client_id", "tenantry-provisioner", "client_secret", "demo-provisioner")
		r := request(t, http.MethodDelete, base+"/admin/realms/tenantry/attack-detection/brute-force/users/"+userID, nil)
		r.Header.Set("Authorization", "Bearer "+admin.text("access_token"))
		if a := send(t, http.DefaultClient, r); a.status != http.StatusNoContent {
			t.Fatalf("the lock is not lifted: %d", a.status)
		}
	}
	return tg
}
