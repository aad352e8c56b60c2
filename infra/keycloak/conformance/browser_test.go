package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"encore.app/identity/token"
	"encore.app/infra/devstack/chromium/browsertest"
)

// TestSignInWithARealBrowser is what a person of the platform does: name, password, one-time code,
// back in the application with a code that buys a token of level 2; known from then on; signed out.
func TestSignInWithARealBrowser(t *testing.T) {
	t.Parallel()
	if !browsertest.Available() {
		t.Skip("NOT RUN: there is no browser here (WEBDRIVER_URL names a WebDriver server; devstack exec --real starts one)")
	}
	eachIssuer(t, func(t *testing.T, tg *target) {
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `<!doctype html><title>application</title><link rel="icon" href="data:,"><p id="application">here</p>`)
		}))
		t.Cleanup(app.Close)
		w := browsertest.Open(t, "MAP 127.0.0.1:3000 "+app.Listener.Addr().String())

		back := func() url.Values {
			t.Helper()
			w.Await(t, "#application")
			at, err := url.Parse(w.At(t))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(at.String(), callback+"?") {
				t.Fatalf("landed at %s", at)
			}
			return at.Query()
		}
		signInAs := func(user string) {
			t.Helper()
			if tg.identityFirst {
				w.Enter(t, "#username", user)
			} else {
				w.Fill(t, "#username", user)
			}
			w.Enter(t, "#password", "demo")
		}

		w.Go(t, tg.endpoint("auth")+"?"+authorization("admin-console").Encode())
		signInAs("support@tenantry.test")
		w.Await(t, "#otp")
		w.Enter(t, "#otp", tg.totp(t))
		answer := back()
		if answer.Get("state") != "state-1" || answer.Get("iss") != tg.issuer {
			t.Errorf("%v", answer)
		}
		tokens := tg.exchange(t, "admin-console", answer.Get("code"))
		if tokens.status != http.StatusOK {
			t.Fatalf("%d %s", tokens.status, tokens.raw)
		}
		v, err := token.New(token.Config{Issuer: tg.issuer, Audiences: map[string]string{"tenantry-admin": "admin-console"}, Now: tg.now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		claims, err := v.Verify(t.Context(), tokens.text("access_token"))
		if err != nil || claims.MFALevel != 2 || claims.Email != "support@tenantry.test" {
			t.Errorf("%+v, %v", claims, err)
		}

		// The browser is known: no page in between.
		w.Go(t, tg.endpoint("auth")+"?"+authorization("admin-console", "state", "state-2").Encode())
		if again := back(); again.Get("state") != "state-2" || again.Get("code") == "" {
			t.Errorf("single sign-on: %v", again)
		}

		if complaints := w.Complaints(t); complaints != nil {
			t.Errorf("the browser complains: %q", complaints)
		}

		w.Go(t, tg.endpoint("logout")+"?"+url.Values{
			"id_token_hint": {tokens.text("id_token")}, "post_logout_redirect_uri": {callback}, "state": {"bye"},
		}.Encode())
		if signedOut := back(); signedOut.Get("state") != "bye" {
			t.Errorf("signed out: %v", signedOut)
		}
		w.Go(t, tg.endpoint("auth")+"?"+authorization("admin-console").Encode())
		w.Await(t, "#username")
	})
}
