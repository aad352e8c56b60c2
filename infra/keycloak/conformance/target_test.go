package conformance

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"encore.app/infra/devstack/chromium/browsertest"
	"encore.app/infra/keycloak/issuertest"
)

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
	// counted waits until a wrong password or code is counted. Keycloak counts in the background and
	// refuses the user meanwhile.
	counted func(t *testing.T, userID string)
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

// eachIssuer runs a test against both.
func eachIssuer(t *testing.T, test func(t *testing.T, tg *target)) {
	t.Helper()
	issuertest.Each(t, func(t *testing.T, i *issuertest.Issuer) {
		tg := &target{base: i.Base(), issuer: i.URL, now: i.Clock.Now}
		if !i.Real {
			tg.traits = traits{
				grantTOTP: true, introspectsOwn: true, grantAMR: []string{"pwd"}, implicitError: "unsupported_response_type",
				unlock:  func(*testing.T, string) { i.Clock.Advance(61 * time.Second) },
				counted: func(*testing.T, string) {},
			}
			test(t, tg)
			return
		}
		tg.traits = traits{
			grantAMR: []string{}, identityFirst: true, implicitError: "unauthorized_client",
			unlock: func(t *testing.T, userID string) {
				t.Helper()
				if a := tg.admin(t, http.MethodDelete, "/attack-detection/brute-force/users/"+userID, nil); a.status != http.StatusNoContent {
					t.Fatalf("the lock is not lifted: %d", a.status)
				}
			},
			counted: func(t *testing.T, userID string) {
				t.Helper()
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				var a answer
				for deadline := time.Now().Add(browsertest.PageWait); time.Now().Before(deadline); <-tick.C {
					a = tg.admin(t, http.MethodGet, "/attack-detection/brute-force/users/"+userID, nil)
					if n, _ := a.body["numFailures"].(float64); n >= 1 && a.body["disabled"] == false {
						return
					}
				}
				t.Fatalf("the failure is not counted: %s", a.raw)
			},
		}
		keycloakTurn.Lock()
		defer keycloakTurn.Unlock()
		test(t, tg)
	})
}
